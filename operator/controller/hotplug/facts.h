#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/base/units.h"
#include "operator/kube/json_view.h"

// What the cluster loop must know of KubeVirt's objects before it changes the
// size of a VM. Plain values, decoded once; what is not stated is nullopt or
// empty, never zero.
namespace whorl::controller::hotplug {

struct ConditionFact {
  std::string type;
  bool is_true = false;
  bool is_false = false;
  std::string reason;
  std::string message;
};
const ConditionFact* Find(const std::vector<ConditionFact>& conditions, std::string_view type);
bool IsTrue(const std::vector<ConditionFact>& conditions, std::string_view type);

// Condition types of KubeVirt's.
inline constexpr std::string_view kHotVcpuChange = "HotVCPUChange";
inline constexpr std::string_view kHotMemoryChange = "HotMemoryChange";
inline constexpr std::string_view kRestartRequired = "RestartRequired";
inline constexpr std::string_view kLiveMigratable = "LiveMigratable";

// Of a VirtualMachine: its template, and what stands on it.
struct VmFacts {
  std::string resource_version;
  bool has_annotations = false;         // the map itself; a patch cannot add a key to a map that is not there
  std::optional<std::string> resize;    // whorl.dev/resize as written by its owner
  std::optional<std::string> resizing;  // whorl.dev/resizing as written by us
  bool has_cpu = false;                 // domain.cpu itself
  std::optional<std::int64_t> sockets, cores, threads, max_sockets;
  std::string guest_text;  // as written, for the test of the old value
  std::optional<Bytes> guest, max_guest;
  std::optional<Bytes> memory_request, memory_limit;
  std::optional<MilliCores> cpu_request, cpu_limit;
  std::string hugepages;     // page size
  std::string architecture;  // empty: the cluster's default
  std::string instancetype;  // name
  bool dedicated_cpus = false;
  bool realtime = false;
  bool guest_mapping_passthrough = false;
  bool encrypted = false;
  std::vector<ConditionFact> conditions;

  std::int64_t vcpus_per_socket() const { return cores.value_or(1) * threads.value_or(1); }
};

// Of a VirtualMachineInstance. spec.* was made at boot and follows accepted
// hotplugs; current_* and guest_* are what the guest has.
struct InstanceFacts {
  std::string phase;
  std::string node;
  bool deleting = false;
  std::optional<std::int64_t> sockets, max_sockets;
  std::optional<std::int64_t> current_sockets;
  std::optional<Bytes> guest, max_guest;
  std::optional<Bytes> guest_at_boot, guest_current, guest_requested;
  std::string architecture;
  bool migrating = false;  // started and not ended
  std::vector<ConditionFact> conditions;
};

// A VirtualMachineInstanceMigration.
struct Migration {
  std::string ns;
  std::string name;
  std::string uid;
  std::string vmi;
  std::string phase;
  std::string source_node;  // empty until it is scheduled
  Time created{};
  bool for_update = false;  // KubeVirt's own, to carry out a hotplug

  bool ended() const { return phase == "Succeeded" || phase == "Failed"; }
};

// The KubeVirt object: whether and how this cluster carries out live updates.
struct KubeVirtFacts {
  std::string ns;
  std::string name;
  std::string phase;
  std::string observed_deployment, target_deployment;
  std::string rollout_strategy;  // empty: LiveUpdate
  std::vector<std::string> update_methods;
  std::int64_t migrations_per_cluster = 5;  // KubeVirt's defaults
  std::int64_t migrations_per_node = 2;
};

// Malformed amounts and numbers of a wrong type count as not stated: the rules
// refuse what they cannot read.
VmFacts ReadVm(kube::JsonView object);
InstanceFacts ReadInstance(kube::JsonView object);
// kInvalid without a name, a uid or the instance it moves.
Result<Migration> DecodeMigration(kube::JsonView object);
Result<KubeVirtFacts> DecodeKubeVirt(kube::JsonView object);

}  // namespace whorl::controller::hotplug
