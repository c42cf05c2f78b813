#include "core/fingerprint/windows.h"

#include <algorithm>

namespace whorl {
namespace {

constexpr float kMostGain = 0.5f;
constexpr float kLeastDispersion = 1e-6f;

}  // namespace

void Windows::Push(const Features& y, FeatureMask valid, std::uint32_t sample, Millis interval) {
  for (std::size_t s = 0; s < kScales; ++s) {
    const auto apart = static_cast<float>(std::max<std::int64_t>(interval.count(), 1));
    const auto length = static_cast<float>(std::chrono::duration_cast<Millis>(kLength[s]).count());
    // As often as the scale allows: a tenth of its length apart at the most.
    const auto most = static_cast<std::uint32_t>(std::max(length / apart * 0.1f, 1.0f));
    const std::uint32_t stride = std::min(kStride[s], most);
    if (sample % stride != 0 && (valid.bits() & ~known[s]) == 0) continue;
    const float gain = std::min(apart * static_cast<float>(stride) / length, kMostGain);
    for (std::size_t g = 0; g < kGroups; ++g) {
      const Int8 fresh = LaneMask(valid.bits(), g);
      const Int8 before = LaneMask(known[s], g);
      const Float8 away = y.group[g] - level[s].group[g];
      const Float8 mean = Select(before, level[s].group[g] + Broadcast(gain) * away, y.group[g]);
      const Float8 spread =
          Select(before, dispersion[s].group[g] + Broadcast(gain) * (Abs(away) - dispersion[s].group[g]), Broadcast(0));
      level[s].group[g] = Select(fresh, mean, level[s].group[g]);
      dispersion[s].group[g] = Select(fresh, spread, dispersion[s].group[g]);
    }
    known[s] |= valid.bits();
  }
}

float Windows::Burstiness(std::size_t scale, std::size_t f) const {
  if (scale + 1 >= kScales || dispersion[scale + 1][f] < kLeastDispersion) return 1;
  return dispersion[scale][f] / dispersion[scale + 1][f];
}

}  // namespace whorl
