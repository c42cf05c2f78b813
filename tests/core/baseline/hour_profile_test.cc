#include "core/baseline/hour_profile.h"

#include <gtest/gtest.h>

namespace whorl {
namespace {

// Monday, 2023-11-13 00:00 UTC.
constexpr std::int64_t kMonday = 1'699'833'600'000;
constexpr std::int64_t kHour = 3'600'000;
constexpr FeatureMask kEverything = FeatureMask::All();

Features All(float value) {
  Features v;
  for (std::size_t f = 0; f < kFeatureCount; ++f) v.Set(f, value);
  return v;
}

// Busy from 9 to 10 each working day.
void LiveThrough(HourProfile& profile, int days) {
  for (int hour = 0; hour < 24 * days; ++hour) {
    const bool busy = hour % 24 == 9 && hour / 24 % 7 < 5;
    for (int minute = 0; minute < 60; minute += 5) {
      profile.Learn(FromUnixMillis(kMonday + hour * kHour + minute * 60'000), All(busy ? 2.0f : 0.0f), kEverything, 1);
    }
  }
}

float At(const HourProfile& profile, int day, int hour) {
  return profile.Expected(FromUnixMillis(kMonday + (day * 24 + hour) * kHour))[0];
}

TEST(HourProfile, KnowsNothingInItsFirstWeekOfAnHourItHasNotSeen) {
  HourProfile profile;
  EXPECT_EQ(At(profile, 0, 9), 0);
  LiveThrough(profile, 1);
  EXPECT_GT(At(profile, 1, 9), 0.5f) << "but borrows from the day before";
  EXPECT_EQ(At(profile, 1, 15), 0);
}

TEST(HourProfile, ExpectsWhatComesBackAndTellsTheWeekendApart) {
  HourProfile profile;
  LiveThrough(profile, 28);
  EXPECT_GT(At(profile, 29, 9), 1.4f);
  EXPECT_LT(At(profile, 33, 9), 0.9f) << "a Saturday";
  EXPECT_NEAR(At(profile, 29, 3), 0, 0.05f);
}

TEST(HourProfile, AnHourOfWhichNothingWasBelievedTeachesNothing) {
  HourProfile profile;
  LiveThrough(profile, 14);
  const float before = At(profile, 14, 3);
  for (int minute = 0; minute < 60; ++minute) {
    profile.Learn(FromUnixMillis(kMonday + (14 * 24 + 3) * kHour + minute * 60'000), All(9), kEverything, 0);
  }
  profile.Learn(FromUnixMillis(kMonday + (14 * 24 + 4) * kHour), All(0), kEverything, 1);
  EXPECT_EQ(At(profile, 21, 3), before);
}

TEST(HourProfile, AClockThatStepsBackDropsTheHourUnderWay) {
  HourProfile profile;
  profile.Learn(FromUnixMillis(kMonday + 5 * kHour), All(3), kEverything, 1);
  EXPECT_FALSE(profile.Learn(FromUnixMillis(kMonday + 2 * kHour), All(3), kEverything, 1));
  EXPECT_EQ(profile.seen(), 0u);
}

}  // namespace
}  // namespace whorl
