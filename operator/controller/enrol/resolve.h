#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/units.h"
#include "crd/annotations.h"
#include "crd/baseline_request.h"
#include "crd/partition_policy.h"
#include "crd/remedy_view.h"
#include "operator/controller/watch/objects.h"

namespace whorl::controller {

// The object people look at: the VirtualMachine, or a bare VirtualMachineInstance.
struct Subject {
  std::string api_version;
  std::string kind;
  std::string ns;
  std::string name;
  std::string uid;

  bool patchable() const { return kind == "VirtualMachine"; }
  std::string Text() const { return ns + "/" + name; }
  auto operator<=>(const Subject&) const = default;
};

// Why an opted-in VM is not watched; the reason goes unchanged into a condition.
struct NotWatched {
  std::string reason;
  std::string message;
  bool operator==(const NotWatched&) const = default;
};

// One VM that is watched on one node, with everything agent and engine must be told.
struct Enrolment {
  std::string pod_uid;
  std::string pod_name;
  std::string node;
  std::int32_t vcpus = 1;
  std::optional<MilliCores> request;
  std::optional<MilliCores> limit;
  bool dedicated_cpus = false;
  std::int64_t guest_bytes = 0;          // with its balloon empty; 0 = not stated
  std::int64_t guest_request_bytes = 0;  // what of it is requested
  std::int64_t memory_request = 0;       // of the pod
  std::int32_t priority_class = 0;       // of the pod; where floors do not fit, the lower give way first
  // Of the instance, which has the name of its VM.
  bool running = false;
  bool paused = false;  // by whomever
  bool can_migrate = false;
  bool operator==(const Enrolment&) const = default;
};

// A person's word on one proposal of the remediation ladder.
struct RemedyAnswer {
  std::string proposal;  // its id
  bool approve = false;
  bool operator==(const RemedyAnswer&) const = default;
};

// What was made of one VM that says anything about Whorl, itself or through its
// namespace. Exactly one of `enrolment` and `not_watched` is there when the
// effective mode is not off.
struct Resolution {
  Subject subject;
  std::int64_t generation = 0;
  crd::EffectiveMode mode;
  std::shared_ptr<const crd::PartitionPolicy> policy;  // built-in numbers when there is none to read
  std::optional<Enrolment> enrolment;
  std::optional<NotWatched> not_watched;
  // What whorl.dev/baseline asks for, still to be done.
  std::optional<crd::BaselineRequest> baseline_request = {};
  bool baseline_done = false;         // it stands there, but was done by an earlier run of ours
  std::string invalid_baseline = {};  // outside the grammar: a sentence for a Warning Event
  std::optional<RemedyAnswer> answer = {};
  // What an earlier run of ours, or another node's engine, left of its ladder.
  std::shared_ptr<const crd::RemedyView> remedy = {};

  bool opted_in() const { return mode.mode != Mode::kOff; }
};

// Everything the API server told us, frozen for one pass.
struct ClusterView {
  std::vector<std::shared_ptr<const VirtualMachine>> vms;
  std::vector<std::shared_ptr<const VirtualMachineInstance>> vmis;
  std::vector<std::shared_ptr<const Pod>> pods;
  std::vector<std::shared_ptr<const Node>> nodes;
  std::vector<std::shared_ptr<const Namespace>> namespaces;
  std::vector<std::shared_ptr<const PolicyObject>> policies;
  // For the cluster loop; both are empty until both could be read.
  std::vector<std::shared_ptr<const hotplug::Migration>> migrations = {};
  std::vector<std::shared_ptr<const hotplug::KubeVirtFacts>> kubevirts = {};
};

// The pod the guest runs in, by the pod's own phase and the migration's target:
// activePods keeps dead pods and unscheduled migration targets and is not
// asked. Null when none runs.
const Pod* ChoosePod(const VirtualMachineInstance& vmi, const std::vector<const Pod*>& launchers);

// One row per VM and bare instance that says anything, ordered by namespace and
// name. Pure.
std::vector<Resolution> Resolve(const ClusterView& view);

}  // namespace whorl::controller
