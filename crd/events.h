#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace whorl::crd {

// Every Event Whorl writes, on the VirtualMachine or the NodePartition, with its uid.
enum class EventReason : std::uint8_t {
  kBaselineReady,
  kBehaviorDeviating,
  kBehaviorNormal,
  kLimitRaised,
  kLimitLowered,
  kLimitRestored,
  kInvalidMode,
  kInvalidPolicy,
  kModeCapped,
  kAgentBlind,
  kPlanRefused,
  kForeignWriter,
  kBaselineDiscarded,
  kNatureChanged,
  kBaselineBootstrapped,
  kUsualLevelMoved,
  kRegimeChanged,
  kBaselineReset,
  kBaselineAccepted,
  kInvalidBaselineRequest,
  kLedgerSetAside,
  kFloorsDoNotFit,
  kRemedyProposed,
  kRemedyTaken,
  kRemedyGivenBack,
  kRemedyProposalEnded,
  kRemedyRefused,
  kInvalidApproval,
  kResizeRecommended,
  kResizeStarted,
  kResizeDone,
  kResizeReverted,
  kResizeFailed,
  kResizeRefused,
  kInvalidResizeRequest,
};
inline constexpr std::size_t kEventReasonCount = 35;

struct EventInfo {
  EventReason reason;
  std::string_view name;    // as users see it
  bool warning;             // type Warning: unexpected in a healthy cluster
  std::string_view action;  // of events.k8s.io; {action, name} is unique
  std::string_view when;
  std::string_view what_to_do;
};

// One row per reason, index = enum value. docs/reference/events.md is made from it.
inline constexpr std::array<EventInfo, kEventReasonCount> kEvents{{
    {EventReason::kBaselineReady, "BaselineReady", false, "Learn",
     "Enough has been learnt about the VM; from now on it has a score.",
     "Nothing. `kubectl describe bfp NAME` shows the threshold that follows from the policy's false-alarm budget."},
    {EventReason::kBehaviorDeviating, "BehaviorDeviating", false, "Score",
     "The score reached the threshold: an alarm opened. The message names the features that deviate most, now and "
     "usually.",
     "Find out whether the change was wanted (a release, a backup, a new user). If it lasts and is wanted, Whorl "
     "learns it "
     "slowly by itself. If not, look into the VM."},
    {EventReason::kBehaviorNormal, "BehaviorNormal", false, "Score",
     "The alarm closed: the VM behaves like itself again. The message says how long it lasted and how high the score "
     "went.",
     "Nothing."},
    {EventReason::kLimitRaised, "LimitRaised", false, "Partition",
     "In enforce mode, the VM's limit was raised above what it had, on CPU its neighbours do not need. The message "
     "says from, "
     "to and until when.",
     "Nothing. To stop it, set whorl.dev/mode to observe on the VM."},
    {EventReason::kLimitLowered, "LimitLowered", false, "Partition",
     "In enforce mode, the VM's limit was lowered, because it lends what it does not need or because a Hard partition "
     "gives it its "
     "entitlement. Never below its requests or the policy's floor; what is lent comes back within a second of being "
     "needed.",
     "Nothing. To stop lending, set lendablePercent to 0 in the policy, or whorl.dev/mode to observe on the VM."},
    {EventReason::kLimitRestored, "LimitRestored", false, "Partition",
     "A limit that Whorl held was given back: the VM has the value again that was found before. The message says why "
     "(calm, "
     "recalled, lease ended, opted out, paused).",
     "Nothing."},
    {EventReason::kInvalidMode, "InvalidMode", true, "Enrol",
     "whorl.dev/mode on the VM or its Namespace is not one of the allowed words. It is treated as off.",
     "Set it to off, observe, recommend or enforce, in lower case, or remove it."},
    {EventReason::kInvalidPolicy, "InvalidPolicy", true, "Enrol",
     "whorl.dev/policy is not the name of a PartitionPolicy, or that policy does not exist or cannot be read. A name "
     "outside "
     "the grammar counts as off; without a readable policy the VM is observed at most.",
     "`kubectl get ppol` lists the policies. Correct the annotation, or create the policy."},
    {EventReason::kModeCapped, "ModeCapped", false, "Enrol",
     "The VM gets less than its owner asked for, because the policy's maxMode, a pause or its Namespace says so.",
     "Ask the administrator of the policy, or lower whorl.dev/mode to what is allowed."},
    {EventReason::kAgentBlind, "AgentBlind", true, "Sense",
     "No fresh samples of the VM for 5 seconds. It has no score, lends and borrows nothing, and its limits return to "
     "what was "
     "found when the lease ends.",
     "Look at the conditions of `kubectl describe npart NODE` and at the agent's log on that node."},
    {EventReason::kPlanRefused, "PlanRefused", true, "Partition",
     "The node's agent would not do what was planned for this VM; the message has its reason. What was in force stays.",
     "Look the reason up in the second table of docs/reference/events.md."},
    {EventReason::kForeignWriter, "ForeignWriter", true, "Partition",
     "Somebody else changed a limit that Whorl held. Whorl leaves that limit alone from now on and keeps nothing to "
     "restore for it.",
     "Find out who writes it (the message names the file, what was expected and what was found). Opt the VM out and in "
     "again "
     "to let Whorl take it back."},
    {EventReason::kBaselineDiscarded, "BaselineDiscarded", true, "Learn",
     "The saved baseline of the VM could not be used: it was damaged or changed on the node, is of another version, or "
     "the secret whorl-checkpoint-key is another one. It lies aside on the node, and this VM learns anew; others are "
     "not touched.",
     "Nothing after an upgrade or a new key. Else find out who writes to the checkpoint folder of that node; the "
     "message names node and file."},
    {EventReason::kNatureChanged, "NatureChanged", false, "Score",
     "An alarm is open and what the VM does looks like something else than before: time has shown more, or the VM "
     "does something else now.",
     "docs/reference/natures.md says what each looks like and where to look first."},
    {EventReason::kBaselineBootstrapped, "BaselineBootstrapped", false, "Learn",
     "Usual levels and the hours of the week were taken from the history in Prometheus, so learning is shorter. The "
     "message says how much of it there was. Where there was none, the condition Learned says why.",
     "Nothing. See docs/how-to/bootstrap-from-prometheus.md."},
    {EventReason::kUsualLevelMoved, "UsualLevelMoved", true, "Learn",
     "Over days, a usual level of the VM has moved by more than a fifth, so slowly that no sample was unusual: growth, "
     "a "
     "slow leak, or somebody who gets Whorl used to something.",
     "Find out whether the VM was meant to grow. Accepting the behaviour takes today for usual."},
    {EventReason::kRegimeChanged, "RegimeChanged", false, "Learn",
     "What an alarm was about has lasted for hours and become steady, or the VM has returned to where it was before. "
     "From now on that is its usual way; the other one is kept.",
     "Nothing if the change was wanted. Else look into the VM: the alarm that came before it says what changed."},
    {EventReason::kBaselineReset, "BaselineReset", false, "Learn",
     "Somebody asked for it by whorl.dev/baseline: what was usual for the VM is forgotten, an open alarm is closed.",
     "Nothing. It has no score until it is learnt anew; `kubectl describe bfp NAME` shows how far that is."},
    {EventReason::kBaselineAccepted, "BaselineAccepted", false, "Learn",
     "Somebody asked for it by whorl.dev/baseline: an open alarm is closed, and for some minutes the VM is learnt from "
     "at full speed whatever its score.",
     "Nothing. If the alarm opens again, the behaviour has changed once more."},
    {EventReason::kInvalidBaselineRequest, "InvalidBaselineRequest", true, "Learn",
     "whorl.dev/baseline on the VM is not one of the allowed words, or could not be done. Nothing is changed.",
     "Set it to reset or accept, in lower case, or remove it; `kubectl whorl reset|accept vm/NAME` writes it right."},
    {EventReason::kLedgerSetAside, "LedgerSetAside", true, "Lend",
     "On a NodePartition. A controller that took over a node found credits in its status that contradict themselves: "
     "somebody edited them, or two controllers wrote. Every VM of that node starts at zero credits; limits, floors and "
     "loans are not touched.",
     "Nothing to repair. Find out who writes to it: `kubectl get npart NODE -o yaml --show-managed-fields`; its status "
     "belongs to whorl-controller alone."},
    {EventReason::kFloorsDoNotFit, "FloorsDoNotFit", true, "Partition",
     "On a NodePartition. The floors of the VMs in enforce mode need more than may be partitioned on the node. The "
     "message names the VMs whose floor was lowered, by how much; the lowest priority class gives way first, requests "
     "last. The condition FloorsFit is False while it lasts.",
     "Move a VM away, lower floorPercent or reserve in its PartitionPolicy, or raise capacity. A VM with a higher "
     "priorityClassName gives way later."},
    {EventReason::kRemedyProposed, "RemedyProposed", false, "Remedy",
     "The deviation has lasted, and the policy says to ask before the next rung of the remediation ladder is taken. "
     "The "
     "message says what would be done, why, until when an answer counts, and how to give it.",
     "Look into the VM, then `kubectl whorl approve vm/NAME` or `kubectl whorl reject vm/NAME`. Without an answer "
     "nothing "
     "is done."},
    {EventReason::kRemedyTaken, "RemedyTaken", true, "Remedy",
     "A rung of the remediation ladder was taken, because the policy says Auto or somebody approved it. The message "
     "says "
     "what was done, for which nature, and until when.",
     "Look into the VM. It ends by itself; to end it now, set whorl.dev/mode to observe on the VM, or the rung's mode "
     "to "
     "Never in the policy."},
    {EventReason::kRemedyGivenBack, "RemedyGivenBack", false, "Remedy",
     "A rung of the remediation ladder was given back: the alarm or its time is over, the VM left mode enforce, the "
     "policy "
     "is paused with HoldAndDrain or says Never, or somebody else undid it.",
     "Nothing. If the alarm lasts, the ladder may ask for it again."},
    {EventReason::kRemedyProposalEnded, "RemedyProposalEnded", false, "Remedy",
     "A proposal is no longer open: it was rejected, nobody answered in time, or there is no reason for it any more.",
     "Nothing. After a rejection nothing is asked until the next alarm."},
    {EventReason::kRemedyRefused, "RemedyRefused", true, "Remedy",
     "A rung would have been taken, by policy or by approval, but something speaks against it; the message has the "
     "reason: "
     "DedicatedCpus, GuestEvidenceOnly, OnlyAVictim, NotPartitioned, NothingToCap, NoCoresToSpare, NotMigratable, "
     "NotPausable, SampleTooOld, Paused, LeadInDoubt, or what the API server said.",
     "Read the message. docs/how-to/remediation.md says what each reason means."},
    {EventReason::kInvalidApproval, "InvalidApproval", true, "Remedy",
     "whorl.dev/approve or whorl.dev/reject on the VM names no open proposal: it was answered, has run out, or never "
     "was "
     "one. Nothing is done and the annotation is removed.",
     "`kubectl whorl explain vm/NAME` shows what is asked; `kubectl whorl approve vm/NAME` writes the annotation "
     "right."},
    {EventReason::kResizeRecommended, "ResizeRecommended", false, "Resize",
     "Another size is recommended for the VM. The message says from, to and what that rests on.",
     "Nothing, or `kubectl whorl apply vm/NAME`, which shows what would be done first. It takes a live migration."},
    {EventReason::kResizeStarted, "ResizeStarted", false, "Resize",
     "The VM's template got another number of sockets or more guest memory, because `kubectl whorl apply` or the "
     "policy "
     "asked for it. KubeVirt now migrates the VM.",
     "Nothing. `kubectl describe bfp NAME` shows under resize how far it is."},
    {EventReason::kResizeDone, "ResizeDone", false, "Resize",
     "The guest has the new size. The message says how long it took.",
     "Nothing. A Linux guest brings hotplugged CPUs and memory online by itself where its udev rules say so."},
    {EventReason::kResizeReverted, "ResizeReverted", true, "Resize",
     "KubeVirt answered a change of size with RestartRequired, or never took it up; the template has the size again "
     "that "
     "was found there.",
     "The message has KubeVirt's reason. Remove it and apply again, or restart the VM with the new size."},
    {EventReason::kResizeFailed, "ResizeFailed", true, "Resize",
     "A change of size that KubeVirt has taken up does not come to its end, and cannot be taken back; or somebody else "
     "changed the template meanwhile.",
     "Look at the VM's migrations: `kubectl get vmim -n NAMESPACE`. Room on another node is what is missing most "
     "often."},
    {EventReason::kResizeRefused, "ResizeRefused", true, "Resize",
     "A change of size that somebody asked for was not begun: a rule of KubeVirt's, the budget, or the API server's "
     "dry "
     "run stands against it. Nothing was changed.",
     "The message says which, and what to do. docs/how-to/resize-recommendations.md lists them."},
    {EventReason::kInvalidResizeRequest, "InvalidResizeRequest", true, "Resize",
     "whorl.dev/resize on the VM is outside its grammar. Nothing is changed.",
     "Set it to sockets=N, memory=QUANTITY or both with a comma between, or remove it; `kubectl whorl apply vm/NAME` "
     "writes it right."},
}};

constexpr const EventInfo& Info(EventReason reason) { return kEvents[static_cast<std::size_t>(reason)]; }

}  // namespace whorl::crd
