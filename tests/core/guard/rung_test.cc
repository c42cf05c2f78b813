#include "core/guard/rung.h"

#include <gtest/gtest.h>

#include <string>

namespace whorl::guard {
namespace {

using remedy::Rung;

RungSituation Fine(Rung rung) {
  RungSituation s;
  s.rung = rung;
  s.enforced = true;
  s.caps.cpu = true;
  s.base = MilliCores{1000};
  s.cap_fraction = 0.5;
  s.request = MilliCores{200};
  s.most = MilliCores{2000};
  s.allocation = MilliCores{1300};
  s.cores = 4;
  s.can_migrate = true;
  s.can_pause = true;
  return s;
}

std::string ReasonFor(Rung rung, void (*change)(RungSituation&)) {
  RungSituation s = Fine(rung);
  change(s);
  return std::string(Rule(s).reason);
}

TEST(RungGuard, AllowsEveryRungThatNothingSpeaksAgainst) {
  for (std::size_t r = remedy::Index(Rung::kBorrow); r < remedy::kRungCount; ++r) {
    EXPECT_TRUE(Rule(Fine(static_cast<Rung>(r))).allowed());
  }
}

TEST(RungGuard, ACapIsAPartOfTheBaseShareAndNeverBelowTheRequest) {
  auto s = Fine(Rung::kCap);
  EXPECT_EQ(Rule(s).amount, 500);
  s.request = MilliCores{700};
  EXPECT_EQ(Rule(s).amount, 700);
}

TEST(RungGuard, AnIsolationTakesWholeCoresForTheAllocationAndLeavesSome) {
  auto s = Fine(Rung::kIsolate);
  EXPECT_EQ(Rule(s).amount, 2);
  s.allocation = MilliCores{0};
  EXPECT_EQ(Rule(s).amount, 1);
  s.cores = 1;
  EXPECT_EQ(Rule(s).reason, "NoCoresToSpare");
}

TEST(RungGuard, EachReasonInTheOrderInWhichItIsTold) {
  for (std::size_t r = remedy::Index(Rung::kBorrow); r < remedy::kRungCount; ++r) {
    const auto rung = static_cast<Rung>(r);
    EXPECT_EQ(ReasonFor(rung, [](RungSituation& s) { s.enforced = false; }), "NotEnforced");
    EXPECT_EQ(ReasonFor(rung, [](RungSituation& s) { s.paused = true; }), "Paused");
    EXPECT_EQ(ReasonFor(rung, [](RungSituation& s) { s.lead = false; }), "LeadInDoubt");
    EXPECT_EQ(ReasonFor(rung, [](RungSituation& s) { s.dedicated_cpus = true; }), "DedicatedCpus");
    EXPECT_EQ(ReasonFor(rung, [](RungSituation& s) { s.blind = true; }), "SampleTooOld");
    EXPECT_EQ(ReasonFor(rung, [](RungSituation& s) { s.guest_only = true; }), "GuestEvidenceOnly");
    EXPECT_EQ(ReasonFor(rung, [](RungSituation& s) { s.victim = true; }), remedy::Harms(rung) ? "OnlyAVictim" : "");
  }
  EXPECT_EQ(ReasonFor(Rung::kCap, [](RungSituation& s) { s.base.reset(); }), "NotPartitioned");
  EXPECT_EQ(ReasonFor(Rung::kCap, [](RungSituation& s) { s.request = MilliCores{2000}; }), "NothingToCap");
  EXPECT_EQ(ReasonFor(Rung::kIsolate, [](RungSituation& s) { s.cores = 0; }), "NoCoresToSpare");
  EXPECT_EQ(ReasonFor(Rung::kMigrate, [](RungSituation& s) { s.can_migrate = false; }), "NotMigratable");
  EXPECT_EQ(ReasonFor(Rung::kPause, [](RungSituation& s) { s.can_pause = false; }), "NotPausable");
}

TEST(RungGuard, ANetworkCapNeedsNoShareOfCpu) {
  auto s = Fine(Rung::kCap);
  s.caps = {false, true, false};
  s.base.reset();
  EXPECT_TRUE(Rule(s).allowed());
  EXPECT_EQ(Rule(s).amount, 0);
}

}  // namespace
}  // namespace whorl::guard
