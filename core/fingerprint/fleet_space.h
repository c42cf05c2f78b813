#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/fingerprint/principal_axes.h"
#include "core/fingerprint/scaling.h"
#include "core/telemetry/features.h"

namespace whorl {

// How one VM usually behaves, in units all VMs share (a VM's own whitened axes
// mean nothing to another one): the level of each feature in log units, and how
// far it usually strays from it.
struct Behaviour {
  std::array<float, kFeatureCount> level{};
  std::array<float, kFeatureCount> spread{};  // > 0 where known
  FeatureMask known;                          // features seen often enough to speak of a usual level
  int missing() const { return static_cast<int>(kFeatureCount) - known.count(); }
};
Behaviour BehaviourOf(const Scaling& scaling);

// A VM with less known than this cannot be compared with others.
inline constexpr int kLeastKnown = 4;

struct FleetVm {
  std::string id;  // stable: the VM's uid
  Behaviour usual;
};

inline constexpr std::size_t kFleetAxes = 16;
using FleetPoint = std::array<float, kFleetAxes>;

// The space in which VMs of one fleet are compared: levels and spreads,
// standardised over the fleet, along the axes in which the fleet varies most.
// What is not known of a VM stands at the fleet's mean. Plain values.
struct FleetSpace {
  static constexpr std::size_t kCoordinates = 2 * kFeatureCount;  // levels, then spreads
  std::array<float, kCoordinates> mean{};
  std::array<float, kCoordinates> divisor{};
  PrincipalAxes axes;
  float explained = 0;  // part of the fleet's variance that the axes carry, 0..1
  float radius = 0;     // root mean square distance of the fleet's points from their middle

  FleetPoint At(const Behaviour& usual) const;
};

// The space of this fleet, or `previous` (nullptr: none) while that still fits
// it: a yardstick that changes with every VM that comes or goes would make all
// others seem to move. kInvalid: ids that are not in order and unique, a known
// value that is not finite, fewer than kLeastKnown features known of a VM.
Result<FleetSpace> FindFleetSpace(std::span<const FleetVm> fleet, const FleetSpace* previous);

// All VMs' points, kFleetAxes values each.
std::vector<float> FleetPoints(const FleetSpace& space, std::span<const FleetVm> fleet);

}  // namespace whorl
