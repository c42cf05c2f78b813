#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/telemetry/features.h"

namespace whorl::agent {

// Raw values of one VM at one moment, as node.proto carries them: counters
// cumulative, time counters in microseconds.
struct Reading {
  std::array<double, kFeatureCount> raw{};
  FeatureMask valid;

  void Put(Feature f, double value) {
    raw[static_cast<std::size_t>(f)] = value;
    valid.Set(f);
  }
  double Get(Feature f) const { return raw[static_cast<std::size_t>(f)]; }
  void Clear() { valid = FeatureMask{}; }
};

}  // namespace whorl::agent
