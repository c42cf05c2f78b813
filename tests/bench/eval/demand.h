#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <ostream>
#include <string>

#include "core/base/result.h"

namespace whorl::eval {

struct DemandOptions {
  std::filesystem::path data;  // laid out as ../shared/data/vm_demand
  std::string set;             // azure, bitbrains; empty = both
  bool held_out = false;       // only VMs that train-demand leaves out
  bool json = false;
};
// The forecaster that ships, strictly causally, on recorded VMs, beside the rule
// of Kubernetes' VPA and a clairvoyant. One record per VM, then "*" per set.
Status RunDemand(const DemandOptions& options, std::ostream& out, std::ostream& log);

struct TrainDemandOptions {
  std::filesystem::path data;
  std::filesystem::path out;
  std::uint64_t seed = 1;
  std::size_t steps = 6000;
};
// Trains the shared GRU on two thirds of the VMs, chosen by their names.
Status RunTrainDemand(const TrainDemandOptions& options, std::ostream& log);

}  // namespace whorl::eval
