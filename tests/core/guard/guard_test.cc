#include "core/guard/guard.h"

#include <gtest/gtest.h>

namespace whorl::guard {
namespace {

Situation Fine() {
  Situation s;
  s.request = MilliCores{100};
  s.previous = MilliCores{400};
  s.step = MilliCores{1000};
  s.room = MilliCores{2000};
  s.allocation = MilliCores{500};
  return s;
}

TEST(Guard, AcceptsWithoutAWordWhatIsFine) {
  const Ruling r = Rule(Fine());
  EXPECT_TRUE(r.reason.empty());
  EXPECT_EQ(r.allocation, MilliCores{500});
}

TEST(Guard, RefusesDedicatedCpus) {
  auto s = Fine();
  s.dedicated_cpus = true;
  const Ruling r = Rule(s);
  EXPECT_EQ(r.reason, "DedicatedCpus");
  EXPECT_FALSE(r.allocation);
}

TEST(Guard, HoldsABlindVmAtItsEntitlement) {
  auto s = Fine();
  s.blind = true;
  EXPECT_EQ(Rule(s).reason, "SampleTooOld");
  EXPECT_EQ(Rule(s).allocation, MilliCores{500});
}

TEST(Guard, TrimsToTheUsersLimit) {
  auto s = Fine();
  s.limit = MilliCores{450};
  EXPECT_EQ(Rule(s).reason, "AboveLimit");
  EXPECT_EQ(Rule(s).allocation, MilliCores{450});
}

TEST(Guard, TrimsARiseToTheStepButNeverAFall) {
  auto s = Fine();
  s.step = MilliCores{50};
  EXPECT_EQ(Rule(s).reason, "StepTooLarge");
  EXPECT_EQ(Rule(s).allocation, MilliCores{450});
  s.allocation = MilliCores{120};
  EXPECT_TRUE(Rule(s).reason.empty());
  EXPECT_EQ(Rule(s).allocation, MilliCores{120});
  s.previous.reset();  // nothing held before: nothing to step from
  s.allocation = MilliCores{1900};
  EXPECT_TRUE(Rule(s).reason.empty());
}

TEST(Guard, AFlappingAllocationNoLongerRises) {
  auto s = Fine();
  s.reversals = s.flapping;
  EXPECT_EQ(Rule(s).reason, "Flapping");
  EXPECT_EQ(Rule(s).allocation, MilliCores{400});
  s.allocation = MilliCores{300};
  EXPECT_EQ(Rule(s).allocation, MilliCores{300});
}

TEST(Guard, NeverExceedsWhatTheNodeHasLeft) {
  auto s = Fine();
  s.room = MilliCores{250};
  EXPECT_EQ(Rule(s).reason, "AboveCapacity");
  EXPECT_EQ(Rule(s).allocation, MilliCores{250});
}

TEST(Guard, LeavesAVmAloneRatherThanBelowItsRequest) {
  auto s = Fine();
  s.room = MilliCores{90};
  const Ruling r = Rule(s);
  EXPECT_EQ(r.reason, "BelowRequest");
  EXPECT_FALSE(r.allocation);
}

TEST(Guard, SaysWhenFloorsDoNotFit) {
  auto s = Fine();
  s.floor_scaled = true;
  EXPECT_EQ(Rule(s).reason, "FloorsExceedCapacity");
  EXPECT_EQ(Rule(s).allocation, MilliCores{500});
}

TEST(Guard, TheFirstReasonIsTheOneTheUserReads) {
  auto s = Fine();
  s.limit = MilliCores{480};
  s.step = MilliCores{10};
  EXPECT_EQ(Rule(s).reason, "AboveLimit");
  EXPECT_EQ(Rule(s).allocation, MilliCores{410});
}

TEST(ReversalMeter, CountsChangesOfDirectionAndForgetsThem) {
  ReversalMeter meter;
  std::int64_t now = 0;
  for (int i = 0; i < 20; ++i) meter.Observe(now += 1000, MilliCores{i % 2 == 0 ? 500 : 900});
  EXPECT_GE(meter.reversals(), Situation{}.flapping);
  for (int i = 0; i < 120; ++i) meter.Observe(now += 1000, MilliCores{500});
  EXPECT_EQ(meter.reversals(), 0);
}

TEST(ReversalMeter, ASteadyRiseOrJitterIsNoReversal) {
  ReversalMeter meter;
  for (int i = 0; i < 25; ++i) meter.Observe(1000 * i, MilliCores{500 + 100 * i});
  EXPECT_EQ(meter.reversals(), 0);
  for (int i = 0; i < 25; ++i) meter.Observe(30'000 + 1000 * i, MilliCores{2900 + (i % 2) * 50});
  EXPECT_EQ(meter.reversals(), 0);
}

}  // namespace
}  // namespace whorl::guard
