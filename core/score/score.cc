#include "core/score/score.h"

#include <algorithm>
#include <cmath>

#include "core/score/episode.h"

namespace whorl {
namespace {

// Distances are in robust deviations: sqrt(24) * kClip = 73 is the most there can be.
constexpr Calibration::Shape kDistance{0.5f, 80.0f, 0.3f, Calibration::Tail::kPredictive};
// A mean of evidences; under a perfect calibration a single evidence falls off
// with scale 1 / ln 10, and the mean cannot fall slower for being a mean.
constexpr Calibration::Shape kMean{0.05f, 8.0f, 0.4342944819f, Calibration::Tail::kExponential};

// Moving mean: one wild tick reaches a quarter of its evidence, sustained
// evidence 90 % within eight ticks.
constexpr float kSmoothing = 0.25f;

std::array<float, kDetectorCount> Statistics(const Condensed& c) { return {c.mahalanobis, c.residual, c.largest}; }

}  // namespace

Evidence Scorer::Judge(const Condensed& condensed) {
  const auto statistic = Statistics(condensed);
  std::array<float, kDetectorCount> e{};
  for (std::size_t d = 0; d < kDetectorCount; ++d) e[d] = detector[d].Evidence(statistic[d], kDistance);
  // Mean of the two strongest: one broken detector can neither raise an alarm
  // nor hide one.
  const float least = std::min({e[0], e[1], e[2]});
  Evidence result;
  result.tick = (e[0] + e[1] + e[2] - least) * 0.5f;
  smooth = started ? smooth + kSmoothing * (result.tick - smooth) : result.tick * kSmoothing;
  started = true;
  result.smooth = smooth;
  // Never more than the evidences themselves say on average: the calibration of
  // the mean may only take back what clusters of exceedances would overstate.
  result.calibrated = std::min(final.Evidence(smooth, kMean), smooth);
  return result;
}

void Scorer::Learn(const Condensed& condensed, const Evidence& evidence, float weight) {
  if (weight <= 0) return;
  const auto statistic = Statistics(condensed);
  for (std::size_t d = 0; d < kDetectorCount; ++d) detector[d].Learn(statistic[d], kDistance, weight);
  final.Learn(evidence.smooth, kMean, weight);
}

std::uint8_t ScoreOf(float evidence) {
  const float share = std::clamp(evidence / 6.0f, 0.0f, 1.0f);
  return static_cast<std::uint8_t>(std::lround(100.0f * share));
}

double PValueOf(float evidence) { return std::pow(10.0, -static_cast<double>(evidence)); }

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
