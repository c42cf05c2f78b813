#pragma once

#include <array>
#include <cstdint>

#include "core/base/time.h"
#include "core/telemetry/features.h"
#include "core/telemetry/schema.h"

namespace whorl {

// What became of one sample.
enum class SampleFate : std::uint8_t {
  kAccepted,    // at least its time was new; features may still be masked
  kRepeated,    // same time as the one before
  kOutOfOrder,  // older than the one before
  kTooSoon,     // less than kShortestInterval after the one before
  kTooOld,      // sampled longer than kMaxSampleAge before the tick
  kFromFuture,  // sampled longer than kMaxSampleAge after the tick
};

// Readings that never became a number, and why. Sums since the engine began.
struct SampleCounts {
  std::uint64_t accepted = 0;
  std::uint64_t repeated = 0;
  std::uint64_t out_of_order = 0;
  std::uint64_t too_soon = 0;
  std::uint64_t too_old = 0;
  std::uint64_t from_future = 0;
  std::uint64_t unknown_vm = 0;
  std::uint64_t backwards = 0;     // counters that fell: the source restarted
  std::uint64_t not_a_number = 0;  // NaN, infinite, negative or absurd readings
  std::uint64_t gaps = 0;          // counters unread for longer than kLongestInterval
};

// A sample may lag or lead the tick by this much; beyond it the clocks or the
// path are broken and the VM is better called blind.
inline constexpr Millis kMaxSampleAge{5000};
// Shorter intervals turn the granularity of the kernel's counters into noise.
inline constexpr Millis kShortestInterval{100};
// A rate over more than this says nothing about now; replayed traces tick at
// five minutes, so it stays above that.
inline constexpr Millis kLongestInterval{900'000};

// Differences one VM's readings. A feature is differenced against its own last
// valid reading, so sources that report less often than the tick keep their own
// time base. Plain data: it belongs to whoever holds the VM's state.
struct Rates {
  std::array<double, kFeatureCount> last_raw{};
  std::array<std::uint32_t, kFeatureCount> last_ms{};  // modulo 2^32, see Advance
  std::int64_t last_sample_ms = 0;
  std::uint64_t known = 0;  // bit set: last_raw and last_ms of that feature hold a reading
  bool started = false;
  // Samples in a row in which no counter moved: a source that answers and has
  // stopped looking. Counters that are not read do not count.
  std::uint16_t frozen = 0;

  // Takes a sample in. On kAccepted `out` holds what could be measured; on
  // anything else the sample left no trace but its count. `counters`: which
  // features are differenced (Schema).
  SampleFate Advance(Time now, Time sampled_at, FeatureMask valid, const std::array<double, kFeatureCount>& raw,
                     FeatureVector& out, SampleCounts& counts, std::uint64_t counters = LiveSchema().counters);
};

}  // namespace whorl
