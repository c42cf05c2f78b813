#include "core/baseline/week_profile.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <random>
#include <type_traits>

namespace whorl {
namespace {

static_assert(std::is_trivially_copyable_v<WeekProfile>);

constexpr auto kCpu = static_cast<std::size_t>(Feature::kCpuUsage);
constexpr auto kSystem = static_cast<std::size_t>(Feature::kCpuSystem);
constexpr auto kRead = static_cast<std::size_t>(Feature::kDiskReadBytes);
constexpr auto kWrite = static_cast<std::size_t>(Feature::kDiskWriteBytes);

// Monday, 2 November 2026, midnight UTC.
const Time kMonday = FromUnixMillis(1'793'577'600'000);
Time At(int day, int hour, int minute = 0) {
  return kMonday + std::chrono::hours(24 * day + hour) + std::chrono::minutes(minute);
}

FeatureMask Of(std::initializer_list<Feature> features) {
  FeatureMask mask;
  for (const Feature f : features) mask.Set(f);
  return mask;
}
const FeatureMask kSeen =
    Of({Feature::kCpuUsage, Feature::kCpuSystem, Feature::kDiskReadBytes, Feature::kDiskWriteBytes});

// CPU so far above its centre, and system time twice as far.
Features Busy(float cpu) {
  Features d;
  d.Set(kCpu, cpu);
  d.Set(kSystem, 2 * cpu);
  return d;
}

// Lives through days minute by minute; `cpu` gives the deviation.
template <typename F>
void Live(WeekProfile& week, int first_day, int days, F cpu) {
  for (Time at = At(first_day, 0); at < At(first_day + days, 0); at += std::chrono::minutes(1)) {
    week.Learn(at, Busy(cpu(at)), kSeen, 1);
  }
}
int HourOf(Time at) { return static_cast<int>((at - kMonday) / std::chrono::hours(1) % 24); }
int DayOf(Time at) { return static_cast<int>((at - kMonday) / std::chrono::hours(24) % 7); }

float CorrectedCpu(const WeekProfile& week, Time at, float cpu) {
  Features d = Busy(cpu);
  week.Correct(week.At(at), d, kSeen);
  return d[kCpu];
}

TEST(WeekProfile, ChangesNothingBeforeItHasSeenAnything) {
  const WeekProfile week;
  EXPECT_FALSE(week.At(At(0, 2)).anything);
  EXPECT_EQ(CorrectedCpu(week, At(0, 2), 3.0f), 3.0f);
  EXPECT_EQ(week.Expected(At(0, 2), Course::kCpu).confidence, 0);
}

TEST(WeekProfile, AllowsTomorrowWhatWasSeenToday) {
  WeekProfile week;
  Live(week, 0, 1, [](Time at) { return HourOf(at) == 2 ? 5.0f : 0.0f; });
  week.Learn(At(1, 0), Busy(0), kSeen, 1);
  EXPECT_NEAR(CorrectedCpu(week, At(1, 2, 30), 5.0f), 0, 0.1);
  EXPECT_EQ(CorrectedCpu(week, At(1, 2, 30), 0.0f), 0) << "seen once is allowed, not expected";
  EXPECT_NEAR(CorrectedCpu(week, At(1, 2, 30), 9.0f), 4, 0.2) << "more than was seen is still unusual";
  EXPECT_NEAR(CorrectedCpu(week, At(1, 14), 5.0f), 5, 0.1) << "and so is the same at another hour";
}

TEST(WeekProfile, TakesAJobThatIsShorterThanAnHourAsAWhole) {
  WeekProfile week;
  const auto job = [](Time at) {
    return HourOf(at) == 3 && (at - kMonday) % std::chrono::hours(1) < std::chrono::minutes(20) ? 6.0f : 0.0f;
  };
  Live(week, 0, 2, job);
  EXPECT_NEAR(CorrectedCpu(week, At(2, 3, 5), 6.0f), 0, 0.3);
  EXPECT_NEAR(CorrectedCpu(week, At(2, 3, 40), 0.0f), 0, 0.01);
}

TEST(WeekProfile, LetsAJobStartSomeMinutesEarly) {
  WeekProfile week;
  Live(week, 0, 2, [](Time at) { return HourOf(at) == 3 ? 6.0f : 0.0f; });
  EXPECT_NEAR(CorrectedCpu(week, At(2, 2, 55), 6.0f), 0, 0.1);
  EXPECT_NEAR(CorrectedCpu(week, At(2, 2, 30), 6.0f), 6, 0.1);
}

TEST(WeekProfile, NoticesADailyPatternThatStaysAway) {
  WeekProfile week;
  Live(week, 0, 14, [](Time at) { return HourOf(at) >= 9 && HourOf(at) < 17 ? 4.0f : 0.0f; });
  EXPECT_LT(CorrectedCpu(week, At(14, 12), 0.0f), -2.5f);
  EXPECT_NEAR(CorrectedCpu(week, At(14, 12), 4.0f), 0, 0.1);
  EXPECT_EQ(CorrectedCpu(week, At(14, 3), 0.0f), 0);
}

TEST(WeekProfile, DoesNotExpectWeekdaysWorkOnTheFirstSaturday) {
  WeekProfile week;
  Live(week, 0, 5, [](Time at) { return HourOf(at) == 10 ? 4.0f : 0.0f; });
  EXPECT_NEAR(CorrectedCpu(week, At(5, 10, 30), 0.0f), 0, 0.01);
  EXPECT_NEAR(CorrectedCpu(week, At(5, 10, 30), 4.0f), 0, 0.1) << "but a Saturday may be worked on";
}

TEST(WeekProfile, TellsOneDayOfTheWeekFromTheOthers) {
  WeekProfile week;
  Live(week, 0, 28, [](Time at) { return DayOf(at) == 2 && HourOf(at) == 10 ? 6.0f : 0.0f; });
  EXPECT_LT(CorrectedCpu(week, At(30, 10, 30), 6.0f), 1.5f);
  EXPECT_GT(CorrectedCpu(week, At(31, 10, 30), 6.0f), 3.0f);
  EXPECT_LT(CorrectedCpu(week, At(30, 10, 30), 0.0f), -0.5f);
}

TEST(WeekProfile, ForgetsASingleIncidentWithinDays) {
  WeekProfile week;
  Live(week, 0, 10, [](Time) { return 0.0f; });
  Live(week, 10, 1, [](Time at) { return HourOf(at) == 15 ? 6.0f : 0.0f; });
  Live(week, 11, 8, [](Time) { return 0.0f; });
  EXPECT_GT(CorrectedCpu(week, At(19, 15, 30), 6.0f), 4.0f);
}

TEST(WeekProfile, LeavesWhatEveryHourDoesAlikeToTheSpread) {
  WeekProfile week;
  std::mt19937_64 random(7);
  std::normal_distribution<float> noise(0, 0.3f);
  for (Time at = At(0, 0); at < At(14, 0); at += std::chrono::minutes(5)) week.Learn(at, Busy(noise(random)), kSeen, 1);
  float lost = 0;
  for (int hour = 0; hour < 24; ++hour) lost += 0.9f - CorrectedCpu(week, At(14, hour, 30), 0.9f);
  EXPECT_LT(lost / 24, 0.2f) << "three sigmas of pure noise must stay three sigmas";
}

TEST(WeekProfile, LearnsWhichFeaturesGoAlong) {
  WeekProfile week;
  Live(week, 0, 2, [](Time at) { return HourOf(at) == 2 ? 4.0f : 0.0f; });
  EXPECT_NEAR(week.Along(Feature::kCpuSystem), 2, 0.1);
  Features d = Busy(4);
  week.Correct(week.At(At(2, 2, 30)), d, kSeen);
  EXPECT_NEAR(d[kSystem], 0, 0.5);
}

TEST(WeekProfile, TakesReadingAndWritingForOneCourse) {
  WeekProfile week;
  Features read;
  read.Set(kRead, 7);
  for (Time at = At(0, 0); at < At(5, 0); at += std::chrono::minutes(5)) {
    week.Learn(at, HourOf(at) == 1 ? read : Features{}, kSeen, 1);
  }
  Features written;
  written.Set(kWrite, 7);
  week.Correct(week.At(At(5, 1, 30)), written, kSeen);
  EXPECT_NEAR(written[kWrite], 0, 0.1);
}

TEST(WeekProfile, LearnsNothingBehindAClosedGate) {
  WeekProfile week;
  for (Time at = At(0, 0); at < At(2, 0); at += std::chrono::minutes(5)) week.Learn(at, Busy(5), kSeen, 0);
  EXPECT_EQ(week.weeks(), 0);
  EXPECT_FALSE(week.At(At(2, 3)).anything);
}

TEST(WeekProfile, MasksAreNotZeros) {
  WeekProfile week;
  const auto only_disk = Of({Feature::kDiskReadBytes});
  Features d;
  d.Set(kRead, 5);
  for (Time at = At(0, 0); at < At(3, 0); at += std::chrono::minutes(5)) week.Learn(at, d, only_disk, 1);
  EXPECT_EQ(week.Expected(At(3, 2), Course::kCpu).mean, 0);
  EXPECT_NEAR(week.Expected(At(3, 2), Course::kDisk).mean, 5, 0.1);
}

TEST(WeekProfile, OutlivesClocksThatJumpAndRubbish) {
  WeekProfile week;
  Live(week, 0, 3, [](Time at) { return HourOf(at) == 2 ? 4.0f : 0.0f; });
  const float before = CorrectedCpu(week, At(3, 2, 30), 4.0f);
  Features rubbish;
  rubbish.Set(kCpu, std::numeric_limits<float>::quiet_NaN());
  rubbish.Set(kSystem, std::numeric_limits<float>::infinity());
  rubbish.Set(kRead, -1e30f);
  for (const Time at : {At(3, 5), At(1, 0), FromUnixMillis(-5), FromUnixMillis(INT64_MAX), At(3, 6)}) {
    week.Learn(at, rubbish, kSeen, std::numeric_limits<float>::quiet_NaN());
  }
  EXPECT_TRUE(week.Plausible());
  EXPECT_NEAR(CorrectedCpu(week, At(3, 2, 30), 4.0f), before, 0.01);
}

TEST(WeekProfile, KnowsBytesItCannotHaveWritten) {
  WeekProfile week;
  Live(week, 0, 1, [](Time) { return 1.0f; });
  EXPECT_TRUE(week.Plausible());
  week.hour_sum[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(week.Plausible());
  week.hour_sum[0] = 0;
  week.hour_slots[1] = 200;
  EXPECT_FALSE(week.Plausible());
}

TEST(WeekProfile, NeverMakesAnUncorrectedSignTurn) {
  WeekProfile week;
  std::mt19937_64 random(11);
  std::normal_distribution<float> any(0, 3);
  for (Time at = At(0, 0); at < At(2, 0); at += std::chrono::minutes(5)) week.Learn(at, Busy(any(random)), kSeen, 1);
  for (int i = 0; i < 1000; ++i) {
    const Time at = At(2, i % 24, i % 60);
    const Usual usual = week.At(at);
    if (usual.least[0] > 0 || usual.most[0] < 0) continue;  // there an absence may show
    const float d = any(random);
    Features corrected = Busy(d);
    week.Correct(usual, corrected, kSeen);
    EXPECT_LE(std::fabs(corrected[kCpu]), std::fabs(d));
    EXPECT_GE(corrected[kCpu] * d, 0);
  }
}

}  // namespace
}  // namespace whorl
