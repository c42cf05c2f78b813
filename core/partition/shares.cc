#include "core/partition/shares.h"

#include <algorithm>

#include "core/partition/projection.h"

namespace whorl::partition {

void ShareSplitter::Split(std::span<const std::int64_t> allocations, std::uint64_t total,
                          std::vector<std::uint32_t>& out) {
  const std::size_t n = allocations.size();
  out.resize(n);
  real_.resize(n);
  whole_.resize(n);
  order_.resize(n);
  lo_.assign(n, kLeastCgroupShares);
  hi_.assign(n, kMostCgroupShares);
  double sum = 0;
  for (const std::int64_t a : allocations) sum += static_cast<double>(a);
  for (std::size_t i = 0; i < n; ++i) {
    const double part = sum > 0 ? static_cast<double>(allocations[i]) / sum : 1.0 / static_cast<double>(n);
    real_[i] = part * static_cast<double>(total);
  }
  RoundToSum(real_, lo_, hi_, static_cast<std::int64_t>(total), whole_, order_);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::uint32_t>(whole_[i]);
}

}  // namespace whorl::partition
