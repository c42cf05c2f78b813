#include "core/score/contribution.h"

#include <gtest/gtest.h>

namespace whorl {
namespace {

constexpr FeatureMask kEverything = FeatureMask::All();

Features All(float value) {
  Features v;
  for (std::size_t f = 0; f < kFeatureCount; ++f) v.Set(f, value);
  return v;
}

class ContributionTest : public testing::Test {
 protected:
  ContributionTest() {
    for (int i = 0; i < 100; ++i) scaling.Learn(All(2), kEverything, Features{}, 1, 0.002f, LiveSchema());
  }
  Scaling scaling;
  Recent recent;
};

TEST_F(ContributionTest, NamesTheLargestFirstWithItsSign) {
  Features y = All(2);
  y.Set(static_cast<std::size_t>(Feature::kNetTransmitBytes), 2 + 0.15f * 6);
  y.Set(static_cast<std::size_t>(Feature::kCpuUsage), 2 + 0.15f * 3);
  y.Set(static_cast<std::size_t>(Feature::kDiskReadBytes), 2 - 0.15f * 9);
  recent.Push(y, kEverything);
  const Explanation why = Explain(recent, scaling, Features{}, LiveSchema(), kEverything);
  ASSERT_EQ(why.count, 3);
  EXPECT_EQ(why.top[0].feature, Feature::kDiskReadBytes);
  EXPECT_NEAR(why.top[0].sigmas, -9, 0.1);
  EXPECT_NEAR(why.top[0].share, 81.0 / 126, 0.01);
  EXPECT_EQ(why.top[1].feature, Feature::kNetTransmitBytes);
  EXPECT_EQ(why.top[2].feature, Feature::kCpuUsage);
  EXPECT_NEAR(why.cpu_excess, 9.0 / 126, 0.01);
}

TEST_F(ContributionTest, CalmHasNothingToName) {
  recent.Push(All(2.01f), kEverything);
  EXPECT_EQ(Explain(recent, scaling, Features{}, LiveSchema(), kEverything).count, 0);
}

TEST_F(ContributionTest, WhatWasNeverMeasuredIsNeverNamed) {
  FeatureMask without = kEverything;
  without.Clear(Feature::kSyscallsIo);
  recent.Push(All(9), without);
  const Explanation why = Explain(recent, scaling, Features{}, LiveSchema(), kEverything);
  for (std::size_t i = 0; i < why.count; ++i) EXPECT_NE(why.top[i].feature, Feature::kSyscallsIo);
}

TEST_F(ContributionTest, HoldsASparseFeatureBetweenItsReadings) {
  Features y = All(2);
  const auto disk = static_cast<std::size_t>(Feature::kDiskWriteBytes);
  y.Set(disk, 5);
  recent.Push(y, kEverything);
  FeatureMask without = kEverything;
  without.Clear(Feature::kDiskWriteBytes);
  for (int i = 0; i < 4; ++i) recent.Push(All(2), without);
  const Explanation why = Explain(recent, scaling, Features{}, LiveSchema(), kEverything);
  ASSERT_GT(why.count, 0);
  EXPECT_EQ(why.top[0].feature, Feature::kDiskWriteBytes);
}

}  // namespace
}  // namespace whorl
