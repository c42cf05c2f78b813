#include "operator/agent/act/recall_watch.h"

#include <gtest/gtest.h>

namespace whorl::agent {
namespace {

// Feeds a steady use and delay every 150 ms and returns when the rule fires.
std::optional<Millis> FiresAt(RecallMeter& meter, std::int64_t millicores, std::int64_t delay_ms_per_s, Millis until) {
  for (Millis now{0}; now <= until; now += Millis{150}) {
    const auto us = static_cast<std::uint64_t>(now.count());
    if (meter.Update(now, us * static_cast<std::uint64_t>(millicores), us * static_cast<std::uint64_t>(delay_ms_per_s)))
      return now;
  }
  return std::nullopt;
}

TEST(RecallMeter, FiresWhenUseStaysAboveForLongEnough) {
  RecallMeter meter(300, 0, Millis{300});
  EXPECT_EQ(FiresAt(meter, 400, 0, Millis{2000}), Millis{450});
}

TEST(RecallMeter, FiresOnDelayToo) {
  RecallMeter meter(300, 50, Millis{0});
  EXPECT_EQ(FiresAt(meter, 10, 60, Millis{2000}), Millis{150});
}

TEST(RecallMeter, ASteadyLenderWithinItsRuleKeepsItsLoan) {
  RecallMeter meter(300, 50, Millis{0});
  EXPECT_EQ(FiresAt(meter, 300, 50, Millis{60000}), std::nullopt);
}

TEST(RecallMeter, ASpikeShorterThanTheRuleDoesNotFire) {
  RecallMeter meter(300, 0, Millis{300});
  std::uint64_t usage = 0;
  for (int step = 0; step < 100; ++step) {
    usage += step % 3 == 0 ? 100'000 : 1'000;
    EXPECT_FALSE(meter.Update(Millis{step * 150}, usage, 0)) << step;
  }
}

TEST(RecallMeter, ACounterThatFallsStartsAnew) {
  RecallMeter meter(300, 0, Millis{0});
  EXPECT_FALSE(meter.Update(Millis{0}, 1'000'000, std::nullopt));
  EXPECT_FALSE(meter.Update(Millis{150}, 5, std::nullopt));
  EXPECT_TRUE(meter.Update(Millis{300}, 100'000, std::nullopt));
}

TEST(RecallMeter, ALenderNobodyCanSeeGetsItsOwnBack) {
  RecallMeter meter(300, 0, Millis{0});
  EXPECT_FALSE(meter.Blind(Millis{0}, "its QEMU has ended"));
  EXPECT_FALSE(meter.Blind(Millis{1900}, "its QEMU has ended"));
  const auto why = meter.Blind(Millis{2000}, "its QEMU has ended");
  ASSERT_TRUE(why);
  EXPECT_NE(why->find("its QEMU has ended"), std::string::npos);
}

TEST(RecallMeter, OneFailedReadingIsForgiven) {
  RecallMeter meter(300, 0, Millis{0});
  EXPECT_FALSE(meter.Blind(Millis{0}, "x"));
  EXPECT_FALSE(meter.Update(Millis{1000}, 0, 0));
  EXPECT_FALSE(meter.Blind(Millis{2500}, "x"));
}

}  // namespace
}  // namespace whorl::agent
