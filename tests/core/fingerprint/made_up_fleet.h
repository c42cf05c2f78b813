#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "core/fingerprint/fleet_space.h"

namespace whorl::test {

// A fleet of `kinds` kinds of VM that differ by some e-folds in a few features;
// VM i is of kind i % kinds, ids are in order. Seeded, not a model of anything.
inline std::vector<FleetVm> MadeUpFleet(std::size_t vms, std::size_t kinds = 3, float noise = 0.2f,
                                        std::uint32_t seed = 3) {
  std::mt19937 kind_random(17), random(seed);
  std::normal_distribution<float> normal;
  std::vector<Behaviour> kind(kinds);
  for (Behaviour& k : kind) {
    for (std::size_t f = 0; f < kFeatureCount; ++f) {
      k.level[f] = 4 + 1.5f * normal(kind_random);
      k.spread[f] = 0.3f;
    }
  }
  std::vector<FleetVm> fleet;
  for (std::size_t i = 0; i < vms; ++i) {
    FleetVm vm;
    vm.id = "vm-" + std::to_string(100'000 + i);
    for (std::size_t f = 0; f < kFeatureCount; ++f) {
      vm.usual.level[f] = kind[i % kinds].level[f] + noise * normal(random);
      vm.usual.spread[f] = kind[i % kinds].spread[f] * (1 + 0.1f * std::abs(normal(random)));
      vm.usual.known.Set(static_cast<Feature>(f));
    }
    fleet.push_back(std::move(vm));
  }
  return fleet;
}

}  // namespace whorl::test
