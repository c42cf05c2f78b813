#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/units.h"
#include "crd/partition_policy.h"
#include "operator/controller/hotplug/facts.h"
#include "operator/kube/json_view.h"

namespace whorl::controller {

// What the controller keeps of each object it watches: a few words of some
// kilobytes, so that a thousand VMs fit in a small process. Plain values;
// decoded once, then shared as const.

struct VirtualMachine {
  std::string ns;
  std::string name;
  std::string uid;
  std::int64_t generation = 0;
  std::optional<std::string> mode;      // whorl.dev/mode as written, not yet judged
  std::optional<std::string> policy;    // whorl.dev/policy as written
  std::optional<std::string> baseline;  // whorl.dev/baseline as written
  std::optional<std::string> approve;   // whorl.dev/approve and /reject as written: ids of proposals
  std::optional<std::string> reject;
  // What an earlier run of ours left on the object; so that a restart writes nothing twice.
  std::optional<std::string> score;
  std::optional<std::string> state;
  std::optional<std::string> summary;
  bool deleting = false;
  hotplug::VmFacts facts = {};  // what the cluster loop must know
};

struct VirtualMachineInstance {
  std::string ns;
  std::string name;
  std::string uid;
  std::int64_t generation = 0;
  std::string vm_uid;  // of the owning VirtualMachine; empty for a bare instance
  std::optional<std::string> mode;
  std::optional<std::string> policy;
  std::string node;  // status.nodeName: where the guest runs now
  std::string phase;
  std::string target_pod;  // of the migration in flight or of the last one
  bool migrated = false;   // it ended well: the target holds the guest
  std::int32_t vcpus = 0;  // 0 = not stated
  bool dedicated_cpus = false;
  bool paused = false;  // by whomever
  bool live_migratable = false;
  bool migrating = false;
  std::int64_t guest_bytes = 0;          // what the guest has with its balloon empty; 0 = not stated
  std::int64_t guest_request_bytes = 0;  // what of it is requested; all of it unless the owner says less
  bool deleting = false;
  hotplug::InstanceFacts facts = {};  // what the cluster loop must know
};

struct Pod {
  std::string ns;
  std::string name;
  std::string uid;
  std::string node;
  std::string phase;
  std::string ip;
  std::string created;  // RFC 3339, so it sorts by time
  std::string vmi_uid;  // kubevirt.io/created-by of a launcher; empty for any other pod
  bool agent = false;   // one of our own node agents
  bool ready = false;
  bool deleting = false;
  std::int32_t priority = 0;              // of its priority class, as the API server resolved it
  std::optional<MilliCores> cpu_request;  // sum over containers; nullopt = none asks
  std::optional<MilliCores> cpu_limit;    // what bounds the pod; nullopt = nothing does
  std::int64_t memory_request = 0;        // bytes, sum over containers; 0 = none asks
};

struct Node {
  std::string name;
  std::string uid;
  std::optional<MilliCores> allocatable;           // nullopt = not stated
  bool takes_vms = false;                          // ready, and KubeVirt schedules VMs there
  std::optional<std::int64_t> allocatable_memory;  // bytes
};

struct Namespace {
  std::string name;
  std::string uid;
  std::optional<std::string> mode;
};

// A PartitionPolicy, also one that cannot be used: its VMs are then observed at
// most and told why, which they could not be if it were left out.
struct PolicyObject {
  std::string name;
  std::string uid;
  std::int64_t generation = 0;
  std::shared_ptr<const crd::PartitionPolicy> policy;  // null: refused
  std::string trouble;                                 // why it was refused
};

// Read one object as the API server sends it. kInvalid names what is missing
// or malformed; fields we do not know are ignored.
Result<VirtualMachine> DecodeVirtualMachine(kube::JsonView object);
Result<VirtualMachineInstance> DecodeVirtualMachineInstance(kube::JsonView object);
// `agent_namespace`: where our own agents run; the same labels elsewhere are somebody else's.
Result<Pod> DecodePod(kube::JsonView object, std::string_view agent_namespace);
Result<Node> DecodeNode(kube::JsonView object);
Result<Namespace> DecodeNamespace(kube::JsonView object);
Result<PolicyObject> DecodePolicy(kube::JsonView object);

}  // namespace whorl::controller
