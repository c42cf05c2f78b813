#include "core/score/score.h"

#include <algorithm>
#include <cmath>

#include "core/fingerprint/lanes.h"
#include "core/score/episode.h"

namespace whorl {
namespace {

// Distances are in robust deviations: sqrt(40) * kClip = 95 is the most there can
// be before whitening. 0.5 .. 80; ln 0.5 and ln(160) / 32.
constexpr Calibration::Shape kDistance{0.5f, -0.693147f, 0.158599f, 0.3f, Calibration::Tail::kPredictive};
// A mean of evidences; under a perfect calibration a single evidence falls off
// with scale 1 / ln 10, and the mean cannot fall slower for being a mean.
// 0.05 .. 8; ln 0.05 and ln(160) / 32.
constexpr Calibration::Shape kMean{0.05f, -2.995732f, 0.158599f, 0.4342944819f, Calibration::Tail::kExponential};

// Moving mean: one wild tick reaches a quarter of its evidence, sustained
// evidence 90 % within eight ticks.
constexpr float kSmoothing = 0.25f;

// Of the run: 0.1 .. 40; ln 0.1 and ln(400) / 32.
constexpr Calibration::Shape kRun{0.1f, -2.302585f, 0.187233f, 0.4f, Calibration::Tail::kPredictive};
// A usual tick's evidence rarely exceeds this; what does piles up, cut so that
// one wild tick adds little. The pile shrinks quickly in calm.
constexpr float kRunDrift = 0.7f;
constexpr float kRunMost = 2.0f;
constexpr float kRunDecay = 0.9f;
constexpr float kLongestRun = 40.0f;
// A long history lets the tails speak for themselves, and on real servers runs
// then mostly tell of slow drift (mean average precision over 15 of them .26
// without, .17 with). A short history cannot: there runs find in 30 s what the
// mean would miss in half of the cases.
constexpr float kRunUntil = 400.0f;
constexpr float kRunFade = 100.0f;
// Two looks at the same evidence: the better of two p-values counts double.
constexpr float kTwoLooks = 0.30103f;

float NextRun(float run, float evidence) {
  const float next = run + std::min(evidence, kRunMost) - kRunDrift;
  return std::clamp(evidence < kRunDrift ? next * kRunDecay : next, 0.0f, kLongestRun);
}

}  // namespace

Evidence Scorer::Judge(const Condensed& condensed) {
  const Float8 value =
      Max(Float8{condensed.mahalanobis, condensed.residual, condensed.largest}, Broadcast(kDistance.lowest));
  const Float8 log_value = Log(value);
  Evidence result;
  std::array<Calibration::Terms, kDetectorCount> terms;
  Float8 argument = Broadcast(1);
  for (std::size_t d = 0; d < kDetectorCount; ++d) {
    result.position[d] = Calibration::Position(log_value[d], kDistance);
    terms[d] = detector[d].Weigh(value[d], result.position[d], kDistance);
    argument[d] = terms[d].argument;
  }
  const Float8 log_argument = Log(argument);
  std::array<float, kDetectorCount> e{};
  for (std::size_t d = 0; d < kDetectorCount; ++d) e[d] = terms[d].Evidence(log_argument[d]);
  // Mean of the two strongest: one broken detector can neither raise an alarm
  // nor hide one.
  const float least = std::min({e[0], e[1], e[2]});
  result.tick = (e[0] + e[1] + e[2] - least) * 0.5f;
  smooth = started ? smooth + kSmoothing * (result.tick - smooth) : result.tick * kSmoothing;
  started = true;
  result.smooth = smooth;
  // The middle one of three: a broken detector does not pile up.
  const float middle = std::max(std::min(e[0], e[1]), std::min(std::max(e[0], e[1]), e[2]));
  result.run = run = NextRun(run, middle);

  const Float8 log_sums = Log(Max(Float8{smooth, run, 1, 1, 1, 1, 1, 1}, Broadcast(kMean.lowest)));
  result.mean_position = Calibration::Position(log_sums[0], kMean);
  result.run_position = Calibration::Position(log_sums[1], kRun);
  const Calibration::Terms of_mean = mean.Weigh(smooth, result.mean_position, kMean);
  const Calibration::Terms of_run = runs.Weigh(run, result.run_position, kRun);
  const Float8 log_terms = Log(Float8{of_mean.argument, of_run.argument, 1, 1, 1, 1, 1, 1});
  // The mean never says more than the evidences themselves on average: its
  // calibration may only take back what clusters of exceedances would overstate.
  const float far = std::min(of_mean.Evidence(log_terms[0]), smooth);
  const float young = std::clamp((kRunUntil - detector[0].samples()) / kRunFade, 0.0f, 1.0f);
  const float lasting = young * of_run.Evidence(log_terms[1]);
  result.calibrated = std::max(std::max(far, lasting) - young * kTwoLooks, 0.0f);
  return result;
}

void Scorer::Learn(const Evidence& evidence, float weight) {
  if (weight <= 0) return;
  for (std::size_t d = 0; d < kDetectorCount; ++d) detector[d].Learn(evidence.position[d], kDistance, weight);
  mean.Learn(evidence.mean_position, kMean, weight);
  runs.Learn(evidence.run_position, kRun, weight);
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
