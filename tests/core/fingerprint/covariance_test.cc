#include "core/fingerprint/covariance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace whorl {
namespace {

Features All(float value) {
  Features v;
  for (std::size_t f = 0; f < kFeatureCount; ++f) v.Set(f, value);
  return v;
}

TEST(Covariance, EveryPairHasItsPlace) {
  Covariance c;
  Features z;
  for (std::size_t f = 0; f < kFeatureCount; ++f) z.Set(f, 0.1f * static_cast<float>(f + 1));
  c.Learn(z, All(1));
  for (std::size_t i = 0; i < kFeatureCount; ++i) {
    for (std::size_t j = 0; j < kFeatureCount; ++j) EXPECT_FLOAT_EQ(c.At(i, j), z[i] * z[j]) << i << ' ' << j;
  }
}

TEST(Covariance, FindsACorrelation) {
  Covariance c;
  std::mt19937 random(3);
  std::normal_distribution<float> noise;
  for (int n = 1; n <= 4000; ++n) {
    Features z;
    const float a = noise(random);
    z.Set(0, a);
    z.Set(20, 0.8f * a + 0.6f * noise(random));
    z.Set(5, noise(random));
    c.Learn(z, All(std::sqrt(std::max(1.0f / static_cast<float>(n), 0.001f))));
  }
  EXPECT_NEAR(c.At(0, 20), 0.8f, 0.1f);
  EXPECT_NEAR(c.At(0, 5), 0.0f, 0.1f);
  EXPECT_NEAR(c.At(0, 0), 1.0f, 0.1f);
}

TEST(Covariance, PairsWithAMaskedFeatureStay) {
  Covariance c;
  c.Learn(All(1), All(1));
  Features gain = All(1);
  gain.Set(7, 0);
  c.Learn(All(3), gain);
  EXPECT_FLOAT_EQ(c.At(7, 3), 1);
  EXPECT_FLOAT_EQ(c.At(12, 7), 1);
  EXPECT_FLOAT_EQ(c.At(12, 3), 9);
}

TEST(Covariance, OneWildSecondIsCut) {
  Covariance c;
  c.Learn(All(15), All(1));
  EXPECT_FLOAT_EQ(c.At(0, 0), kLearnClip * kLearnClip);
}

}  // namespace
}  // namespace whorl
