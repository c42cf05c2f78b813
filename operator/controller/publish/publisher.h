#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "crd/node_partition.h"
#include "crd/resize.h"
#include "operator/controller/enrol/resolve.h"
#include "operator/controller/ingest/report.h"
#include "operator/controller/publish/cluster_writer.h"
#include "operator/controller/publish/fingerprint.h"
#include "operator/controller/publish/write_budget.h"
#include "operator/kube/events.h"

namespace whorl::controller {

// A stored BehaviorFingerprint, as far as the publisher cares.
struct FingerprintObject {
  std::string ns;
  std::string name;
  std::string uid;
  std::string owner_uid;
  std::vector<crd::Condition> conditions;
  std::optional<crd::LastBaselineRequest> last_request = {};
  crd::ResizeStatus resize = {};
  std::optional<crd::RemedyView> remedy = {};
};

// Of the baseline requests in `rows`, those an earlier run of ours has done are
// marked as such, so that no restart repeats one.
void MarkDoneRequests(std::vector<Resolution>& rows,
                      const std::vector<std::shared_ptr<const FingerprintObject>>& fingerprints, Time now);

// What stands in their fingerprints of the rows' ladders, for an engine that does
// not know them yet.
void MarkRemedies(std::vector<Resolution>& rows,
                  const std::vector<std::shared_ptr<const FingerprintObject>>& fingerprints);

// What one pass over the cluster found: who is opted in, and what stands there
// already from us.
struct Pass {
  std::vector<Resolution> rows;
  std::map<std::string, Subject> annotated;  // by uid: every VM that carries annotations of ours, opted in or not
  std::vector<std::shared_ptr<const FingerprintObject>> fingerprints;
  std::vector<std::shared_ptr<const crd::NodePartitionRecord>> partitions;
  std::map<std::string, std::string> node_uids;
  std::vector<std::shared_ptr<const PolicyObject>> policies;
};

// Makes the cluster's objects say what is known, within a budget of writes and
// only on changes people read. It keeps what should stand there and what was
// written last; what could not be written is still a difference at the next
// step, so a slow or dead API server loses nothing and delays nobody else.
// SetPass and OnReport are thread-safe; Step belongs to one thread.
class Publisher {
 public:
  struct Options {
    std::string replica;
    double writes_per_second = 20;
    double burst = 20;
    Millis score_every{10'000};      // per VM, at most
    Millis loans_every{5'000};       // per VM and per node: when loans open or close
    Millis open_loan_every{30'000};  // per VM: while a loan is renewed
    Millis node_every{60'000};
    Millis refresh_every{300'000};
    Millis appear_after{10'000};   // a VM without report is told to be unseen only then
    Millis give_up_held{300'000};  // a node unseen for so long has restored everything by its leases
    Millis refused_pause{10'000};  // per object: after the server would not take it
    Millis first_pause{1'000};     // for all: after the server could not be reached
    Millis last_pause{10'000};
  };
  // `reason` of each event, each kind of write with its outcome: for metrics.
  using OnWrite = std::function<void(std::string_view kind, bool ok)>;
  using Record = std::function<void(kube::Event)>;

  // All references must outlive it. `may_write`: this replica leads.
  Publisher(ClusterWriter& writer, Record record, std::function<bool()> may_write, const Clock& clock, Options options,
            OnWrite on_write = nullptr);
  ~Publisher();

  void SetPass(std::shared_ptr<const Pass> pass);
  void OnReport(NodeReport report, const std::vector<Happening>& happenings);
  // Writes somebody else made under the same budget, such as Events.
  void Charge(double writes);

  void Start();
  void Stop();
  // Writes what is due and affordable; what the thread does in a loop.
  void Step();

 private:
  struct VmState {
    std::optional<Bucket> annotated;
    std::optional<Bucket> fingerprinted;
    Millis annotated_at{0};
    Millis fingerprinted_at{0};
    Millis first_seen{0};
    bool fingerprint_exists = false;
    std::optional<crd::LastAction> last_action;
    bool action_pending = false;
    std::optional<crd::LastBaselineRequest> request;
    bool request_pending = false;           // not in the status yet
    bool request_stands = false;            // in the status, the annotation is still to go
    std::optional<Millis> request_removed;  // when; the watch lags behind
    std::string told_invalid_baseline;
    std::vector<crd::Condition> conditions;
    std::string told_mode;  // InvalidMode, InvalidPolicy and ModeCapped told last
    std::string told_policy;
    WriteBudget move_budget{1.0 / 600, 10};  // Events of limits that moved
    std::uint64_t moves_told = 0;
    std::string told_cap;
    // The ladder: what was known last, and what of it is done to the instance. A
    // pause stands in the status before it is done and until it is undone.
    std::string ns;
    std::string name;
    std::optional<crd::RemedyView> remedy;
    bool remedy_seen = false;      // from the stored status or from an engine
    bool remedy_pending = false;   // not in the status yet
    bool pause_recorded = false;   // the status as last written says so
    bool paused = false;           // by us, or asked for with an unknown outcome
    std::optional<Time> migrated;  // for the hold that began then
    std::optional<RemedyAnswer> answer_removed;
  };
  struct NodeState {
    NodeReport report;
    std::string loans_written;
    std::optional<bool> connected_written;
    Millis written_at{0};
    bool written = false;
    bool exists = false;
    std::optional<Millis> unseen_since;
    std::vector<crd::Condition> conditions;
    std::shared_ptr<const crd::NodePartitionRecord> stored;  // as the watch last had it
  };
  // Lower is more urgent.
  enum class Urgency : std::uint8_t {
    kState,
    kStateStatus,
    kCleanup,
    kLoans,
    kScore,
    kStatus,
    kNode,
    kPolicy,
    kRefresh
  };
  struct Work {
    Urgency urgency{};
    std::string_view kind;
    std::string object;  // uid or name: which one to leave alone for a while when it is refused
    std::function<Status()> write;
  };

  void Run(std::stop_token stop);
  void TakeInputs(Millis now);
  void TellModes(const Resolution& row, VmState& state);
  std::optional<VmReport> ReportOf(const Resolution& row, const VmState& state, Millis now) const;
  bool StillHeld(const std::string& vm_uid, Millis now) const;
  void PlanVm(const Resolution& row, Millis now, std::vector<Work>& work);
  void PlanNode(const std::string& name, NodeState& node, Millis now, std::vector<Work>& work);
  void SeedRemedies();
  void PlanRemedies(std::vector<Work>& work);
  Status PauseOrNot(const std::string& uid, bool pause);
  Status Migrate(const std::string& uid, Time since);
  Status RemoveAnswer(const Subject& subject, const RemedyAnswer& answer);
  void PlanCleanup(Millis now, std::vector<Work>& work);
  void PlanPolicies(std::vector<Work>& work);
  Status WriteAnnotations(const VmReport& vm, const Bucket& bucket, Millis now);
  Status RemoveRequest(const Subject& subject);
  Status WriteFingerprint(const VmReport& vm, const Bucket& bucket, Millis now);
  Status WriteNode(const std::string& name, Millis now);
  void Tell(const Subject& subject, crd::EventReason reason, std::string note, std::string distinct);

  ClusterWriter& writer_;
  const Record record_;
  const std::function<bool()> may_write_;
  const Clock& clock_;
  const Options options_;
  const OnWrite on_write_;

  // The stepping thread only.
  WriteBudget budget_;
  std::shared_ptr<const Pass> pass_;
  std::map<std::string, VmState> vms_;      // by subject uid
  std::map<std::string, NodeState> nodes_;  // by node name
  std::map<std::string, Millis> cleaned_;   // uid of a VM or fingerprint -> when; the watch lags behind our writes
  std::map<std::string, std::string> policy_written_;
  std::map<std::string, Millis> refused_;  // kind and object -> when to try again
  Millis pause_until_{0};
  Millis pause_{0};

  std::mutex mu_;
  std::condition_variable_any changed_;
  std::shared_ptr<const Pass> new_pass_;       // under mu_
  std::map<std::string, NodeReport> reports_;  // under mu_
  std::vector<Happening> happenings_;          // under mu_
  double charged_ = 0;                         // under mu_
  std::jthread thread_;
};

// The Event a happening becomes.
kube::Event ToEvent(const Subject& subject, crd::EventReason reason, std::string note);

}  // namespace whorl::controller
