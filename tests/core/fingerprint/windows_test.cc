#include "core/fingerprint/windows.h"

#include <gtest/gtest.h>

#include <random>

namespace whorl {
namespace {

constexpr FeatureMask kEverything = FeatureMask::All();
constexpr Millis kSecond{1000};

Features All(float value) {
  Features v;
  for (std::size_t f = 0; f < kFeatureCount; ++f) v.Set(f, value);
  return v;
}

TEST(Windows, ShorterScalesFollowSooner) {
  Windows windows;
  std::uint32_t sample = 0;
  for (; sample < 7200; ++sample) windows.Push(All(1), kEverything, sample, kSecond);
  for (int i = 0; i < 60; ++i, ++sample) windows.Push(All(3), kEverything, sample, kSecond);
  EXPECT_GT(windows.level[0][0], 2.6f);
  EXPECT_LT(windows.level[1][0], 1.6f);
  EXPECT_LT(windows.level[2][0], 1.1f);
  EXPECT_GT(windows.Trend(0, 0), 1);
  EXPECT_EQ(windows.Trend(2, 0), 0) << "nothing is longer than the longest";
}

TEST(Windows, TellRestlessnessFromStillness) {
  Windows windows;
  std::mt19937 random(6);
  std::normal_distribution<float> noise(2.0f, 0.5f);
  std::uint32_t sample = 0;
  for (; sample < 1200; ++sample) windows.Push(All(noise(random)), kEverything, sample, kSecond);
  EXPECT_NEAR(windows.Burstiness(0, 0), 1, 0.5);
  for (int i = 0; i < 120; ++i, ++sample) windows.Push(All(2), kEverything, sample, kSecond);
  EXPECT_LT(windows.Burstiness(0, 0), 0.3f);
}

TEST(Windows, AFeatureThatIsNotMeasuredStaysAsItWas) {
  Windows windows;
  for (std::uint32_t i = 0; i < 100; ++i) windows.Push(All(1), kEverything, i, kSecond);
  FeatureMask without = kEverything;
  without.Clear(Feature::kDiskBusy);
  for (std::uint32_t i = 100; i < 200; ++i) windows.Push(All(5), without, i, kSecond);
  EXPECT_EQ(windows.level[0][static_cast<std::size_t>(Feature::kDiskBusy)], 1);
}

TEST(Windows, SamplesFartherApartThanAScaleStillMakeAMean) {
  Windows windows;
  for (std::uint32_t i = 0; i < 10; ++i) windows.Push(All(i % 2 == 0 ? 0.0f : 2.0f), kEverything, i, Millis{300'000});
  EXPECT_GT(windows.level[0][0], 0.2f);
  EXPECT_LT(windows.level[0][0], 1.8f);
}

}  // namespace
}  // namespace whorl
