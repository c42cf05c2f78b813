#include "core/remedy/ladder.h"

#include <algorithm>
#include <charconv>

namespace whorl::remedy {
namespace {

// A score that leaves its severity for so long still counts as lasting.
constexpr Millis kLull{10'000};

constexpr std::string_view kWhys[] = {
    "the deviation lasts",
    "it was approved",
    "the alarm is over",
    "its time is over",
    "the VM is no longer in mode enforce",
    "the policy is paused (HoldAndDrain)",
    "the policy says never by now",
    "it was undone by somebody else, or could not be done",
    "it was rejected",
    "nobody answered in time",
    "there is no reason for it any more",
};

}  // namespace

std::string_view WhySentence(Why why) { return kWhys[static_cast<std::size_t>(why)]; }

std::string ProposalId(const Proposal& proposal) {
  char digits[16];
  const auto second = static_cast<std::uint64_t>(ToUnixMillis(proposal.since)) / 1000;
  const auto end = std::to_chars(digits, digits + sizeof digits, second, 16).ptr;
  return std::string(RungName(proposal.rung)) + "-" + std::string(digits, end);
}

Rung Ladder::top() const {
  for (std::size_t i = kRungCount; i-- > 0;) {
    if (holds_[i].held) return static_cast<Rung>(i);
  }
  return proposal_ ? Rung::kPropose : Rung::kObserve;
}

Step Ladder::Made(StepKind kind, Rung rung, Why why, const Sight& sight) const {
  Step step;
  step.kind = kind;
  step.rung = rung;
  step.from = step.to = top();
  step.why = why;
  step.nature = sight.nature;
  step.score = sight.score;
  step.threshold = sight.threshold;
  step.at = sight.now;
  step.episode = episode_;
  return step;
}

Step Ladder::Down(Rung rung, Why why, const Sight& sight) {
  Step step = Made(StepKind::kDown, rung, why, sight);
  step.nature = holds_[Index(rung)].nature;
  step.amount = holds_[Index(rung)].amount;
  holds_[Index(rung)] = Hold{};
  step.to = top();
  warranted_since_.reset();
  return step;
}

Step Ladder::EndProposal(Why why, const Sight& sight) {
  Step step = Made(StepKind::kProposalEnded, proposal_->rung, why, sight);
  step.nature = proposal_->nature;
  proposal_.reset();
  approved_ = false;
  step.to = top();
  warranted_since_.reset();
  return step;
}

std::optional<Step> Ladder::Settle(const Sight& sight, const LadderPolicy& policy) {
  if (sight.deviating && sight.episode != episode_) {
    episode_ = sight.episode;
    declined_ = 0;
    rejected_ = false;
    not_before_ = {};
  }
  for (std::size_t i = kRungCount; i-- > 0;) {
    const auto rung = static_cast<Rung>(i);
    if (!holds_[i].held) continue;
    if (sight.drain) return Down(rung, Why::kDrained, sight);
    if (!sight.may_act) return Down(rung, Why::kNotEnforced, sight);
    if (policy.of(rung).approval == Approval::kNever) return Down(rung, Why::kForbidden, sight);
    // A policy that shortened it meanwhile counts at once.
    if (sight.now >= std::min<Time>(holds_[i].until, holds_[i].since + policy.of(rung).ttl))
      return Down(rung, Why::kTtl, sight);
  }
  if (proposal_) {
    const bool sensible = LeastSeverity(sight.nature, proposal_->rung).has_value() || sight.nature == Nature::kNone;
    const Approval approval = policy.of(proposal_->rung).approval;
    const bool asks = approval == Approval::kAsk || (approval == Approval::kAuto && !sight.may_act);
    if (rejected_) return EndProposal(Why::kRejected, sight);
    if (sight.now >= proposal_->until) {
      // A night without an answer is not a reason to ask every hour of it.
      not_before_ = sight.now + policy.proposal;
      return EndProposal(Why::kUnanswered, sight);
    }
    if (sight.drain || !sight.may_propose || !asks) return EndProposal(Why::kMoot, sight);
    if (!sight.blind && (!sight.deviating || !sensible)) return EndProposal(Why::kMoot, sight);
  }
  if (sight.blind) return std::nullopt;
  if (sight.deviating) {
    calm_since_.reset();
    return std::nullopt;
  }
  if (calm_since_ && sight.now - *calm_since_ < policy.calm) return std::nullopt;
  const Rung highest = top();
  if (highest <= Rung::kPropose) return std::nullopt;
  calm_since_ = sight.now;
  return Down(highest, Why::kAlarmOver, sight);
}

std::optional<Rung> Ladder::Above(const Sight& sight, const LadderPolicy& policy) const {
  const Severity severity = SeverityOf(sight.score, sight.threshold);
  if (!sight.deviating || severity == Severity::kCalm || rejected_) return std::nullopt;
  const bool may_ask = policy.of(Rung::kPropose).approval != Approval::kNever;
  for (std::size_t i = Index(Rung::kBorrow); i < kRungCount; ++i) {
    const auto rung = static_cast<Rung>(i);
    if (rung <= top()) continue;
    const Approval approval = policy.of(rung).approval;
    if (approval == Approval::kNever || Declined(rung)) continue;
    if (!may_ask && (approval == Approval::kAsk || !sight.may_act)) continue;
    if (Sensible(sight.nature, rung, severity, sight.guest_only, sight.victim)) return rung;
  }
  return std::nullopt;
}

std::optional<Step> Ladder::Next(const Sight& sight, const LadderPolicy& policy) {
  if (sight.blind || !sight.deviating || !sight.may_propose || sight.drain) {
    warranted_since_.reset();
    return std::nullopt;
  }
  const auto up = [&](Rung rung, Why why) {
    Step step = Made(StepKind::kUp, rung, why, sight);
    step.to = rung;
    step.until = sight.now + policy.of(rung).ttl;
    return step;
  };
  if (proposal_) {
    if (!approved_ || !sight.may_act || sight.hold || sight.now < not_before_) return std::nullopt;
    return up(proposal_->rung, Why::kApproved);
  }
  const auto rung = Above(sight, policy);
  if (!rung) {
    if (sight.now - warranted_last_ > kLull) warranted_since_.reset();
    return std::nullopt;
  }
  if (!warranted_since_ || warranted_ != *rung || sight.now - warranted_last_ > kLull) warranted_since_ = sight.now;
  warranted_ = *rung;
  warranted_last_ = sight.now;
  if (sight.now - *warranted_since_ < policy.climb_after || sight.now < not_before_ || sight.hold) return std::nullopt;
  if (sight.may_act && policy.of(*rung).approval == Approval::kAuto) return up(*rung, Why::kWarranted);
  Step step = Made(StepKind::kProposed, *rung, Why::kWarranted, sight);
  if (step.to < Rung::kPropose) step.to = Rung::kPropose;
  step.until = sight.now + policy.proposal;
  return step;
}

void Ladder::Take(const Step& step) {
  refused_ = {};
  if (step.kind == StepKind::kProposed) {
    proposal_ = Proposal{step.rung, step.nature, step.score, step.at, step.until.value_or(step.at)};
    approved_ = false;
    return;
  }
  if (step.kind != StepKind::kUp) return;
  holds_[Index(step.rung)] = Hold{true, step.at, step.until.value_or(step.at), step.nature, step.score, step.amount};
  proposal_.reset();
  approved_ = false;
  warranted_since_.reset();
  calm_since_.reset();
}

bool Ladder::Refuse(const Step& step, const LadderPolicy& policy, std::string_view reason) {
  not_before_ = step.at + policy.climb_after;
  const bool news = reason != refused_;
  refused_ = reason;
  return news;
}

bool Ladder::Answer(std::string_view id, bool approve, Time now) {
  if (!proposal_ || now >= proposal_->until || id != ProposalId(*proposal_)) return false;
  approved_ = approve;
  rejected_ = !approve;
  return true;
}

std::optional<Step> Ladder::Undone(Rung rung, const Sight& sight) {
  Decline(rung);
  if (!holds_[Index(rung)].held) return std::nullopt;
  return Down(rung, Why::kUndone, sight);
}

void Ladder::Restore(const LadderRecord& record) {
  *this = Ladder{};
  holds_ = record.holds;
  holds_[Index(Rung::kObserve)] = holds_[Index(Rung::kPropose)] = Hold{};
  for (Hold& hold : holds_) {
    const bool named = static_cast<std::size_t>(hold.nature) < kNatureCount;
    if (!hold.held || !named || hold.until <= hold.since) hold = Hold{};
  }
  const auto& asked = record.proposal;
  if (asked && asked->rung > Rung::kPropose && Index(asked->rung) < kRungCount) proposal_ = asked;
}

}  // namespace whorl::remedy
