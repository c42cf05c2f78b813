#include "core/telemetry/rates.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace whorl {
namespace {

const Time kStart = FromUnixMillis(1'700'000'000'000);
constexpr FeatureMask kEverything = FeatureMask::All();
constexpr auto kUsage = static_cast<std::size_t>(Feature::kCpuUsage);
constexpr auto kPackets = static_cast<std::size_t>(Feature::kNetPackets);
constexpr auto kResident = static_cast<std::size_t>(Feature::kMemoryResident);
constexpr auto kDisk = static_cast<std::size_t>(Feature::kDiskWriteBytes);

class RatesTest : public testing::Test {
 protected:
  SampleFate Take(Time at, FeatureMask valid = kEverything) { return rates.Advance(at, at, valid, raw, out, counts); }

  Rates rates;
  std::array<double, kFeatureCount> raw{};
  FeatureVector out;
  SampleCounts counts;
};

TEST_F(RatesTest, DifferencesCountersByTheTimeBetweenSamples) {
  raw[kUsage] = 5e6;
  raw[kPackets] = 100;
  raw[kResident] = 4e8;
  EXPECT_EQ(Take(kStart), SampleFate::kAccepted);
  EXPECT_FALSE(out.Get(Feature::kCpuUsage));  // one reading is no rate
  EXPECT_FLOAT_EQ(*out.Get(Feature::kMemoryResident), 4e8f);

  raw[kUsage] += 500'000;  // microseconds, in two seconds: 250 millicores
  raw[kPackets] += 30;
  EXPECT_EQ(Take(kStart + Seconds{2}), SampleFate::kAccepted);
  EXPECT_FLOAT_EQ(*out.Get(Feature::kCpuUsage), 250);
  EXPECT_FLOAT_EQ(*out.Get(Feature::kNetPackets), 15);
  EXPECT_EQ(counts.accepted, 2u);
}

TEST_F(RatesTest, DifferencesAFeatureAgainstItsOwnLastReading) {
  Take(kStart);
  FeatureMask without = kEverything;
  without.Clear(Feature::kDiskWriteBytes);
  for (int s = 1; s < 5; ++s) {
    raw[kDisk] = 1e9;  // what stands where nothing was read must not matter
    Take(kStart + Seconds{s}, without);
    EXPECT_FALSE(out.Get(Feature::kDiskWriteBytes));
    EXPECT_TRUE(out.Get(Feature::kCpuUsage));
  }
  raw[kDisk] = 5000;
  Take(kStart + Seconds{5});
  EXPECT_FLOAT_EQ(*out.Get(Feature::kDiskWriteBytes), 1000);
}

TEST_F(RatesTest, RepeatedLateAndHurriedSamplesLeaveNoTrace) {
  raw[kPackets] = 10;
  Take(kStart);
  raw[kPackets] = 20;
  Take(kStart + Seconds{1});
  raw[kPackets] = 1e6;
  EXPECT_EQ(rates.Advance(kStart + Seconds{2}, kStart + Seconds{1}, kEverything, raw, out, counts),
            SampleFate::kRepeated);
  EXPECT_EQ(out.valid.count(), 0);
  EXPECT_EQ(rates.Advance(kStart + Seconds{2}, kStart, kEverything, raw, out, counts), SampleFate::kOutOfOrder);
  EXPECT_EQ(Take(kStart + Millis{1050}), SampleFate::kTooSoon);
  EXPECT_EQ(counts.repeated, 1u);
  EXPECT_EQ(counts.out_of_order, 1u);
  EXPECT_EQ(counts.too_soon, 1u);
  raw[kPackets] = 30;
  EXPECT_EQ(Take(kStart + Seconds{2}), SampleFate::kAccepted);
  EXPECT_FLOAT_EQ(*out.Get(Feature::kNetPackets), 10);
}

TEST_F(RatesTest, RefusesSamplesFarFromTheTick) {
  EXPECT_EQ(rates.Advance(kStart + Seconds{6}, kStart, kEverything, raw, out, counts), SampleFate::kTooOld);
  EXPECT_EQ(rates.Advance(kStart, kStart + Seconds{6}, kEverything, raw, out, counts), SampleFate::kFromFuture);
  EXPECT_EQ(rates.Advance(kStart + Seconds{4}, kStart, kEverything, raw, out, counts), SampleFate::kAccepted);
  EXPECT_EQ(counts.too_old, 1u);
  EXPECT_EQ(counts.from_future, 1u);
}

TEST_F(RatesTest, ACounterThatFallsIsARestartNotARate) {
  raw[kPackets] = 1000;
  Take(kStart);
  raw[kPackets] = 5;
  Take(kStart + Seconds{1});
  EXPECT_FALSE(out.Get(Feature::kNetPackets));
  EXPECT_TRUE(out.Get(Feature::kCpuUsage));
  EXPECT_EQ(counts.backwards, 1u);
  raw[kPackets] = 25;
  Take(kStart + Seconds{2});
  EXPECT_FLOAT_EQ(*out.Get(Feature::kNetPackets), 20);
}

TEST_F(RatesTest, WhatIsNotANumberIsMaskedAndForgotten) {
  raw[kPackets] = 10;
  Take(kStart);
  int bad = 0;
  for (const double broken :
       {std::nan(""), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(), -1.0}) {
    raw[kPackets] = broken;
    raw[kResident] = broken;
    Take(kStart + Seconds{++bad});
    EXPECT_FALSE(out.Get(Feature::kNetPackets));
    EXPECT_FALSE(out.Get(Feature::kMemoryResident));
    EXPECT_TRUE(out.Get(Feature::kCpuUsage));
  }
  EXPECT_EQ(counts.not_a_number, 8u);
  raw[kPackets] = 60;
  Take(kStart + Seconds{5});
  EXPECT_FLOAT_EQ(*out.Get(Feature::kNetPackets), 10);  // over the five seconds since the last good one
}

TEST_F(RatesTest, NothingIsDifferencedOverALongSilence) {
  raw[kPackets] = 10;
  Take(kStart);
  // 2^32 ms later the clock's low half reads as if one second had passed.
  const Time much_later = kStart + Millis{(std::int64_t{1} << 32) + 1000};
  raw[kPackets] = 1e9;
  EXPECT_EQ(Take(much_later), SampleFate::kAccepted);
  EXPECT_FALSE(out.Get(Feature::kNetPackets));

  FeatureMask without = kEverything;
  without.Clear(Feature::kNetPackets);
  for (int m = 1; m <= 16; ++m) Take(much_later + std::chrono::minutes{m}, without);
  Take(much_later + std::chrono::minutes{17});
  EXPECT_FALSE(out.Get(Feature::kNetPackets));
  EXPECT_EQ(counts.gaps, 1u);
}

}  // namespace
}  // namespace whorl
