#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/time.h"
#include "core/remedy/course.h"

namespace whorl::remedy {

// kAsk: only after a person approved exactly this proposal.
enum class Approval : std::uint8_t { kNever, kAsk, kAuto };

struct RungPolicy {
  Approval approval = Approval::kNever;
  Seconds ttl{900};  // it is taken back after so long; of kMigrate: no other one before
};

// The remediation section of a PartitionPolicy, validated.
struct LadderPolicy {
  // By Rung; the first is always on, the second never asks.
  std::array<RungPolicy, kRungCount> rungs{{{Approval::kAuto, Seconds{86'400}},
                                            {Approval::kAuto, Seconds{86'400}},
                                            {Approval::kAuto, Seconds{1800}},
                                            {Approval::kAuto, Seconds{1800}},
                                            {Approval::kAsk, Seconds{900}},
                                            {Approval::kAsk, Seconds{900}},
                                            {Approval::kAsk, Seconds{600}},
                                            {Approval::kAsk, Seconds{21'600}},
                                            {Approval::kNever, Seconds{300}}}};
  Seconds climb_after{60};  // a rung must have been warranted for so long, each by itself
  Seconds calm{30};         // after the alarm: between two rungs on the way down
  Seconds proposal{3600};   // how long one waits for an answer; then as long until the next
  // How much: of the base share, never below requests; kbit/s of each direction
  // and KiB/s of reading and of writing; of a VM's own weight.
  double cap_fraction = 0.5;
  std::int64_t network_kilobits = 10'000;
  std::int64_t disk_kibibytes = 10'240;
  double raise_weight = 1.5;

  const RungPolicy& of(Rung rung) const { return rungs[Index(rung)]; }
};

// What the ladder is shown of a VM in a tick.
struct Sight {
  Time now{};
  bool deviating = false;  // an alarm is open
  std::uint64_t episode = 0;
  Nature nature = Nature::kNone;
  std::uint8_t score = 0;
  std::uint8_t threshold = 50;
  bool guest_only = false;
  bool victim = false;      // it waits for others; nothing of its own has grown
  bool blind = false;       // or paused by us: nothing new is known
  bool may_act = true;      // in mode enforce
  bool may_propose = true;  // in mode recommend or enforce
  bool hold = false;        // nothing new: the policy is paused, or the controller's lead is in doubt
  bool drain = false;       // everything back at once
};

enum class Why : std::uint8_t {
  kWarranted,    // up: the deviation has lasted
  kApproved,     // up: a person said so
  kAlarmOver,    // down: the VM behaves like itself again
  kTtl,          // down: its time is over
  kNotEnforced,  // down: mode or opt-out
  kDrained,      // down: the policy is paused with HoldAndDrain
  kForbidden,    // down: the policy says never by now
  kUndone,       // down: somebody else undid it, or it could not be done
  kRejected,     // proposal: a person said no
  kUnanswered,   // proposal: its time is over
  kMoot,         // proposal: the alarm is over, or it is no longer what is wanted
};
// "the alarm is over"
std::string_view WhySentence(Why why);

enum class StepKind : std::uint8_t { kUp, kDown, kProposed, kProposalEnded, kRefused };

// One step, told as it happens; everything a sentence about it needs.
struct Step {
  StepKind kind = StepKind::kUp;
  Rung rung = Rung::kObserve;  // taken, given back, or proposed
  Rung from = Rung::kObserve;  // the highest held before and after
  Rung to = Rung::kObserve;
  Why why = Why::kWarranted;
  Nature nature = Nature::kNone;
  std::uint8_t score = 0;
  std::uint8_t threshold = 0;
  Time at{};
  std::optional<Time> until;  // of the rung or the proposal
  std::uint64_t episode = 0;
  std::int64_t amount = 0;   // as Hold::amount, filled in by who judges it
  std::string_view refusal;  // kRefused: the guard's reason and words
  std::string_view refusal_message;
};

struct Hold {
  bool held = false;
  Time since{};
  Time until{};
  Nature nature = Nature::kNone;  // for which it was taken
  std::uint8_t score = 0;
  std::int64_t amount = 0;  // kCap: millicores, where CPU is capped; kIsolate: cores
};

// One thing asked of a person. Its id names no other proposal of the VM, ever.
struct Proposal {
  Rung rung = Rung::kObserve;
  Nature nature = Nature::kNone;
  std::uint8_t score = 0;
  Time since{};
  Time until{};
  bool operator==(const Proposal&) const = default;
};
// "cap-6745c1f0": the rung and the second it was proposed in.
std::string ProposalId(const Proposal& proposal);

// What must survive the process: the holds with their ends, and what is asked.
struct LadderRecord {
  std::array<Hold, kRungCount> holds{};
  std::optional<Proposal> proposal;
};

// The remediation of one VM: which rungs are held, until when, and what is asked.
// kObserve and kPropose are never held: the first is the ground, the second is
// where a VM stands while something is asked. Per tick Settle, which gives back, and Next, which says what to take;
// Take or Refuse follow when somebody with more in view has judged it. Never two rungs in one tick. Plain data; not
// thread-safe. No allocation.
class Ladder {
 public:
  // What ended: one rung or the proposal, the highest first; called until there
  // is nothing more. After an alarm the rungs go one by one, `calm` apart.
  std::optional<Step> Settle(const Sight& sight, const LadderPolicy& policy);
  // The step that is due: up, or a proposal. Changes only how long what is warranted.
  std::optional<Step> Next(const Sight& sight, const LadderPolicy& policy);
  // Carries out what Next gave.
  void Take(const Step& step);
  // Judged impossible: not looked at again for climb_after. Tells whether the
  // reason is new.
  bool Refuse(const Step& step, const LadderPolicy& policy, std::string_view reason);

  // A person's word on exactly the open proposal. False: there is none of that
  // id, or it has run out; nothing changed. An approval is carried out by Next,
  // a rejection ends asking until the alarm is over.
  bool Answer(std::string_view id, bool approve, Time now);
  // What was taken was undone by somebody else, or could not be done: it ends
  // and is not tried again in this episode.
  std::optional<Step> Undone(Rung rung, const Sight& sight);

  const Hold& hold(Rung rung) const { return holds_[Index(rung)]; }
  Rung top() const;  // the highest held, else kPropose while something is asked, else kObserve
  bool any() const { return top() > Rung::kPropose; }
  const std::optional<Proposal>& proposal() const { return proposal_; }
  bool approved() const { return approved_; }
  // What comes after the top, were it warranted as it is now; nullopt: nothing.
  std::optional<Rung> Above(const Sight& sight, const LadderPolicy& policy) const;

  LadderRecord Save() const { return {holds_, proposal_}; }
  void Restore(const LadderRecord& record);

 private:
  Step Down(Rung rung, Why why, const Sight& sight);
  Step EndProposal(Why why, const Sight& sight);
  Step Made(StepKind kind, Rung rung, Why why, const Sight& sight) const;
  bool Declined(Rung rung) const { return (declined_ & (1u << Index(rung))) != 0; }
  void Decline(Rung rung) { declined_ = static_cast<std::uint16_t>(declined_ | (1u << Index(rung))); }

  std::array<Hold, kRungCount> holds_{};
  std::optional<Proposal> proposal_;
  bool approved_ = false;
  bool rejected_ = false;
  std::uint64_t episode_ = 0;
  std::uint16_t declined_ = 0;  // rungs not to be asked for or tried again in this episode
  // The rung above and since when it is warranted without a longer pause.
  Rung warranted_ = Rung::kObserve;
  std::optional<Time> warranted_since_;
  Time warranted_last_{};
  std::optional<Time> calm_since_;  // of the way down
  Time not_before_{};               // nothing is asked, or tried again, earlier
  std::string_view refused_;        // the reason told last
};

}  // namespace whorl::remedy
