#include "core/fingerprint/whitening.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace whorl {
namespace {

// Features 0 and 1 move together, the others by themselves.
Covariance Coupled(int samples = 4000) {
  Covariance c;
  std::mt19937 random(5);
  std::normal_distribution<float> noise;
  for (int n = 1; n <= samples; ++n) {
    Features z, gain;
    for (std::size_t f = 0; f < kFeatureCount; ++f) {
      z.Set(f, noise(random));
      gain.Set(f, std::sqrt(std::max(1.0f / static_cast<float>(n), 0.0005f)));
    }
    z.Set(1, 0.98f * z[0] + 0.2f * z[1]);
    c.Learn(z, gain);
  }
  return c;
}

Features Pair(float a, float b) {
  Features z;
  z.Set(0, a);
  z.Set(1, b);
  return z;
}

TEST(Whitening, BreakingACorrelationIsFartherThanFollowingIt) {
  Whitening w;
  ASSERT_FALSE(w.ready());
  ASSERT_TRUE(w.Refresh(Coupled(), 4000));
  const Condensed along = w.Apply(Pair(3, 3));
  const Condensed against = w.Apply(Pair(3, -3));
  EXPECT_GT(against.mahalanobis, 2.5f * along.mahalanobis);
  EXPECT_GT(against.residual, along.residual);
  EXPECT_EQ(along.leading, w.leading);
}

TEST(Whitening, FewSamplesTrustCorrelationsLess) {
  Whitening many, few;
  ASSERT_TRUE(many.Refresh(Coupled(), 4000));
  ASSERT_TRUE(few.Refresh(Coupled(), 20));
  EXPECT_LT(few.Apply(Pair(3, -3)).mahalanobis, many.Apply(Pair(3, -3)).mahalanobis);
}

TEST(Whitening, UsualSamplesLieAboutSquareRootOfFeaturesAway) {
  Whitening w;
  ASSERT_TRUE(w.Refresh(Coupled(), 4000));
  std::mt19937 random(6);
  std::normal_distribution<float> noise;
  double sum = 0;
  for (int n = 0; n < 500; ++n) {
    Features z;
    for (std::size_t f = 0; f < kFeatureCount; ++f) z.Set(f, noise(random));
    z.Set(1, 0.98f * z[0] + 0.2f * z[1]);
    sum += static_cast<double>(w.Apply(z).mahalanobis);
  }
  EXPECT_NEAR(sum / 500, std::sqrt(static_cast<double>(kFeatureCount)), 0.7);
}

TEST(Whitening, WhatDoesNotDeviateIsAtDistanceZero) {
  Whitening w;
  ASSERT_TRUE(w.Refresh(Covariance{}, 20));
  const Condensed c = w.Apply(Features{});
  EXPECT_EQ(c.mahalanobis, 0);
  EXPECT_EQ(c.residual, 0);
}

TEST(Whitening, KeepsItsAxesWhenTheCovarianceIsBroken) {
  Whitening w;
  ASSERT_TRUE(w.Refresh(Coupled(), 4000));
  const float before = w.Apply(Pair(1, 2)).mahalanobis;
  Covariance broken = Coupled(10);
  broken.row[3][2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(w.Refresh(broken, 4000));
  EXPECT_EQ(w.Apply(Pair(1, 2)).mahalanobis, before);
}

}  // namespace
}  // namespace whorl
