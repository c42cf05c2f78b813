#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/result.h"
#include "core/partition/entitlement.h"
#include "core/partition/loan.h"

namespace whorl::partition {

// One open loan between two members. Times are milliseconds of the tick clock.
struct OpenLoan {
  std::uint64_t id = 0;
  std::uint32_t lender = 0;
  std::uint32_t borrower = 0;
  std::int64_t amount = 0;
  std::int64_t since_ms = 0;
  std::int64_t expires_ms = 0;
  LoanReason reason = LoanReason::kNeed;
  // The forecast it was opened on: what each side was expected to need.
  std::int64_t lender_need = 0;
  std::int64_t borrower_need = 0;
  std::int64_t moved = 0;  // amount x milliseconds so far, as the credits count it
};

struct EndedLoan {
  OpenLoan loan;  // as it last stood
  std::int64_t ended_ms = 0;
  LoanOutcome outcome = LoanOutcome::kReturned;
};

// Who lends what to whom, and what each has earned by it. Credits are amount x
// time (millicore-milliseconds) and sum to zero with the house account, which
// keeps the balance of members that left. Borrowers with the most credits are
// served first, lenders with the fewest lend first, so that who always claims
// more than it needs pays for it (Karma, OSDI 2023). Not thread-safe: it belongs
// to the engine. No allocation once it has seen its members.
class Ledger {
 public:
  // Fills lent and borrowed of `shares` for members in the same order (sorted by
  // id). `may_open` false: open loans may be renewed or shrink, none grows.
  void Lend(std::span<const Member> members, std::vector<Share>& shares, std::int64_t now_ms, bool may_open);

  // The agent took this loan back: its lender lends nothing for a quantum.
  void Recall(std::uint64_t loan, std::int64_t now_ms);
  // The VM left: its loans close as of the last tick, its balance goes to the house.
  void Leave(std::uint32_t vm);
  // No partition in this tick: all loans close.
  void CloseAll(std::int64_t now_ms);

  // What part of a full bonus the member's credits still pay for: 1 at a balance
  // of zero or more, falling to 0 at minus `line`.
  double BonusCredit(std::uint32_t vm, double line) const;
  std::int64_t credits(std::uint32_t vm) const { return vm < accounts_.size() ? accounts_[vm].credits : 0; }
  std::int64_t house() const { return house_; }
  std::span<const OpenLoan> loans() const { return loans_; }
  // What ended since the tick before, in the order in which it did; valid until
  // the next Lend or CloseAll. A party that left may have given its number away.
  std::span<const EndedLoan> ended() const { return ended_; }

  // What must outlive the process: balances, open loans and the next id. A
  // restored ledger goes on as if it had never stopped; the time between counts
  // at most as a pause of the loop does.
  struct Balance {
    std::uint32_t vm = 0;
    std::int64_t credits = 0;
    std::int64_t no_lend_until_ms = 0;
    std::int64_t quantum_ms = 10'000;
    std::int64_t bonus = 0;
  };
  struct Snapshot {
    std::vector<Balance> balances;
    std::vector<OpenLoan> loans;
    std::int64_t house = 0;
    std::int64_t settled_ms = 0;
    std::uint64_t next_id = 1;
  };
  Snapshot Save() const;
  // Replaces everything; open loans that are not in the snapshot end as handed
  // over. Refused (kCorrupt), nothing changed: credits that do not
  // sum to zero, a VM twice or beyond the largest handle, a loan without amount,
  // to itself, of a VM without a balance, or with an id out of order.
  Status Restore(const Snapshot& saved);

 private:
  struct Account {
    std::int64_t credits = 0;
    std::int64_t no_lend_until_ms = 0;
    std::int64_t quantum_ms = 10'000;
    std::int32_t position = -1;  // among this tick's members
    std::int64_t bonus = 0;      // entitlement above plain, charged until the next tick
  };
  void BeginTick(std::int64_t now_ms);
  void Settle(std::int64_t now_ms);
  void End(const OpenLoan& loan, LoanOutcome outcome, std::int64_t now_ms) {
    ended_.push_back({loan, now_ms, outcome});
  }
  LoanOutcome WhyEnded(const OpenLoan& loan, std::span<const Member> members) const;
  void FindPositions(std::span<const Member> members);
  bool Lapsed(const OpenLoan& loan, std::span<const Member> members, std::int64_t now_ms) const;
  void SupplyAndWant(std::span<const Member> members, const std::vector<Share>& shares, std::int64_t now_ms,
                     bool may_open);
  void ServeBorrowers(std::span<const Member> members, const std::vector<Share>& shares);
  void KeepLoans(std::span<const Member> members, std::int64_t now_ms);
  void OpenLoans(std::span<const Member> members, std::int64_t now_ms);

  std::vector<Account> accounts_;  // by vm
  std::vector<OpenLoan> loans_;    // by id, ascending
  std::vector<EndedLoan> ended_;
  std::size_t told_ = 0;  // of ended_, how many a tick has shown already
  std::int64_t house_ = 0;
  std::int64_t settled_ms_ = 0;
  std::uint64_t next_id_ = 1;
  std::vector<std::int64_t> supply_, want_, held_, out_;  // by position; held = borrowed so far, out = lent so far
  std::vector<std::int64_t> asked_;                       // want before it was cut to what is offered
  std::vector<LoanReason> reason_;                        // by position of the borrower
  std::vector<std::uint32_t> borrowers_, lenders_;
  std::int64_t least_ = 0;  // loan: the largest any member asks for
};

}  // namespace whorl::partition
