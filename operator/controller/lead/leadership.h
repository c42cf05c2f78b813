#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "core/engine/engine.h"

namespace whorl::controller {

// The leader Lease as the elector last saw it.
struct LeaseView {
  bool held = false;  // ours, and renewed lately by our own clock
  bool renew_deadline_passed = false;
  bool other_holder = false;  // somebody else's name stands in it
  std::optional<std::int64_t> transitions;
};

// What the links may do at this moment.
struct Lead {
  bool leading = false;
  Authority authority = Authority::kRenewOnly;
  std::uint64_t epoch = 0;
  bool operator==(const Lead&) const = default;
};

// Turns the Lease and the epochs seen at agents and in NodePartitions into one
// answer. The epoch is above the Lease's transitions and above every epoch
// seen. A leader that cannot reach the API server goes on renewing, because
// nobody else can have been elected through it either; it steps down when a
// newer epoch shows up at an agent or another name in the Lease. Thread-safe.
class Leadership {
 public:
  explicit Leadership(std::function<LeaseView()> lease) : lease_(std::move(lease)) {}

  // Asks the Lease; cheap enough for every tick.
  Lead Current();
  // An epoch reported by an agent or written in a NodePartition.
  void SawEpoch(std::uint64_t epoch);
  // An agent refused us under `our` epoch, because it obeys `theirs`.
  void Refused(std::uint64_t our, std::uint64_t theirs);

 private:
  const std::function<LeaseView()> lease_;
  std::mutex mu_;
  bool leading_ = false;            // under mu_
  std::uint64_t epoch_ = 0;         // under mu_
  std::uint64_t highest_seen_ = 0;  // under mu_; not our own
};

}  // namespace whorl::controller
