#include "core/fingerprint/scaling.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace whorl {
namespace {

Float8 Load(const std::array<float, kFeatureCount>& a, std::size_t g) {
  Float8 v;
  __builtin_memcpy(&v, a.data() + g * kLanes, sizeof v);
  return v;
}

Float8 SpreadOf(Float8 squared, Float8 center, const Schema& schema, std::size_t g) {
  const Float8 relative = Load(schema.relative_floor, g) * Abs(center);
  return Max(Max(Sqrt(squared), Load(schema.floor, g)), relative);
}

}  // namespace

float ScaleOrigin(Feature f) { return LiveSchema().origin[static_cast<std::size_t>(f)]; }
float SpreadFloor(Feature f) { return LiveSchema().floor[static_cast<std::size_t>(f)]; }
float Unscale(Feature f, float y) { return ScaleOrigin(f) * (Exp(y) - 1); }

Features Scaling::Scale(const FeatureVector& x, const Schema& schema) {
  Features y;
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Float8 value = Select(LaneMask(x.valid.bits(), g), Load(x.value, g), Broadcast(0));
    const Int8 logarithmic = LaneMask(schema.logarithmic, g);
    const Float8 origin = Select(logarithmic, Load(schema.origin, g), Broadcast(1));
    y.group[g] = Select(logarithmic, Log(Broadcast(1) + value / origin), value);
  }
  return y;
}

Features Scaling::Deviations(const Features& y, FeatureMask valid, const Features& season, const Schema& schema) const {
  Features z;
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Float8 spread = SpreadOf(spread_squared.group[g], center.group[g], schema, g);
    const Float8 away = y.group[g] - center.group[g] - season.group[g];
    const Float8 cut = Clamp(away / spread, Broadcast(-kClip), Broadcast(kClip));
    const Int8 seen = count.group[g] > Broadcast(0);
    z.group[g] = Select(LaneMask(valid.bits(), g) & seen, cut, Broadcast(0));
  }
  return z;
}

Features Scaling::Learn(const Features& y, FeatureMask valid, const Features& season, float gate, float settled,
                        const Schema& schema) {
  Features gains;
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Int8 lanes = LaneMask(valid.bits(), g);
    const Float8 before = count.group[g];
    const Int8 first = lanes & (before <= Broadcast(0));
    const Float8 n = before + Select(lanes, Broadcast(gate), Broadcast(0));
    // Counting stops where the gain has settled.
    count.group[g] = Min(n, Broadcast(2.0f / settled));
    const Float8 young = Min(Broadcast(2) / (n + Broadcast(1)), Broadcast(1));
    const Float8 gain = Select(lanes, Broadcast(gate) * Max(young, Broadcast(settled)), Broadcast(0));
    const Float8 plain = y.group[g] - season.group[g];
    center.group[g] = Select(first, plain, center.group[g]);
    const Float8 least = SpreadOf(Broadcast(0), center.group[g], schema, g);
    spread_squared.group[g] = Select(first, least * least, spread_squared.group[g]);
    const Float8 reach = Broadcast(3) * SpreadOf(spread_squared.group[g], center.group[g], schema, g);
    const Float8 deviation = Clamp(plain - center.group[g], -reach, reach);
    center.group[g] += gain * deviation;
    spread_squared.group[g] += gain * (deviation * deviation - spread_squared.group[g]);
    gains.group[g] = gain;
  }
  return gains;
}

float Scaling::Spread(std::size_t f, const Schema& schema) const {
  return std::max({std::sqrt(spread_squared[f]), schema.floor[f], schema.relative_floor[f] * std::abs(center[f])});
}

}  // namespace whorl
