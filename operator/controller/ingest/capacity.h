#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "core/base/units.h"

namespace whorl::controller {

// The last `capacity` readings of one quantity and their 95th percentile.
// Not thread-safe.
class RecentUse {
 public:
  explicit RecentUse(std::size_t capacity = 300);
  void Push(MilliCores use);
  // nullopt before the first reading.
  std::optional<MilliCores> P95();

 private:
  std::vector<MilliCores> ring_;
  std::vector<MilliCores> scratch_;
  std::size_t next_ = 0;
  std::size_t filled_ = 0;
};

struct CapacityFacts {
  std::optional<MilliCores> allocatable;    // of the node, by Kubernetes
  MilliCores reserve{0};                    // policy
  std::optional<MilliCores> cap;            // policy: at most this much
  MilliCores other_requests{0};             // pods outside the partition
  std::optional<MilliCores> other_use_p95;  // what those used lately; nullopt = not known
};

struct CapacityBook {
  std::optional<MilliCores> capacity;  // nullopt: the node's size is not known, nothing is planned
  MilliCores others{0};                // what was taken off for everything outside
};

// allocatable - reserve - max(requests, recent use) of everything else. Where a
// policy caps the capacity: the cap, and no more than allocatable - reserve -
// requests of everything else. Never negative. Recent use is rounded up to 50m,
// so that its noise does not move every VM's share each second. Pure.
CapacityBook CpuCapacity(const CapacityFacts& facts);

// MiB of a node's memory for the guests whose memory is divided: allocatable -
// reserve - requests of everything else, and no more than the cap. nullopt: the
// node's size is not known. All in bytes, >= 0. Pure.
std::optional<std::int64_t> MemoryCapacityMib(std::optional<std::int64_t> allocatable, std::int64_t reserve,
                                              std::int64_t others, std::optional<std::int64_t> cap);

}  // namespace whorl::controller
