#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/base/time.h"
#include "core/telemetry/features.h"

namespace whorl {

// What an unusual VM looks like, in the words in which a person decides what to
// do about it. A nature is a description, not a verdict: "miner-like" is
// computing without end and a thin exchange over the network, whoever does it.
enum class Nature : std::uint8_t {
  kNone,  // no rule fits, or there is nothing unusual
  kCpuPressure,
  kMemoryPressure,
  kNetworkPressure,
  kDiskPressure,
  kSyscallShift,
  kStall,
  kRunaway,
  kMinerLike,
  kExfiltrationLike,
  kLeak,
};
inline constexpr std::size_t kNatureCount = 11;

// CamelCase, as status shows it: "MinerLike". Empty for kNone.
std::string_view NatureName(Nature nature);
// What a person reads after the VM's name: "computes without a pause and ...".
std::string_view NatureSentence(Nature nature);

// No bonus for these: what looks like abuse or a fault is not helped to more.
constexpr bool EarnsNothing(Nature nature) {
  return nature == Nature::kRunaway || nature == Nature::kMinerLike || nature == Nature::kExfiltrationLike;
}

// What is known about one VM at one moment. Smoothed over some seconds, like
// everything that explains a score, so that the answer does not flicker.
struct NatureSigns {
  std::array<float, kFeatureCount> sigmas{};  // signed robust deviations from the VM's usual ways
  std::array<float, kFeatureCount> now{};     // in the feature's unit
  std::array<float, kFeatureCount> usual{};   // the baseline's centre, same unit
  FeatureMask known;                          // the three above hold something
  std::array<float, kFeatureCount> level{};   // mean over the last half minute or so
  std::array<float, kFeatureCount> trend{};   // slope over the same time, in the unit per minute
  FeatureMask followed;                       // level and trend hold something
  float vcpus = 1;
  float most_cpu = 1000;      // millicores it may use now: its vCPUs, or the limit in force when that is less
  float sketch_evidence = 0;  // -log10 p of the order of system calls; 0 when not measured
  bool guest_only = false;    // what is unusual was told only from inside the guest
  Seconds lasting{};          // since the deviation began
};

// The first rule that fits, in an order in which the specific comes before the
// general, and what costs CPU comes before CPU. Deterministic, no allocation.
Nature NatureOf(const NatureSigns& signs);

// The nature under which a deviation is told. A first one is taken at once; after
// that another one must hold for kChangeAfter ticks, and nothing at all changes
// nothing. Plain data of the VM that holds it.
struct NatureKeeper {
  static constexpr std::uint8_t kChangeAfter = 5;

  Nature told = Nature::kNone;
  Nature other = Nature::kNone;
  std::uint8_t ticks = 0;  // that `other` has held

  Nature Observe(Nature seen);
  // When the deviation is over.
  void Forget() { *this = NatureKeeper{}; }
};

}  // namespace whorl
