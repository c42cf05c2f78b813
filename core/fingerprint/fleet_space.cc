#include "core/fingerprint/fleet_space.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace whorl {
namespace {

using Coordinates = std::array<float, FleetSpace::kCoordinates>;

// Samples of a feature after which its level may be compared with others'.
constexpr float kLeastSamples = 20;
// How much a VM jitters says less about what it is than where it stands.
constexpr float kSpreadWeight = 0.5f;
// In log units: a fleet that agrees on a feature to a quarter agrees.
constexpr float kLeastDivisor = 0.25f;
// One VM out of this world must not push all others into one spot.
constexpr float kMostCoordinate = 4;
// When an earlier space no longer fits: its middle is off by this many of its
// own divisors, a divisor by this factor, or its axes carry this much less.
constexpr float kMiddleOff = 0.5f, kDivisorOff = 1.5f, kExplainedLess = 0.9f;

// Calls use(coordinate, value) for everything known of a VM.
template <typename Use>
void ForKnown(const Behaviour& usual, Use use) {
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    if (!usual.known.Has(static_cast<Feature>(f))) continue;
    use(f, usual.level[f]);
    use(kFeatureCount + f, Log(usual.spread[f]));
  }
}

Coordinates Standardised(const FleetSpace& space, const Behaviour& usual) {
  Coordinates z{};
  ForKnown(usual, [&](std::size_t c, float value) {
    const float weight = c < kFeatureCount ? 1 : kSpreadWeight;
    z[c] = weight * std::clamp((value - space.mean[c]) / space.divisor[c], -kMostCoordinate, kMostCoordinate);
  });
  return z;
}

Status Check(std::span<const FleetVm> fleet) {
  for (std::size_t i = 0; i < fleet.size(); ++i) {
    const auto bad = [&](std::string what) {
      return Fail(Code::kInvalid, "VM " + fleet[i].id + ": " + std::move(what));
    };
    if (i > 0 && fleet[i - 1].id >= fleet[i].id) return bad("a fleet must be in the order of its ids, each once");
    const Behaviour& usual = fleet[i].usual;
    for (const auto& info : kFeatures) {
      const auto f = static_cast<std::size_t>(info.feature);
      if (!usual.known.Has(info.feature)) continue;
      if (!std::isfinite(usual.level[f]) || !std::isfinite(usual.spread[f]) || usual.spread[f] <= 0) {
        return bad("the usual " + std::string(info.name) + " is not a number");
      }
    }
    if (usual.known.count() < kLeastKnown) {
      return bad("only " + std::to_string(usual.known.count()) + " features are known, " + std::to_string(kLeastKnown) +
                 " are needed to compare it");
    }
  }
  return {};
}

void Standardise(FleetSpace& space, std::span<const FleetVm> fleet) {
  std::array<double, FleetSpace::kCoordinates> sum{}, squares{}, count{};
  for (const FleetVm& vm : fleet) {
    ForKnown(vm.usual, [&](std::size_t c, float value) {
      sum[c] += static_cast<double>(value);
      count[c] += 1;
    });
  }
  for (std::size_t c = 0; c < sum.size(); ++c) sum[c] /= std::max(count[c], 1.0);
  for (const FleetVm& vm : fleet) {
    ForKnown(vm.usual, [&](std::size_t c, float value) {
      const double off = static_cast<double>(value) - sum[c];
      squares[c] += off * off;
    });
  }
  for (std::size_t c = 0; c < sum.size(); ++c) {
    space.mean[c] = static_cast<float>(sum[c]);
    space.divisor[c] = std::max(static_cast<float>(std::sqrt(squares[c] / std::max(count[c], 1.0))), kLeastDivisor);
  }
}

std::vector<float> AllStandardised(const FleetSpace& space, std::span<const FleetVm> fleet) {
  std::vector<float> rows;
  rows.reserve(fleet.size() * FleetSpace::kCoordinates);
  for (const FleetVm& vm : fleet) {
    const Coordinates z = Standardised(space, vm.usual);
    rows.insert(rows.end(), z.begin(), z.end());
  }
  return rows;
}

// Variance of the fleet around its middle along the axes, and in all.
std::pair<double, double> Carried(const FleetSpace& space, std::span<const FleetVm> fleet) {
  double along = 0, all = 0;
  for (const FleetVm& vm : fleet) {
    const Coordinates z = Standardised(space, vm.usual);
    const FleetPoint p = space.At(vm.usual);
    for (std::size_t c = 0; c < z.size(); ++c) {
      const double off = static_cast<double>(z[c] - space.axes.mean[c]);
      all += off * off;
    }
    for (const float v : p) along += static_cast<double>(v) * static_cast<double>(v);
  }
  return {along, all};
}

bool Fits(const FleetSpace& old, const FleetSpace& fresh, std::span<const FleetVm> fleet) {
  for (std::size_t c = 0; c < FleetSpace::kCoordinates; ++c) {
    if (std::abs(fresh.mean[c] - old.mean[c]) > kMiddleOff * old.divisor[c]) return false;
    const float ratio = fresh.divisor[c] / old.divisor[c];
    if (ratio > kDivisorOff || ratio * kDivisorOff < 1) return false;
  }
  const auto [along, all] = Carried(old, fleet);
  return all <= 0 || along / all >= static_cast<double>(kExplainedLess * fresh.explained);
}

float RadiusOf(const FleetSpace& space, std::span<const FleetVm> fleet) {
  std::array<double, kFleetAxes> sum{};
  double squares = 0;
  for (const FleetVm& vm : fleet) {
    const FleetPoint p = space.At(vm.usual);
    for (std::size_t k = 0; k < p.size(); ++k) {
      const auto v = static_cast<double>(p[k]);
      sum[k] += v;
      squares += v * v;
    }
  }
  const auto n = static_cast<double>(std::max<std::size_t>(fleet.size(), 1));
  for (const double s : sum) squares -= s * s / n;
  return static_cast<float>(std::sqrt(std::max(squares / n, 0.0)));
}

}  // namespace

Behaviour BehaviourOf(const Scaling& scaling) {
  Behaviour usual;
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    if (scaling.count[f] < kLeastSamples) continue;
    usual.level[f] = scaling.center[f];
    usual.spread[f] = scaling.Spread(f);
    usual.known.Set(static_cast<Feature>(f));
  }
  return usual;
}

FleetPoint FleetSpace::At(const Behaviour& usual) const {
  FleetPoint point{};
  const Coordinates z = Standardised(*this, usual);
  axes.Project(z, point);
  return point;
}

Result<FleetSpace> FindFleetSpace(std::span<const FleetVm> fleet, const FleetSpace* previous) {
  if (auto good = Check(fleet); !good) return Fail(good.error());
  FleetSpace space;
  Standardise(space, fleet);
  space.axes = FindPrincipalAxes(AllStandardised(space, fleet), FleetSpace::kCoordinates, kFleetAxes);
  float carried = 0;
  for (const float v : space.axes.variance) carried += v;
  space.explained = space.axes.total > 0 ? carried / space.axes.total : 1;
  if (previous && Fits(*previous, space, fleet)) space = *previous;
  space.radius = RadiusOf(space, fleet);
  return space;
}

std::vector<float> FleetPoints(const FleetSpace& space, std::span<const FleetVm> fleet) {
  std::vector<float> rows;
  rows.reserve(fleet.size() * kFleetAxes);
  for (const FleetVm& vm : fleet) {
    const FleetPoint point = space.At(vm.usual);
    rows.insert(rows.end(), point.begin(), point.end());
  }
  return rows;
}

}  // namespace whorl
