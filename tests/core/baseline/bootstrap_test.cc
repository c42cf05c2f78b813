#include "core/baseline/bootstrap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/fingerprint/scaling.h"

namespace whorl {
namespace {

using ::testing::HasSubstr;

const Time kMonday = FromUnixMillis(1'793'577'600'000);  // 2 November 2026

// A VM that uses 100 millicores, and 1000 from nine to five, within 10 %; its
// disk writes 1 MiB/s all day.
std::vector<HistoryPoint> OfficeVm(int days, int step_minutes = 5, std::uint64_t seed = 3) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> noise(0, 0.1f);
  std::vector<HistoryPoint> points;
  for (int minute = step_minutes; minute <= days * 1440; minute += step_minutes) {
    HistoryPoint point;
    point.at = kMonday + std::chrono::minutes(minute);
    const int hour = (minute - 1) / 60 % 24;
    point.x.Put(Feature::kCpuUsage, (hour >= 9 && hour < 17 ? 1000.0f : 100.0f) * std::exp(noise(random)));
    point.x.Put(Feature::kDiskWriteBytes, 1048576.0f * std::exp(noise(random)));
    points.push_back(point);
  }
  return points;
}
Time End(int days) { return kMonday + std::chrono::hours(24 * days); }

const HistoryPrior::Level& Of(const HistoryPrior& prior, Feature f) {
  return prior.feature[static_cast<std::size_t>(f)];
}

TEST(History, GivesUsualLevelSpreadAndTheHoursOfTheDay) {
  const auto prior = LearnFromHistory(OfficeVm(14), End(14));
  ASSERT_TRUE(prior) << prior.error().message;
  EXPECT_EQ(prior->known.count(), 2);
  EXPECT_NEAR(Unscale(Feature::kCpuUsage, Of(*prior, Feature::kCpuUsage).level), 108, 10);
  EXPECT_NEAR(Unscale(Feature::kDiskWriteBytes, Of(*prior, Feature::kDiskWriteBytes).level), 1048576, 20000);
  EXPECT_EQ(Of(*prior, Feature::kCpuUsage).hours, 14 * 24);
  // Most of the swing between day and night is the week's, not the spread's.
  EXPECT_LT(Of(*prior, Feature::kCpuUsage).spread, 0.4f);
  EXPECT_NEAR(Of(*prior, Feature::kDiskWriteBytes).spread, SpreadFloor(Feature::kDiskWriteBytes), 1e-6);
  EXPECT_NEAR(prior->week.Expected(End(14) + std::chrono::hours(12), Course::kCpu).mean, std::log(1010.0 / 118), 0.2);
  EXPECT_NEAR(prior->week.Expected(End(14) + std::chrono::hours(3), Course::kCpu).mean, 0, 0.2);
  EXPECT_EQ(prior->step, Millis{300'000});
  EXPECT_EQ(prior->from, kMonday + std::chrono::minutes(5));
  EXPECT_EQ(prior->to, End(14));
  EXPECT_EQ(prior->counts.used, 14u * 288);
  EXPECT_EQ(prior->counts.gaps, 0u);
  EXPECT_NEAR(prior->week.weeks(), 2, 0.05);
}

TEST(History, CountsWhatItCannotUseAndIsNotMovedByIt) {
  auto points = OfficeVm(7);
  const auto clean = LearnFromHistory(points, End(7));
  auto wild = points[100];
  points.insert(points.begin() + 101, wild);                                       // repeated
  points[200].x.Put(Feature::kCpuUsage, std::numeric_limits<float>::quiet_NaN());  // no number
  points[201].x.Put(Feature::kCpuUsage, -5.0f);                                    // a counter that fell
  points[202].x.Put(Feature::kDiskWriteBytes, std::numeric_limits<float>::infinity());
  points[300].x = {};                                        // nothing measured
  points.erase(points.begin() + 500, points.begin() + 520);  // a gap
  std::swap(points[900], points[901]);                       // out of order
  wild.at = End(7) + std::chrono::hours(5);                  // from the future
  points.push_back(wild);
  const auto prior = LearnFromHistory(points, End(7));
  ASSERT_TRUE(prior) << prior.error().message;
  EXPECT_EQ(prior->counts.repeated, 1u);
  EXPECT_EQ(prior->counts.not_a_number, 3u);
  EXPECT_EQ(prior->counts.empty, 1u);
  EXPECT_EQ(prior->counts.gaps, 1u);
  EXPECT_EQ(prior->counts.out_of_order, 1u);
  EXPECT_EQ(prior->counts.from_future, 1u);
  EXPECT_EQ(prior->counts.used, 7u * 288 - 1 - 20);
  EXPECT_NEAR(Of(*prior, Feature::kCpuUsage).level, Of(*clean, Feature::kCpuUsage).level, 0.02);
}

TEST(History, IsTheSameInWhateverOrderPointsCome) {
  auto points = OfficeVm(3);
  const auto prior = LearnFromHistory(points, End(3));
  std::shuffle(points.begin(), points.end(), std::mt19937_64(5));
  const auto shuffled = LearnFromHistory(points, End(3));
  ASSERT_TRUE(prior && shuffled);
  EXPECT_EQ(Of(*prior, Feature::kCpuUsage).level, Of(*shuffled, Feature::kCpuUsage).level);
  EXPECT_EQ(prior->week.mean, shuffled->week.mean);
}

TEST(History, IsNotMovedByOneWildHourOfTwoWeeks) {
  auto points = OfficeVm(14);
  const auto calm = LearnFromHistory(points, End(14));
  for (int i = 1000; i < 1012; ++i) points[static_cast<std::size_t>(i)].x.Put(Feature::kDiskWriteBytes, 1e9f);
  const auto wild = LearnFromHistory(points, End(14));
  EXPECT_NEAR(Of(*wild, Feature::kDiskWriteBytes).level, Of(*calm, Feature::kDiskWriteBytes).level, 0.01);
  EXPECT_NEAR(Of(*wild, Feature::kDiskWriteBytes).spread, Of(*calm, Feature::kDiskWriteBytes).spread, 0.02);
}

TEST(History, DoesNotLetASingleDayExplainItself) {
  const auto prior = LearnFromHistory(OfficeVm(1), End(1));
  ASSERT_TRUE(prior);
  EXPECT_EQ(prior->week.Expected(End(1) + std::chrono::hours(12), Course::kCpu).confidence, 0);
}

TEST(History, SaysHowMuchIsMissingWhenThereIsTooLittle) {
  auto points = OfficeVm(1);
  points.resize(30);
  const auto prior = LearnFromHistory(points, End(1));
  ASSERT_FALSE(prior);
  EXPECT_EQ(prior.error().code, Code::kNotFound);
  EXPECT_THAT(prior.error().message, HasSubstr("3 different hours"));
  EXPECT_FALSE(LearnFromHistory({}, End(1)));
}

TEST(History, LeavesOutAFeatureThatWasHardlySeen) {
  auto points = OfficeVm(2);
  for (std::size_t i = 24; i < points.size(); ++i) points[i].x.valid.Clear(Feature::kDiskWriteBytes);
  const auto prior = LearnFromHistory(points, End(2));
  ASSERT_TRUE(prior);
  EXPECT_TRUE(prior->known.Has(Feature::kCpuUsage));
  EXPECT_FALSE(prior->known.Has(Feature::kDiskWriteBytes));
}

}  // namespace
}  // namespace whorl
