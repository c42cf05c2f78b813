#include "core/partition/ledger.h"

#include <gtest/gtest.h>

#include <vector>

namespace whorl::partition {
namespace {

class LedgerTest : public testing::Test {
 protected:
  // Equal entitlements of 500, floors of 250.
  void Add(std::string_view id, std::int64_t need) {
    Member m;
    m.id = id;
    m.vm = static_cast<std::uint32_t>(members.size());
    m.lendable_fraction = 0.8;
    m.need = need;
    members.push_back(m);
    shares.emplace_back();
  }
  void Lend(bool may_open = true) {
    for (Share& s : shares) {
      s = Share{};
      s.base = s.plain = s.entitlement = 500;
      s.floor = 250;
      s.ceiling = 2000;
    }
    now += 1000;
    ledger.Lend(members, shares, now, may_open);
    std::int64_t lent = 0, borrowed = 0, loans = 0;
    for (const Share& s : shares) {
      lent += s.lent;
      borrowed += s.borrowed;
      EXPECT_TRUE(s.lent == 0 || s.borrowed == 0);
      EXPECT_GE(s.allocation(), s.floor);
      EXPECT_LE(s.allocation(), s.ceiling);
    }
    for (const OpenLoan& l : ledger.loans()) loans += l.amount;
    EXPECT_EQ(lent, borrowed);
    EXPECT_EQ(loans, lent);
    std::int64_t credits = ledger.house();
    for (std::uint32_t vm = 0; vm < 8; ++vm) credits += ledger.credits(vm);  // also of those that are no members now
    EXPECT_EQ(credits, 0);
  }
  std::vector<Member> members;
  std::vector<Share> shares;
  Ledger ledger;
  std::int64_t now = 1'000'000;
};

TEST_F(LedgerTest, TheIdleLendToTheBusy) {
  Add("a", 1150);
  Add("b", 30);
  Add("c", 30);
  Lend();
  EXPECT_EQ(shares[0].borrowed, 400);  // two times 80 % of what lies above the floor
  EXPECT_EQ(shares[1].lent, 200);
  ASSERT_EQ(ledger.loans().size(), 2u);
  EXPECT_EQ(ledger.loans()[0].borrower, 0u);
  EXPECT_EQ(ledger.loans()[0].expires_ms, now + 10'000);
}

TEST_F(LedgerTest, NothingIsLentThatTheLenderIsPredictedToNeed) {
  Add("a", 1150);
  Add("b", 440);
  Lend();
  EXPECT_EQ(shares[1].lent, 60);
  members[1].need = 480;
  Lend();
  EXPECT_EQ(shares[1].lent, 20);
  members[1].need = 495;
  Lend();
  EXPECT_EQ(shares[1].lent, 0);
  EXPECT_TRUE(ledger.loans().empty());
}

TEST_F(LedgerTest, ALoanKeepsItsIdWhileItIsRenewed) {
  Add("a", 600);
  Add("b", 30);
  Lend();
  const std::uint64_t id = ledger.loans()[0].id;
  const std::int64_t since = ledger.loans()[0].since_ms;
  for (int i = 0; i < 100; ++i) {
    Lend();
    ASSERT_EQ(ledger.loans().size(), 1u);
    EXPECT_GT(ledger.loans()[0].expires_ms, now);
  }
  EXPECT_EQ(ledger.loans()[0].id, id);
  EXPECT_EQ(ledger.loans()[0].since_ms, since);
}

TEST_F(LedgerTest, SmallChangesOfNeedLeaveTheLoanAlone) {
  Add("a", 700);
  Add("b", 30);
  Lend();
  for (const std::int64_t need : {705, 690, 715, 697}) {
    members[0].need = need;
    Lend();
    EXPECT_EQ(ledger.loans()[0].amount, 200);
  }
}

TEST_F(LedgerTest, WithoutRenewalALoanRunsOutAtItsTerm) {
  Add("a", 600);
  Add("b", 30);
  Lend();
  members[0].may_renew = members[0].may_borrow = false;
  for (int i = 0; i < 9; ++i) {
    Lend();
    EXPECT_EQ(shares[0].borrowed, 100);
  }
  Lend();
  EXPECT_EQ(shares[0].borrowed, 0);
}

TEST_F(LedgerTest, PastTheLeadersDeadlineNothingOpensOrGrows) {
  Add("a", 600);
  Add("b", 30);
  Add("c", 700);
  Lend(false);
  EXPECT_TRUE(ledger.loans().empty());
  members[2].need = 100;
  Lend();
  const std::int64_t held = shares[0].borrowed;
  ASSERT_GT(held, 0);
  members[0].need = 1500;
  for (int i = 0; i < 30; ++i) Lend(false);
  EXPECT_EQ(shares[0].borrowed, held) << "renewed, not enlarged";
}

TEST_F(LedgerTest, ARecalledLenderLendsNothingForAQuantum) {
  Add("a", 600);
  Add("b", 30);
  Lend();
  ledger.Recall(ledger.loans()[0].id, now);
  const std::int64_t recalled = now;
  while (now < recalled + 9'000) {
    Lend();
    EXPECT_EQ(shares[1].lent, 0);
  }
  Lend();
  EXPECT_GT(shares[1].lent, 0);
}

TEST_F(LedgerTest, WhoAlwaysBorrowsIsServedAfterWhoDoesNot) {
  Add("a", 1000);
  Add("b", 30);
  Add("c", 500);
  for (int i = 0; i < 60; ++i) Lend();  // a alone borrows and pays
  EXPECT_LT(ledger.credits(0), 0);
  EXPECT_GT(ledger.credits(1), 0);
  members[2].need = 1000;
  Lend();
  EXPECT_GT(shares[2].borrowed, shares[0].borrowed);
}

TEST_F(LedgerTest, AVmThatLeavesTakesItsLoansAlong) {
  Add("a", 600);
  Add("b", 30);
  for (int i = 0; i < 5; ++i) Lend();
  ledger.Leave(1);
  EXPECT_TRUE(ledger.loans().empty());
  members.pop_back();
  shares.pop_back();
  Lend();
  EXPECT_EQ(shares[0].borrowed, 0);
}

TEST_F(LedgerTest, UnknownNeedNeitherLendsNorBorrows) {
  Add("a", 1000);
  Add("b", 30);
  members[1].need.reset();
  Lend();
  EXPECT_TRUE(ledger.loans().empty());
  members[1].need = 30;
  members[0].need.reset();
  Lend();
  EXPECT_TRUE(ledger.loans().empty());
}

TEST_F(LedgerTest, ADamagedSnapshotIsRefusedAndChangesNothing) {
  Add("a", 600);
  Add("b", 30);
  for (int i = 0; i < 5; ++i) Lend();
  const Ledger::Snapshot saved = ledger.Save();
  const std::int64_t credits = ledger.credits(1);
  const auto refused = [&](auto damage) {
    Ledger::Snapshot damaged = saved;
    damage(damaged);
    const auto outcome = ledger.Restore(damaged);
    return !outcome && outcome.error().code == Code::kCorrupt && ledger.credits(1) == credits &&
           ledger.loans().size() == saved.loans.size();
  };
  EXPECT_TRUE(refused([](auto& s) { s.balances[0].credits += 1; }));
  EXPECT_TRUE(refused([](auto& s) { s.balances.push_back(s.balances[0]); }));
  EXPECT_TRUE(refused([](auto& s) { s.balances[0].vm = 4'000'000'000; }));
  EXPECT_TRUE(refused([](auto& s) { s.loans[0].lender = 7; }));
  EXPECT_TRUE(refused([](auto& s) { s.loans[0].amount = 0; }));
  EXPECT_TRUE(refused([](auto& s) { s.loans[0].borrower = s.loans[0].lender; }));
  EXPECT_TRUE(refused([](auto& s) { s.next_id = s.loans[0].id; }));
  EXPECT_TRUE(ledger.Restore(saved).has_value());
}

TEST_F(LedgerTest, ALoanSaysOnWhatForecastAndWhyItWasMade) {
  Add("a", 600);
  Add("b", 30);
  Lend();
  members[0].need = 580;
  Lend();
  ASSERT_EQ(ledger.loans().size(), 1u);
  const OpenLoan& loan = ledger.loans()[0];
  EXPECT_EQ(loan.reason, LoanReason::kNeed);
  EXPECT_EQ(loan.borrower_need, 600) << "as it was opened on, not as it is now";
  EXPECT_EQ(loan.lender_need, 30);
  EXPECT_EQ(loan.moved, 1000 * 100) << "one second of 100 millicores";
}

TEST_F(LedgerTest, WhereMoreIsAskedThanOfferedCreditsAreTheReason) {
  Add("a", 1000);
  Add("b", 30);
  Add("c", 900);
  Lend();
  ASSERT_EQ(ledger.loans().size(), 2u);
  for (const OpenLoan& loan : ledger.loans()) EXPECT_EQ(loan.reason, LoanReason::kCredits);
}

TEST_F(LedgerTest, EveryEndHasItsReason) {
  Add("a", 600);
  Add("b", 30);
  const auto outcome = [&](auto change) {
    members[0].need = 600;
    members[1].need = 30;
    for (Member& m : members) m.may_lend = m.may_borrow = m.may_renew = true;
    while (ledger.loans().empty()) Lend();
    const std::uint64_t id = ledger.loans()[0].id;
    change();
    for (int i = 0; i < 12 && !ledger.loans().empty() && ledger.loans()[0].id == id; ++i) Lend();
    if (ledger.ended().size() != 1u || ledger.ended()[0].loan.id != id) return std::string("none");
    const std::string name(NameOf(ledger.ended()[0].outcome));
    Lend();
    EXPECT_TRUE(ledger.ended().empty()) << "told once";
    return name;
  };
  EXPECT_EQ(outcome([&] { members[0].need = 400; }), "Returned");
  EXPECT_EQ(outcome([&] { members[1].need = 490; }), "Reclaimed");
  EXPECT_EQ(outcome([&] { members[0].may_renew = members[0].may_borrow = false; }), "Expired");
  EXPECT_EQ(outcome([&] { members[1].need.reset(); }), "Blind");
  EXPECT_EQ(outcome([&] {
              ledger.Recall(ledger.loans()[0].id, now);
              Lend();
            }),
            "Recalled");
  EXPECT_EQ(outcome([&] { ledger.CloseAll(now += 1000); }), "Suspended");
}

TEST_F(LedgerTest, WhoeverIsGoneEndsItsLoansInTheTickAfter) {
  Add("a", 600);
  Add("b", 30);
  Lend();
  ledger.Leave(1);
  members.pop_back();
  shares.pop_back();
  Lend();
  ASSERT_EQ(ledger.ended().size(), 1u);
  EXPECT_EQ(ledger.ended()[0].outcome, LoanOutcome::kLeft);
  Add("b", 30);
  Lend();
  members.pop_back();
  shares.pop_back();
  Lend();
  ASSERT_EQ(ledger.ended().size(), 1u);
  EXPECT_EQ(ledger.ended()[0].outcome, LoanOutcome::kUnenforced);
  Add("b", 30);
  Lend();
  ledger.CloseAll(now += 1000);
  ASSERT_EQ(ledger.ended().size(), 1u);
  EXPECT_EQ(ledger.ended()[0].outcome, LoanOutcome::kSuspended);
  EXPECT_EQ(ledger.ended()[0].ended_ms, now);
}

TEST_F(LedgerTest, WhoHasTheLargerClaimTakesOverWhatIsLent) {
  Add("a", 600);
  Add("b", 30);
  for (int i = 0; i < 60; ++i) Lend();  // a pays for a minute
  Add("c", 30);
  Add("d", 30);
  for (int i = 0; i < 60; ++i) Lend();
  members[1].may_lend = members[3].may_lend = false;  // what is left: c lends 200
  Lend();
  members[1].need = 900;
  Lend();
  bool outranked = false;
  for (const EndedLoan& ended : ledger.ended()) outranked |= ended.outcome == LoanOutcome::kOutranked;
  EXPECT_TRUE(outranked);
}

TEST_F(LedgerTest, ARestoredLedgerHandsOverWhatTheSnapshotDoesNotHold) {
  Add("a", 600);
  Add("b", 30);
  Lend();
  Ledger::Snapshot saved = ledger.Save();
  saved.loans.clear();
  ASSERT_TRUE(ledger.Restore(saved));
  Lend();
  ASSERT_EQ(ledger.ended().size(), 1u);
  EXPECT_EQ(ledger.ended()[0].outcome, LoanOutcome::kHandedOver);
  ASSERT_EQ(ledger.loans().size(), 1u);
  EXPECT_GT(ledger.loans()[0].id, ledger.ended()[0].loan.id) << "lent anew";
}

TEST_F(LedgerTest, LoansBelowTheLeastOneAreNotMade) {
  Add("a", 560);
  Add("b", 30);
  Lend();
  EXPECT_EQ(shares[0].borrowed, 60);
  members[1].least_loan = 61;  // one VM's policy is enough
  Lend();
  EXPECT_EQ(shares[0].borrowed, 0);
  EXPECT_TRUE(ledger.loans().empty());
}

TEST_F(LedgerTest, BonusCreditFadesWithDebt) {
  Add("a", 1000);
  Add("b", 30);
  EXPECT_EQ(ledger.BonusCredit(0, 1e6), 1);
  for (int i = 0; i < 6; ++i) Lend();
  EXPECT_LT(ledger.BonusCredit(0, 4e6), 1);
  EXPECT_GT(ledger.BonusCredit(0, 4e6), 0);
  EXPECT_EQ(ledger.BonusCredit(0, 1000), 0);
  EXPECT_EQ(ledger.BonusCredit(1, 1000), 1);
}

}  // namespace
}  // namespace whorl::partition
