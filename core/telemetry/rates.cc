#include "core/telemetry/rates.h"

#include <cmath>

namespace whorl {
namespace {

constexpr std::uint32_t MaskOf(Kind kind) {
  std::uint32_t bits = 0;
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    if (kFeatures[f].kind == kind) bits |= 1u << f;
  }
  return bits;
}
constexpr std::uint32_t kCounters = MaskOf(Kind::kCounter);

// Raw counters of time are microseconds; one microsecond per millisecond is
// one millicore, and one millisecond per second alike. Others count per second.
constexpr std::array<double, kFeatureCount> PerMilli() {
  std::array<double, kFeatureCount> factor{};
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    const bool time = kFeatures[f].unit == "millicores" || kFeatures[f].unit == "ms/s";
    factor[f] = time ? 1.0 : 1000.0;
  }
  return factor;
}
constexpr auto kPerMilli = PerMilli();

SampleFate Judge(const Rates& rates, Time now, Time sampled_at) {
  if (now - sampled_at > kMaxSampleAge) return SampleFate::kTooOld;
  if (sampled_at - now > kMaxSampleAge) return SampleFate::kFromFuture;
  if (!rates.started) return SampleFate::kAccepted;
  const std::int64_t since = ToUnixMillis(sampled_at) - rates.last_sample_ms;
  if (since == 0) return SampleFate::kRepeated;
  if (since < 0) return SampleFate::kOutOfOrder;
  if (since < kShortestInterval.count()) return SampleFate::kTooSoon;
  return SampleFate::kAccepted;
}

void CountFate(SampleFate fate, SampleCounts& counts) {
  switch (fate) {
    case SampleFate::kAccepted: ++counts.accepted; break;
    case SampleFate::kRepeated: ++counts.repeated; break;
    case SampleFate::kOutOfOrder: ++counts.out_of_order; break;
    case SampleFate::kTooSoon: ++counts.too_soon; break;
    case SampleFate::kTooOld: ++counts.too_old; break;
    case SampleFate::kFromFuture: ++counts.from_future; break;
  }
}

}  // namespace

SampleFate Rates::Advance(Time now, Time sampled_at, FeatureMask valid,
                          const std::array<double, kFeatureCount>& raw, FeatureVector& out, SampleCounts& counts) {
  out.valid = FeatureMask{};
  const SampleFate fate = Judge(*this, now, sampled_at);
  CountFate(fate, counts);
  if (fate != SampleFate::kAccepted) return fate;

  const std::int64_t at = ToUnixMillis(sampled_at);
  // Times are kept modulo 2^32 ms (49 days): after a longer silence nothing
  // can be differenced, and the remainder would pass for a short interval.
  if (started && at - last_sample_ms > kLongestInterval.count()) known = 0;
  const auto at_ms = static_cast<std::uint32_t>(at);
  last_sample_ms = at;
  started = true;

  std::uint32_t finite = 0;
  std::uint32_t rising = 0;
  std::uint32_t recent = 0;
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    const double reading = raw[f];
    const double delta = reading - last_raw[f];
    const std::uint32_t elapsed = at_ms - last_ms[f];
    const bool counter = (kCounters >> f) & 1u;
    const auto rate = static_cast<float>(delta * kPerMilli[f] / static_cast<double>(elapsed == 0 ? 1 : elapsed));
    out.value[f] = counter ? rate : static_cast<float>(reading);
    // False for NaN and both infinities; a negative count or size is as broken.
    finite |= static_cast<std::uint32_t>(reading >= 0 && reading <= 1e300) << f;
    rising |= static_cast<std::uint32_t>(delta >= 0) << f;
    recent |= static_cast<std::uint32_t>(elapsed <= static_cast<std::uint32_t>(kLongestInterval.count())) << f;
  }

  const std::uint32_t good = valid.bits() & finite;
  const std::uint32_t differenced = good & known & rising & recent;
  out.valid = FeatureMask{(good & ~kCounters) | (differenced & kCounters)};
  const std::uint32_t broken = valid.bits() & ~finite;
  const std::uint32_t fell = good & known & kCounters & ~rising;
  const std::uint32_t gap = good & known & kCounters & rising & ~recent;
  if ((broken | fell | gap) != 0) [[unlikely]] {
    counts.not_a_number += static_cast<std::uint64_t>(std::popcount(broken));
    counts.backwards += static_cast<std::uint64_t>(std::popcount(fell));
    counts.gaps += static_cast<std::uint64_t>(std::popcount(gap));
  }
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    const bool take = (good >> f) & 1u;
    last_raw[f] = take ? raw[f] : last_raw[f];
    last_ms[f] = take ? at_ms : last_ms[f];
  }
  known |= good;
  return fate;
}

}  // namespace whorl
