#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/base/clock.h"
#include "crd/events.h"
#include "crd/resize.h"
#include "operator/controller/enrol/resolve.h"
#include "operator/controller/hotplug/budget.h"
#include "operator/controller/hotplug/change.h"
#include "operator/controller/hotplug/recommend.h"
#include "operator/controller/ingest/report.h"
#include "operator/controller/publish/cluster_writer.h"
#include "operator/controller/publish/publisher.h"
#include "operator/controller/publish/write_budget.h"
#include "operator/kube/events.h"

namespace whorl::controller::hotplug {

// What one pass over the cluster found.
struct View {
  std::vector<Resolution> rows;
  ClusterView cluster;
  std::vector<std::shared_ptr<const FingerprintObject>> fingerprints;
};

// The cluster loop: says which size each VM should have, and, where its owner
// or its policy asks for it, changes the VM object, one change of a VM at a
// time, within a budget of migrations. It remembers nothing that a restart must
// not lose: the change under way stands on the VM, what was spent in the
// fingerprint's status. SetView and OnReport are thread-safe; Step belongs to
// one thread.
class Loop {
 public:
  struct Options {
    RecommendOptions recommend = {};
    Millis refresh_every{600'000};     // of numbers that only explain
    Millis again_after{10'000};        // per VM: after a patch, taken or not
    Millis retry_auto_after{600'000};  // per VM: after a dry run said no to what only the policy asks for
    double writes_per_second = 2;
    double burst = 10;
  };
  using Record = std::function<void(kube::Event)>;
  // "Started", "Done", ...: for metrics.
  using OnOutcome = std::function<void(std::string_view outcome)>;

  // All references must outlive it. `may_write`: this replica leads.
  Loop(ClusterWriter& writer, Record record, std::function<bool()> may_write, const Clock& clock, Options options,
       OnOutcome on_outcome = nullptr);
  ~Loop();

  void SetView(std::shared_ptr<const View> view);
  void OnReport(const NodeReport& report);

  void Start();
  void Stop();
  // Looks at every VM once; what the thread does in a loop.
  void Step();

 private:
  struct Seen {  // of one VM's last report
    Foreseen foreseen;
    std::optional<Bytes> used;
  };
  struct VmState {
    Recommender recommender;
    bool loaded = false;  // `status` is what stands in the cluster
    crd::ResizeStatus status;
    Millis written_at{0};
    Millis look_again{0};        // at the VM: the watch lags behind our own patches
    Millis write_again{0};       // the status: after it was not taken
    std::optional<Target> told;  // the recommendation an Event was written about
  };
  struct Vm {  // all there is about one VM in one step
    const Resolution* row = nullptr;
    const VirtualMachine* vm = nullptr;
    const VirtualMachineInstance* vmi = nullptr;
    std::vector<const Migration*> migrations;
    VmState* state = nullptr;
    crd::ResizeStatus next;
    std::optional<Bytes> used;
    Target recommended;
  };

  void Run(std::stop_token stop);
  void StepVm(const View& view, Vm& at);
  void Advise(const View& view, Vm& at);
  void Follow(Vm& at);
  void Consider(const View& view, Vm& at);
  void Begin(Vm& at, const Situation& situation, const std::string& request);
  void Refuse(Vm& at, const std::string& request, const std::string& to, const std::string& message);
  void CloseWhenTold(Vm& at);
  void WriteStatus(Vm& at);
  Situation SituationOf(const View& view, const Vm& at, const Target& target) const;
  std::optional<Refusal> NotNow(const Vm& at) const;
  Status Patch(Vm& at, const nlohmann::json& operations);
  void Tell(const Vm& at, crd::EventReason reason, const std::string& note);

  ClusterWriter& writer_;
  const Record record_;
  const std::function<bool()> may_write_;
  const Clock& clock_;
  const Options options_;
  const OnOutcome on_outcome_;

  // The stepping thread only.
  WriteBudget budget_;
  std::map<std::string, VmState> vms_;       // by VM uid
  std::map<std::string, int> in_flight_;     // by node, of this step
  const KubeVirtFacts* kubevirt_ = nullptr;  // of this step

  std::mutex mu_;
  std::condition_variable_any changed_;
  std::shared_ptr<const View> view_;                         // under mu_
  std::map<std::string, std::map<std::string, Seen>> seen_;  // under mu_; node, VM uid
  bool fresh_ = false;                                       // under mu_
  std::jthread thread_;
};

}  // namespace whorl::controller::hotplug
