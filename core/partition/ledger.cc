#include "core/partition/ledger.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <string>
#include <utility>

namespace whorl::partition {
namespace {

// Predictions jitter by a few millicores a second; supply moves in steps of
// this and a want this close to what is borrowed changes nothing.
constexpr std::int64_t kStep = 10;
constexpr std::int64_t kDeadBand = 20;
// A pause of the loop is not lending time.
constexpr std::int64_t kLongestTick = 10'000;
constexpr std::uint32_t kLargestHandle = 1'000'000;

}  // namespace

void Ledger::BeginTick(std::int64_t now_ms) {
  ended_.erase(ended_.begin(), ended_.begin() + static_cast<std::ptrdiff_t>(told_));
  Settle(now_ms);
}

void Ledger::Settle(std::int64_t now_ms) {
  const std::int64_t elapsed = settled_ms_ == 0 ? 0 : std::clamp<std::int64_t>(now_ms - settled_ms_, 0, kLongestTick);
  settled_ms_ = now_ms;
  if (elapsed == 0) return;
  for (OpenLoan& loan : loans_) {
    loan.moved += loan.amount * elapsed;
    accounts_[loan.lender].credits += loan.amount * elapsed;
    accounts_[loan.borrower].credits -= loan.amount * elapsed;
  }
  // A bonus is paid to those whose entitlement it took; both sides round in
  // whole units, what does not match goes through the house.
  for (Account& account : accounts_) {
    account.credits -= account.bonus * elapsed;
    house_ += account.bonus * elapsed;
  }
}

void Ledger::FindPositions(std::span<const Member> members) {
  std::uint32_t most = 0;
  for (const Member& m : members) most = std::max(most, m.vm + 1);
  if (most > accounts_.size()) accounts_.resize(most);
  for (Account& account : accounts_) {
    account.position = -1;
    account.bonus = 0;
  }
  least_ = 1;
  for (std::size_t i = 0; i < members.size(); ++i) {
    least_ = std::max(least_, members[i].least_loan);
    accounts_[members[i].vm].position = static_cast<std::int32_t>(i);
    accounts_[members[i].vm].quantum_ms = members[i].quantum_ms;
  }
}

// At its term, and one side may not renew.
bool Ledger::Lapsed(const OpenLoan& loan, std::span<const Member> members, std::int64_t now_ms) const {
  if (loan.expires_ms > now_ms) return false;
  const auto lender = static_cast<std::size_t>(accounts_[loan.lender].position);
  const auto borrower = static_cast<std::size_t>(accounts_[loan.borrower].position);
  return !members[lender].may_renew || !members[borrower].may_renew;
}

void Ledger::SupplyAndWant(std::span<const Member> members, const std::vector<Share>& shares, std::int64_t now_ms,
                           bool may_open) {
  for (const OpenLoan& loan : loans_) {
    const std::int32_t lender = accounts_[loan.lender].position;
    const std::int32_t borrower = accounts_[loan.borrower].position;
    if (lender < 0 || borrower < 0 || Lapsed(loan, members, now_ms)) continue;
    out_[static_cast<std::size_t>(lender)] += loan.amount;
    held_[static_cast<std::size_t>(borrower)] += loan.amount;
  }
  for (std::size_t i = 0; i < members.size(); ++i) {
    const Member& m = members[i];
    const Share& s = shares[i];
    if (!m.need || !s.refused.empty()) continue;
    if (*m.need < s.entitlement && m.may_lend && now_ms >= accounts_[m.vm].no_lend_until_ms) {
      const std::int64_t spare = s.entitlement - std::max(*m.need, s.floor);
      const auto most = static_cast<std::int64_t>(m.lendable_fraction * static_cast<double>(s.entitlement - s.floor));
      supply_[i] = std::max<std::int64_t>(std::min(spare, most), 0) / kStep * kStep;
      if (!may_open || !m.may_renew) supply_[i] = std::min(supply_[i], out_[i]);
      continue;
    }
    std::int64_t want = std::min({*m.need, s.ceiling, m.raise_to}) - s.entitlement;
    const std::int64_t held = held_[i];
    const std::int64_t band = std::max(kDeadBand, held / 10);
    if (held > 0 && std::abs(want - held) <= band && s.entitlement + held <= s.ceiling) want = held;
    if (!may_open || !m.may_borrow) want = std::min(want, held);
    want_[i] = std::max<std::int64_t>(want, 0);
  }
}

// Larger bonus first; among equals the water-fill over credits:
// want_i served = clip((credits_i - level) / quantum, 0, want_i).
void Ledger::ServeBorrowers(std::span<const Member> members, const std::vector<Share>& shares) {
  std::int64_t supply = 0;
  for (const std::int64_t s : supply_) supply += s;
  std::int64_t wanted = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (want_[i] == 0) continue;
    wanted += want_[i];
    borrowers_.push_back(static_cast<std::uint32_t>(i));
  }
  const auto bonus = [&](std::uint32_t i) { return shares[i].entitlement - shares[i].plain; };
  std::sort(borrowers_.begin(), borrowers_.end(), [&](std::uint32_t a, std::uint32_t b) {
    if (bonus(a) != bonus(b)) return bonus(a) > bonus(b);
    const std::int64_t ca = accounts_[members[a].vm].credits, cb = accounts_[members[b].vm].credits;
    return ca != cb ? ca > cb : a < b;
  });
  if (wanted <= supply) return;

  for (const std::uint32_t i : borrowers_) {
    if (bonus(i) > 0) reason_[i] = LoanReason::kDeviation;
  }
  for (std::size_t begin = 0; begin < borrowers_.size();) {
    std::size_t end = begin;
    std::int64_t group = 0;
    while (end < borrowers_.size() && bonus(borrowers_[end]) == bonus(borrowers_[begin]))
      group += want_[borrowers_[end++]];
    if (group <= supply) {
      supply -= group;
      begin = end;
      continue;
    }
    const auto served = [&](std::uint32_t i, double level) {
      const double quantum = static_cast<double>(std::max<std::int64_t>(members[i].quantum_ms, 1));
      const double rich = (static_cast<double>(accounts_[members[i].vm].credits) - level) / quantum;
      return std::clamp(rich, 0.0, static_cast<double>(want_[i]));
    };
    double low = 0, high = 0;
    for (std::size_t k = begin; k < end; ++k) {
      const Member& m = members[borrowers_[k]];
      const auto c = static_cast<double>(accounts_[m.vm].credits);
      const double full = c - static_cast<double>(want_[borrowers_[k]] * m.quantum_ms);
      low = k == begin ? full : std::min(low, full);
      high = k == begin ? c : std::max(high, c);
    }
    for (int step = 0; step < 60; ++step) {
      const double mid = 0.5 * (low + high);
      double sum = 0;
      for (std::size_t k = begin; k < end; ++k) sum += served(borrowers_[k], mid);
      (sum > static_cast<double>(supply) ? low : high) = mid;
    }
    for (std::size_t k = begin; k < end; ++k) {
      const std::uint32_t i = borrowers_[k];
      want_[i] = static_cast<std::int64_t>(served(i, high) + 1e-6);
      reason_[i] = LoanReason::kCredits;
      supply -= want_[i];
    }
    assert(supply >= -1);
    begin = end;
    supply = std::max<std::int64_t>(supply, 0);
  }
}

// Of a loan between members that is worth less than the least one by now.
LoanOutcome Ledger::WhyEnded(const OpenLoan& loan, std::span<const Member> members) const {
  const auto lender = static_cast<std::size_t>(accounts_[loan.lender].position);
  const auto borrower = static_cast<std::size_t>(accounts_[loan.borrower].position);
  if (!members[lender].need || !members[borrower].need) return LoanOutcome::kBlind;
  if (supply_[lender] - out_[lender] < least_) return LoanOutcome::kReclaimed;
  return asked_[borrower] - held_[borrower] < least_ ? LoanOutcome::kReturned : LoanOutcome::kOutranked;
}

// Open loans first, oldest first: a loan that both sides still agree on keeps
// its id and its amount.
void Ledger::KeepLoans(std::span<const Member> members, std::int64_t now_ms) {
  std::fill(held_.begin(), held_.end(), 0);
  std::fill(out_.begin(), out_.end(), 0);
  std::size_t kept = 0;
  for (OpenLoan loan : loans_) {
    const std::int32_t from = accounts_[loan.lender].position;
    const std::int32_t to = accounts_[loan.borrower].position;
    if (from < 0 || to < 0) {
      End(loan, LoanOutcome::kUnenforced, now_ms);
      continue;
    }
    const auto lender = static_cast<std::size_t>(from), borrower = static_cast<std::size_t>(to);
    if (Lapsed(loan, members, now_ms)) {
      End(loan, LoanOutcome::kExpired, now_ms);
      continue;
    }
    const bool renewable = members[lender].may_renew && members[borrower].may_renew;
    const std::int64_t worth =
        std::min({loan.amount, supply_[lender] - out_[lender], want_[borrower] - held_[borrower]});
    if (worth < least_) {
      End(loan, WhyEnded(loan, members), now_ms);
      continue;
    }
    loan.amount = worth;
    const std::int64_t quantum = members[lender].quantum_ms;
    if (renewable && loan.expires_ms - now_ms <= quantum / 2) loan.expires_ms = now_ms + quantum;
    out_[lender] += loan.amount;
    held_[borrower] += loan.amount;
    loans_[kept++] = loan;
  }
  loans_.resize(kept);
}

void Ledger::OpenLoans(std::span<const Member> members, std::int64_t now_ms) {
  bool unmet = false;
  for (const std::uint32_t i : borrowers_) unmet |= want_[i] - held_[i] >= least_;
  if (!unmet) return;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (supply_[i] - out_[i] >= least_ && members[i].may_renew) lenders_.push_back(static_cast<std::uint32_t>(i));
  }
  std::sort(lenders_.begin(), lenders_.end(), [&](std::uint32_t a, std::uint32_t b) {
    const std::int64_t ca = accounts_[members[a].vm].credits, cb = accounts_[members[b].vm].credits;
    return ca != cb ? ca < cb : a < b;
  });
  // Lenders are used up in order, and each pair meets once: only a loan that was
  // open before this tick can be one to enlarge.
  const auto before = loans_.size();
  std::size_t next = 0;
  for (const std::uint32_t borrower : borrowers_) {
    // Replacing a loan that its lender shrank is opening one, too.
    if (!members[borrower].may_borrow) continue;
    while (want_[borrower] - held_[borrower] >= least_) {
      while (next < lenders_.size() && supply_[lenders_[next]] - out_[lenders_[next]] < least_) ++next;
      if (next == lenders_.size()) return;
      const std::uint32_t lender = lenders_[next];
      const std::int64_t amount = std::min(want_[borrower] - held_[borrower], supply_[lender] - out_[lender]);
      held_[borrower] += amount;
      out_[lender] += amount;
      const std::uint32_t from = members[lender].vm, to = members[borrower].vm;
      const auto end = loans_.begin() + static_cast<std::ptrdiff_t>(before);
      const auto open =
          std::find_if(loans_.begin(), end, [&](const OpenLoan& l) { return l.lender == from && l.borrower == to; });
      if (open != end) {
        open->amount += amount;
      } else {
        OpenLoan loan;
        loan.id = next_id_++;
        loan.lender = from;
        loan.borrower = to;
        loan.amount = amount;
        loan.since_ms = now_ms;
        loan.expires_ms = now_ms + members[lender].quantum_ms;
        loan.reason = reason_[borrower];
        loan.lender_need = *members[lender].need;
        loan.borrower_need = *members[borrower].need;
        loans_.push_back(loan);
      }
    }
  }
}

void Ledger::Lend(std::span<const Member> members, std::vector<Share>& shares, std::int64_t now_ms, bool may_open) {
  assert(shares.size() == members.size());
  BeginTick(now_ms);
  FindPositions(members);
  for (auto* v : {&supply_, &want_, &held_, &out_}) v->assign(members.size(), 0);
  reason_.assign(members.size(), LoanReason::kNeed);
  borrowers_.clear();
  lenders_.clear();

  SupplyAndWant(members, shares, now_ms, may_open);
  asked_.assign(want_.begin(), want_.end());
  ServeBorrowers(members, shares);
  KeepLoans(members, now_ms);
  if (may_open) OpenLoans(members, now_ms);
  for (std::size_t i = 0; i < members.size(); ++i) {
    shares[i].lent = out_[i];
    shares[i].borrowed = held_[i];
    accounts_[members[i].vm].bonus = shares[i].entitlement - shares[i].plain;
  }
  told_ = ended_.size();
}

void Ledger::CloseAll(std::int64_t now_ms) {
  BeginTick(now_ms);
  for (const OpenLoan& loan : loans_) End(loan, LoanOutcome::kSuspended, now_ms);
  loans_.clear();
  told_ = ended_.size();
  for (Account& account : accounts_) account.bonus = 0;
}

void Ledger::Recall(std::uint64_t loan, std::int64_t now_ms) {
  const auto found = std::find_if(loans_.begin(), loans_.end(), [&](const OpenLoan& l) { return l.id == loan; });
  if (found == loans_.end()) return;
  Account& lender = accounts_[found->lender];
  lender.no_lend_until_ms = now_ms + lender.quantum_ms;
  End(*found, LoanOutcome::kRecalled, now_ms);
  loans_.erase(found);
}

void Ledger::Leave(std::uint32_t vm) {
  if (vm >= accounts_.size()) return;
  std::erase_if(loans_, [&](const OpenLoan& l) {
    const bool party = l.lender == vm || l.borrower == vm;
    if (party) End(l, LoanOutcome::kLeft, settled_ms_);
    return party;
  });
  house_ += accounts_[vm].credits;
  accounts_[vm] = Account{};
}

Ledger::Snapshot Ledger::Save() const {
  Snapshot saved;
  for (std::uint32_t vm = 0; vm < accounts_.size(); ++vm) {
    const Account& a = accounts_[vm];
    saved.balances.push_back({vm, a.credits, a.no_lend_until_ms, a.quantum_ms, a.bonus});
  }
  saved.loans = loans_;
  saved.house = house_;
  saved.settled_ms = settled_ms_;
  saved.next_id = next_id_;
  return saved;
}

Status Ledger::Restore(const Snapshot& saved) {
  std::vector<Account> accounts;
  std::vector<bool> known;
  // Damaged numbers may be of any size: their sum must not overflow.
  std::uint64_t sum = static_cast<std::uint64_t>(saved.house);
  for (const Balance& b : saved.balances) {
    const auto name = "ledger: VM handle " + std::to_string(b.vm);
    if (b.vm > kLargestHandle) return Fail(Code::kCorrupt, name + " is beyond the largest");
    if (b.vm >= accounts.size()) {
      accounts.resize(b.vm + 1);
      known.resize(b.vm + 1);
    }
    if (known[b.vm]) return Fail(Code::kCorrupt, name + " has two balances");
    known[b.vm] = true;
    accounts[b.vm].credits = b.credits;
    accounts[b.vm].no_lend_until_ms = b.no_lend_until_ms;
    accounts[b.vm].quantum_ms = b.quantum_ms;
    accounts[b.vm].bonus = b.bonus;
    sum += static_cast<std::uint64_t>(b.credits);
  }
  if (sum != 0) return Fail(Code::kCorrupt, "ledger: credits do not sum to zero");
  std::uint64_t last = 0;
  for (const OpenLoan& loan : saved.loans) {
    const bool parties =
        loan.lender < known.size() && loan.borrower < known.size() && known[loan.lender] && known[loan.borrower];
    if (!parties || loan.lender == loan.borrower || loan.amount <= 0 || loan.id <= last || loan.id >= saved.next_id)
      return Fail(Code::kCorrupt, "ledger: loan " + std::to_string(loan.id) + " makes no sense");
    last = loan.id;
  }
  for (const OpenLoan& loan : loans_) {
    const bool goes_on =
        std::any_of(saved.loans.begin(), saved.loans.end(), [&](const OpenLoan& l) { return l.id == loan.id; });
    if (!goes_on) End(loan, LoanOutcome::kHandedOver, settled_ms_);
  }
  accounts_ = std::move(accounts);
  loans_ = saved.loans;
  house_ = saved.house;
  settled_ms_ = saved.settled_ms;
  next_id_ = saved.next_id;
  return {};
}

double Ledger::BonusCredit(std::uint32_t vm, double line) const {
  if (line <= 0) return 0;
  return std::clamp(1.0 + static_cast<double>(credits(vm)) / line, 0.0, 1.0);
}

}  // namespace whorl::partition
