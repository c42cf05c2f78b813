#include "core/engine/remedies.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/replay/recording.h"
#include "tests/core/engine/node_world.h"

namespace whorl {
namespace {

using remedy::Approval;
using remedy::Rung;
using test::NodeWorld;

void Set(Policy& policy, Approval approval) {
  for (std::size_t i = remedy::Index(Rung::kBorrow); i < remedy::kRungCount; ++i)
    policy.remediation.rungs[i].approval = approval;
}

VmSpec SpecOf(std::string id, Approval approval = Approval::kAuto, PartitionKind kind = PartitionKind::kSoft) {
  VmSpec spec = test::SpecOf(std::move(id));
  spec.policy.cpu.partition = kind;
  Set(spec.policy, approval);
  spec.node_cores = 4;
  spec.can_migrate = spec.can_pause = true;
  return spec;
}

const Restraint* Of(const Plan& plan, VmHandle vm) {
  const auto at = std::find_if(plan.restraints.begin(), plan.restraints.end(),
                               [&](const Restraint& restraint) { return restraint.vm == vm; });
  return at == plan.restraints.end() ? nullptr : &*at;
}

const CpuDirective& DirectiveOf(const Plan& plan, VmHandle vm) {
  return *std::find_if(plan.directives.begin(), plan.directives.end(),
                       [&](const CpuDirective& d) { return d.vm == vm; });
}

// Three quiet guests that have learnt; the first begins to compute without a
// pause and says a word over the network now and then.
struct MinersWorld : NodeWorld {
  explicit MinersWorld(const VmSpec& spec) : miner(Add(spec, 1)) {
    Add(SpecOf("web-1"), 2);
    Add(SpecOf("batch-1"), 3);
    Run(150);
    miner.demand = 1000;
  }
  // Until the step, at most so long; the plan it came in.
  const Plan* Until(remedy::StepKind kind, Rung rung, int seconds = 400) {
    for (int i = 0; i < seconds; ++i) {
      const Plan& plan = Second();
      EXPECT_LE(test::SumOfAllocations(plan), Count(plan.capacity));
      for (const RemedyStep& told : plan.remedies) {
        if (told.step.kind == kind && told.step.rung == rung) return &plan;
      }
    }
    return nullptr;
  }
  test::SimulatedVm& miner;
};

TEST(Remedies, AMinerIsCappedByQuotaThoughItsPartitionIsSoft) {
  MinersWorld world(SpecOf("db-1"));
  const Plan* plan = world.Until(remedy::StepKind::kUp, Rung::kCap);
  ASSERT_TRUE(plan);
  const Restraint* held = Of(*plan, world.miner.handle());
  ASSERT_TRUE(held);
  EXPECT_EQ(held->cpu_cap, MilliCores{250});  // half of its base share of 500
  const CpuDirective& directive = DirectiveOf(*plan, world.miner.handle());
  EXPECT_EQ(directive.quota, MilliCores{250});
  EXPECT_EQ(directive.allocation, MilliCores{250});
  for (const CpuDirective& other : plan->directives) {
    if (other.vm != world.miner.handle()) {
      EXPECT_FALSE(other.quota);
      EXPECT_GT(Count(other.allocation), 500);  // what it may not have is theirs
    }
  }
  EXPECT_EQ(plan->restraints.size(), 1u);
}

TEST(Remedies, ACapIsNeverBelowTheRequest) {
  VmSpec spec = SpecOf("db-1");
  spec.cpu_request = MilliCores{400};
  spec.policy.remediation.cap_fraction = 0.05;
  MinersWorld world(spec);
  const Plan* plan = world.Until(remedy::StepKind::kUp, Rung::kCap);
  ASSERT_TRUE(plan);
  EXPECT_EQ(DirectiveOf(*plan, world.miner.handle()).quota, MilliCores{400});
}

TEST(Remedies, ItClimbsToThePauseAndEverythingComesBack) {
  MinersWorld world(SpecOf("db-1"));
  for (const Rung rung : {Rung::kCap, Rung::kIsolate, Rung::kQuarantine, Rung::kPause}) {
    ASSERT_TRUE(world.Until(remedy::StepKind::kUp, rung)) << remedy::RungName(rung);
  }
  const Restraint* held = Of(world.Second(), world.miner.handle());
  ASSERT_TRUE(held);
  EXPECT_TRUE(held->pause);
  EXPECT_TRUE(held->quarantine);
  EXPECT_EQ(held->cores, 1u);
  world.miner.demand = 20;
  ASSERT_TRUE(world.Until(remedy::StepKind::kDown, Rung::kPause, 301));
  for (int i = 0; i < 1800; ++i) world.Second();
  EXPECT_TRUE(world.Second().restraints.empty());
  EXPECT_FALSE(DirectiveOf(world.Second(), world.miner.handle()).quota);
}

TEST(Remedies, AskingNeedsTheIdOfTheProposal) {
  MinersWorld world(SpecOf("db-1", Approval::kAsk));
  ASSERT_TRUE(world.Until(remedy::StepKind::kProposed, Rung::kCap));
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(world.Second().restraints.empty());
  const remedy::Ladder* ladder = world.engine.LadderOf(world.miner.handle());
  const auto id = remedy::ProposalId(ladder->proposal().value());
  const auto wrong = world.engine.AnswerRemedy(world.miner.handle(), "cap", true);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::kRefused);
  EXPECT_TRUE(world.engine.AnswerRemedy(world.miner.handle(), id, true));
  const Plan& plan = world.Second();
  ASSERT_EQ(plan.remedies.size(), 1u);
  EXPECT_EQ(plan.remedies[0].step.why, remedy::Why::kApproved);
  EXPECT_TRUE(Of(plan, world.miner.handle()));
}

TEST(Remedies, ByDefaultNothingThatHarmsIsDoneUnasked) {
  VmSpec spec = SpecOf("db-1");
  spec.policy.remediation = remedy::LadderPolicy{};
  MinersWorld world(spec);
  for (int i = 0; i < 1200; ++i) EXPECT_EQ(Of(world.Second(), world.miner.handle()), nullptr);
  EXPECT_TRUE(world.engine.LadderOf(world.miner.handle())->proposal());
}

TEST(Remedies, NothingIsProposedInModeObserveNorDoneInModeRecommend) {
  VmSpec spec = SpecOf("db-1");
  spec.mode = Mode::kObserve;
  MinersWorld world(spec);
  for (int i = 0; i < 300; ++i) EXPECT_TRUE(world.Second().remedies.empty());
  VmSpec more = spec;
  more.mode = Mode::kRecommend;
  ASSERT_TRUE(world.engine.Update(world.miner.handle(), more));
  ASSERT_TRUE(world.Until(remedy::StepKind::kProposed, Rung::kCap));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(world.Second().restraints.empty());
}

TEST(Remedies, LeavingEnforceAndDrainingGiveEverythingBackInTheNextPlan) {
  for (const bool drain : {true, false}) {
    VmSpec spec = SpecOf("db-1");
    MinersWorld world(spec);
    ASSERT_TRUE(world.Until(remedy::StepKind::kUp, Rung::kIsolate));
    if (drain) {
      spec.policy.pause = Pause::kHoldAndDrain;
    } else {
      spec.mode = Mode::kObserve;
    }
    ASSERT_TRUE(world.engine.Update(world.miner.handle(), spec));
    const Plan& plan = world.Second();
    EXPECT_TRUE(plan.restraints.empty());
    EXPECT_EQ(plan.remedies.size(), 2u);
  }
}

TEST(Remedies, AVmWithDedicatedCpusIsRefusedWithTheReasonOnce) {
  VmSpec spec = SpecOf("db-1");
  spec.dedicated_cpus = true;
  MinersWorld world(spec);
  const Plan* plan = world.Until(remedy::StepKind::kRefused, Rung::kCap);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->remedies[0].step.refusal, "DedicatedCpus");
  int more = 0;
  for (int i = 0; i < 300; ++i) more += static_cast<int>(world.Second().remedies.size());
  EXPECT_EQ(more, 0);
}

TEST(Remedies, ANewEngineGoesOnWithWhatWasHeld) {
  MinersWorld world(SpecOf("db-1"));
  ASSERT_TRUE(world.Until(remedy::StepKind::kUp, Rung::kPause));
  const auto record = world.engine.LadderOf(world.miner.handle())->Save();
  NodeWorld next;
  next.now = world.now;
  auto& vm = next.Add(SpecOf("db-1"), 1);
  ASSERT_TRUE(next.engine.RestoreRemedy(vm.handle(), record));
  const Restraint* held = Of(next.Second(), vm.handle());
  ASSERT_TRUE(held);
  EXPECT_TRUE(held->pause);
  next.Run(301);
  held = Of(next.Second(), vm.handle());
  EXPECT_TRUE(held == nullptr || !held->pause);
}

TEST(Remedies, WhatSomebodyElseUndidIsToldAndGoes) {
  MinersWorld world(SpecOf("db-1"));
  ASSERT_TRUE(world.Until(remedy::StepKind::kUp, Rung::kPause));
  ASSERT_TRUE(world.engine.UndoneRemedy(world.miner.handle(), Rung::kPause));
  const Plan& plan = world.Second();
  ASSERT_EQ(plan.remedies.size(), 1u);
  EXPECT_EQ(plan.remedies[0].step.why, remedy::Why::kUndone);
  EXPECT_FALSE(Of(plan, world.miner.handle())->pause);
}

TEST(Remedies, ARaisedWeightTakesFromNobodysRequestAndLeavesTheSum) {
  NodeWorld world(1000);
  VmSpec spec = SpecOf("db-1");
  spec.vcpus = 2;
  auto& db = world.Add(spec, 1);
  VmSpec other = SpecOf("web-1");
  other.cpu_request = MilliCores{480};
  auto& web = world.Add(other, 2);
  db.packets = web.packets = 200;
  web.demand = 900;
  world.Run(150);
  db.demand = 900;
  std::uint32_t plain = 0, raised = 0;
  for (int i = 0; i < 400 && raised == 0; ++i) {
    const Plan& plan = world.Second();
    const CpuDirective& mine = DirectiveOf(plan, db.handle());
    const CpuDirective& theirs = DirectiveOf(plan, web.handle());
    EXPECT_EQ(mine.shares + theirs.shares, 204u);
    const Restraint* held = Of(plan, db.handle());
    if (held == nullptr || !held->raised) {
      plain = mine.shares;
      continue;
    }
    raised = mine.shares;
    // Worth its request, to the rounding of a weight.
    EXPECT_GE(1000 * static_cast<std::int64_t>(theirs.shares) + 1000, 480 * 204);
  }
  EXPECT_GT(raised, plain);
}

TEST(Remedies, AVictimIsToldByWhatGrew) {
  Assessment a;
  a.nature = Nature::kCpuPressure;
  a.top_count = 2;
  a.top[0].feature = Feature::kVcpuDelay;
  a.top[0].sigmas = 40;
  a.top[1].feature = Feature::kCpuUsage;
  a.top[1].sigmas = -6;
  EXPECT_TRUE(OnlyAVictim(a));
  a.top[1].sigmas = 6;
  EXPECT_FALSE(OnlyAVictim(a));
  a.top_count = 1;
  a.nature = Nature::kRunaway;
  EXPECT_FALSE(OnlyAVictim(a));
  a.nature = Nature::kStall;
  EXPECT_TRUE(OnlyAVictim(a));
}

TEST(Remedies, ARecordingLivesThroughAnswersAndWhatWasHeld) {
  std::string bytes;
  Recorder recorder([&](std::string_view record) { bytes += record; });
  RecordedEngine engine;
  engine.RecordTo(&recorder);
  engine.SetCpuCapacity(MilliCores{1500});
  const VmHandle vm = engine.Enrol(SpecOf("db-1", Approval::kAsk)).value();
  test::SimulatedVm guest(vm, 1);
  Frame frame;
  Time now = test::kStart;
  std::size_t steps = 0;
  for (int i = 0; i < 500; ++i) {
    now += Seconds{1};
    guest.demand = i < 150 ? 20 : 1000;
    frame.sequence++;
    frame.samples.assign(1, guest.Second(now));
    steps += engine.Tick(now, frame, Authority::kFull).remedies.size();
    const auto& asked = engine.engine().LadderOf(vm)->proposal();
    if (asked && i % 2 == 0) {
      ASSERT_TRUE(engine.AnswerRemedy(vm, remedy::ProposalId(*asked), true));
    }
    if (i == 400) {
      ASSERT_TRUE(engine.UndoneRemedy(vm, Rung::kCap));
    }
    if (i == 450) {
      const auto record = engine.engine().LadderOf(vm)->Save();
      ASSERT_TRUE(engine.RestoreRemedy(vm, record));
    }
  }
  EXPECT_GT(steps, 3u);
  const auto replayed = Replay(bytes);
  ASSERT_TRUE(replayed) << replayed.error().message;
  EXPECT_EQ(replayed->ticks, 500u);
  EXPECT_EQ(replayed->different, 0u);
}

TEST(Remedies, APolicyThatContradictsItselfIsRefusedByItsField) {
  VmSpec spec = SpecOf("db-1");
  Engine engine;
  const auto refusal = [&](auto change) {
    VmSpec bad = SpecOf("db-1", Approval::kNever);
    change(bad.policy.remediation);
    const auto enrolled = engine.Enrol(bad);
    return enrolled ? std::string() : enrolled.error().message;
  };
  const auto says = [](const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; };
  EXPECT_TRUE(says(refusal([](auto& p) { p.rungs[1].approval = Approval::kAsk; }), "remediation.propose.mode"));
  EXPECT_TRUE(says(refusal([](auto& p) {
                     p.rungs[1].approval = Approval::kNever;
                     p.rungs[4].approval = Approval::kAsk;
                   }),
                   "remediation.cap.mode"));
  EXPECT_TRUE(says(refusal([](auto& p) { p.rungs[8].ttl = Seconds{0}; }), "remediation.pause.ttlSeconds"));
  EXPECT_TRUE(says(refusal([](auto& p) { p.cap_fraction = 0; }), "remediation.cap.cpuPercent"));
  EXPECT_TRUE(says(refusal([](auto& p) { p.network_kilobits = 0; }), "cap.networkKilobitsPerSecond"));
}

}  // namespace
}  // namespace whorl
