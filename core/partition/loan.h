#pragma once

#include <cstdint>
#include <string_view>

namespace whorl {

// Why a loan was made. What both sides were expected to need then stands beside it.
enum class LoanReason : std::uint8_t {
  kNeed,       // there was enough for everybody who asked
  kDeviation,  // more was asked than offered: the borrower's bonus put it first
  kCredits,    // more was asked than offered: it was divided by credits
};

// How a loan ended.
enum class LoanOutcome : std::uint8_t {
  kReturned,    // the borrower no longer needs it
  kReclaimed,   // the lender is expected to need it, or may lend less
  kRecalled,    // the agent took it back by the loan's own rule
  kOutranked,   // what is offered goes to other borrowers
  kExpired,     // its term ended and one side may not renew
  kBlind,       // one side is not seen any more
  kUnenforced,  // one side is no longer partitioned: mode, policy or pause
  kLeft,        // one VM left the node
  kSuspended,   // nothing is partitioned: no capacity, or nobody in enforce mode
  kHandedOver,  // another controller leads; it lends anew
};

// CamelCase words for programs and for looking up; sentences for people.
constexpr std::string_view NameOf(LoanReason reason) {
  switch (reason) {
    case LoanReason::kNeed: return "Need";
    case LoanReason::kDeviation: return "Deviation";
    case LoanReason::kCredits: return "Credits";
  }
  return "Unknown";
}
constexpr std::string_view SentenceOf(LoanReason reason) {
  switch (reason) {
    case LoanReason::kNeed:
      return "the borrower is expected to need more than it is entitled to, the lender less; all who asked were served";
    case LoanReason::kDeviation:
      return "more was asked for than lent; the borrower behaves unlike itself and that earned it the first turn";
    case LoanReason::kCredits: return "more was asked for than lent; it was divided by what each has lent before";
  }
  return {};
}
constexpr std::string_view NameOf(LoanOutcome outcome) {
  switch (outcome) {
    case LoanOutcome::kReturned: return "Returned";
    case LoanOutcome::kReclaimed: return "Reclaimed";
    case LoanOutcome::kRecalled: return "Recalled";
    case LoanOutcome::kOutranked: return "Outranked";
    case LoanOutcome::kExpired: return "Expired";
    case LoanOutcome::kBlind: return "Blind";
    case LoanOutcome::kUnenforced: return "Unenforced";
    case LoanOutcome::kLeft: return "Left";
    case LoanOutcome::kSuspended: return "Suspended";
    case LoanOutcome::kHandedOver: return "HandedOver";
  }
  return "Unknown";
}
constexpr std::string_view SentenceOf(LoanOutcome outcome) {
  switch (outcome) {
    case LoanOutcome::kReturned: return "given back: the borrower is no longer expected to need it";
    case LoanOutcome::kReclaimed: return "taken back by plan: the lender is expected to need it, or may lend less";
    case LoanOutcome::kRecalled: return "taken back by the node's agent within a second: the lender used what it had";
    case LoanOutcome::kOutranked: return "ended: what is lent goes to borrowers with a larger claim";
    case LoanOutcome::kExpired: return "ended at its term and was not to be renewed: the policy is paused";
    case LoanOutcome::kBlind: return "ended: one side is not seen any more";
    case LoanOutcome::kUnenforced: return "ended: one side is no longer in enforce mode, or is drained";
    case LoanOutcome::kLeft: return "ended: one side has left the node";
    case LoanOutcome::kSuspended: return "ended: nothing is partitioned on the node";
    case LoanOutcome::kHandedOver: return "ended: another controller leads since and has lent anew";
  }
  return {};
}

}  // namespace whorl
