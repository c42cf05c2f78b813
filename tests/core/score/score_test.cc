#include "core/score/score.h"

#include <gtest/gtest.h>

#include <random>

namespace whorl {
namespace {

constexpr Millis kSecond{1000};
constexpr Millis kFiveMinutes{300'000};

// Every detector that looks at the deviations says something about `much`.
Signs All(float much) {
  Signs signs;
  for (const Detector d : {Detector::kMahalanobis, Detector::kResidual, Detector::kInnovation, Detector::kSudden}) {
    signs.Put(d, much);
  }
  return signs;
}

class ScorerTest : public testing::Test {
 protected:
  ScorerTest() : random(21) {
    for (int i = 0; i < 300; ++i) Usual();
  }
  float Noise() { return std::gamma_distribution<float>(12.0f, 0.4f)(random); }
  Evidence Usual() {
    Signs signs = All(Noise());
    signs.Put(Detector::kResidual, Noise());
    signs.Put(Detector::kInnovation, Noise());
    signs.Put(Detector::kGuest, 0.1f + 0.01f * Noise());
    const Evidence e = scorer.Judge(signs, kSecond);
    scorer.Learn(signs, 1, false, true, kSecond);
    return e;
  }
  std::mt19937 random;
  Scorer scorer;
};

TEST(Score, IsTheDesignsFunctionOfThePValue) {
  EXPECT_EQ(ScoreOf(0), 0);
  EXPECT_EQ(ScoreOf(3), 50);  // p = 1e-3
  EXPECT_EQ(ScoreOf(6), 100);
  EXPECT_EQ(ScoreOf(8), 100);
  EXPECT_NEAR(PValueOf(3), 1e-3, 1e-8);
}

TEST(Score, ThresholdFollowsFromTheBudget) {
  // 3 exceeding ticks an episode, 604,800 ticks a week: p = 3/604800, score 88.4.
  EXPECT_EQ(ThresholdFor(1, Millis{1000}), 89);
  EXPECT_LT(ThresholdFor(10, Millis{1000}), ThresholdFor(1, Millis{1000}));
  EXPECT_EQ(ThresholdFor(1, kFiveMinutes), 48);  // a trace of five-minute samples
  EXPECT_EQ(ThresholdFor(1e-6, Millis{1000}), 99);
  EXPECT_EQ(ThresholdFor(1e9, Millis{1000}), 30);
}

TEST_F(ScorerTest, UsualTicksStayLow) {
  int high = 0;
  for (int i = 0; i < 2000; ++i) high += ScoreOf(Usual().calibrated) >= 40;
  EXPECT_LE(high, 20) << "a score of 40 stands for p = 0.004, 8 of 2,000";
}

TEST_F(ScorerTest, OneWildSecondIsNothingManyAreAnAlarm) {
  const Evidence once = scorer.Judge(All(600), kSecond);
  EXPECT_LT(ScoreOf(once.calibrated), 50);
  Evidence last{};
  for (int i = 0; i < 12; ++i) last = scorer.Judge(All(600), kSecond);
  EXPECT_GE(ScoreOf(last.calibrated), 70);
}

TEST_F(ScorerTest, ASingleSampleOfFiveMinutesMaySayAlready) {
  const Evidence once = scorer.Judge(All(600), kFiveMinutes);
  EXPECT_GT(once.fused, 4);
}

TEST_F(ScorerTest, OneBrokenDetectorDoesNotRaiseAnAlarm) {
  Evidence last{};
  for (int i = 0; i < 60; ++i) {
    Signs signs = All(Noise());
    signs.Put(Detector::kLoda, 1000);  // it has no history: nothing is usual to it
    signs.Put(Detector::kInnovation, Noise());
    last = scorer.Judge(signs, kSecond);
    scorer.Learn(signs, 1, false, true, kSecond);
  }
  EXPECT_LT(ScoreOf(last.calibrated), 50);
}

TEST_F(ScorerTest, WhatOnlyTheGuestSaysIsMarked) {
  Signs signs = All(4.8f);
  signs.Put(Detector::kGuest, 1.0f);
  Evidence last{};
  for (int i = 0; i < 20; ++i) last = scorer.Judge(signs, kSecond);
  EXPECT_TRUE(last.guest_only);
  signs = All(600);
  for (int i = 0; i < 60; ++i) last = scorer.Judge(signs, kSecond);
  EXPECT_FALSE(last.guest_only) << "the host sees it as well";
}

TEST_F(ScorerTest, AdaptiveControlAnswersAlarmsThatComeTooOften) {
  const float before = scorer.temper;
  for (int i = 0; i < 400; ++i) {
    const Signs signs = All(i % 3 == 0 ? 30.0f : Noise());
    scorer.Judge(signs, kFiveMinutes);
    scorer.Learn(signs, 0.1f, false, true, kFiveMinutes);
  }
  EXPECT_LT(scorer.temper, before);
  for (int i = 0; i < 4000; ++i) Usual();
  EXPECT_GT(scorer.temper, 0.9f) << "and comes back";
}

// A cohort that another one replaces: how far the VM was from those says nothing about these.
TEST(Scorer, AForgottenDetectorSaysNothingUntilItHasAHistoryAgain) {
  Scorer scorer;
  const auto tick = [&](float cohort) {
    Signs signs;
    signs.Put(Detector::kMahalanobis, 1);
    signs.Put(Detector::kCohort, cohort);
    const Evidence said = scorer.Judge(signs, Millis{60'000});
    scorer.Learn(signs, 1, false, false, Millis{60'000});
    return said.detector[static_cast<std::size_t>(Detector::kCohort)];
  };
  for (int i = 0; i < 300; ++i) tick(1 + 0.01f * static_cast<float>(i % 7));
  Scorer kept = scorer;
  scorer.Forget(Detector::kCohort);
  float forgotten = 0, remembered = 0;
  for (int i = 0; i < 40; ++i) forgotten = std::max(forgotten, tick(5));
  std::swap(scorer, kept);
  for (int i = 0; i < 40; ++i) remembered = std::max(remembered, tick(5));
  EXPECT_GT(remembered, 2);
  EXPECT_LT(forgotten, 1);
}

}  // namespace
}  // namespace whorl
