#include "operator/controller/ingest/capacity.h"

#include <algorithm>

namespace whorl::controller {

RecentUse::RecentUse(std::size_t capacity) : ring_(std::max<std::size_t>(1, capacity)) {
  scratch_.reserve(ring_.size());
}

void RecentUse::Push(MilliCores use) {
  ring_[next_] = use;
  next_ = (next_ + 1) % ring_.size();
  filled_ = std::min(filled_ + 1, ring_.size());
}

std::optional<MilliCores> RecentUse::P95() {
  if (filled_ == 0) return std::nullopt;
  scratch_.assign(ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(filled_));
  // Nearest rank, so that one reading is its own percentile.
  const auto rank = static_cast<std::ptrdiff_t>((filled_ * 95 + 99) / 100 - 1);
  std::nth_element(scratch_.begin(), scratch_.begin() + rank, scratch_.end());
  return scratch_[static_cast<std::size_t>(rank)];
}

CapacityBook CpuCapacity(const CapacityFacts& facts) {
  constexpr std::int64_t kGrain = 50;
  std::int64_t use = 0;
  if (facts.other_use_p95)
    use = (std::max<std::int64_t>(0, Count(*facts.other_use_p95)) + kGrain - 1) / kGrain * kGrain;
  CapacityBook book;
  // An administrator who says how much CPU is for VMs has counted the rest of
  // the node himself: its use of this minute does not move the VMs' shares then.
  book.others = MilliCores{facts.cap ? Count(facts.other_requests) : std::max(Count(facts.other_requests), use)};
  if (!facts.allocatable) return book;
  const std::int64_t rest = Count(*facts.allocatable) - Count(facts.reserve) - Count(book.others);
  std::int64_t capacity = std::max<std::int64_t>(0, rest);
  if (facts.cap) capacity = std::min(capacity, Count(*facts.cap));
  book.capacity = MilliCores{capacity};
  return book;
}

std::optional<std::int64_t> MemoryCapacityMib(std::optional<std::int64_t> allocatable, std::int64_t reserve,
                                              std::int64_t others, std::optional<std::int64_t> cap) {
  if (!allocatable) return std::nullopt;
  const auto rest = std::max<std::int64_t>(*allocatable - reserve - others, 0);
  return (cap ? std::min(rest, *cap) : rest) >> 20;
}

}  // namespace whorl::controller
