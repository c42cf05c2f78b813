#pragma once

#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/engine/engine.h"
#include "core/replay/recording.h"
#include "operator/api/node.pb.h"
#include "operator/controller/bootstrap/history.h"
#include "operator/controller/enrol/assign.h"
#include "operator/controller/ingest/baseline_bank.h"
#include "operator/controller/ingest/capacity.h"
#include "operator/controller/ingest/report.h"

namespace whorl::controller {

namespace api = whorl::node::v1;

// One node's engine and everything around it that needs no thread and no
// connection: who is enrolled, frames in, plans out, receipts back, and what of
// it is worth telling. It outlives the connection, so what has been learnt
// survives an agent's restart. Deterministic; not thread-safe: it belongs to
// the node's link.
class NodeSession {
 public:
  // `bank` and `history` must outlive it. Without history a VM that is new here
  // learns from nothing.
  NodeSession(std::string node, BaselineBank& bank, History* history = nullptr);

  // Before the first Admit: what the engine is told goes there too. Must outlive it.
  void RecordTo(Recorder& recorder) { engine_.RecordTo(&recorder); }

  // A new connection to the agent.
  void Connected(const api::NodeDescription& description);
  // No connection, for this reason. After kBlindAfter of it all VMs of the
  // assignment are reported Blind, also those that were never admitted.
  void Unseen(Time now, const std::string& why, const NodeAssignment& assignment);

  static api::EnrolRequest ToEnrol(const NodeAssignment& assignment, std::uint64_t epoch);
  // Takes the assignment over: learning of VMs that stay is kept, of those that
  // leave it goes to the bank.
  void Admit(std::shared_ptr<const NodeAssignment> assignment, const api::EnrolReply& reply, Time now);
  // Before the first frame under an epoch, with everybody admitted: the node's
  // books as whoever led before us left them. Our own newer ones are kept. What
  // contradicts itself is set aside and said: every VM starts at zero.
  void TakeOver(const crd::NodePartitionRecord& stored, Time now);
  // Some enrolled pod was not found on the node yet: worth enrolling again.
  bool SomePodMissing() const { return some_pod_missing_; }

  // One second's work. The plan to send, or nothing when nothing is to be held
  // and nothing was.
  std::optional<api::Plan> Tick(const api::Frame& frame, Authority authority, std::uint64_t epoch);
  // What the agent made of the last plan.
  void Settle(const api::Receipt& receipt, Time now);

  // For whoever keeps checkpoints. Who is in the engine, by VM uid.
  std::vector<std::string> Learning() const;
  bool Knows(const std::string& vm_uid) const;
  // As it stands now; also what is still being learnt.
  Result<SavedBaseline> SaveBaseline(const std::string& vm_uid) const;
  // Another controller may have learnt meanwhile: a better baseline in the bank
  // is taken over when it comes within kLateBaseline ticks.
  void LookForBetter();
  // The VM's checkpoint could not be used, for this reason: told once, as an Event.
  void Discarded(const std::string& vm_uid, const std::string& why, Time now);
  // VMs whose checkpoint the engine would not take; each once.
  std::vector<std::string> TakeRejected();
  // VMs whose baseline was reset or accepted; each once.
  std::vector<std::string> TakeChanged();

  const NodeReport& report() const { return report_; }
  std::vector<Happening> TakeHappenings();

  static constexpr Seconds kBlindAfter{5};
  static constexpr Seconds kGuestSilentAfter{120};
  static constexpr std::uint32_t kLateBaseline = 300;  // ticks after entering
  // History is asked for when no saved baseline has come by then.
  static constexpr std::uint32_t kAskHistoryAfter = 20;

 private:
  // How far a VM's limit is from its usual one, so that each move is told once.
  enum class Story : std::uint8_t { kUnheld, kHeld, kRaised, kLowered };

  struct Vm {
    Resolution row;
    std::optional<VmHandle> handle;
    std::string engine_trouble;  // why the engine would not take it
    std::string missing;         // why the agent does not see it
    api::CpuKnobs found;         // before anything of ours
    VmReport report;
    Story story = Story::kUnheld;
    std::string usual;     // the limit before the story began, as text
    std::string in_force;  // as last read back after a plan of ours
    std::string moved_to;  // the same while the story of a loan lasts
    int calm_ticks = 0;
    bool was_blind = false;
    Nature told_nature = Nature::kNone;   // in the open alarm's last Event
    std::string foreign;                  // last foreign writer told
    std::set<std::string> knobs_refused;  // by knob and reason: told, and still so
    std::uint32_t ticks = 0;
    std::uint32_t looked = 0;    // ticks in which a better baseline was looked for
    SavedBaseline::Rank rank{};  // of the best baseline known here
    bool loaded = false;         // learning goes on from a saved baseline
    std::uint32_t unsaved = 0;   // ticks in which no saved baseline came
    bool awaits_history = false;
    std::optional<Time> guest_at;            // when the guest itself last told something
    std::string performed;                   // the baseline request that was done, while it stands
    std::vector<crd::RemedyEntry> remedies;  // the latest steps of its ladder, the newest first
  };

  VmSpec SpecOf(const Vm& vm) const;
  void EnterEngine(Vm& vm, Time now);
  void LoadBetter(Vm& vm, Time now);
  void Perform(Vm& vm, const crd::BaselineRequest& request, Time now);
  void Bank(Vm& vm, Time now);
  void HearAnswer(Vm& vm, const RemedyAnswer& answer, Time now);
  void TellRemedies(const whorl::Plan& plan);
  void LeaveEngine(Vm& vm, Time now);
  void ConsultHistory(Vm& vm, Time now);
  void SetCapacity(const api::Frame& frame);
  void Assess(Time now);
  void AssessVm(Vm& vm, const Assessment& assessment, Time now);
  void FollowTraining();
  void JoinCohorts();
  void CollectLoans(const Plan& plan);
  void Remember(crd::ClosedLoan loan);
  void FollowFloors(Time now);
  void TellOfNode(crd::EventReason reason, std::string note, Time at);
  void TellMoves(Vm& vm, bool soft, Time now);
  void Restored(Vm& vm, std::string_view why, Time now);
  void TellKnobs(Vm& vm, const api::Outcome& outcome, Time now);
  void Refused(Vm& vm, const std::string& reason, const std::string& message, Time now);
  void Tell(const Vm& vm, crd::EventReason reason, std::string note, Time at);
  void PutReport(Time now);
  Vm* ByPod(const std::string& pod_uid);

  const std::string node_;
  BaselineBank& bank_;
  History* const history_;
  RecordedEngine engine_;
  std::shared_ptr<const NodeAssignment> assignment_;
  std::map<std::string, Vm> vms_;                        // by subject uid
  std::unordered_map<std::string, std::string> by_pod_;  // pod uid -> subject uid
  std::map<VmHandle, std::string> by_handle_;            // -> subject uid
  struct {
    VmHandle vm{};
    std::string uid;
    std::future<Result<OneClass>> result;  // joins when it goes
  } training_;
  std::shared_ptr<const Cohorts> cohorts_;  // last taken over
  RecentUse other_use_;
  whorl::Frame frame_;  // reused
  std::optional<api::Plan> sent_;
  std::uint64_t sequence_ = 0;
  bool held_something_ = false;
  std::uint32_t cores_ = 0;  // of the node; 0: not known
  bool some_pod_missing_ = false;
  std::optional<Time> unseen_since_;           // by the caller's clock; frames carry the node's
  std::optional<std::uint64_t> ledger_epoch_;  // the last in which the engine's books were kept here
  std::vector<LoanReport> open_;               // of the last plan: the names of loans that end
  NodeReport report_;
  std::vector<Happening> happenings_;
  std::vector<std::string> rejected_;
  std::vector<std::string> changed_;
};

}  // namespace whorl::controller
