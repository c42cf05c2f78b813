#include "core/score/score.h"

#include <algorithm>
#include <cmath>

#include "core/fingerprint/lanes.h"
#include "core/score/episode.h"

namespace whorl {
namespace {

// Statistics are distances in deviations, surprises or shares: all fit on one
// logarithmic grid. 0.02 .. 2000; ln 0.02 and ln(1e5) / 32.
constexpr Calibration::Shape kStatistic{
    0.02f, -3.912023f, 0.359779f, 0.05f, 0.0005f, 0.0f, 0.1f, 1e6f, Calibration::Tail::kPredictive};
constexpr Calibration::Shape kStatisticSeconds{
    0.02f, -3.912023f, 0.359779f, 0.05f, 0.0005f, 2.0f, 0.1f, 1e6f, Calibration::Tail::kPredictive};
// A mean of evidences: 0.02 .. 30; ln 0.02 and ln(1500) / 32. What a VM does is
// not the same from week to week, so its largest hundredth falls off far more
// slowly than that of a sample from one distribution: the tail stays heavy.
// Both numbers are from the unlabelled VMs of `whorl-eval alarms`.
constexpr Calibration::Shape kFused{
    0.02f, -3.912023f, 0.228538f, 0.05f, 0.0001f, 0.0f, 0.01f, 3.6f, Calibration::Tail::kPredictive};
// Within the hours that seconds are remembered a VM is more like itself.
constexpr Calibration::Shape kFusedSeconds{
    0.02f, -3.912023f, 0.228538f, 0.05f, 0.0001f, 2.0f, 0.01f, 6.0f, Calibration::Tail::kPredictive};

// Moving mean of a statistic: sixteen ticks.
constexpr float kSmoothing = 0.06f;
constexpr std::uint16_t kOld = 1000;
float Median(float a, float b, float c) { return std::max(std::min(a, b), std::min(std::max(a, b), c)); }

// Each of these is the only one to see what it sees.
constexpr std::uint32_t kWitnesses =
    Bit(Detector::kSketch) | Bit(Detector::kGuest) | Bit(Detector::kSudden) | Bit(Detector::kQuiet);
// Their windows are seconds apart.
constexpr float kWitnessSmoothing = 0.25f;
// What comes and goes within half an hour of five-minute samples is over before
// sixteen ticks have noticed.
constexpr std::uint32_t kBrief = Bit(Detector::kSudden) | Bit(Detector::kQuiet);
constexpr float kSuddenSmoothing = 0.25f;
// Young means are plain means, or the first ticks would weigh too much.
float Gain(std::size_t detector, std::uint16_t seen) {
  const std::uint32_t bit = 1u << detector;
  const float settled = (bit & kBrief) != 0       ? kSuddenSmoothing
                        : (bit & kWitnesses) != 0 ? kWitnessSmoothing
                                                  : kSmoothing;
  return std::max(settled, 1.0f / static_cast<float>(seen + 1));
}
constexpr std::uint16_t kWitnessSince = 60;
// Of seconds: how long a VM rests between two things it does takes minutes to know.
constexpr std::uint16_t kQuietSince = 200;
constexpr float kDoubtOfSeconds = 40.0f, kMostDoubt = 1.2f;
constexpr float kRelief = 0.25f;
// A part of the evidence that stands without the guest's word.
constexpr float kOwnPart = 0.6f;

// Adaptive conformal control: the rate is kept where it can be counted.
constexpr float kControlled = 0.01f;
constexpr float kAlarm = 2.0f;  // -log10 of it
// Seconds that grow into an alarm must not teach on the way that they are usual.
constexpr float kUnusualSeconds = 0.1f;
// Slow: quicker, and it would take back during an anomaly what tells it apart.
constexpr float kControlGain = 0.004f;
constexpr float kLeastTemper = 0.5f, kMostTemper = 2.0f;

// The mean of the three strongest of those that look at the same measurements:
// one broken detector neither raises an alarm nor hides one.
float Together(const std::array<float, kDetectorCount>& e) {
  float first = 0, second = 0, third = 0;
  for (std::size_t d = 0; d < kDetectorCount; ++d) {
    const float x = (kWitnesses >> d & 1u) != 0 ? 0.0f : e[d];
    if (x > first) {
      third = second;
      second = first;
      first = x;
    } else if (x > second) {
      third = second;
      second = x;
    } else if (x > third) {
      third = x;
    }
  }
  // Alone, a detector says no more than twice what the next one does.
  return (std::min(first, 2 * second + 1) + second + third) / 3.0f;
}

}  // namespace

void Scorer::LogsOfSmooth(float lowest) {
  std::array<float, kPadded> values;
  values.fill(lowest);
  std::copy(smooth.begin(), smooth.end(), values.begin());
  for (std::size_t i = 0; i < kPadded; i += kLanes) {
    Float8 x;
    __builtin_memcpy(&x, values.data() + i, sizeof x);
    x = Log(Max(x, Broadcast(lowest)));
    __builtin_memcpy(log_smooth.data() + i, &x, sizeof x);
  }
}

void Scorer::Forget(Detector d) {
  const auto i = static_cast<std::size_t>(d);
  detector[i] = Calibration{};
  smooth[i] = last[i] = before[i] = evidence[i] = 0;
  seen[i] = 0;
}

// What of the newest value counts, given the two before it.
float Scorer::Clean(std::size_t d, float raw, bool short_tick) const {
  if (seen[d] < 2) return raw;
  if (short_tick) return Median(raw, last[d], before[d]);
  // Many work in bursts and rest between them: one idle sample is no stall.
  return d == static_cast<std::size_t>(Detector::kQuiet) ? std::min(raw, last[d]) : raw;
}

Evidence Scorer::Judge(const Signs& signs, Millis interval) {
  const bool short_tick = interval < kShortTick;
  const Calibration::Shape& statistic = short_tick ? kStatisticSeconds : kStatistic;
  for (std::size_t d = 0; d < kDetectorCount; ++d) {
    if ((signs.measured >> d & 1u) == 0) continue;
    const float raw = signs.value[d];
    const float clean = Clean(d, raw, short_tick);
    before[d] = last[d];
    last[d] = raw;
    const float gain = Gain(d, seen[d]);
    // What is over in seconds is not told for a minute.
    smooth[d] += (short_tick && clean < smooth[d] ? std::max(gain, kRelief) : gain) * (clean - smooth[d]);
    seen[d] = static_cast<std::uint16_t>(std::min<int>(seen[d] + 1, kOld));
  }
  LogsOfSmooth(statistic.lowest);
  // Logarithms of all detectors at once, eight to a vector.
  std::array<Calibration::Terms, kPadded> terms{};
  for (std::size_t d = 0; d < kDetectorCount; ++d) {
    if ((signs.measured >> d & 1u) == 0) continue;
    terms[d] = detector[d].Weigh(smooth[d], Calibration::Position(log_smooth[d], statistic), statistic);
  }
  std::array<float, kPadded> logs;
  for (std::size_t i = 0; i < kPadded; i += kLanes) {
    Float8 argument;
    for (std::size_t k = 0; k < kLanes; ++k) argument[k] = terms[i + k].argument;
    argument = Log(argument);
    __builtin_memcpy(logs.data() + i, &argument, sizeof argument);
  }
  for (std::size_t d = 0; d < kDetectorCount; ++d) {
    if ((signs.measured >> d & 1u) != 0) evidence[d] = terms[d].Evidence(logs[d]);
  }
  Evidence result;
  result.detector = evidence;
  // A sole witness needs a history of its own before it may raise an alarm alone.
  const auto of = [&](Detector d) {
    const auto i = static_cast<std::size_t>(d);
    const std::uint16_t since = short_tick && d == Detector::kQuiet ? kQuietSince : kWitnessSince;
    return seen[i] >= since ? evidence[i] : 0.0f;
  };
  result.lasting = Together(evidence);
  const float host = std::max({result.lasting, of(Detector::kSketch), of(Detector::kSudden), of(Detector::kQuiet)});
  result.fused = fused_now = std::max(host, of(Detector::kGuest));
  result.guest_only = host < kOwnPart * result.fused;
  const Calibration::Shape& shape = short_tick ? kFusedSeconds : kFused;
  // Seconds resemble each other: a history of a few minutes says less than its count.
  const float known = fused.samples();
  const float doubt = short_tick ? std::min(kDoubtOfSeconds / std::max(known, 1.0f), kMostDoubt) : 0.0f;
  const float said = temper * fused.Evidence(result.fused, shape) - doubt;
  calibrated_now = std::clamp(said, 0.0f, Calibration::kMostEvidence);
  result.calibrated = calibrated_now;
  return result;
}

void Scorer::Learn(const Signs& signs, float weight, bool flagged, bool adapt, Millis interval) {
  const bool short_tick = interval < kShortTick;
  const Calibration::Shape& statistic = short_tick ? kStatisticSeconds : kStatistic;
  episode = flagged ? static_cast<std::uint16_t>(std::min<int>(episode + 1, kOld)) : std::uint16_t{0};
  for (std::size_t d = 0; d < kDetectorCount && !flagged; ++d) {
    if ((signs.measured >> d & 1u) == 0) continue;
    const float value = short_tick ? detector[d].Cut(smooth[d], statistic) : smooth[d];
    const float log = value < smooth[d] ? Log(std::max(value, statistic.lowest)) : log_smooth[d];
    detector[d].Learn(Calibration::Position(log, statistic), statistic, weight);
  }
  // An episode is one thing that happened, however many ticks it has: all of
  // them, and what it is about would soon be usual.
  if (episode > 1) return;
  if (adapt) {
    const float excess = (calibrated_now >= kAlarm ? 1.0f : 0.0f) - kControlled;
    temper = std::clamp(temper * (1.0f - kControlGain * excess), kLeastTemper, kMostTemper);
  }
  const Calibration::Shape& shape = short_tick ? kFusedSeconds : kFused;
  const float value = short_tick ? fused.Cut(fused_now, shape) : fused_now;
  fused.Learn(Calibration::Position(Log(std::max(value, shape.lowest)), shape), shape,
              short_tick && calibrated_now >= kAlarm ? kUnusualSeconds : 1.0f);
}

std::uint8_t ScoreOf(float evidence) {
  const float share = std::clamp(evidence / 6.0f, 0.0f, 1.0f);
  return static_cast<std::uint8_t>(100.0f * share + 0.5f);
}

double PValueOf(float evidence) { return static_cast<double>(Exp(evidence * -2.302585093f)); }

std::uint8_t ThresholdFor(double false_episodes_per_week, Millis interval) {
  constexpr double kWeekMillis = 7.0 * 24 * 3600 * 1000;
  // Below 30 the score wanders by itself; 99 is the most that a mean of cut
  // evidences surely passes.
  constexpr double kLowest = 30, kHighest = 99;
  const double ticks = kWeekMillis / static_cast<double>(std::max<std::int64_t>(interval.count(), 1));
  const double p = kOpenAfter * std::max(false_episodes_per_week, 1e-9) / ticks;
  const double threshold = std::ceil(100.0 * -std::log10(std::min(p, 1.0)) / 6.0);
  return static_cast<std::uint8_t>(std::clamp(threshold, kLowest, kHighest));
}

}  // namespace whorl
