#pragma once

#include <cstdint>
#include <span>

namespace whorl::partition {

// Euclidean projection of `target` onto {lo <= e <= hi, sum e = capacity}:
// e_i = clip(target_i - mu, lo_i, hi_i) with one mu, found by bisection. Where
// all ceilings together do not reach the capacity, every e is its ceiling.
// Requires lo <= hi and sum lo <= capacity; the sums run in index order.
void Project(std::span<const double> target, std::span<const double> lo, std::span<const double> hi, double capacity,
             std::span<double> out);

// Whole numbers near `real` with lo <= out <= hi and sum out = total exactly
// where the bounds allow it: largest remainder first, the lower index in a tie.
void RoundToSum(std::span<const double> real, std::span<const std::int64_t> lo, std::span<const std::int64_t> hi,
                std::int64_t total, std::span<std::int64_t> out, std::span<std::uint32_t> scratch);

}  // namespace whorl::partition
