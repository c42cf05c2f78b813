#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/baseline/week_profile.h"
#include "core/telemetry/features.h"

namespace whorl {

// Features of one VM, averaged over the step that ends at `at`.
struct HistoryPoint {
  Time at{};
  FeatureVector x;
};

// What became of the points of a history.
struct HistoryCounts {
  std::uint32_t used = 0;          // points with at least one feature
  std::uint32_t empty = 0;         // points without any
  std::uint32_t repeated = 0;      // same time as another one; the first is kept
  std::uint32_t out_of_order = 0;  // older than the one before: sorted in
  std::uint32_t from_future = 0;   // later than now: a clock was wrong; left out
  std::uint32_t not_a_number = 0;  // single values: NaN, infinite, negative; masked
  std::uint32_t gaps = 0;          // pauses of more than three steps
};

// What a baseline may start from when somebody else has watched the VM before
// us. A plain value.
//
// How to take it: as a prior, each feature with the weight n / (n + n0) of its
// own `hours`, never as learnt. Averages over minutes say at which level a VM
// lives and when in the week; about how it jitters from second to second, which
// is what a score is made of, they say nothing, and `spread` is a lower bound
// of it at best. A bootstrapped VM therefore still runs a learning phase,
// shorter and as visible as any, and its detectors are calibrated on its own
// seconds alone. `week` can be used as it is.
struct HistoryPrior {
  struct Level {
    float level = 0;   // log units (Scaling::LogScale): the median
    float spread = 0;  // log units: 1.4826 median distance from what the week expects; not below the floor
    float hours = 0;   // different hours with a value; what is close in time is alike
  };
  std::array<Level, kFeatureCount> feature{};
  FeatureMask known;  // features whose row means something
  WeekProfile week;   // deviations from `level`
  Time from{};        // of the first and last point used
  Time to{};
  Millis step{0};  // the usual distance of two points
  HistoryCounts counts;
};

// A feature seen in fewer hours than this is not known.
inline constexpr float kLeastHistoryHours = 6;

// Pure and deterministic. Points may come in any order and hold anything; what
// cannot be used is left out and counted. Counters must have been differenced
// already, each series by itself (a restart of one of several disks or a
// migration would not show in their sum). kNotFound when no feature is known
// well enough to start from; the message says how much there was.
Result<HistoryPrior> LearnFromHistory(std::span<const HistoryPoint> points, Time now);

}  // namespace whorl
