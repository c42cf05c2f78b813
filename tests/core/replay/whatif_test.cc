#include "core/replay/whatif.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace whorl::whatif {
namespace {

const float kNan = std::nanf("");
constexpr Millis kStep{300'000};

// Periods of five minutes; the first `learn` values of each VM only teach (a quarter).
Node NodeOf(std::vector<std::vector<float>> used, double capacity) {
  Node node;
  node.name = "n";
  node.step = kStep;
  node.capacity = capacity;
  for (std::size_t i = 0; i < used.size(); ++i) {
    Vm vm;
    vm.name = std::string(1, static_cast<char>('a' + i));
    vm.size = 4;
    vm.here.assign(used[i].size(), 1);
    vm.used = std::move(used[i]);
    node.vms.push_back(std::move(vm));
  }
  return node;
}

const std::vector<NamedPolicy> kPolicies{{"p", Policy{}, std::nullopt}};

Outcome Of(const NodeResult& result, Strategy strategy) {
  return *std::find_if(result.outcomes.begin(), result.outcomes.end(),
                       [&](const Outcome& outcome) { return outcome.strategy == strategy; });
}
Point At(const Outcome& outcome, double knob) {
  return *std::find_if(outcome.curve.begin(), outcome.curve.end(), [&](const Point& p) { return p.knob == knob; });
}
double CorePeriods(double core_hours) { return core_hours * 12; }

TEST(WhatIf, JudgesAllButTheFirstQuarterOfAShortRecord) {
  const auto result = LiveThrough(NodeOf({{1, 1, 1, 1, 1, 1, 1, 1}}, 4), kPolicies);
  EXPECT_EQ(result.judged_from, 2u);
  EXPECT_DOUBLE_EQ(result.judged_hours, 0.5);
  EXPECT_DOUBLE_EQ(CorePeriods(result.demand), 6);
}

TEST(WhatIf, StaticRequestsReserveWhatIsRequestedWhateverHappens) {
  auto node = NodeOf({{1, 1, 1, 1, 3, 1, 1, 1}}, 4);
  node.vms[0].request = 2;
  const auto requests = Of(LiveThrough(node, kPolicies), Strategy::kRequests);
  EXPECT_DOUBLE_EQ(CorePeriods(requests.mark->held), 6 * 2);
  EXPECT_DOUBLE_EQ(CorePeriods(requests.mark->unmet), 1);   // the period of 3
  EXPECT_DOUBLE_EQ(CorePeriods(requests.mark->unused), 5);  // five periods of 1
  EXPECT_DOUBLE_EQ(CorePeriods(At(requests, 1.5).unmet), 0);
}

TEST(WhatIf, DividesTheWholeCapacityInProportionAndGivesNobodyMoreThanItCanUse) {
  auto node = NodeOf({{1, 1, 1, 1}, {3, 3, 3, 3}}, 4);
  node.vms[0].request = 1;
  node.vms[1].request = 1;
  const auto even = Of(LiveThrough(node, kPolicies), Strategy::kRequests);
  EXPECT_DOUBLE_EQ(CorePeriods(even.unmet), 3 * 1);  // 2 each: b lacks 1
  EXPECT_EQ(even.vms[1].short_periods, 3u);
  EXPECT_DOUBLE_EQ(even.vms[1].worst, 1);
  node.vms[0].size = 1;
  EXPECT_DOUBLE_EQ(Of(LiveThrough(node, kPolicies), Strategy::kRequests).unmet, 0);  // what a cannot use is b's
}

TEST(WhatIf, VpaReservesTheEndOfTheQuantilesBucketAndFifteenPercentMore) {
  std::vector<float> used(64, 1.0f);
  const auto vpa = Of(LiveThrough(NodeOf({used}, 4), kPolicies), Strategy::kVpa95);
  // Buckets of 0.01 cores that grow by 5 %: that of 1.0 is the 36th and ends at 1.0159...
  const double end = 0.2 * (std::pow(1.05, 37) - 1);
  EXPECT_NEAR(CorePeriods(vpa.mark->held), 48 * 1.15 * end, 1e-9);
  EXPECT_GT(end, 1.0);
  EXPECT_LT(end, 1.07);
}

TEST(WhatIf, VpaForgetsByHalfEachDay) {
  // A calm day, then three busy hours. With weights that halve each day they make a tenth of all weight after
  // 1.9 hours, so that the decision at the second full hour knows them; with equal weights after 2.7.
  std::vector<float> used(288, 0.1f);
  used.insert(used.end(), 36, 2.0f);
  const auto result = LiveThrough(NodeOf({used}, 4), kPolicies);
  ASSERT_EQ(result.judged_from, 81u);
  const double calm = 0.2 * (std::pow(1.05, 9) - 1), busy = 0.2 * (std::pow(1.05, 50) - 1);
  EXPECT_NEAR(CorePeriods(At(Of(result, Strategy::kVpa90), 1.0).held), (207 + 24) * calm + 12 * busy, 1e-9);
}

TEST(WhatIf, LastHourMaximumHoldsForAnHour) {
  // Hours of 12 periods. The peak of the second hour is known to the third.
  std::vector<float> used(48, 1.0f);
  used[20] = 3;
  used[30] = 3;
  used[40] = 3;
  const auto last = Of(LiveThrough(NodeOf({used}, 4), kPolicies), Strategy::kLastHour);
  // Judged from 12 on: held 1 in [12, 24), then 3 as every hour before had a peak.
  EXPECT_DOUBLE_EQ(CorePeriods(last.mark->held), 12 * 1 + 24 * 3);
  EXPECT_DOUBLE_EQ(CorePeriods(last.mark->unmet), 2);  // the first peak
}

TEST(WhatIf, EwmaReservesMeanAndSigmasOfWhatWasSeenBefore) {
  const auto ewma = Of(LiveThrough(NodeOf({{1, 2, 2, 2}}, 4), kPolicies), Strategy::kEwma);
  // Period 1: mean 1, no variance. Then error 1: mean 1.3, variance .7 * .3.
  const double first = 1, second = 1.3 + 2 * std::sqrt(0.21);
  const double third = 1.3 + 0.3 * 0.7 + 2 * std::sqrt(0.7 * (0.21 + 0.3 * 0.49));
  EXPECT_NEAR(CorePeriods(ewma.mark->held), first + second + third, 1e-9);
}

TEST(WhatIf, SharesLeaveUnmetOnlyWhatTheNodeLacks) {
  const auto result = LiveThrough(NodeOf({{1, 1, 3, 1}, {1, 1, 3, 1}}, 4), kPolicies);
  const auto shares = Of(result, Strategy::kShares);
  EXPECT_DOUBLE_EQ(CorePeriods(shares.unmet), 2);
  EXPECT_DOUBLE_EQ(shares.vms[0].unmet, shares.vms[1].unmet);
  EXPECT_DOUBLE_EQ(Of(result, Strategy::kClairvoyant).unmet, shares.unmet);
}

TEST(WhatIf, SoftIsAsGoodAsSharesInSumWhoeverComesAndGoes) {
  std::vector<std::vector<float>> used(5);
  for (std::size_t t = 0; t < 200; ++t) {
    for (std::size_t i = 0; i < used.size(); ++i)
      used[i].push_back(static_cast<float>((t * (i + 3) + i * i) % 7) * 0.4f);
  }
  auto node = NodeOf(used, 3);
  for (std::size_t t = 0; t < 200; ++t) {
    if (t / 20 % 2 == 0) continue;
    for (const std::size_t i : {std::size_t{1}, std::size_t{3}}) {
      node.vms[i].here[t] = 0;
      node.vms[i].used[t] = kNan;
    }
  }
  const auto result = LiveThrough(node, kPolicies);
  const double least = Of(result, Strategy::kShares).unmet;
  EXPECT_GT(least, 0);
  EXPECT_NEAR(Of(result, Strategy::kWhorlSoft).unmet, least, 1e-9);
  for (const Outcome& outcome : result.outcomes) EXPECT_GE(outcome.unmet, least - 1e-9) << NameOf(outcome.strategy);
}

TEST(WhatIf, TheHourlyClairvoyantGivesEachPieceToWhomItHelpsMost) {
  // One hour is judged; a wants 2 in all of it, b wants 3 in one period of it.
  std::vector<float> a(16, 2.0f), b(16, 1.0f);
  b[10] = 3;
  const auto hourly = Of(LiveThrough(NodeOf({a, b}, 4), kPolicies), Strategy::kHourly);
  EXPECT_DOUBLE_EQ(CorePeriods(hourly.unmet), 1);  // the last core goes to b's peak, which wants one more
  EXPECT_DOUBLE_EQ(CorePeriods(At(hourly, 1.0).unmet), 0);
}

TEST(WhatIf, WhorlLendsWhatIsIdleAndSaysWhoToWhomAndWhen) {
  Policy policy;
  policy.cpu.partition = PartitionKind::kHard;
  const std::vector<NamedPolicy> hard{{"hard", policy, std::nullopt}};
  const auto node = NodeOf({std::vector<float>(96, 0.1f), std::vector<float>(96, 1.5f)}, 2);
  const auto result = LiveThrough(node, hard);
  EXPECT_EQ(result.outcomes[0].strategy, Strategy::kWhorlHard);
  EXPECT_EQ(result.outcomes[1].strategy, Strategy::kWhorlSoft);
  ASSERT_FALSE(result.whorl[0].loans.empty());
  const LoanRun& loan = result.whorl[0].loans.front();
  EXPECT_EQ(node.vms[loan.lender].name, "a");
  EXPECT_EQ(node.vms[loan.borrower].name, "b");
  EXPECT_GE(loan.from, result.judged_from);
  EXPECT_LE(loan.to, node.periods());
  EXPECT_GT(loan.core_hours, 0);
  // The base share is 1 each: b has what it lacks from a.
  const double given = static_cast<double>(result.outcomes[0].given[1].back());
  EXPECT_GT(given, 1.2);
  EXPECT_LE(given + static_cast<double>(result.outcomes[0].given[0].back()), 2.0 + 1e-6);
  double unmet_by_requests = Of(result, Strategy::kRequests).unmet;
  EXPECT_LT(result.outcomes[0].unmet, 0.5 * unmet_by_requests);
}

TEST(WhatIf, ShortagesNameTheVmAndThePeriods) {
  std::vector<float> calm(32, 0.5f), busy(32, 0.5f);
  busy[20] = busy[21] = 3.5f;
  calm[20] = calm[21] = 1.5f;
  const auto result = LiveThrough(NodeOf({calm, busy}, 4), kPolicies);
  ASSERT_FALSE(result.whorl[0].shortages.empty());
  const Episode& worst = result.whorl[0].shortages.front();
  EXPECT_EQ(worst.from, 20u);
  EXPECT_EQ(worst.to, 22u);
  EXPECT_NEAR(CorePeriods(result.outcomes[0].unmet), 2, 1e-6);  // soft: the node lacks one core in two periods
}

TEST(WhatIf, ReserveAndBoundOfThePolicyAreNotPartitioned) {
  Policy policy;
  policy.reserve = MilliCores{500};
  EXPECT_DOUBLE_EQ(
      LiveThrough(NodeOf({{1, 1, 1, 1}}, 4), std::vector<NamedPolicy>{{"r", policy, std::nullopt}}).whorl[0].capacity,
      3.5);
  EXPECT_DOUBLE_EQ(LiveThrough(NodeOf({{1, 1, 1, 1}}, 4), std::vector<NamedPolicy>{{"b", policy, MilliCores{2000}}})
                       .whorl[0]
                       .capacity,
                   2.0);
}

TEST(WhatIf, NothingButTheClairvoyantsKnowsTheFuture) {
  std::vector<float> a(96, 0.5f), b(96, 0.7f);
  for (std::size_t t = 0; t < 96; t += 7) a[t] = 1.5f;
  for (std::size_t t = 0; t < 96; ++t) b[t] = 0.2f + 0.4f * static_cast<float>(t % 5);
  auto changed = a;
  for (std::size_t t = 60; t < 96; ++t) changed[t] = t % 2 == 0 ? 3.9f : 0.05f;
  Policy free;
  free.cpu.floor_fraction = 0;
  free.cpu.lendable_fraction = 1;
  const std::vector<NamedPolicy> policies{{"free", free, std::nullopt}};
  const auto one = LiveThrough(NodeOf({a, b}, 2), policies), other = LiveThrough(NodeOf({changed, b}, 2), policies);
  for (const Strategy strategy : {Strategy::kWhorlSoft, Strategy::kWhorlHard, Strategy::kVpa95}) {
    for (std::size_t t = 24; t <= 60; ++t) {
      EXPECT_EQ(Of(one, strategy).given[0][t], Of(other, strategy).given[0][t]) << NameOf(strategy) << " " << t;
    }
    bool reacted = false;
    for (std::size_t t = 61; t < 96; ++t) {
      reacted = reacted || Of(one, strategy).given[0][t] != Of(other, strategy).given[0][t];
    }
    EXPECT_TRUE(reacted) << NameOf(strategy);
  }
}

TEST(WhatIf, TheSameRecordGivesTheSameResult) {
  std::vector<float> a, b;
  for (int t = 0; t < 200; ++t) {
    a.push_back(static_cast<float>(1 + std::sin(t * 0.37)));
    b.push_back(t % 17 == 0 ? kNan : static_cast<float>(1 + std::cos(t * 0.91)));
  }
  const auto node = NodeOf({a, b}, 2.5);
  const auto one = LiveThrough(node, kPolicies), two = LiveThrough(node, kPolicies);
  for (std::size_t k = 0; k < one.outcomes.size(); ++k) {
    EXPECT_EQ(one.outcomes[k].unmet, two.outcomes[k].unmet);
    EXPECT_EQ(one.outcomes[k].unmet_at, two.outcomes[k].unmet_at);
  }
  EXPECT_EQ(one.whorl[0].loans.size(), two.whorl[0].loans.size());
}

TEST(WhatIf, WhatWasNotMeasuredCountsNeitherAsDemandNorAsUnused) {
  const auto result = LiveThrough(NodeOf({{1, 1, kNan, kNan, 1, 1, 1, 1}}, 4), kPolicies);
  EXPECT_DOUBLE_EQ(CorePeriods(result.demand), 4);
  auto node = NodeOf({{1, 1, kNan, kNan, 1, 1, 1, 1}}, 4);
  node.vms[0].request = 2;
  EXPECT_DOUBLE_EQ(CorePeriods(Of(LiveThrough(node, kPolicies), Strategy::kRequests).mark->held), 4 * 2);
}

TEST(WhatIf, AVmThatIsNotThereIsGivenNothingAndLendsNothing) {
  auto node = NodeOf({std::vector<float>(64, 0.1f), std::vector<float>(64, 1.5f)}, 2);
  for (std::size_t t = 40; t < 64; ++t) {
    node.vms[0].here[t] = 0;
    node.vms[0].used[t] = kNan;
  }
  const auto result = LiveThrough(node, kPolicies);
  for (const LoanRun& loan : result.whorl[0].loans) EXPECT_LE(loan.to, 40u);
  EXPECT_TRUE(std::isnan(result.outcomes[0].given[0][50]));
  EXPECT_GT(result.outcomes[1].given[1][50], 1.9f);
}

TEST(WhatIf, TheCapacityNobodySaidIsEnoughForAlmostAllPeriods) {
  auto node = NodeOf({std::vector<float>(100, 1.0f)}, 0);
  node.vms[0].used[50] = 3;
  node.capacity = std::nullopt;
  const auto result = LiveThrough(node, kPolicies);
  EXPECT_TRUE(result.capacity_assumed);
  EXPECT_DOUBLE_EQ(result.capacity, 1);
}

TEST(WhatIf, HeldAtLiesBetweenTheCurvesPoints) {
  Outcome outcome;
  outcome.curve = {{.knob = 1, .held = 10, .unmet = 4}, {.knob = 2, .held = 20, .unmet = 2}};
  EXPECT_DOUBLE_EQ(outcome.HeldAt(3).value(), 15);
  EXPECT_FALSE(outcome.HeldAt(1));
  EXPECT_FALSE(outcome.HeldAt(5));
}

}  // namespace
}  // namespace whorl::whatif
