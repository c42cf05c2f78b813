#include "core/baseline/baseline.h"

#include <gtest/gtest.h>

#include <random>

namespace whorl {
namespace {

constexpr FeatureMask kEverything = FeatureMask::All();
const Time kStart = FromUnixMillis(1'700'000'000'000);

class BaselineTest : public testing::Test {
 protected:
  Baseline::Outcome Usual(float shift = 0, bool flagged = false) {
    std::normal_distribution<float> noise;
    const float load = noise(random);
    Features y;
    for (std::size_t f = 0; f < kFeatureCount; ++f) y.Set(f, 3 + shift + 0.3f * load + 0.3f * noise(random));
    at += Seconds{1};
    return baseline.Observe(at, y, kEverything, goal, flagged, {});
  }
  Baseline baseline;
  LearningGoal goal{100, Seconds{120}};
  std::mt19937 random{31};
  Time at = kStart;
};

TEST_F(BaselineTest, LearningShowsItsProgressAndEndsWhenBothGoalsAreMet) {
  int finished_at = 0;
  std::uint8_t before = 0;
  for (int i = 1; i <= 130; ++i) {
    const auto outcome = Usual();
    const std::uint8_t progress = Progress(baseline, goal);
    EXPECT_GE(progress, before);
    before = progress;
    if (outcome.finished) finished_at = i;
    if (i == 61) {
      EXPECT_EQ(progress, 50);
    }
  }
  EXPECT_EQ(finished_at, 121);  // 120 s lie between 121 samples
  EXPECT_EQ(before, 100);
  EXPECT_TRUE(baseline.learnt);
}

TEST_F(BaselineTest, APauseOfTheSourceIsNotTimeSpentLearning) {
  for (int i = 0; i < 30; ++i) Usual();
  at += std::chrono::hours{5};
  Usual();
  EXPECT_LT(baseline.learnt_ms, 40'000);
  EXPECT_FALSE(baseline.learnt);
}

TEST_F(BaselineTest, KnowsTheIntervalOfItsSamples) {
  for (int i = 0; i < 50; ++i) Usual();
  EXPECT_EQ(baseline.interval(), Millis{1000});
}

TEST_F(BaselineTest, AdaptsToWhatItAcceptsAndHardlyToWhatItFlags) {
  for (int i = 0; i < 400; ++i) Usual();
  const Baseline settled = baseline;
  for (int i = 0; i < 100; ++i) Usual(4, true);  // inside an episode
  const float flagged = baseline.scaling.center[0] - settled.scaling.center[0];
  const float calm_evidence = settled.scorer.detector[0].samples();
  EXPECT_EQ(baseline.scorer.detector[0].samples(), calm_evidence) << "an episode's scores are not usual ones";
  baseline = settled;
  for (int i = 0; i < 100; ++i) Usual(0.2f);
  const float accepted = baseline.scaling.center[0] - settled.scaling.center[0];
  EXPECT_GT(accepted, 0.02f);
  EXPECT_LT(flagged, 0.15f);
}

TEST_F(BaselineTest, ASettledModelStillSeesAnAnomaly) {
  for (int i = 0; i < 1500; ++i) Usual();
  Baseline::Outcome last{};
  for (int i = 0; i < 15; ++i) last = Usual(4);
  EXPECT_GE(ScoreOf(last.evidence.calibrated), ThresholdFor(1, Millis{1000}));
}

}  // namespace
}  // namespace whorl
