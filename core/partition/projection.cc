#include "core/partition/projection.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>

namespace whorl::partition {

void Project(std::span<const double> target, std::span<const double> lo, std::span<const double> hi, double capacity,
             std::span<double> out) {
  const std::size_t n = target.size();
  assert(lo.size() == n && hi.size() == n && out.size() == n);
  if (n == 0) return;
  double ceiling = 0;
  for (const double h : hi) ceiling += h;
  if (ceiling <= capacity) {
    std::copy(hi.begin(), hi.end(), out.begin());
    return;
  }
  // At `low` every e is at its ceiling, at `high` every e at its floor.
  double low = target[0] - hi[0], high = target[0] - lo[0];
  for (std::size_t i = 1; i < n; ++i) {
    low = std::min(low, target[i] - hi[i]);
    high = std::max(high, target[i] - lo[i]);
  }
  const auto sum_at = [&](double mu) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += std::clamp(target[i] - mu, lo[i], hi[i]);
    return sum;
  };
  for (int step = 0; step < 60 && high - low > 1e-9; ++step) {
    const double mid = 0.5 * (low + high);
    (sum_at(mid) > capacity ? low : high) = mid;
  }
  // `high` is the side on which the sum does not exceed the capacity.
  for (std::size_t i = 0; i < n; ++i) out[i] = std::clamp(target[i] - high, lo[i], hi[i]);
}

void RoundToSum(std::span<const double> real, std::span<const std::int64_t> lo, std::span<const std::int64_t> hi,
                std::int64_t total, std::span<std::int64_t> out, std::span<std::uint32_t> scratch) {
  const std::size_t n = real.size();
  assert(lo.size() == n && hi.size() == n && out.size() == n && scratch.size() >= n);
  std::int64_t left = total;
  for (std::size_t i = 0; i < n; ++i) {
    // The slack keeps 249.9999999, which the projection means as 250, from losing one.
    out[i] = std::clamp(static_cast<std::int64_t>(std::floor(real[i] + 1e-6)), lo[i], hi[i]);
    left -= out[i];
    scratch[i] = static_cast<std::uint32_t>(i);
  }
  if (left == 0) return;
  const auto order = scratch.first(n);
  const auto remainder = [&](std::uint32_t i) { return real[i] - static_cast<double>(out[i]); };
  // Remainders change as units are handed out, so the order is fixed first.
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    const double ra = remainder(a), rb = remainder(b);
    return ra != rb ? ra > rb : a < b;
  });
  for (bool moved = true; left > 0 && moved;) {
    moved = false;
    for (const std::uint32_t i : order) {
      if (left == 0) return;
      if (out[i] >= hi[i]) continue;
      ++out[i];
      --left;
      moved = true;
    }
  }
  for (bool moved = true; left < 0 && moved;) {
    moved = false;
    for (std::size_t k = n; k-- > 0 && left < 0;) {
      const std::uint32_t i = order[k];
      if (out[i] <= lo[i]) continue;
      --out[i];
      ++left;
      moved = true;
    }
  }
}

}  // namespace whorl::partition
