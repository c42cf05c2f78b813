#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/partition/resources.h"

namespace whorl {

// A VM whose memory may be lent, in this second. MiB.
struct MemoryMember {
  std::string_view id;               // sorted by it; breaks ties
  std::uint32_t vm = 0;              // handed back, never interpreted
  std::int64_t guest = 0;            // what the guest has with its balloon empty, > 0
  std::int64_t request = 0;          // never less than this, 0 = none
  double floor_fraction = 0.5;       // of its base share
  std::optional<std::int64_t> need;  // what it uses with its margin; nullopt = not known
  std::int32_t priority_class = 0;
  bool hold = false;  // keeps what it has
};

struct MemoryShare {
  std::uint32_t vm = 0;
  std::int64_t base = 0;         // its part by weight
  std::int64_t entitlement = 0;  // what the balloon shall leave it, <= guest
  bool lends = false;            // entitlement < guest
};

// Divides the node's memory among VMs by balloons. As long as every guest fits
// with all it was promised nobody lends; where they do not, who leaves much idle
// gives up first (idle memory tax: Waldspurger, OSDI 2002, section 5), down to
// its floor, and who needs it gets it back. One whose need is not known, or is on
// hold, keeps what it has. Steady calls do not allocate. Not thread-safe.
class MemoryPool {
 public:
  explicit MemoryPool(std::int64_t quantum_ms = 10'000);

  // In the order of the members. The reference is good until the next call.
  // Between two quanta shares change only for VMs whose need has outgrown theirs.
  std::span<const MemoryShare> Divide(std::span<const MemoryMember> members, std::int64_t capacity,
                                      std::int64_t now_ms);

  // More members' floors than fit: somebody is below their floor.
  bool floors_lowered() const { return floors_lowered_; }

 private:
  partition::NodeResources resources_;
  std::vector<partition::Member> described_;
  std::vector<double> credit_;
  std::vector<std::int64_t> kept_;  // what each had before this division
  std::vector<MemoryShare> shares_;
  bool floors_lowered_ = false;
};

// What a guest uses, smoothed so that a dip of a minute is not idleness: rises at
// once, falls by half in `kHalfLife`. Plain data.
class MemoryNeed {
 public:
  static constexpr std::int64_t kHalfLifeMillis = 120'000;
  // Bytes; returns the need in bytes, without margin.
  double Observe(double used, std::int64_t now_ms);
  void Forget() { at_ms_ = 0; }

 private:
  double need_ = 0;
  std::int64_t at_ms_ = 0;
};

}  // namespace whorl
