#include "core/partition/claims.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace whorl::partition {
namespace {

constexpr std::int64_t kPeriodMs = 300'000;

// A demand that lies evenly between `low` and `high`.
Foretold Between(std::uint32_t vm, float low, float high) {
  Foretold f;
  f.vm = vm;
  for (std::size_t k = 0; k < kClaimShares.size(); ++k)
    f.demand[k] = low + (high - low) * static_cast<float>(kClaimShares[k]);
  return f;
}

std::vector<std::optional<std::int64_t>> Solve(Claims& claims, const std::vector<Foretold>& foretold,
                                               std::int64_t capacity, double least = 0.01) {
  std::vector<std::optional<std::int64_t>> needs;
  claims.Solve(foretold, capacity, least, needs);
  return needs;
}

TEST(Claims, AskForTheSharePolicySaysWhenThereIsEnoughForAll) {
  Claims claims;
  const auto needs = Solve(claims, {Between(0, 0, 100), Between(1, 100, 300)}, 10'000, 0.05);
  EXPECT_NEAR(static_cast<double>(*needs[0]), 95, 1);
  EXPECT_NEAR(static_cast<double>(*needs[1]), 290, 1);
}

TEST(Claims, FitTheCapacityTogetherAndLeaveNothing) {
  Claims claims;
  const auto needs = Solve(claims, {Between(0, 0, 1000), Between(1, 0, 1000), Between(2, 500, 700)}, 1500);
  EXPECT_LE(*needs[0] + *needs[1] + *needs[2], 1500);
  EXPECT_GE(*needs[0] + *needs[1] + *needs[2], 1495);
  EXPECT_EQ(*needs[0], *needs[1]);
  EXPECT_GT(*needs[2], 500);
}

TEST(Claims, OfAVmThatWasGivenMoreFallShortMoreOften) {
  Claims claims;
  claims.Observe(0, 900, 900, 900, kPeriodMs);
  claims.Observe(1, 100, 100, 100, kPeriodMs);
  const auto needs = Solve(claims, {Between(0, 0, 1000), Between(1, 0, 1000)}, 1000);
  EXPECT_LT(*needs[0], *needs[1]);
  // 1 - 9 lambda and 1 - lambda of a thousand, together a thousand.
  EXPECT_NEAR(static_cast<double>(*needs[0]), 100, 2);
  EXPECT_NEAR(static_cast<double>(*needs[1]), 900, 2);
}

TEST(Claims, CountTheGivenAgainstTheBaseShareOfTheWeight) {
  Claims claims;
  claims.Observe(0, 900, 900, 900, kPeriodMs);
  claims.Observe(1, 100, 100, 100, kPeriodMs);
  std::vector<Foretold> foretold{Between(0, 0, 1000), Between(1, 0, 1000)};
  foretold[0].weight = 9;
  const auto needs = Solve(claims, foretold, 1000);
  EXPECT_NEAR(static_cast<double>(*needs[0]), static_cast<double>(*needs[1]), 2);
}

TEST(Claims, OfAVmThatDoesNotUseWhatItAskedForShrinkToWhatItUses) {
  Claims claims;
  // Shows twice its need of 500; what it claims comes down until it is used.
  std::int64_t given = 1000;
  for (int t = 0; t < 2000; ++t) {
    claims.Observe(0, 1000, std::min<double>(500, static_cast<double>(given)), static_cast<double>(given), kPeriodMs);
    given = *Solve(claims, {Between(0, 999, 1000)}, 10'000)[0];
  }
  EXPECT_LT(given, 650);
  EXPECT_LT(claims.used_part(0), 0.9);
}

TEST(Claims, OfAVmThatUsesAllItAskedForAreNotDiscounted) {
  Claims claims;
  for (int t = 0; t < 100; ++t) claims.Observe(0, 700, 400, 400, kPeriodMs);  // held back, not lying
  EXPECT_EQ(claims.used_part(0), 1);
  EXPECT_NEAR(static_cast<double>(*Solve(claims, {Between(0, 700, 701)}, 10'000)[0]), 700, 1);
}

TEST(Claims, AreUnsetWhereNoDemandIsForetold) {
  Claims claims;
  std::vector<Foretold> foretold{Between(0, 0, 100), Between(1, 0, 100), Between(2, 0, 100), Between(3, 0, 100)};
  foretold[0].demand[3] = std::numeric_limits<float>::quiet_NaN();
  foretold[1].demand[0] = -1;
  foretold[2].weight = 0;
  const auto needs = Solve(claims, foretold, 1000);
  EXPECT_FALSE(needs[0] || needs[1] || needs[2]);
  EXPECT_TRUE(needs[3]);
}

TEST(Claims, LearnNothingFromWhatIsNoMeasurement) {
  Claims claims;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  claims.Observe(0, nan, 1, 1, kPeriodMs);
  claims.Observe(0, 1, -1, 1, kPeriodMs);
  claims.Observe(0, 1, 1, std::numeric_limits<double>::infinity(), kPeriodMs);
  claims.Observe(0, 1, 1, 1, 0);
  EXPECT_FALSE(claims.given(0));
}

TEST(Claims, AreTheSameAfterARestart) {
  Claims claims;
  for (int t = 0; t < 400; ++t) {
    claims.Observe(0, 900, 700, 800, kPeriodMs);
    claims.Observe(2, 100, 100, 150, kPeriodMs);
  }
  Claims restored;
  ASSERT_TRUE(restored.Restore(claims.Save()).has_value());
  const std::vector<Foretold> foretold{Between(0, 0, 1000), Between(2, 0, 1000)};
  EXPECT_EQ(Solve(restored, foretold, 900), Solve(claims, foretold, 900));
}

TEST(Claims, RefuseARecordThatMakesNoSenseAndKeepTheirOwn) {
  Claims claims;
  claims.Observe(0, 10, 10, 10, kPeriodMs);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::vector<Claims::Record>> damaged{{{1, nan, 1, 1, 1000}},
                                                         {{1, 1, -1, 1, 1000}},
                                                         {{1, 1, 1, 1, 0}},
                                                         {{1, 1, 1, 1, 1000}, {1, 1, 1, 1, 1000}},
                                                         {{2'000'000, 1, 1, 1, 1000}}};
  for (const auto& records : damaged) EXPECT_EQ(claims.Restore(records).error().code, Code::kCorrupt);
  EXPECT_EQ(claims.given(0), 10);
}

TEST(Claims, ForgetWhoLeft) {
  Claims claims;
  claims.Observe(0, 900, 90, 900, kPeriodMs);
  claims.Leave(0);
  EXPECT_FALSE(claims.given(0));
  EXPECT_EQ(claims.used_part(0), 1);
}

}  // namespace
}  // namespace whorl::partition
