#include "core/score/score.h"

#include <algorithm>
#include <cmath>

#include "core/fingerprint/lanes.h"
#include "core/score/episode.h"

namespace whorl {
namespace {

// Distances are in robust deviations: sqrt(24) * kClip = 73 is the most there can
// be before whitening. 0.5 .. 80; ln 0.5 and ln(160) / 32.
constexpr Calibration::Shape kDistance{0.5f, -0.693147f, 0.158599f, 0.3f, Calibration::Tail::kPredictive};
// A mean of evidences; under a perfect calibration a single evidence falls off
// with scale 1 / ln 10, and the mean cannot fall slower for being a mean.
// 0.05 .. 8; ln 0.05 and ln(160) / 32.
constexpr Calibration::Shape kMean{0.05f, -2.995732f, 0.158599f, 0.4342944819f, Calibration::Tail::kExponential};

// Moving mean: one wild tick reaches a quarter of its evidence, sustained
// evidence 90 % within eight ticks.
constexpr float kSmoothing = 0.25f;

}  // namespace

Evidence Scorer::Judge(const Condensed& condensed) {
  const Float8 value = Max(Float8{condensed.mahalanobis, condensed.residual, condensed.largest}, Broadcast(kDistance.lowest));
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
  result.mean_position = Calibration::Position(Log(std::max(smooth, kMean.lowest)), kMean);
  const Calibration::Terms mean = final.Weigh(smooth, result.mean_position, kMean);
  // Never more than the evidences themselves say on average: the calibration of
  // the mean may only take back what clusters of exceedances would overstate.
  result.calibrated = std::min(mean.Evidence(Log(mean.argument)), smooth);
  return result;
}

void Scorer::Learn(const Evidence& evidence, float weight) {
  if (weight <= 0) return;
  for (std::size_t d = 0; d < kDetectorCount; ++d) detector[d].Learn(evidence.position[d], kDistance, weight);
  final.Learn(evidence.mean_position, kMean, weight);
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
