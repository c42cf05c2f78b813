#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "operator/controller/enrol/assign.h"
#include "operator/controller/history/ledger_history.h"
#include "operator/controller/hotplug/loop.h"
#include "operator/controller/http/metrics.h"
#include "operator/controller/ingest/baseline_bank.h"
#include "operator/controller/ingest/node_link.h"
#include "operator/controller/lead/leadership.h"
#include "operator/controller/map/map_keeper.h"
#include "operator/controller/publish/publisher.h"
#include "operator/controller/watch/watcher.h"
#include "operator/kube/client.h"
#include "operator/kube/events.h"
#include "operator/kube/lease.h"
#include "operator/kube/waiting_clock.h"

namespace whorl::controller {

struct ControllerOptions {
  std::string ns = "whorl-system";
  std::string identity;  // unique per process: pod name, uid
  std::string replica;   // the pod's name, as people see it
  int agent_port = 7443;
  std::optional<CheckpointSeal> seal = {};  // nullopt: what is learnt lasts as long as this process
  RecordingFile::Options recording = {};    // no folder: nothing is recorded
  History* history = nullptr;               // where new VMs' past is asked for; must outlive the controller
  LedgerHistory* ledger_history = nullptr;  // where ended loans are kept; must outlive the controller
};

// Puts the parts together: the watcher's changes become a pass (resolve,
// assign), the pass goes to the links and the publisher, what the links report
// goes to publisher, events and metrics, and what they have learnt now and then
// becomes a map of the fleet. Thread-safe where a comment says so.
class Controller final : public LinkListener {
 public:
  // All references must outlive it. `client` for watches and writes, `lease_client`
  // for the Lease alone, so that a slow list never costs the lead.
  Controller(kube::Client& client, kube::Client& lease_client, kube::WaitingClock& clock, DialNode dial,
             Metrics& metrics, ControllerOptions options);
  ~Controller() override;

  void Start();
  // Ends links (plans expire or are taken over), writes what is due, flushes
  // Events, gives the Lease back.
  void Stop();
  // Empty when synced and the Lease is known, else what is missing. Any thread.
  std::string NotReady() const;
  // Where the VMs stand beside each other. Any thread.
  const MapKeeper& map() const { return map_; }

 private:
  void OnReport(NodeReport report, std::vector<Happening> happenings) override;
  void OnTick(const std::string& node, std::chrono::microseconds engine) override;
  void OnPlan(const std::string& node, std::string_view result, const std::optional<TickTimes>& times) override;
  void OnRecall(const std::string& node) override;

  void Record(kube::Event event);
  void Reconcile(std::stop_token stop);
  void RunPass();
  LeaseView Lease() const;

  kube::WaitingClock& clock_;
  const DialNode dial_;
  Metrics& metrics_;
  const ControllerOptions options_;

  BaselineBank bank_;
  kube::LeaderElector elector_;
  Leadership leadership_;
  kube::EventRecorder recorder_;
  KubeWriter writer_;
  Publisher publisher_;
  hotplug::Loop hotplug_;
  Watcher watcher_;
  MapKeeper map_;

  // The reconciling thread only, until it has ended.
  struct Linked {
    std::unique_ptr<NodeLink> link;
    std::shared_ptr<const NodeAssignment> assignment;
  };
  std::map<std::string, Linked> links_;
  std::uint64_t events_charged_ = 0;
  std::string last_missing_;
  bool was_leading_ = false;

  std::mutex mu_;
  std::condition_variable_any changed_;
  bool dirty_ = true;  // under mu_
  std::jthread thread_;
};

}  // namespace whorl::controller
