#include "core/demand/forecast.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace whorl {
namespace {

DemandObservation Value(std::int64_t second, float value) {
  DemandObservation o;
  o.at = FromUnixMillis(second * 1000);
  o.value = value;
  return o;
}
constexpr Horizon kAll[] = {Horizon::kQuantum, Horizon::kFiveMinutes, Horizon::kHour};

TEST(Forecaster, QuantilesNeverCrossAndCoverStationaryNoiseAtAnyInterval) {
  for (const std::int64_t step : {10, 300}) {
    Forecaster forecaster(10);
    std::mt19937 random(7);
    std::lognormal_distribution<float> noise(5, 0.5f);
    int covered = 0, all = 0;
    for (int i = 0; i < 12'000; ++i) {
      const float next = noise(random);
      if (i > 2000) {
        ++all;
        covered += next <= forecaster.Predict(Horizon::kQuantum).p95;
      }
      ASSERT_EQ(forecaster.Observe(Value(step * (i + 1), next)), Forecaster::Taken::kYes);
      for (const Horizon h : kAll) {
        const Quantiles q = forecaster.Predict(h);
        ASSERT_LE(0, q.p50);
        ASSERT_LE(q.p50, q.p90);
        ASSERT_LE(q.p90, q.p95);
        ASSERT_LE(q.p95, q.p99);
        ASSERT_TRUE(std::isfinite(q.p99));
      }
    }
    EXPECT_NEAR(static_cast<double>(covered) / all, 0.95, 0.01) << step;
  }
}

TEST(Forecaster, RefusesWhatCannotBeAndMasksWhatIsMissing) {
  Forecaster forecaster(10);
  EXPECT_EQ(forecaster.Predict(Horizon::kHour).p99, 0);
  ASSERT_EQ(forecaster.Observe(Value(300, 100)), Forecaster::Taken::kYes);
  const Quantiles before = forecaster.Predict(Horizon::kHour);
  EXPECT_EQ(forecaster.Observe(Value(600, -1)), Forecaster::Taken::kRefused);
  EXPECT_EQ(forecaster.Observe(Value(600, std::numeric_limits<float>::infinity())), Forecaster::Taken::kRefused);
  EXPECT_EQ(forecaster.Observe(Value(600, 1e20f)), Forecaster::Taken::kRefused);
  EXPECT_EQ(forecaster.Observe(Value(300, 100)), Forecaster::Taken::kRefused) << "time did not go on";
  EXPECT_EQ(forecaster.Observe(Value(600, std::nanf(""))), Forecaster::Taken::kMissing);
  EXPECT_EQ(forecaster.Predict(Horizon::kHour).p95, before.p95);
}

TEST(Forecaster, AVmAtItsLimitIsThoughtToWantMoreUntilTheLimitNoLongerBinds) {
  Forecaster forecaster(10);
  for (int i = 1; i < 600; ++i) forecaster.Observe(Value(i, 300));
  DemandObservation held = Value(600, 300);
  held.limit = 300;
  held.censored = true;
  forecaster.Observe(held);
  EXPECT_GT(forecaster.Predict(Horizon::kFiveMinutes).p50, 400);
  EXPECT_TRUE(forecaster.censored());
  forecaster.Observe(Value(601, 200));
  EXPECT_FALSE(forecaster.censored());
}

TEST(Forecaster, SameObservationsGiveTheSameForecastBitForBit) {
  Forecaster one(10), other(10);
  std::mt19937 random(3);
  for (int i = 1; i < 2000; ++i) {
    const auto value = static_cast<float>(random() % 1000);
    one.Observe(Value(300 * i, value));
    other.Observe(Value(300 * i, value));
  }
  for (const Horizon h : kAll) {
    const Quantiles a = one.Predict(h), b = other.Predict(h);
    EXPECT_EQ(std::memcmp(&a, &b, sizeof a), 0);
  }
}

TEST(Forecaster, GoesOnAfterALongGapAndAChangedInterval) {
  Forecaster forecaster(10);
  std::int64_t at = 0;
  for (int i = 0; i < 500; ++i) forecaster.Observe(Value(at += 300, 100));
  for (int i = 0; i < 5000; ++i) forecaster.Observe(Value(at += 1, 200));
  forecaster.Observe(Value(at += 500'000, 150));
  for (const Horizon h : kAll) {
    EXPECT_GT(forecaster.Predict(h).p95, 50);
    EXPECT_LT(forecaster.Predict(h).p50, 400);
  }
}

}  // namespace
}  // namespace whorl
