#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace whorl::partition {

inline constexpr std::uint32_t kLeastCgroupShares = 2;
inline constexpr std::uint32_t kMostCgroupShares = 262'144;

// Splits the weight that the VMs' pods had together before us in proportion to
// their allocations, so that pods outside keep exactly their part. Sum of `out`
// = `total` wherever the bounds of a cgroup's weight allow it. Index order
// breaks ties.
class ShareSplitter {
 public:
  void Split(std::span<const std::int64_t> allocations, std::uint64_t total, std::vector<std::uint32_t>& out);

 private:
  std::vector<double> real_;
  std::vector<std::int64_t> lo_, hi_, whole_;
  std::vector<std::uint32_t> order_;
};

}  // namespace whorl::partition
