#include "core/fingerprint/innovation.h"

#include <cmath>

#include "core/fingerprint/covariance.h"
#include "core/fingerprint/scaling.h"

namespace whorl {
namespace {

// A feature that follows itself more closely than this is taken for no closer:
// what remains would be rounding.
constexpr float kMostCarry = 0.98f;
constexpr float kLeastRemainder = 0.1f;

Float8 Cut(Float8 z) { return Clamp(z, Broadcast(-kLearnClip), Broadcast(kLearnClip)); }

}  // namespace

float Innovation::Distance(const Features& z, FeatureMask valid) const {
  Float8 sum{};
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Int8 lanes = LaneMask(valid.bits() & known, g);
    const Float8 phi = Clamp(carry.group[g], Broadcast(0), Broadcast(kMostCarry));
    const Float8 remainder = Max(Sqrt(Broadcast(1) - phi * phi), Broadcast(kLeastRemainder));
    const Float8 step = Clamp((z.group[g] - phi * previous.group[g]) / remainder, Broadcast(-kClip), Broadcast(kClip));
    sum += Select(lanes, step * step, Broadcast(0));
  }
  return std::sqrt(Sum(sum));
}

void Innovation::Learn(const Features& z, FeatureMask valid, const Features& gains) {
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Int8 both = LaneMask(valid.bits() & known, g);
    const Float8 moved = carry.group[g] + gains.group[g] * (Cut(z.group[g]) * Cut(previous.group[g]) - carry.group[g]);
    carry.group[g] = Select(both, moved, carry.group[g]);
    // In full, so that the sample after a wild one is not wild for coming back.
    previous.group[g] = Select(LaneMask(valid.bits(), g), z.group[g], previous.group[g]);
  }
  known |= valid.bits();
}

}  // namespace whorl
