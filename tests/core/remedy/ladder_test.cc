#include "core/remedy/ladder.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/base/split_mix.h"

namespace whorl::remedy {
namespace {

const Time kStart = FromUnixMillis(1'700'000'000'000);

LadderPolicy All(Approval approval) {
  LadderPolicy policy;
  for (std::size_t i = Index(Rung::kBorrow); i < kRungCount; ++i) policy.rungs[i].approval = approval;
  return policy;
}

// One VM and its ladder; a second at a time, as the engine goes about it.
struct World {
  explicit World(LadderPolicy p = All(Approval::kAuto)) : policy(p) {
    sight.now = kStart;
    sight.episode = 1;
    sight.threshold = 50;
  }

  World& Deviates(Nature nature, std::uint8_t score = 100) {
    sight.deviating = true;
    sight.nature = nature;
    sight.score = score;
    return *this;
  }
  World& IsCalm() {
    sight.deviating = false;
    sight.score = 3;
    sight.nature = Nature::kNone;
    return *this;
  }
  World& For(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      sight.now += Seconds{1};
      bool settled = false;
      while (const auto step = ladder.Settle(sight, policy)) {
        steps.push_back(*step);
        settled = true;
      }
      if (settled) continue;
      if (const auto step = ladder.Next(sight, policy)) {
        ladder.Take(*step);
        steps.push_back(*step);
      }
    }
    return *this;
  }
  std::vector<Rung> Ups() const {
    std::vector<Rung> out;
    for (const Step& s : steps) {
      if (s.kind == StepKind::kUp) out.push_back(s.rung);
    }
    return out;
  }
  int Count(StepKind kind) const {
    int n = 0;
    for (const Step& s : steps) n += s.kind == kind;
    return n;
  }

  LadderPolicy policy;
  Sight sight;
  Ladder ladder;
  std::vector<Step> steps;
};

TEST(Ladder, ClimbsOneSensibleRungAtATimeEachAfterLasting) {
  World w;
  w.Deviates(Nature::kMinerLike).For(60);
  EXPECT_TRUE(w.steps.empty());
  w.For(1);
  ASSERT_EQ(w.Ups(), std::vector{Rung::kCap});
  w.For(60);
  EXPECT_EQ(w.Ups(), std::vector{Rung::kCap});
  w.For(1);
  EXPECT_EQ(w.Ups(), (std::vector{Rung::kCap, Rung::kIsolate}));
  w.For(122);
  EXPECT_EQ(w.Ups(), (std::vector{Rung::kCap, Rung::kIsolate, Rung::kQuarantine, Rung::kPause}));
  EXPECT_EQ(w.steps.back().from, Rung::kQuarantine);
  EXPECT_EQ(w.ladder.top(), Rung::kPause);
}

TEST(Ladder, AShortAlarmMovesNothing) {
  World w;
  w.Deviates(Nature::kRunaway).For(40).IsCalm().For(5).Deviates(Nature::kRunaway);
  w.sight.episode = 2;
  w.For(40).IsCalm().For(100);
  EXPECT_TRUE(w.steps.empty());
}

TEST(Ladder, AScoreThatDipsForAMomentStillLasts) {
  World w;
  w.Deviates(Nature::kRunaway).For(30).Deviates(Nature::kRunaway, 20).For(8).Deviates(Nature::kRunaway).For(23);
  EXPECT_EQ(w.Ups(), std::vector{Rung::kCap});
  World longer;
  longer.Deviates(Nature::kRunaway).For(30).Deviates(Nature::kRunaway, 20).For(12).Deviates(Nature::kRunaway).For(23);
  EXPECT_TRUE(longer.steps.empty());
}

TEST(Ladder, SeverityBoundsHowFarItGoes) {
  World mild;
  mild.Deviates(Nature::kMinerLike, 55).For(600);
  EXPECT_EQ(mild.Ups(), std::vector{Rung::kCap});
  World strong;
  strong.Deviates(Nature::kMinerLike, 80).For(600);
  EXPECT_EQ(strong.Ups(), (std::vector{Rung::kCap, Rung::kIsolate}));
}

// Every nature, severity and approval: what may be held at all after an hour.
TEST(Ladder, EveryNatureSeverityAndApproval) {
  for (std::size_t n = 0; n < kNatureCount; ++n) {
    for (const std::uint8_t score : {20, 55, 80, 100}) {
      for (const Approval approval : {Approval::kNever, Approval::kAsk, Approval::kAuto}) {
        World w(All(approval));
        const auto nature = static_cast<Nature>(n);
        w.Deviates(nature, score).For(700);
        const auto severity = SeverityOf(score, 50);
        std::vector<Rung> sensible;
        for (std::size_t r = Index(Rung::kBorrow); r < kRungCount; ++r) {
          if (Sensible(nature, static_cast<Rung>(r), severity, false, false)) sensible.push_back(static_cast<Rung>(r));
        }
        const std::string where = std::string(NatureName(nature)) + " " + std::to_string(score) + " " +
                                  std::to_string(static_cast<int>(approval));
        if (approval == Approval::kAuto) {
          // A rung below whose time is over does not come back while a higher one stands.
          std::vector<Rung> first;
          for (const Rung r : w.Ups()) {
            if (first.empty() || r > first.back()) first.push_back(r);
          }
          EXPECT_EQ(first, sensible) << where;
          EXPECT_FALSE(w.ladder.proposal()) << where;
        } else {
          EXPECT_TRUE(w.Ups().empty()) << where;
          EXPECT_EQ(w.ladder.proposal().has_value(), approval == Approval::kAsk && !sensible.empty()) << where;
          if (w.ladder.proposal()) {
            EXPECT_EQ(w.ladder.proposal()->rung, sensible.front()) << where;
          }
          EXPECT_FALSE(w.ladder.any()) << where;
        }
      }
    }
  }
}

TEST(Ladder, ARungThatIsNeverAllowedIsSteppedOver) {
  World w;
  w.policy.rungs[Index(Rung::kCap)].approval = Approval::kNever;
  w.Deviates(Nature::kMinerLike).For(61);
  EXPECT_EQ(w.Ups(), std::vector{Rung::kIsolate});
}

TEST(Ladder, EveryRungIsTakenBackWhenItsTimeIsOverThoughTheAlarmLasts) {
  for (std::size_t r = Index(Rung::kBorrow); r < kRungCount; ++r) {
    World w(All(Approval::kNever));
    const auto rung = static_cast<Rung>(r);
    w.policy.rungs[r] = {Approval::kAuto, Seconds{120}};
    for (std::size_t n = 0; n < kNatureCount; ++n) {
      if (LeastSeverity(static_cast<Nature>(n), rung)) w.Deviates(static_cast<Nature>(n));
    }
    w.For(61);
    ASSERT_TRUE(w.ladder.hold(rung).held) << RungName(rung);
    w.For(119);
    EXPECT_TRUE(w.ladder.hold(rung).held);
    w.For(1);
    EXPECT_FALSE(w.ladder.hold(rung).held);
    EXPECT_EQ(w.steps.back().kind, StepKind::kDown);
    EXPECT_EQ(w.steps.back().why, Why::kTtl);
    EXPECT_EQ(w.steps.back().to, Rung::kObserve);
  }
}

TEST(Ladder, AfterTheAlarmTheRungsGoOneByOneFromTheTop) {
  World w;
  w.Deviates(Nature::kMinerLike).For(183);
  ASSERT_EQ(w.ladder.top(), Rung::kQuarantine);
  w.steps.clear();
  w.IsCalm().For(1);
  ASSERT_EQ(w.steps.size(), 1u);
  EXPECT_EQ(w.steps[0].rung, Rung::kQuarantine);
  EXPECT_EQ(w.steps[0].why, Why::kAlarmOver);
  w.For(29);
  EXPECT_EQ(w.steps.size(), 1u);
  w.For(1);
  EXPECT_EQ(w.steps.size(), 2u);
  w.For(30);
  EXPECT_EQ(w.steps.size(), 3u);
  EXPECT_EQ(w.steps.back().rung, Rung::kCap);
  EXPECT_FALSE(w.ladder.any());
}

TEST(Ladder, DrainingAndLeavingEnforceGiveEverythingBackAtOnce) {
  for (const bool drain : {true, false}) {
    World w;
    w.Deviates(Nature::kMinerLike).For(183);
    w.steps.clear();
    if (drain) {
      w.sight.drain = true;
    } else {
      w.sight.may_act = w.sight.may_propose = false;
    }
    w.For(1);
    EXPECT_FALSE(w.ladder.any());
    EXPECT_EQ(w.Count(StepKind::kDown), 3);
    for (const Step& s : w.steps) EXPECT_EQ(s.why, drain ? Why::kDrained : Why::kNotEnforced);
  }
}

TEST(Ladder, WhatThePolicyForbidsMeanwhileGoesBack) {
  World w;
  w.Deviates(Nature::kRunaway).For(61);
  w.policy.rungs[Index(Rung::kCap)].approval = Approval::kNever;
  w.For(1);
  EXPECT_FALSE(w.ladder.hold(Rung::kCap).held);
  EXPECT_EQ(w.steps.back().why, Why::kForbidden);
}

TEST(Ladder, AskingWaitsForExactlyThisProposal) {
  World w(All(Approval::kAsk));
  w.Deviates(Nature::kRunaway).For(200);
  ASSERT_TRUE(w.ladder.proposal());
  EXPECT_EQ(w.Count(StepKind::kProposed), 1);
  EXPECT_EQ(w.ladder.top(), Rung::kPropose);
  const auto id = ProposalId(*w.ladder.proposal());
  EXPECT_FALSE(w.ladder.Answer("cap", true, w.sight.now));
  EXPECT_FALSE(w.ladder.Answer(id + "0", true, w.sight.now));
  EXPECT_TRUE(w.ladder.Answer(id, true, w.sight.now));
  w.For(1);
  EXPECT_EQ(w.Ups(), std::vector{Rung::kCap});
  EXPECT_EQ(w.steps.back().why, Why::kApproved);
  EXPECT_FALSE(w.ladder.proposal());
  EXPECT_FALSE(w.ladder.Answer(id, true, w.sight.now));
  // The next rung asks again, under another id.
  w.For(100);
  ASSERT_TRUE(w.ladder.proposal());
  EXPECT_EQ(w.ladder.proposal()->rung, Rung::kIsolate);
  EXPECT_NE(ProposalId(*w.ladder.proposal()), id);
}

TEST(Ladder, ARejectionEndsAskingUntilTheNextAlarm) {
  World w(All(Approval::kAsk));
  w.Deviates(Nature::kRunaway).For(100);
  ASSERT_TRUE(w.ladder.Answer(ProposalId(*w.ladder.proposal()), false, w.sight.now));
  w.For(20'000);
  EXPECT_EQ(w.Count(StepKind::kProposed), 1);
  EXPECT_EQ(w.steps.back().why, Why::kRejected);
  w.IsCalm().For(20).Deviates(Nature::kRunaway);
  w.sight.episode = 2;
  w.For(100);
  EXPECT_EQ(w.Count(StepKind::kProposed), 2);
}

TEST(Ladder, AProposalNobodyAnswersExpiresAndIsMadeAgainLater) {
  World w(All(Approval::kAsk));
  w.policy.proposal = Seconds{300};
  w.Deviates(Nature::kRunaway).For(361);
  EXPECT_EQ(w.steps.back().why, Why::kUnanswered);
  EXPECT_FALSE(w.ladder.proposal());
  w.For(299);
  EXPECT_FALSE(w.ladder.proposal());
  w.For(2);
  EXPECT_TRUE(w.ladder.proposal());
}

TEST(Ladder, AProposalIsMootWhenTheAlarmIsOverOrTheNatureAnother) {
  for (const bool calm : {true, false}) {
    World w(All(Approval::kAsk));
    w.Deviates(Nature::kMinerLike).For(100);
    const auto id = ProposalId(*w.ladder.proposal());
    calm ? w.IsCalm() : w.Deviates(Nature::kStall);
    w.For(1);
    EXPECT_EQ(w.steps.back().why, Why::kMoot);
    EXPECT_FALSE(w.ladder.Answer(id, true, w.sight.now));
  }
}

TEST(Ladder, AnApprovalWaitsWhileTheVmIsBlindOrTheLeadInDoubt) {
  World w(All(Approval::kAsk));
  w.Deviates(Nature::kRunaway).For(100);
  ASSERT_TRUE(w.ladder.Answer(ProposalId(*w.ladder.proposal()), true, w.sight.now));
  w.sight.blind = true;
  w.For(20);
  EXPECT_TRUE(w.Ups().empty());
  w.sight.blind = false;
  w.sight.hold = true;
  w.For(20);
  EXPECT_TRUE(w.Ups().empty());
  w.sight.hold = false;
  w.For(1);
  EXPECT_EQ(w.Ups(), std::vector{Rung::kCap});
}

TEST(Ladder, InModeRecommendItOnlyProposesAlsoWhatNeedsNoAnswer) {
  World w;
  w.sight.may_act = false;
  w.Deviates(Nature::kRunaway).For(500);
  EXPECT_TRUE(w.Ups().empty());
  ASSERT_TRUE(w.ladder.proposal());
  EXPECT_EQ(w.ladder.proposal()->rung, Rung::kCap);
  // Enforced meanwhile: what needs no answer is no longer asked.
  w.sight.may_act = true;
  w.For(1);
  EXPECT_FALSE(w.ladder.proposal());
  w.For(61);
  EXPECT_EQ(w.Ups(), std::vector{Rung::kCap});
}

TEST(Ladder, WithoutProposingNothingIsAsked) {
  World w(All(Approval::kAsk));
  w.policy.rungs[Index(Rung::kPropose)].approval = Approval::kNever;
  w.Deviates(Nature::kRunaway).For(500);
  EXPECT_TRUE(w.steps.empty());
}

TEST(Ladder, BlindNothingIsTakenAndTimesRunOut) {
  World w;
  w.Deviates(Nature::kRunaway).For(61);
  w.sight.blind = true;
  w.For(899);
  EXPECT_EQ(w.ladder.top(), Rung::kCap);
  EXPECT_EQ(w.steps.size(), 1u);
  w.For(1);
  EXPECT_FALSE(w.ladder.any());
}

TEST(Ladder, ARefusedStepIsNotTriedEverySecond) {
  World w;
  w.Deviates(Nature::kRunaway);
  int tried = 0, news = 0;
  for (int i = 0; i < 200; ++i) {
    w.sight.now += Seconds{1};
    if (const auto step = w.ladder.Next(w.sight, w.policy)) {
      ++tried;
      news += w.ladder.Refuse(*step, w.policy, "DedicatedCpus");
    }
  }
  EXPECT_EQ(tried, 3);
  EXPECT_EQ(news, 1);
}

TEST(Ladder, WhatSomebodyElseUndidIsNotDoneAgainInThisAlarm) {
  World w(All(Approval::kNever));
  w.policy.rungs[Index(Rung::kPause)] = {Approval::kAuto, Seconds{300}};
  w.Deviates(Nature::kRunaway).For(61);
  ASSERT_TRUE(w.ladder.hold(Rung::kPause).held);
  const auto step = w.ladder.Undone(Rung::kPause, w.sight);
  ASSERT_TRUE(step);
  EXPECT_EQ(step->why, Why::kUndone);
  w.steps.clear();
  w.For(600);
  EXPECT_TRUE(w.steps.empty());
}

TEST(Ladder, ARestartForgetsNeitherAPauseNorAProposal) {
  World w;
  w.Deviates(Nature::kRunaway).For(61 * 5);
  ASSERT_EQ(w.ladder.top(), Rung::kPause);
  World after;
  after.sight = w.sight;
  after.IsCalm();
  after.sight.blind = true;
  after.ladder.Restore(w.ladder.Save());
  EXPECT_EQ(after.ladder.hold(Rung::kPause).until, w.ladder.hold(Rung::kPause).until);
  after.For(300);
  EXPECT_FALSE(after.ladder.hold(Rung::kPause).held);

  World asking(All(Approval::kAsk));
  asking.Deviates(Nature::kRunaway).For(100);
  World next(All(Approval::kAsk));
  next.ladder.Restore(asking.ladder.Save());
  EXPECT_EQ(next.ladder.proposal(), asking.ladder.proposal());
}

TEST(Ladder, ADamagedRecordHoldsNothingForEver) {
  LadderRecord record;
  record.holds[Index(Rung::kPause)] = {true, kStart, kStart + Seconds{100'000'000}, Nature::kRunaway, 99, 0};
  record.holds[Index(Rung::kCap)] = {true, kStart, kStart - Seconds{1}, Nature::kRunaway, 99, 0};
  record.holds[Index(Rung::kPropose)] = {true, kStart, kStart + Seconds{10}, Nature::kRunaway, 99, 0};
  World w;
  w.ladder.Restore(record);
  EXPECT_FALSE(w.ladder.hold(Rung::kCap).held);
  EXPECT_FALSE(w.ladder.hold(Rung::kPropose).held);
  w.sight.blind = true;
  w.For(301);
  EXPECT_FALSE(w.ladder.any());
}

// Whatever happens: a hold never outlasts its TTL, never two rungs are taken in
// one tick, and when all is calm and the times are over nothing is held.
TEST(Ladder, AfterAnyHistoryNothingStaysWhenAlarmsAndTimesAreOver) {
  std::uint64_t random = 20261124;
  const auto pick = [&](std::size_t n) { return static_cast<int>(SplitMix(random) % n); };
  for (int round = 0; round < 300; ++round) {
    World w;
    for (std::size_t i = Index(Rung::kBorrow); i < kRungCount; ++i) {
      w.policy.rungs[i] = {static_cast<Approval>(pick(3)), Seconds{10 + pick(600)}};
    }
    w.policy.climb_after = Seconds{pick(30)};
    w.policy.calm = Seconds{pick(60)};
    w.policy.proposal = Seconds{60 + pick(300)};
    for (int phase = 0; phase < 20; ++phase) {
      w.sight.deviating = pick(3) != 0;
      w.sight.episode += w.sight.deviating ? static_cast<std::uint64_t>(pick(2)) : 0;
      w.sight.nature = static_cast<Nature>(pick(kNatureCount));
      w.sight.score = static_cast<std::uint8_t>(pick(101));
      w.sight.guest_only = pick(6) == 0;
      w.sight.victim = pick(4) == 0;
      w.sight.blind = pick(5) == 0;
      w.sight.hold = pick(8) == 0;
      w.sight.drain = pick(20) == 0;
      w.sight.may_act = pick(10) != 0;
      if (w.ladder.proposal() && pick(2) == 0) {
        w.ladder.Answer(ProposalId(*w.ladder.proposal()), pick(4) != 0, w.sight.now);
      }
      if (pick(10) == 0) {
        const LadderRecord record = w.ladder.Save();
        w.ladder.Restore(record);
      }
      const auto seconds = pick(120);
      for (int s = 0; s < seconds; ++s) {
        const auto before = w.steps.size();
        w.For(1);
        int ups = 0;
        for (auto i = before; i < w.steps.size(); ++i) ups += w.steps[i].kind == StepKind::kUp;
        ASSERT_LE(ups, 1);
        for (std::size_t r = 0; r < kRungCount; ++r) {
          const Hold& hold = w.ladder.hold(static_cast<Rung>(r));
          if (hold.held) {
            ASSERT_LE(w.sight.now - hold.since, w.policy.rungs[r].ttl);
          }
        }
      }
    }
    w.IsCalm();
    w.sight.blind = w.sight.hold = w.sight.drain = false;
    w.sight.may_act = true;
    w.For(700);
    for (std::size_t r = 0; r < kRungCount; ++r) ASSERT_FALSE(w.ladder.hold(static_cast<Rung>(r)).held);
    ASSERT_FALSE(w.ladder.proposal());
    ASSERT_EQ(w.ladder.top(), Rung::kObserve);
    int up = 0, down = 0;
    for (const Step& s : w.steps) {
      up += s.kind == StepKind::kUp;
      down += s.kind == StepKind::kDown;
    }
    ASSERT_EQ(up, down);  // every step up has its reverse
  }
}

}  // namespace
}  // namespace whorl::remedy
