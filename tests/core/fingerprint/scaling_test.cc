#include "core/fingerprint/scaling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace whorl {
namespace {

constexpr FeatureMask kEverything = FeatureMask::All();
constexpr auto kUsage = static_cast<std::size_t>(Feature::kCpuUsage);

Features Only(std::size_t f, float value) {
  Features y;
  y.Set(f, value);
  return y;
}

constexpr float kSettled = 0.002f;

Features Learn(Scaling& scaling, const Features& y, FeatureMask valid, float gate) {
  return scaling.Learn(y, valid, Features{}, gate, kSettled, LiveSchema());
}

TEST(Scaling, IsTheLogarithmAboveTheUnitsNoise) {
  FeatureVector x;
  x.Put(Feature::kCpuUsage, 990);
  const Features y = Scaling::LogScale(x);
  EXPECT_NEAR(y[kUsage], std::log(100.0f), 1e-5f);  // 1 + 990/10
  EXPECT_NEAR(Unscale(Feature::kCpuUsage, y[kUsage]), 990, 0.01);
  EXPECT_EQ(y[1], 0);  // not measured: nothing, and masked everywhere else
}

TEST(Scaling, FindsCentreAndSpreadOfNoise) {
  Scaling scaling;
  std::mt19937 random(1);
  std::normal_distribution<float> noise(2.0f, 0.4f);
  for (int i = 0; i < 2000; ++i) Learn(scaling, Only(kUsage, noise(random)), kEverything, 1);
  EXPECT_NEAR(scaling.center[kUsage], 2.0f, 0.05f);
  EXPECT_NEAR(scaling.Spread(kUsage), 0.4f, 0.05f);
}

TEST(Scaling, WildSamplesMoveItLittle) {
  Scaling scaling;
  std::mt19937 random(2);
  std::normal_distribution<float> noise(2.0f, 0.2f);
  for (int i = 0; i < 400; ++i) {
    Learn(scaling, Only(kUsage, i % 20 == 19 ? 12.0f : noise(random)), kEverything, 1);
  }
  EXPECT_NEAR(scaling.center[kUsage], 2.0f, 0.15f);
  EXPECT_LT(scaling.Spread(kUsage), 0.5f);
}

TEST(Scaling, AQuietFeatureIsNeverFinerThanItsFloor) {
  Scaling scaling;
  for (int i = 0; i < 500; ++i) Learn(scaling, Only(kUsage, 1.0f), kEverything, 1);
  const Features z = scaling.Deviations(Only(kUsage, 1.0f + SpreadFloor(Feature::kCpuUsage)), kEverything);
  EXPECT_NEAR(z[kUsage], 1.0f, 1e-3f);
}

TEST(Scaling, MaskedFeaturesNeitherDeviateNorTeach) {
  Scaling scaling;
  for (int i = 0; i < 50; ++i) Learn(scaling, Only(kUsage, 1.0f), kEverything, 1);
  const Scaling before = scaling;
  FeatureMask without = kEverything;
  without.Clear(Feature::kCpuUsage);
  const Features gains = Learn(scaling, Only(kUsage, 100.0f), without, 1);
  EXPECT_EQ(gains[kUsage], 0);
  EXPECT_EQ(scaling.center[kUsage], before.center[kUsage]);
  EXPECT_EQ(scaling.count[kUsage], before.count[kUsage]);
  EXPECT_EQ(scaling.Deviations(Only(kUsage, 100.0f), without)[kUsage], 0);
}

TEST(Scaling, AFeatureNeverSeenDeviatesNowhere) {
  const Scaling scaling;
  EXPECT_EQ(scaling.Deviations(Only(kUsage, 5.0f), kEverything)[kUsage], 0);
}

TEST(Scaling, SuspiciousSamplesTeachATenth) {
  Scaling usual, wary;
  for (int i = 0; i < 1200; ++i) {
    Learn(usual, Only(kUsage, 1.0f), kEverything, 1);
    Learn(wary, Only(kUsage, 1.0f), kEverything, 1);
  }
  Learn(usual, Only(kUsage, 1.1f), kEverything, 1);
  Learn(wary, Only(kUsage, 1.1f), kEverything, 0.1f);
  EXPECT_NEAR((wary.center[kUsage] - 1.0f) / (usual.center[kUsage] - 1.0f), 0.1f, 0.02f);
}

TEST(Scaling, WhatTheHourIsExpectedToAddIsNoDeviationAndTeachesNothing) {
  Scaling scaling;
  for (int i = 0; i < 200; ++i) Learn(scaling, Only(kUsage, 1.0f), kEverything, 1);
  const Features season = Only(kUsage, 2.0f);
  EXPECT_NEAR(scaling.Deviations(Only(kUsage, 3.0f), kEverything, season, LiveSchema())[kUsage], 0, 1e-4f);
  scaling.Learn(Only(kUsage, 3.0f), kEverything, season, 1, kSettled, LiveSchema());
  EXPECT_NEAR(scaling.center[kUsage], 1.0f, 1e-4f);
}

TEST(Scaling, AColumnOfUnknownUnitIsMeasuredByItsOwnLevel) {
  FeatureVector x;
  x.Put(Feature::kCpuUsage, 5e9f);
  const Features y = Scaling::Scale(x, TraceSchema());
  EXPECT_EQ(y[kUsage], 5e9f);
  Scaling scaling;
  for (int i = 0; i < 100; ++i) scaling.Learn(y, kEverything, Features{}, 1, kSettled, TraceSchema());
  const Features z = scaling.Deviations(Only(kUsage, 5.5e9f), kEverything, Features{}, TraceSchema());
  EXPECT_NEAR(z[kUsage], 2, 0.01f) << "a tenth more, in units of a twentieth of the level";
}

}  // namespace
}  // namespace whorl
