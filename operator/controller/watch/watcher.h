#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "operator/controller/enrol/resolve.h"
#include "operator/controller/publish/publisher.h"
#include "operator/kube/client.h"
#include "operator/kube/waiting_clock.h"

namespace whorl::controller {

// Keeps copies of everything the controller reads from the API server: VMs,
// their instances, pods, nodes, namespaces, policies, and what we wrote
// ourselves before. One thread per kind. Thread-safe.
class Watcher {
 public:
  // All references must outlive it. `on_change` is called from the watching
  // threads and must only take note. `agent_namespace`: where our agents run.
  Watcher(kube::Client& client, kube::WaitingClock& clock, std::string agent_namespace,
          std::function<void()> on_change);
  ~Watcher();

  void Start();
  void Stop();

  // Every kind has been listed once.
  bool Synced() const;
  // What is not, for people: "virtualmachines, partitionpolicies"; empty when all is.
  std::string NotSynced() const;

  ClusterView View() const;
  std::vector<std::shared_ptr<const FingerprintObject>> Fingerprints() const;
  // The pass for the publisher, from a view and what was resolved from it.
  Pass ToPass(const ClusterView& view, std::vector<Resolution> rows) const;
  // A node's NodePartition; null when there is none.
  std::shared_ptr<const crd::NodePartitionRecord> Partition(const std::string& node) const;
  // The highest epoch any NodePartition carries.
  std::uint64_t HighestEpoch() const;

 private:
  struct Kinds;
  const std::unique_ptr<Kinds> kinds_;
};

Result<FingerprintObject> DecodeFingerprint(kube::JsonView object);
Result<crd::NodePartitionRecord> DecodeNodePartition(kube::JsonView object);

// What a failed list or watch of this kind most likely means and what to do;
// empty when the error says it all.
std::string Remedy(std::string_view plural, const Error& error);

}  // namespace whorl::controller
