#pragma once

#include <array>
#include <cstdint>

#include "core/telemetry/features.h"

namespace whorl {

// How readings become the numbers that are modelled, one row per feature. A
// node's agents all speak the live one; whorl-eval describes the columns of a
// recorded trace, whose units nobody knows, with another.
struct Schema {
  // y = ln(1 + x / origin): below its origin a feature is nearly linear, so
  // that 3 against 1 packets a second is not a threefold change. 0: y = x.
  std::array<float, kFeatureCount> origin{};
  // The smallest spread that is believed, in units of y, and as a part of |y|
  // where it usually lies; the larger counts.
  std::array<float, kFeatureCount> floor{};
  std::array<float, kFeatureCount> relative_floor{};
  std::uint64_t counters = 0;     // bit set: differenced over time; clear: taken as it is
  std::uint64_t logarithmic = 0;  // bit set: origin > 0
  // Bit set: an amount that stays where an act has left it (memory once touched);
  // the others tell what a VM does now.
  std::uint64_t stocks = 0;
};

// Of core/telemetry/features.h.
const Schema& LiveSchema();
// Every feature a gauge of unknown unit: only its own history says what is much.
const Schema& TraceSchema();

}  // namespace whorl
