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
    return Observe(y, flagged);
  }
  Baseline::Outcome Observe(const Features& y, bool flagged = false) {
    Sample sample;
    sample.at = at;
    sample.y = y;
    sample.valid = kEverything;
    Circumstances now;
    now.goal = goal;
    now.flagged = flagged;
    return baseline.Observe(sample, now, memory);
  }
  Baseline baseline;
  LongMemory memory;
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
  baseline = settled;
  for (int i = 0; i < 100; ++i) Usual(0.2f);
  const float accepted = baseline.scaling.center[0] - settled.scaling.center[0];
  EXPECT_GT(accepted, 0.02f);
  EXPECT_LT(flagged, 0.15f);
}

TEST_F(BaselineTest, ASettledModelStillSeesAnAnomaly) {
  for (int i = 0; i < 1500; ++i) Usual();
  Baseline::Outcome last{};
  std::normal_distribution<float> noise;
  for (int i = 0; i < 30; ++i) {  // half of the features rise, half fall, which they never do
    Features y;
    for (std::size_t f = 0; f < kFeatureCount; ++f) y.Set(f, 3 + (f % 2 == 0 ? 3.0f : -3.0f) + 0.3f * noise(random));
    at += Seconds{1};
    const auto outcome = Observe(y);
    if (outcome.evidence.calibrated > last.evidence.calibrated) last = outcome;
  }
  EXPECT_GE(ScoreOf(last.evidence.calibrated), ThresholdFor(1, Millis{1000}));
}

TEST_F(BaselineTest, AnEpisodeThatLastsAndIsSteadyBecomesTheSecondRegime) {
  for (int i = 0; i < 1000; ++i) Usual();
  bool changed = false;
  int after = 0;
  for (; after < 8 * 3600 && !changed; ++after) changed = Usual(3, true).regime_changed;
  EXPECT_TRUE(changed);
  EXPECT_NEAR(after, 6 * 3600, 120);
  EXPECT_EQ(memory.regime, 2);
  EXPECT_NEAR(baseline.scaling.center[0], 6, 0.2f);
  // Back where it was: that is known at once.
  changed = false;
  for (after = 0; after < 600 && !changed; ++after) changed = Usual(0, true).regime_changed;
  EXPECT_TRUE(changed);
  EXPECT_LT(after, 200);
  EXPECT_EQ(memory.regime, 1);
}

TEST_F(BaselineTest, WhatAnAdministratorAcceptsIsUsualFromThenOn) {
  for (int i = 0; i < 1000; ++i) Usual();
  for (int i = 0; i < 60; ++i) Usual(3, true);
  baseline.Accept(memory);
  Baseline::Outcome last{};
  for (int i = 0; i < 120; ++i) last = Usual(3);
  EXPECT_LT(ScoreOf(last.evidence.calibrated), 50);
}

TEST_F(BaselineTest, ASlowBoilIsToldThoughNoSampleIsUnusual) {
  goal = {100, Seconds{0}};
  at = FromUnixMillis(1'700'000'000'000);
  std::normal_distribution<float> noise;
  int day = 0;
  bool told = false;
  for (; day < 40 && !told; ++day) {
    for (int i = 0; i < 288 && !told; ++i) {  // every five minutes
      Features y;
      const float boiled = 0.01f * (static_cast<float>(day) + static_cast<float>(i) / 288.0f);  // 1 % a day
      for (std::size_t f = 0; f < kFeatureCount; ++f) y.Set(f, 3 + boiled + 0.05f * noise(random));
      at += Seconds{300};
      told = Observe(y).drifted;
    }
  }
  EXPECT_TRUE(told);
  EXPECT_LE(day, 35);
  EXPECT_GT(memory.drift.to - memory.drift.from, 0.15f);
}

TEST_F(BaselineTest, APatternThatComesBackEachDayIsExpected) {
  goal = {100, Seconds{0}};
  std::normal_distribution<float> noise;
  float third_day = 0, fourth_missing = 0;
  for (int sample = 0; sample < 288 * 8; ++sample) {
    const int minute = sample % 288;
    const int day = sample / 288;
    const bool busy = minute >= 120 && minute < 144;  // two hours each day, but the last
    Features y;
    for (std::size_t f = 0; f < kFeatureCount; ++f)
      y.Set(f, 3 + (busy && day < 7 ? 1.5f : 0.0f) + 0.1f * noise(random));
    at += Seconds{300};
    const auto outcome = Observe(y);
    if (minute < 130 || minute >= 144) continue;
    if (day == 6) third_day = std::max(third_day, outcome.evidence.fused);
    if (day == 7) fourth_missing = std::max(fourth_missing, outcome.evidence.fused);
  }
  EXPECT_LT(third_day, 3);
  EXPECT_GT(fourth_missing, third_day) << "an hour that is usually busy and is not";
}

}  // namespace
}  // namespace whorl
