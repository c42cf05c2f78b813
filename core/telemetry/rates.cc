#include "core/telemetry/rates.h"

#include <immintrin.h>

#include <bit>

namespace whorl {
namespace {

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

constexpr double kLargestReading = 1e18;

// Four features at once; see core/fingerprint/lanes.h for why by hand.
constexpr std::size_t kDoubles = 4;
using Double4 = double __attribute__((vector_size(32)));
using Long4 = std::int64_t __attribute__((vector_size(32)));
using Float4 = float __attribute__((vector_size(16)));
using Unsigned4 = std::uint32_t __attribute__((vector_size(16)));
static_assert(kFeatureCount % kDoubles == 0);

Double4 Load(const std::array<double, kFeatureCount>& a, std::size_t f) {
  Double4 v;
  __builtin_memcpy(&v, a.data() + f, sizeof v);
  return v;
}
// The four bits of a comparison, at the place of feature f.
std::uint64_t BitsOf(Long4 mask, std::size_t f) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm256_movemask_pd(std::bit_cast<__m256d>(mask)))) << f;
}
// All-ones lanes where the bit of the feature is set.
Long4 LanesOf(std::uint64_t bits, std::size_t f) {
  const auto four = static_cast<std::int64_t>((bits >> f) & 0xfu);
  return (Long4{four, four, four, four} & Long4{1, 2, 4, 8}) != Long4{};
}

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

SampleFate Rates::Advance(Time now, Time sampled_at, FeatureMask valid, const std::array<double, kFeatureCount>& raw,
                          FeatureVector& out, SampleCounts& counts, std::uint64_t counters) {
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

  std::uint64_t finite = 0;
  std::uint64_t rising = 0;
  std::uint64_t recent = 0;
  std::uint64_t moved = 0;
  for (std::size_t f = 0; f < kFeatureCount; f += kDoubles) {
    const Double4 reading = Load(raw, f);
    const Double4 before = Load(last_raw, f);
    const Double4 delta = reading - before;
    Unsigned4 last;
    __builtin_memcpy(&last, last_ms.data() + f, sizeof last);
    // Modulo 2^32, then never zero, so that the division below is harmless.
    const Double4 elapsed =
        __builtin_convertvector((at_ms - last) | (at_ms == last ? Unsigned4{1, 1, 1, 1} : Unsigned4{}), Double4);
    const Double4 rate = delta * Load(kPerMilli, f) / elapsed;
    const Double4 value = LanesOf(counters, f) ? rate : reading;
    const Float4 narrow = __builtin_convertvector(value, Float4);
    __builtin_memcpy(out.value.data() + f, &narrow, sizeof narrow);
    // False for NaN and both infinities; a negative count or size is as broken,
    // and so is one that no machine lives to reach.
    const Long4 sound = (reading >= 0.0) & (reading <= kLargestReading);
    finite |= BitsOf(sound, f);
    rising |= BitsOf(delta >= 0.0, f);
    moved |= BitsOf(delta != 0.0, f);
    recent |= BitsOf(elapsed <= static_cast<double>(kLongestInterval.count()), f);
    const Long4 taken = sound & LanesOf(valid.bits(), f);
    const Double4 kept = taken ? reading : before;
    __builtin_memcpy(last_raw.data() + f, &kept, sizeof kept);
    const Unsigned4 time = __builtin_convertvector(taken, Unsigned4) ? Unsigned4{at_ms, at_ms, at_ms, at_ms} : last;
    __builtin_memcpy(last_ms.data() + f, &time, sizeof time);
  }

  const std::uint64_t good = valid.bits() & finite;
  const std::uint64_t differenced = good & known & rising & recent;
  out.valid = FeatureMask{(good & ~counters) | (differenced & counters)};
  const std::uint64_t broken = valid.bits() & ~finite;
  const std::uint64_t fell = good & known & counters & ~rising;
  const std::uint64_t gap = good & known & counters & rising & ~recent;
  if ((broken | fell | gap) != 0) [[unlikely]] {
    counts.not_a_number += static_cast<std::uint64_t>(std::popcount(broken));
    counts.backwards += static_cast<std::uint64_t>(std::popcount(fell));
    counts.gaps += static_cast<std::uint64_t>(std::popcount(gap));
  }
  const std::uint64_t watched = good & known & counters;
  if (watched != 0)
    frozen = (watched & moved) != 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(frozen + (frozen < 65535));
  known |= good;
  return fate;
}

}  // namespace whorl
