#include "core/fingerprint/scaling.h"

#include <array>
#include <cmath>

namespace whorl {
namespace {

constexpr float kKiB = 1024.0f;
constexpr float kMiB = 1024.0f * 1024.0f;

constexpr std::array<float, kFeatureCount> kOrigin{
    10,        10,        20,        10,       20,        20,         // CPU: millicores and ms/s
    16 * kMiB, 5,         200,       20,       16 * kMiB, 16 * kMiB,  // memory
    4 * kKiB,  4 * kKiB,  10,        5,                               // network
    64 * kKiB, 64 * kKiB, 5,         20,                              // disk
    50,        50,        50,        50,                              // VMM system calls
    20,        5,         64 * kKiB, 1 * kMiB,  // memory refaults, the guest's own faults and swapping, dirty rate
    20,        5,         5,                    // disk busy time and flushes, network errors
    100,       100,       100,       100,      100,       100,  // KVM exits
    50,        50,        50,                                   // VMM system calls: memory, process, file
};

constexpr std::array<float, kFeatureCount> Floors() {
  std::array<float, kFeatureCount> floors{};
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    // Sizes hold still where rates jitter. Waiting is mostly done to a VM, by
    // its neighbours and by our own quota: it must be long to speak of the VM.
    const bool waiting = kFeatures[f].unit == "ms/s";
    floors[f] = waiting ? 0.6f : kFeatures[f].kind == Kind::kGauge ? 0.06f : 0.15f;
  }
  return floors;
}
constexpr auto kFloor = Floors();

Float8 Load(const std::array<float, kFeatureCount>& a, std::size_t g) {
  Float8 v;
  __builtin_memcpy(&v, a.data() + g * kLanes, sizeof v);
  return v;
}

Float8 SpreadOf(Float8 squared, Float8 floor) { return Max(Sqrt(squared), floor); }

}  // namespace

float ScaleOrigin(Feature f) { return kOrigin[static_cast<std::size_t>(f)]; }
float SpreadFloor(Feature f) { return kFloor[static_cast<std::size_t>(f)]; }
float Unscale(Feature f, float y) { return ScaleOrigin(f) * (Exp(y) - 1); }

Features Scaling::LogScale(const FeatureVector& x) {
  Features y;
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Float8 value = Select(LaneMask(x.valid.bits(), g), Load(x.value, g), Broadcast(0));
    y.group[g] = Log(Broadcast(1) + value / Load(kOrigin, g));
  }
  return y;
}

Features Scaling::Deviations(const Features& y, FeatureMask valid) const {
  Features z;
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Float8 spread = SpreadOf(spread_squared.group[g], Load(kFloor, g));
    const Float8 raw = Clamp((y.group[g] - center.group[g]) / spread, Broadcast(-kClip), Broadcast(kClip));
    const Int8 seen = count.group[g] > Broadcast(0);
    z.group[g] = Select(LaneMask(valid.bits(), g) & seen, raw, Broadcast(0));
  }
  return z;
}

Features Scaling::Learn(const Features& y, FeatureMask valid, float gate) {
  Features gains;
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Int8 lanes = LaneMask(valid.bits(), g);
    const Float8 floor = Load(kFloor, g);
    const Float8 before = count.group[g];
    const Int8 first = lanes & (before <= Broadcast(0));
    const Float8 n = before + Select(lanes, Broadcast(gate), Broadcast(0));
    // Counting stops where the gain has settled.
    count.group[g] = Min(n, Broadcast(2.0f / kForgetting));
    const Float8 young = Min(Broadcast(2) / (n + Broadcast(1)), Broadcast(1));
    const Float8 gain = Select(lanes, Broadcast(gate) * Max(young, Broadcast(kForgetting)), Broadcast(0));
    center.group[g] = Select(first, y.group[g], center.group[g]);
    spread_squared.group[g] = Select(first, floor * floor, spread_squared.group[g]);
    const Float8 reach = Broadcast(3) * SpreadOf(spread_squared.group[g], floor);
    const Float8 deviation = Clamp(y.group[g] - center.group[g], -reach, reach);
    center.group[g] += gain * deviation;
    spread_squared.group[g] += gain * (deviation * deviation - spread_squared.group[g]);
    gains.group[g] = gain;
  }
  return gains;
}

float Scaling::Spread(std::size_t f) const { return std::max(std::sqrt(spread_squared[f]), kFloor[f]); }

}  // namespace whorl
