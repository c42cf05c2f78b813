#include "core/score/score.h"

#include <gtest/gtest.h>

#include <random>

namespace whorl {
namespace {

Condensed Distances(float mahalanobis, float residual, float largest) {
  Condensed c;
  c.mahalanobis = mahalanobis;
  c.residual = residual;
  c.largest = largest;
  return c;
}

class ScorerTest : public testing::Test {
 protected:
  ScorerTest() : random(21) {
    for (int i = 0; i < 120; ++i) Usual();
  }
  Evidence Usual() {
    std::gamma_distribution<float> distance(12.0f, 0.4f);
    const Evidence e = scorer.Judge(Distances(distance(random), distance(random) * 0.6f, distance(random) * 0.4f));
    scorer.Learn(e, 1);
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
  EXPECT_EQ(ThresholdFor(1, Millis{300'000}), 48);  // a trace of five-minute samples
  EXPECT_EQ(ThresholdFor(1e-6, Millis{1000}), 99);
  EXPECT_EQ(ThresholdFor(1e9, Millis{1000}), 30);
}

TEST_F(ScorerTest, UsualTicksStayLow) {
  int high = 0;
  for (int i = 0; i < 2000; ++i) high += ScoreOf(Usual().calibrated) >= 40;
  EXPECT_LE(high, 20) << "a score of 40 stands for p = 0.004, 8 of 2,000";
}

TEST_F(ScorerTest, OneWildTickIsNoAlarmManyAre) {
  const Evidence once = scorer.Judge(Distances(60, 40, 15));
  EXPECT_GT(once.tick, 5);
  EXPECT_LT(ScoreOf(once.calibrated), 50);
  Evidence last{};
  for (int i = 0; i < 8; ++i) last = scorer.Judge(Distances(60, 40, 15));
  EXPECT_GE(ScoreOf(last.calibrated), 90);
}

TEST_F(ScorerTest, OneBrokenDetectorDoesNotRaiseAnAlarm) {
  Evidence last{};
  for (int i = 0; i < 30; ++i) last = scorer.Judge(Distances(4.8f, 80, 1.9f));
  EXPECT_LT(ScoreOf(last.calibrated), 89);
}

}  // namespace
}  // namespace whorl
