#include "core/score/contribution.h"

#include <algorithm>
#include <cmath>

namespace whorl {
namespace {

// As fast as the score's own moving mean.
constexpr float kSmoothing = 0.25f;
// Less than this is nobody's business.
constexpr float kLeastSigmas = 0.5f;

constexpr std::uint64_t FamilyMask(Family family) {
  std::uint64_t bits = 0;
  for (const FeatureInfo& info : kFeatures) {
    if (info.family == family) bits |= Bit(info.feature);
  }
  return bits;
}
constexpr std::uint64_t kCpu = FamilyMask(Family::kCpu);

}  // namespace

void Recent::Push(const Features& scaled, FeatureMask valid) {
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Int8 fresh = LaneMask(valid.bits(), g);
    const Float8 moved = y.group[g] + Broadcast(kSmoothing) * (scaled.group[g] - y.group[g]);
    const Float8 next = Select(LaneMask(known, g), moved, scaled.group[g]);
    y.group[g] = Select(fresh, next, y.group[g]);
  }
  known |= valid.bits();
}

Explanation Explain(const Recent& recent, const Scaling& scaling, const Features& season, const Schema& schema,
                    FeatureMask shown) {
  const std::uint64_t bits = recent.known & shown.bits();
  const Features z = scaling.Deviations(recent.y, FeatureMask{bits}, season, schema);
  Float8 all{}, cpu{};
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Float8 square = z.group[g] * z.group[g];
    all += square;
    cpu += Select(LaneMask(kCpu, g) & (z.group[g] > Broadcast(0)), square, Broadcast(0));
  }
  Explanation result;
  const float total = Sum(all);
  if (!(total > 0)) return result;
  result.cpu_excess = Sum(cpu) / total;

  std::array<float, kPartCount> best{};
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    const float size = std::abs(z[f]);
    if (size < kLeastSigmas || size <= best[kPartCount - 1]) continue;
    std::size_t at = kPartCount - 1;
    for (; at > 0 && size > best[at - 1]; --at) {
      best[at] = best[at - 1];
      result.top[at] = result.top[at - 1];
    }
    best[at] = size;
    result.top[at] = {static_cast<Feature>(f), z[f], size * size / total};
    result.count = static_cast<std::uint8_t>(std::min<std::size_t>(result.count + 1u, kPartCount));
  }
  return result;
}

}  // namespace whorl
