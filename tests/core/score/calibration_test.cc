#include "core/score/calibration.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace whorl {
namespace {

// 0.5 .. 80, forgets 500 values, exponential tail of the top tenth.
constexpr Calibration::Shape kShape{
    0.5f, -0.693147f, 0.158599f, 0.05f, 0.002f, 0.0f, 0.1f, 1e6f, Calibration::Tail::kPredictive};

void Learn(Calibration& c, float value) { c.Learn(Calibration::Position(std::log(value), kShape), kShape, 1); }

TEST(Calibration, SaysNothingBeforeItHasSeenAnything) {
  const Calibration c;
  EXPECT_EQ(c.Evidence(50, kShape), 0);
  EXPECT_EQ(c.samples(), 0);
}

// The point of it all: among new usual values, p <= x happens about x of the time.
TEST(Calibration, FalseAlarmRateIsTheNominalOne) {
  std::mt19937 random(11);
  std::gamma_distribution<float> usual(12.0f, 0.4f);  // much like a distance
  Calibration c;
  int judged = 0, one_percent = 0, three_permille = 0;
  for (int i = 0; i < 60'000; ++i) {
    const float value = usual(random);
    if (i >= 1000) {
      const float e = c.Evidence(value, kShape);
      ++judged;
      one_percent += e >= 2.0f;
      three_permille += e >= 2.523f;
    }
    Learn(c, value);
  }
  RecordProperty("rate_at_1_percent", std::to_string(static_cast<double>(one_percent) / judged));
  RecordProperty("rate_at_0_3_percent", std::to_string(static_cast<double>(three_permille) / judged));
  EXPECT_NEAR(static_cast<double>(one_percent) / judged, 0.01, 0.005);
  EXPECT_NEAR(static_cast<double>(three_permille) / judged, 0.003, 0.002);
}

TEST(Calibration, EvidenceNeverFallsAsTheValueRises) {
  std::mt19937 random(12);
  std::gamma_distribution<float> usual(12.0f, 0.4f);
  Calibration c;
  for (int i = 0; i < 300; ++i) Learn(c, usual(random));
  float before = 0;
  for (float value = 0.3f; value < 5000; value *= 1.01f) {
    const float e = c.Evidence(value, kShape);
    EXPECT_GE(e, before - 0.12f) << value;  // bins and the fitted tail meet within a step
    EXPECT_LE(e, Calibration::kMostEvidence);
    before = std::max(before, e);
  }
  EXPECT_EQ(before, Calibration::kMostEvidence);
}

TEST(Calibration, FewSamplesGiveCautiousAnswers) {
  std::mt19937 random(13);
  std::gamma_distribution<float> usual(12.0f, 0.4f);
  Calibration few, many;
  for (int i = 0; i < 2000; ++i) {
    const float value = usual(random);
    if (i < 30) Learn(few, value);
    Learn(many, value);
  }
  EXPECT_GT(many.Evidence(14, kShape), few.Evidence(14, kShape) + 1);
  EXPECT_LT(few.Evidence(14, kShape), 5);
}

TEST(Calibration, ForgetsSlowlyAndCountsWhatItStillKnows) {
  Calibration c;
  for (int i = 0; i < 5000; ++i) Learn(c, 3);
  EXPECT_NEAR(c.samples(), 500, 10);
  EXPECT_GT(c.Evidence(9, kShape), 3);
  for (int i = 0; i < 3000; ++i) Learn(c, 9);
  EXPECT_LT(c.Evidence(9, kShape), 0.5);
}

TEST(Calibration, AWildValueIsCutToWhatTheHistoryCanImagine) {
  std::mt19937 random(14);
  std::gamma_distribution<float> usual(12.0f, 0.4f);
  Calibration c;
  EXPECT_EQ(c.Cut(70, kShape), 70);  // nothing is known yet
  for (int i = 0; i < 300; ++i) Learn(c, usual(random));
  EXPECT_EQ(c.Cut(5, kShape), 5);
  const float before = c.Evidence(40, kShape);
  Calibration wild = c, cut = c;
  for (int i = 0; i < 5; ++i) {
    Learn(wild, 40);
    Learn(cut, cut.Cut(40, kShape));
  }
  EXPECT_LT(wild.Evidence(40, kShape), 0.5f * before);
  EXPECT_GT(cut.Evidence(40, kShape), 0.7f * before);
  // What stays becomes usual all the same.
  for (int i = 0; i < 400; ++i) Learn(cut, cut.Cut(40, kShape));
  EXPECT_LT(cut.Evidence(40, kShape), 1.0f);
}

TEST(Calibration, WhatIsNoNumberBecomesNoEvidenceOfAnything) {
  Calibration c;
  for (int i = 0; i < 100; ++i) Learn(c, 3);
  const float position = Calibration::Position(std::log(1e30f), kShape);
  EXPECT_LE(position, static_cast<float>(Calibration::kBins));
  EXPECT_TRUE(std::isfinite(c.Evidence(1e30f, kShape)));
  EXPECT_TRUE(std::isfinite(c.Evidence(0, kShape)));
}

TEST(Calibration, AHeavyTailStaysHeavyHoweverManyValuesSpeakForIt) {
  auto heavy = kShape;
  heavy.most_peaks = 4;
  std::mt19937 random(14);
  std::gamma_distribution<float> usual(12.0f, 0.4f);
  Calibration c;
  for (int i = 0; i < 5000; ++i) {
    const float value = usual(random);
    c.Learn(Calibration::Position(std::log(value), kShape), kShape, 1);
  }
  EXPECT_LT(c.Evidence(40, heavy), 0.6f * c.Evidence(40, kShape));
  EXPECT_GT(c.Evidence(40, heavy), 2);
}

}  // namespace
}  // namespace whorl
