#include "core/engine/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "tests/core/engine/node_world.h"

namespace whorl {
namespace {

using test::NodeWorld;
using test::SpecOf;

TEST(Engine, LearnsScoresLowWhileQuietAndLendsToTheOneThatTurnsBusy) {
  NodeWorld world;
  auto& db = world.Add(SpecOf("db-1"), 1);
  auto& web = world.Add(SpecOf("web-1"), 2);
  world.Add(SpecOf("batch-1"), 3);

  bool ready = false;
  for (int i = 0; i < 100; ++i) {
    world.Second();
    ready |= world.Of(db).baseline_ready;
  }
  ASSERT_TRUE(ready);
  int highest = 0;
  for (int i = 0; i < 120; ++i) {
    world.Second();
    for (const Assessment& a : world.engine.assessments()) {
      ASSERT_TRUE(a.score.has_value());
      EXPECT_FALSE(a.episode_opened);
      highest = std::max<int>(highest, *a.score);
    }
  }
  RecordProperty("highest_calm_score", highest);
  EXPECT_LT(highest, 45);

  db.demand = 1000;
  int borrowed_after = 0, opened_after = 0;
  for (int second = 1; second <= 30; ++second) {
    const Plan& plan = world.Second();
    EXPECT_LE(test::SumOfAllocations(plan), 1500);
    if (borrowed_after == 0 && Count(world.Of(db).cpu_borrowed) > 0) borrowed_after = second;
    if (opened_after == 0 && world.Of(db).episode_opened) opened_after = second;
  }
  RecordProperty("seconds_until_borrowed", borrowed_after);
  RecordProperty("seconds_until_episode", opened_after);
  EXPECT_GT(borrowed_after, 0);
  EXPECT_LE(borrowed_after, 5);
  EXPECT_GT(opened_after, 0);
  EXPECT_LE(opened_after, 20);
  EXPECT_EQ(world.Of(db).state, State::kDeviating);
  EXPECT_GE(*world.Of(db).score, world.Of(db).threshold);
  EXPECT_GT(Count(world.Of(db).cpu_allocation), 850);
  ASSERT_GT(world.Of(db).top_count, 0);
  EXPECT_EQ(Info(world.Of(db).top[0].feature).family, Family::kCpu);
  EXPECT_GT(world.Of(db).top[0].sigmas, 5);

  // The lender wakes: its own comes back with the next plan at the latest.
  web.demand = 480;
  world.Run(2);
  EXPECT_LE(Count(world.Of(web).cpu_lent), 20);
  web.demand = 20;

  db.demand = 20;
  world.Run(60);
  EXPECT_EQ(Count(world.Of(db).cpu_borrowed), 0);
  world.Run(60);
  EXPECT_EQ(world.Of(db).state, State::kNormal);
}

class EngineTest : public testing::Test {
 protected:
  NodeWorld world;
};

TEST_F(EngineTest, RefusesSpecsThatContradictThemselves) {
  Engine engine;
  VmSpec spec = SpecOf("a");
  spec.vcpus = 0;
  EXPECT_EQ(engine.Enrol(spec).error().code, Code::kInvalid);
  spec = SpecOf("");
  EXPECT_EQ(engine.Enrol(spec).error().code, Code::kInvalid);
  spec = SpecOf("a");
  spec.cpu_limit = MilliCores{50};
  EXPECT_EQ(engine.Enrol(spec).error().code, Code::kInvalid);
  spec.cpu_limit.reset();
  const auto vm = engine.Enrol(spec);
  ASSERT_TRUE(vm);
  EXPECT_EQ(engine.Enrol(spec).error().code, Code::kInvalid) << "the same id twice";
  engine.Withdraw(*vm);
  EXPECT_EQ(engine.Update(*vm, spec).error().code, Code::kNotFound);
  EXPECT_EQ(engine.Find(*vm), nullptr);
  EXPECT_TRUE(engine.Enrol(spec));
}

TEST_F(EngineTest, HasNoScoreWhileLearningAndShowsHowFarItIs) {
  auto& db = world.Add(SpecOf("db-1"), 1);
  world.Run(46);
  const Assessment& a = world.Of(db);
  EXPECT_EQ(a.state, State::kLearning);
  EXPECT_FALSE(a.score);
  EXPECT_EQ(a.learning.samples, 45u);  // the first sample only starts the counters
  EXPECT_EQ(a.learning.samples_needed, 90u);
  EXPECT_NEAR(a.learning.percent, 49, 1);
  EXPECT_TRUE(a.cpu_predicted);
}

TEST_F(EngineTest, OneThousandQuietMinutesKeepTheBudget) {
  auto& vm = world.Add(SpecOf("db-1", Mode::kObserve), 3);
  int episodes = 0, high = 0;
  world.Run(120);
  for (int i = 0; i < 60'000; ++i) {
    world.Second();
    episodes += world.Of(vm).episode_opened;
    high += *world.Of(vm).score >= 50;
  }
  EXPECT_EQ(episodes, 0);
  EXPECT_LT(high, 90) << "a score of 50 stands for p = 1e-3: 60, and half as many again";
}

TEST_F(EngineTest, WithoutFreshSamplesAVmIsBlindHoldsNoLoanAndKeepsItsEntitlement) {
  auto& db = world.Add(SpecOf("db-1"), 1);
  auto& web = world.Add(SpecOf("web-1"), 2);
  world.Run(100);
  db.demand = 1000;
  world.Run(10);
  ASSERT_GT(Count(world.Of(db).cpu_borrowed), 0);

  world.silent = true;
  world.Run(5);
  EXPECT_NE(world.Of(db).state, State::kBlind);
  const Plan& plan = world.Second();
  EXPECT_EQ(world.Of(db).state, State::kBlind);
  EXPECT_FALSE(world.Of(db).score);
  EXPECT_FALSE(world.Of(db).cpu_predicted);
  EXPECT_TRUE(plan.loans.empty());
  ASSERT_EQ(plan.directives.size(), 2u);
  EXPECT_EQ(plan.directives[0].allocation, world.Of(db).cpu_entitlement);
  EXPECT_EQ(world.Of(db).guard.reason, "SampleTooOld");

  world.silent = false;
  world.Run(2);
  EXPECT_NE(world.Of(web).state, State::kBlind);
  EXPECT_TRUE(world.Of(web).score);
}

TEST_F(EngineTest, OneVmGoneSilentDoesNotBlindTheOthers) {
  auto& db = world.Add(SpecOf("db-1"), 1);
  auto& web = world.Add(SpecOf("web-1"), 2);
  world.Run(100);
  for (int i = 0; i < 10; ++i) {
    world.now += Seconds{1};
    world.frame.samples = {web.Second(world.now)};
    world.engine.Tick(world.now, world.frame);
  }
  EXPECT_EQ(world.Of(db).state, State::kBlind);
  EXPECT_EQ(world.Of(web).state, State::kNormal);
}

TEST_F(EngineTest, PlansNothingWithoutACapacity) {
  auto& db = world.Add(SpecOf("db-1"), 1);
  world.Run(20);
  EXPECT_EQ(world.Second().directives.size(), 1u);
  world.engine.SetCpuCapacity(std::nullopt);
  EXPECT_TRUE(world.Second().directives.empty());
  EXPECT_EQ(Count(world.Of(db).cpu_allocation), 0);
  EXPECT_TRUE(world.Of(db).cpu_predicted) << "still observed";
}

TEST_F(EngineTest, OnlyEnforcedVmsArePartitioned) {
  world.Add(SpecOf("a", Mode::kObserve), 1);
  world.Add(SpecOf("b", Mode::kRecommend), 2);
  auto capped = SpecOf("c");
  capped.policy.max_mode = Mode::kObserve;
  world.Add(capped, 3);
  auto pinned = SpecOf("d");
  pinned.dedicated_cpus = true;
  auto& d = world.Add(pinned, 4);
  auto& e = world.Add(SpecOf("e"), 5);
  world.Run(10);
  const Plan& plan = world.Second();
  ASSERT_EQ(plan.directives.size(), 1u);
  EXPECT_EQ(plan.directives[0].vm, e.handle());
  EXPECT_EQ(Count(plan.directives[0].allocation), 1500);
  EXPECT_EQ(world.Of(d).guard.reason, "DedicatedCpus");
  EXPECT_EQ(world.engine.assessments().size(), 5u);
}

TEST_F(EngineTest, SoftPartitionSetsOnlyWeightsAndConservesThem) {
  for (int i = 0; i < 3; ++i) {
    auto spec = SpecOf("vm-" + std::to_string(i));
    spec.policy.cpu.partition = PartitionKind::kSoft;
    world.Add(spec, static_cast<std::uint64_t>(i));
  }
  world.vms[0].demand = 900;
  const Plan& plan = world.Run(30);
  std::uint32_t weights = 0;
  for (const CpuDirective& d : plan.directives) {
    EXPECT_FALSE(d.quota);
    weights += d.shares;
  }
  EXPECT_EQ(weights, 3 * 102u);
  EXPECT_GT(plan.directives[0].shares, plan.directives[1].shares);
}

TEST_F(EngineTest, PauseHoldLetsLoansRunOutAndDrainHoldsNothing) {
  auto& db = world.Add(SpecOf("db-1"), 1);
  auto& web = world.Add(SpecOf("web-1"), 2);
  world.Run(100);
  db.demand = 1000;
  world.Run(10);
  ASSERT_GT(Count(world.Of(db).cpu_borrowed), 0);

  for (auto* vm : {&db, &web}) {
    auto spec = SpecOf(vm == &db ? "db-1" : "web-1");
    spec.policy.pause = Pause::kHold;
    ASSERT_TRUE(world.engine.Update(vm->handle(), spec));
  }
  const auto held = world.Of(db).cpu_borrowed;
  world.Second();
  EXPECT_EQ(world.Of(db).state, State::kPaused);
  EXPECT_LE(world.Of(db).cpu_borrowed, held);
  EXPECT_TRUE(world.Of(db).score) << "paused, not blind";
  world.Run(11);
  EXPECT_EQ(Count(world.Of(db).cpu_borrowed), 0);
  EXPECT_EQ(world.Second().directives.size(), 2u);

  for (auto* vm : {&db, &web}) {
    auto spec = SpecOf(vm == &db ? "db-1" : "web-1");
    spec.policy.pause = Pause::kHoldAndDrain;
    ASSERT_TRUE(world.engine.Update(vm->handle(), spec));
  }
  EXPECT_TRUE(world.Second().directives.empty());
}

TEST_F(EngineTest, PastTheRenewDeadlineNoLoanIsOpened) {
  auto& db = world.Add(SpecOf("db-1"), 1);
  world.Add(SpecOf("web-1"), 2);
  world.Run(100);
  db.demand = 1000;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(world.Second(Authority::kRenewOnly).loans.empty());
  world.Run(60);  // the need settles
  const auto borrowed = world.Of(db).cpu_borrowed;
  ASSERT_GT(Count(borrowed), 0);
  for (int i = 0; i < 30; ++i) world.Second(Authority::kRenewOnly);
  EXPECT_EQ(world.Of(db).cpu_borrowed, borrowed) << "renewed";
}

TEST_F(EngineTest, ARecalledLoanStaysClosedForAQuantum) {
  auto& db = world.Add(SpecOf("db-1"), 1);
  world.Add(SpecOf("web-1"), 2);
  world.Run(100);
  db.demand = 1000;
  world.Run(5);
  const Loan loan = world.Second().loans.at(0);
  EXPECT_GT(Count(loan.recall.use_above), 0);
  EXPECT_GT(loan.expires, world.now);
  world.frame.recalls = {{loan.id, world.now}};
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(world.Second().loans.empty());
  world.Run(2);
  ASSERT_FALSE(world.Second().loans.empty());
  EXPECT_NE(world.Second().loans[0].id, loan.id);
}

TEST_F(EngineTest, WithdrawingTheLenderClosesItsLoans) {
  auto& db = world.Add(SpecOf("db-1"), 1);
  auto& web = world.Add(SpecOf("web-1"), 2);
  world.Run(100);
  db.demand = 1000;
  world.Run(10);
  ASSERT_GT(Count(world.Of(db).cpu_borrowed), 0);
  world.engine.Withdraw(web.handle());
  const Plan& plan = world.Second();
  EXPECT_TRUE(plan.loans.empty());
  EXPECT_EQ(plan.directives.size(), 1u);
  EXPECT_EQ(world.engine.sample_counts().unknown_vm, 1u);
}

TEST_F(EngineTest, RisesInStepsOfThePolicy) {
  auto spec = SpecOf("db-1");
  spec.policy.cpu.step = MilliCores{100};
  auto& db = world.Add(spec, 1);
  world.Add(SpecOf("web-1"), 2);
  world.Run(30);
  std::int64_t before = Count(world.Of(db).cpu_allocation);
  db.demand = 1000;
  for (int i = 0; i < 20; ++i) {
    world.Second();
    EXPECT_LE(Count(world.Of(db).cpu_allocation), before + 100);
    before = Count(world.Of(db).cpu_allocation);
  }
  EXPECT_GT(before, 850);
}

TEST_F(EngineTest, MemoryIsLentOnlyWhereThePolicySaysSoAndTheGuestsDoNotFit) {
  auto spec = SpecOf("db-1");
  spec.guest_mib = 488;
  spec.guest_request_mib = 100;
  auto& quiet = world.Add(spec, 1);
  spec.id = "web-1";
  spec.policy.memory.partition = true;
  auto& a = world.Add(spec, 2);
  spec.id = "web-2";
  auto& b = world.Add(spec, 3);
  world.engine.SetMemoryCapacity(976);
  EXPECT_TRUE(world.Run(20).memory.empty()) << "two guests fit";
  EXPECT_EQ(world.Of(a).memory_entitled, 488);
  EXPECT_FALSE(world.Of(quiet).memory_entitled);
  world.engine.SetMemoryCapacity(700);
  const Plan& plan = world.Run(20);
  ASSERT_EQ(plan.memory.size(), 2u);
  EXPECT_LE(plan.memory[0].guest_mib + plan.memory[1].guest_mib, 700);
  // 212 of 512 MB are used: 202 MiB and the margin.
  for (const auto* vm : {&a, &b}) {
    EXPECT_GE(*world.Of(*vm).memory_entitled, *world.Of(*vm).memory_need);
    EXPECT_NEAR(static_cast<double>(*world.Of(*vm).memory_need), 255, 6);
  }
  world.engine.SetMemoryCapacity(std::nullopt);
  EXPECT_TRUE(world.Second().memory.empty()) << "an unknown node lends nothing";
}

TEST_F(EngineTest, AHeldVmKeepsItsBalloonAndADrainedOneLosesIt) {
  auto spec = SpecOf("web-1");
  spec.guest_mib = 488;
  spec.policy.memory.partition = true;
  auto& web = world.Add(spec, 1);
  world.engine.SetMemoryCapacity(300);
  ASSERT_EQ(world.Run(20).memory.size(), 1u);
  const auto lent = *world.Of(web).memory_entitled;
  spec.policy.pause = Pause::kHold;
  ASSERT_TRUE(world.engine.Update(web.handle(), spec));
  world.engine.SetMemoryCapacity(400);
  world.Run(30);
  EXPECT_EQ(*world.Of(web).memory_entitled, lent);
  spec.policy.pause = Pause::kHoldAndDrain;
  ASSERT_TRUE(world.engine.Update(web.handle(), spec));
  EXPECT_TRUE(world.Second().memory.empty());
  EXPECT_FALSE(world.Of(web).memory_entitled);
}

TEST_F(EngineTest, FloorsThatDoNotFitAreSaid) {
  NodeWorld small(150);
  auto& a = small.Add(SpecOf("a"), 1);
  auto& b = small.Add(SpecOf("b"), 2);
  const Plan& plan = small.Run(10);
  EXPECT_LE(test::SumOfAllocations(plan), 150);
  EXPECT_EQ(small.Of(a).guard.reason, "BelowRequest");
  EXPECT_EQ(small.Of(b).guard.reason, "BelowRequest");
}

TEST_F(EngineTest, BadReadingsNeverBecomeNumbers) {
  auto& db = world.Add(SpecOf("db-1"), 1);
  world.Run(120);
  std::mt19937_64 random(9);
  for (int i = 0; i < 2000; ++i) {
    world.now += Seconds{1};
    VmSample sample = db.Second(world.now);
    const std::size_t f = random() % kFeatureCount;
    switch (random() % 5) {
      case 0: sample.raw[f] = std::nan(""); break;
      case 1: sample.raw[f] = std::numeric_limits<double>::infinity(); break;
      case 2: sample.raw[f] = -1e300; break;
      case 3: sample.sampled_at -= Seconds{static_cast<std::int64_t>(random() % 10)}; break;
      default: sample.raw[f] = 1e299; break;
    }
    world.frame.samples = {sample, sample};
    const Plan& plan = world.engine.Tick(world.now, world.frame);
    ASSERT_LE(test::SumOfAllocations(plan), 1500);
    const Assessment& a = world.Of(db);
    ASSERT_TRUE(!a.score || *a.score <= 100);
    ASSERT_TRUE(!a.p_value || (*a.p_value > 0 && *a.p_value <= 1));
    for (std::size_t k = 0; k < a.top_count; ++k) {
      ASSERT_TRUE(std::isfinite(a.top[k].sigmas));
      ASSERT_TRUE(std::isfinite(a.top[k].value)) << Info(a.top[k].feature).name;
      ASSERT_TRUE(std::isfinite(a.top[k].usual));
    }
    ASSERT_TRUE(!a.cpu_predicted || Count(*a.cpu_predicted) >= 0);
  }
  EXPECT_GT(world.engine.sample_counts().not_a_number, 500u);
  EXPECT_GT(world.engine.sample_counts().repeated, 1000u);
}

TEST_F(EngineTest, AMissingFamilyIsScoredOnTheOthers) {
  auto& db = world.Add(SpecOf("db-1"), 1);
  const auto only_cpu = [&] {
    world.now += Seconds{1};
    VmSample sample = db.Second(world.now);
    for (std::size_t f = 0; f < kFeatureCount; ++f) {
      if (kFeatures[f].family != Family::kCpu) sample.valid.Clear(kFeatures[f].feature);
    }
    world.frame.samples = {sample};
    world.engine.Tick(world.now, world.frame);
  };
  for (int i = 0; i < 150; ++i) only_cpu();
  ASSERT_TRUE(world.Of(db).score);
  EXPECT_LT(*world.Of(db).score, 45);
  db.demand = 900;
  for (int i = 0; i < 20; ++i) only_cpu();
  EXPECT_EQ(world.Of(db).state, State::kDeviating);
}

// A window of system calls stands for the seconds until the next one: a single odd one is not ten odd seconds.
TEST_F(EngineTest, WhatIsSeenNowAndThenMustBeSeenTwice) {
  const auto alarms_after = [](int odd_windows) {
    NodeWorld here;
    auto& db = here.Add(SpecOf("db-1"), 1);
    double more = 0;
    bool was_open = false;
    int episodes = 0, windows = 0;
    for (int i = 0; i < 260; ++i) {
      here.now += Seconds{1};
      VmSample sample = db.Second(here.now);
      // One window of a second in ten instead of three.
      if (i % 10 != 0) sample.valid = FeatureMask{sample.valid.bits() & ~test::kSyscalls};
      if (i >= 180 && i % 10 == 0 && windows++ < odd_windows) more += 10 * 1500;
      sample.raw[static_cast<std::size_t>(Feature::kSyscallsIo)] += more;
      here.frame.samples = {sample};
      here.engine.Tick(here.now, here.frame);
      const bool open = here.Of(db).state == State::kDeviating;
      episodes += open && !was_open;
      was_open = open;
    }
    return episodes;
  };
  EXPECT_EQ(alarms_after(1), 0);
  EXPECT_EQ(alarms_after(6), 1);
}

// An idle guest of two minutes' acquaintance that begins to compute: noticed in seconds, and the time until
// the alarm has not taught that it is usual.
TEST_F(EngineTest, AYoungBaselineNoticesARunawayAndLetsItGoWhenItIsOver) {
  auto& db = world.Add(SpecOf("db-1"), 7);
  db.demand = 8;
  db.noise = 0.3;
  world.Run(125);
  ASSERT_TRUE(world.Of(db).score);
  db.demand = 540;
  int noticed = 0;
  for (int i = 1; i <= 60; ++i) {
    world.Second();
    if (!noticed && world.Of(db).state == State::kDeviating) noticed = i;
  }
  EXPECT_GT(noticed, 0);
  EXPECT_LE(noticed, 10);
  EXPECT_EQ(world.Of(db).state, State::kDeviating);
  EXPECT_GE(*world.Of(db).score, 80);
  db.demand = 8;
  int calm = 0;
  for (int i = 1; i <= 120 && !calm; ++i) {
    world.Second();
    if (world.Of(db).state == State::kNormal) calm = i;
  }
  EXPECT_GT(calm, 0);
}

// A guest that has written a lot keeps its page cache, be it much or little: what an alarm leaves behind must
// not keep it open.
class LeftBehind : public EngineTest, public testing::WithParamInterface<double> {};

TEST_P(LeftBehind, ByAnEpisodeDoesNotKeepItOpen) {
  auto& db = world.Add(SpecOf("db-1"), 9);
  double held = 1;
  const auto second = [&] {
    world.now += Seconds{1};
    VmSample sample = db.Second(world.now);
    sample.raw[static_cast<std::size_t>(Feature::kMemoryResident)] *= held;
    world.frame.samples = {sample};
    world.engine.Tick(world.now, world.frame);
  };
  for (int i = 0; i < 130; ++i) second();
  db.demand = 900;
  held = GetParam();
  for (int i = 0; i < 45; ++i) second();
  ASSERT_EQ(world.Of(db).state, State::kDeviating);
  db.demand = 20;
  int normal = 0;
  for (int i = 1; i <= 170 && !normal; ++i) {
    second();
    if (world.Of(db).state == State::kNormal) normal = i;
  }
  RecordProperty("normal_after_seconds", normal);
  EXPECT_GT(normal, 0);
}

INSTANTIATE_TEST_SUITE_P(Memory, LeftBehind, testing::Values(1.02, 1.17, 2.0));

TEST_F(EngineTest, ANeighbourWhoIsMadeToWaitIsNotTheOneWhoDeviates) {
  int neighbours = 0, missed = 0;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    NodeWorld node;
    auto& db = node.Add(SpecOf("db-1"), 10 * seed + 1);
    auto& web = node.Add(SpecOf("web-1"), 10 * seed + 2);
    node.Run(100);
    db.demand = 1000;
    web.crowding = 20;  // waits twenty times as long as it used to
    for (int i = 0; i < 30; ++i) {
      node.Second();
      neighbours += node.Of(web).episode_opened;
    }
    missed += node.Of(db).state != State::kDeviating;
    EXPECT_NE(node.Of(db).top[0].feature, Feature::kCpuThrottled);
  }
  EXPECT_LE(neighbours, 2);
  EXPECT_LE(missed, 3) << "of 30, 30 s after a baseline of 100 s";
}

TEST(StateName, IsWhatUsersRead) {
  EXPECT_EQ(StateName(State::kLearning), "Learning");
  EXPECT_EQ(StateName(State::kNormal), "Normal");
  EXPECT_EQ(StateName(State::kDeviating), "Deviating");
  EXPECT_EQ(StateName(State::kBlind), "Blind");
  EXPECT_EQ(StateName(State::kPaused), "Paused");
}

// Byte for byte: everything that is said about a plan, in order.
std::string Transcript(int seed) {
  NodeWorld world;
  for (int i = 0; i < 6; ++i) world.Add(SpecOf("vm-" + std::to_string(i)), static_cast<std::uint64_t>(seed + i));
  std::string text;
  for (int t = 0; t < 200; ++t) {
    for (std::size_t i = 0; i < world.vms.size(); ++i)
      world.vms[i].demand = (t / 20 + static_cast<int>(i)) % 4 == 0 ? 700 : 30;
    const Plan& plan = world.Second();
    for (const CpuDirective& d : plan.directives) {
      text += std::to_string(Count(d.allocation)) + ' ' + std::to_string(d.shares) + ';';
    }
    for (const Loan& l : plan.loans) text += std::to_string(l.id) + ' ' + std::to_string(Count(l.amount)) + ';';
    for (const Assessment& a : world.engine.assessments()) text += std::to_string(a.p_value.value_or(-1)) + ';';
  }
  return text;
}

TEST_F(EngineTest, TheSameCallsGiveTheSamePlans) {
  EXPECT_EQ(Transcript(1), Transcript(1));
  EXPECT_NE(Transcript(1), Transcript(2));
}

TEST_F(EngineTest, ABaselineSurvivesARestart) {
  auto& db = world.Add(SpecOf("db-1"), 1);
  world.Run(120);
  const std::string blob = world.engine.SaveBaseline(db.handle()).value();

  NodeWorld next;
  auto& again = next.Add(SpecOf("db-1"), 1);
  EXPECT_EQ(next.engine.LoadBaseline(again.handle(), "nonsense").error().code, Code::kCorrupt);
  ASSERT_TRUE(next.engine.LoadBaseline(again.handle(), blob));
  next.Run(3);
  EXPECT_TRUE(next.Of(again).score);
  EXPECT_LT(*next.Of(again).score, 45);
  EXPECT_EQ(next.engine.LoadBaseline(VmHandle{77}, blob).error().code, Code::kNotFound);
}

TEST_F(EngineTest, AResetForgetsAndAnAcceptedBehaviourIsUsualFromThenOn) {
  auto& db = world.Add(SpecOf("db-1"), 1);
  world.Run(120);
  ASSERT_TRUE(world.Of(db).score);
  ASSERT_TRUE(world.engine.ResetBaseline(db.handle()));
  world.Second();
  EXPECT_EQ(world.Of(db).state, State::kLearning);
  EXPECT_FALSE(world.Of(db).score);
  world.Run(120);
  ASSERT_TRUE(world.Of(db).score);

  db.demand = 700;
  for (int i = 0; i < 60 && world.Of(db).state != State::kDeviating; ++i) world.Second();
  ASSERT_EQ(world.Of(db).state, State::kDeviating);
  world.Run(20);
  ASSERT_TRUE(world.engine.AcceptBehaviour(db.handle()));
  for (int i = 0; i < 600; ++i) {
    world.Second();
    ASSERT_EQ(world.Of(db).state, State::kNormal) << i;
  }
  EXPECT_EQ(world.engine.ResetBaseline(VmHandle{77}).error().code, Code::kNotFound);
  EXPECT_EQ(world.engine.AcceptBehaviour(VmHandle{77}).error().code, Code::kNotFound);
}

TEST_F(EngineTest, ATelemetryThatStandsStillIsBlindNotCalm) {
  auto& db = world.Add(SpecOf("db-1"), 1);
  world.Run(120);
  VmSample still = db.sample();
  for (int i = 0; i < 20; ++i) {
    world.now += Seconds{1};
    still.sampled_at = world.now;
    world.frame.samples = {still};
    world.engine.Tick(world.now, world.frame);
  }
  EXPECT_EQ(world.Of(db).state, State::kBlind);
  EXPECT_TRUE(world.Of(db).frozen);
  EXPECT_FALSE(world.Of(db).score);
}

TEST_F(EngineTest, AOneClassMachineIsAskedForTrainedAndHasItsSay) {
  auto& db = world.Add(SpecOf("db-1"), 1);
  std::optional<Training> training;
  for (int i = 0; i < 400 && !training; ++i) {
    world.Second();
    training = world.engine.NextTraining();
  }
  ASSERT_TRUE(training);
  EXPECT_EQ(training->vm, db.handle());
  EXPECT_FALSE(world.engine.NextTraining()) << "asked for once";
  const auto machine = TrainOneClass(training->points());
  ASSERT_TRUE(machine);
  ASSERT_TRUE(world.engine.Adopt(db.handle(), *machine));
  EXPECT_EQ(world.engine.Adopt(VmHandle{77}, *machine).error().code, Code::kNotFound);
  world.Run(60);
  db.demand = 1000;
  world.Run(20);
  EXPECT_GT(world.Of(db).evidence[static_cast<std::size_t>(Detector::kOneClass)], 0);
}

TEST_F(EngineTest, HandlesAreReusedWithNothingOfTheFormerVm) {
  auto& db = world.Add(SpecOf("db-1"), 1);
  auto& web = world.Add(SpecOf("web-1"), 2);
  world.Run(120);
  const VmHandle former = db.handle();
  world.engine.Withdraw(former);
  world.vms.pop_front();
  auto& fresh = world.Add(SpecOf("new-1"), 5);
  EXPECT_EQ(fresh.handle(), former);
  world.Run(3);
  EXPECT_EQ(world.Of(fresh).state, State::kLearning);
  EXPECT_LE(world.Of(fresh).learning.samples, 3u);
  ASSERT_EQ(world.engine.assessments().size(), 2u);
  EXPECT_EQ(world.engine.assessments()[0].vm, former);
  EXPECT_EQ(world.engine.assessments()[1].vm, web.handle());
}

class LedgerOfAnEngine : public testing::Test {
 protected:
  // Lends until the busy one owes something.
  static void Lend(NodeWorld& world) {
    world.Add(SpecOf("busy"), 1).demand = 900;
    world.Add(SpecOf("idle"), 2);
    world.Run(150);
  }
  static LedgerRecord BooksOf(NodeWorld& world) {
    LedgerRecord record;
    for (auto& vm : world.vms) {
      const std::int64_t credits = world.Of(vm).cpu_credits;
      record.balances.push_back({record.balances.empty() ? "busy" : "idle", credits});
    }
    return record;
  }
};

TEST_F(LedgerOfAnEngine, GoesOnInAnotherOne) {
  NodeWorld world(1000);
  Lend(world);
  const LedgerRecord books = BooksOf(world);
  ASSERT_LT(books.balances[0].credits, 0);
  ASSERT_EQ(books.balances[0].credits + books.balances[1].credits, 0);

  NodeWorld next(1000);
  auto& busy = next.Add(SpecOf("busy"), 1);
  next.Add(SpecOf("idle"), 2);
  LedgerRecord taken = books;
  taken.next_loan = 500;
  ASSERT_TRUE(next.engine.RestoreLedger(taken));
  next.Second();
  EXPECT_EQ(next.Of(busy).cpu_credits, books.balances[0].credits);
  busy.demand = 900;
  for (int i = 0; i < 200 && next.Second().loans.empty(); ++i) {
  }
  const Plan& plan = next.Second();
  ASSERT_FALSE(plan.loans.empty());
  EXPECT_GE(plan.loans[0].id, 500u) << "no number is given twice";
}

TEST_F(LedgerOfAnEngine, GivesToTheHouseWhatVmsHadThatAreNotHere) {
  NodeWorld world(1000);
  auto& db = world.Add(SpecOf("db-1"), 1);
  ASSERT_TRUE(world.engine.RestoreLedger({{{"db-1", 300}, {"gone", 500}, {"gone-too", -900}}, 100, 1}));
  world.Second();
  EXPECT_EQ(world.Of(db).cpu_credits, 300);
  // What the house has now is the other side of it, or the next restore would be refused.
  EXPECT_TRUE(world.engine.RestoreLedger({{{"db-1", 300}}, -300, 1}));
}

TEST_F(LedgerOfAnEngine, RefusesBooksThatContradictThemselvesAndKeepsItsOwn) {
  NodeWorld world(1000);
  Lend(world);
  const std::int64_t before = world.Of(world.vms[0]).cpu_credits;
  constexpr std::int64_t kMuch = 1'000'000'000'000'000'000;
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const LedgerRecord wrong[] = {
      {{{"busy", 5}}, 0, 1},
      {{{"busy", 5}, {"busy", -5}}, 0, 1},
      {{{"busy", kMuch}}, -kMuch, 1},
      {{{"gone", 7}}, kMost, 1},
      {{}, 0, 0},
      {{}, 0, ~std::uint64_t{0}},
  };
  for (const LedgerRecord& record : wrong) {
    const auto taken = world.engine.RestoreLedger(record);
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, Code::kCorrupt);
  }
  const Plan& plan = world.Second();
  EXPECT_LE(world.Of(world.vms[0]).cpu_credits, before);
  for (const ClosedLoan& closed : plan.closed) EXPECT_NE(closed.outcome, LoanOutcome::kHandedOver);
}

TEST_F(EngineTest, RefusesAPolicyThatContradictsItselfWithTheFieldsName) {
  const auto error = [&](auto change) {
    VmSpec spec = SpecOf("db-1");
    change(spec.policy.cpu);
    const auto enrolled = world.engine.Enrol(spec);
    return enrolled ? std::string("accepted") : enrolled.error().message;
  };
  EXPECT_EQ(error([](CpuPolicy& p) { p.max_bonus = 4; }).find("VM db-1: resources.cpu.maxBonusPercent must be"), 0u);
  EXPECT_NE(error([](CpuPolicy& p) { p.floor_fraction = std::nan(""); }).find("floorPercent"), std::string::npos);
  EXPECT_NE(error([](CpuPolicy& p) { p.least_loan = p.step + MilliCores{1}; }).find("leastLoan"), std::string::npos);
  EXPECT_NE(error([](CpuPolicy& p) { p.recall_for = Millis{100}; }).find("recallForMillis"), std::string::npos);
  EXPECT_NE(error([](CpuPolicy& p) { p.quantum = Seconds{0}; }).find("quantumSeconds"), std::string::npos);
  EXPECT_EQ(error([](CpuPolicy&) {}), "accepted");
}

}  // namespace
}  // namespace whorl
