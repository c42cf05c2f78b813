#include "operator/controller/watch/objects.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "crd/annotations.h"
#include "crd/baseline_request.h"
#include "operator/controller/watch/quantity.h"

namespace whorl::controller {
namespace {

using kube::JsonView;

std::string TextOr(const JsonView& view, JsonView::Path path) {
  return std::string(view.FindString(path).value_or(""));
}

std::optional<std::string> Annotation(const JsonView& object, std::string_view key) {
  if (const auto value = object.FindString({"metadata", "annotations", key})) return std::string(*value);
  return std::nullopt;
}

struct Identity {
  std::string ns, name, uid;
};

// Without name and uid an object cannot be told from another: not usable.
Result<Identity> ReadIdentity(const JsonView& object) {
  const auto name = object.String({"metadata", "name"});
  if (!name) return Fail(name.error());
  const auto uid = object.String({"metadata", "uid"});
  if (!uid) return Fail(uid.error().In(*name));
  return Identity{TextOr(object, {"metadata", "namespace"}), std::string(*name), std::string(*uid)};
}

bool Deleting(const JsonView& object) { return object.FindString({"metadata", "deletionTimestamp"}).has_value(); }

std::string OwnerUid(const JsonView& object, std::string_view kind) {
  std::string uid;
  if (const auto owners = object.At({"metadata", "ownerReferences"})) {
    owners->ForEachItem([&](JsonView owner) {
      if (owner.FindString({"kind"}) != kind) return true;
      uid = TextOr(owner, {"uid"});
      return false;
    });
  }
  return uid;
}

// vCPUs as sockets x cores x threads, where a member left out counts as one;
// 0 when none of the three stands there.
std::int32_t Vcpus(const JsonView& topology) {
  std::int64_t product = 1;
  bool any = false;
  for (const auto* key : {"sockets", "cores", "threads"}) {
    if (const auto n = topology.FindInt({key}); n && *n > 0) {
      product *= std::min<std::int64_t>(*n, 4096);
      any = true;
    }
  }
  return any ? static_cast<std::int32_t>(std::min<std::int64_t>(product, 4096)) : 0;
}

struct ContainerCpu {
  std::optional<MilliCores> request;
  std::optional<MilliCores> limit;
  std::int64_t memory_request = 0;  // bytes
};

Result<std::int64_t> BytesAt(const JsonView& object, std::initializer_list<std::string_view> path) {
  const auto text = object.FindString(path);
  if (!text) return std::int64_t{0};
  const auto bytes = ParseBytes(*text);
  if (!bytes) return Fail(bytes.error());
  return Count(*bytes);
}

Result<std::optional<MilliCores>> CpuAt(const JsonView& container, std::string_view list) {
  const auto text = container.FindString({"resources", list, "cpu"});
  if (!text) return std::optional<MilliCores>();
  auto cpu = ParseCpu(*text);
  if (!cpu) return Fail(cpu.error().In(list));
  return std::optional<MilliCores>(*cpu);
}

Result<ContainerCpu> ReadContainer(const JsonView& container) {
  ContainerCpu cpu;
  auto request = CpuAt(container, "requests");
  if (!request) return Fail(request.error());
  auto limit = CpuAt(container, "limits");
  if (!limit) return Fail(limit.error());
  cpu.request = *request;
  cpu.limit = *limit;
  auto memory = BytesAt(container, {"resources", "requests", "memory"});
  if (memory && *memory == 0) memory = BytesAt(container, {"resources", "limits", "memory"});
  if (!memory) return Fail(memory.error().In("memory"));
  cpu.memory_request = *memory;
  // The API server writes a missing request as the limit; do as it does where a test or an old object did not.
  if (!cpu.request) cpu.request = cpu.limit;
  return cpu;
}

// Containers that run beside the guest, sidecars among the init containers included.
Result<std::vector<ContainerCpu>> RunningContainers(const JsonView& pod) {
  std::vector<ContainerCpu> out;
  std::optional<Error> trouble;
  const auto add = [&](const JsonView& container) {
    auto cpu = ReadContainer(container);
    if (!cpu) {
      trouble = cpu.error().In("container " + TextOr(container, {"name"}));
      return false;
    }
    out.push_back(*cpu);
    return true;
  };
  if (const auto containers = pod.At({"spec", "containers"})) containers->ForEachItem(add);
  if (const auto init = pod.At({"spec", "initContainers"})) {
    init->ForEachItem([&](JsonView c) { return c.FindString({"restartPolicy"}) != "Always" || add(c); });
  }
  if (trouble) return Fail(*trouble);
  return out;
}

// The kubelet bounds a pod only when every container is bounded; but a bound on
// the first container, which holds the guest, is the owner's word as well, and
// then the others count with what they asked for.
std::optional<MilliCores> PodLimit(const std::vector<ContainerCpu>& containers) {
  if (containers.empty() || !containers.front().limit) return std::nullopt;
  MilliCores sum{0};
  for (const auto& c : containers) sum = sum + c.limit.value_or(c.request.value_or(MilliCores{0}));
  return sum;
}

std::optional<MilliCores> PodRequest(const std::vector<ContainerCpu>& containers) {
  std::optional<MilliCores> sum;
  for (const auto& c : containers) {
    if (c.request) sum = sum.value_or(MilliCores{0}) + *c.request;
  }
  return sum;
}

bool ConditionTrue(const JsonView& object, std::string_view type) {
  bool is_true = false;
  if (const auto conditions = object.At({"status", "conditions"})) {
    conditions->ForEachItem([&](JsonView c) {
      if (c.FindString({"type"}) != type) return true;
      is_true = c.FindString({"status"}) == "True";
      return false;
    });
  }
  return is_true;
}

}  // namespace

Result<VirtualMachine> DecodeVirtualMachine(JsonView object) {
  auto id = ReadIdentity(object);
  if (!id) return Fail(id.error());
  VirtualMachine vm;
  vm.ns = id->ns;
  vm.name = id->name;
  vm.uid = id->uid;
  vm.generation = object.FindInt({"metadata", "generation"}).value_or(0);
  vm.mode = Annotation(object, crd::kModeKey);
  vm.policy = Annotation(object, crd::kPolicyKey);
  vm.baseline = Annotation(object, crd::kBaselineKey);
  vm.approve = Annotation(object, crd::kApproveKey);
  vm.reject = Annotation(object, crd::kRejectKey);
  vm.score = Annotation(object, crd::kScoreKey);
  vm.state = Annotation(object, crd::kStateKey);
  vm.summary = Annotation(object, crd::kSummaryKey);
  vm.deleting = Deleting(object);
  vm.facts = hotplug::ReadVm(object);
  return vm;
}

Result<VirtualMachineInstance> DecodeVirtualMachineInstance(JsonView object) {
  auto id = ReadIdentity(object);
  if (!id) return Fail(id.error());
  VirtualMachineInstance vmi;
  vmi.ns = id->ns;
  vmi.name = id->name;
  vmi.uid = id->uid;
  vmi.generation = object.FindInt({"metadata", "generation"}).value_or(0);
  vmi.vm_uid = OwnerUid(object, "VirtualMachine");
  vmi.mode = Annotation(object, crd::kModeKey);
  vmi.policy = Annotation(object, crd::kPolicyKey);
  vmi.node = TextOr(object, {"status", "nodeName"});
  vmi.phase = TextOr(object, {"status", "phase"});
  if (const auto migration = object.At({"status", "migrationState"})) {
    vmi.target_pod = TextOr(*migration, {"targetPod"});
    const bool completed = migration->FindBool({"completed"}).value_or(false);
    vmi.migrating = !completed;
    vmi.migrated = completed && !migration->FindBool({"failed"}).value_or(false);
  }
  // What the guest has now, else what it was asked to have.
  if (const auto now = object.At({"status", "currentCPUTopology"})) vmi.vcpus = Vcpus(*now);
  const auto cpu = object.At({"spec", "domain", "cpu"});
  if (cpu && vmi.vcpus == 0) vmi.vcpus = Vcpus(*cpu);
  vmi.dedicated_cpus = cpu && cpu->FindBool({"dedicatedCpuPlacement"}).value_or(false);
  vmi.paused = ConditionTrue(object, "Paused");
  vmi.live_migratable = ConditionTrue(object, "LiveMigratable");
  // Not status.memory.guestCurrent: that is what our balloon, or anybody's, has left it.
  auto guest = BytesAt(object, {"status", "memory", "guestRequested"});
  if (guest && *guest == 0) guest = BytesAt(object, {"spec", "domain", "memory", "guest"});
  auto requested = BytesAt(object, {"spec", "domain", "resources", "requests", "memory"});
  // An amount nobody can read is no amount: such a guest's memory is left alone.
  vmi.guest_bytes = guest.value_or(0);
  vmi.guest_request_bytes = requested && *requested > 0 ? std::min(*requested, vmi.guest_bytes) : vmi.guest_bytes;
  vmi.deleting = Deleting(object);
  vmi.facts = hotplug::ReadInstance(object);
  return vmi;
}

Result<Pod> DecodePod(JsonView object, std::string_view agent_namespace) {
  auto id = ReadIdentity(object);
  if (!id) return Fail(id.error());
  Pod pod;
  pod.ns = id->ns;
  pod.name = id->name;
  pod.uid = id->uid;
  pod.node = TextOr(object, {"spec", "nodeName"});
  pod.phase = TextOr(object, {"status", "phase"});
  pod.ip = TextOr(object, {"status", "podIP"});
  pod.created = TextOr(object, {"metadata", "creationTimestamp"});
  const bool launcher = object.FindString({"metadata", "labels", "kubevirt.io"}) == "virt-launcher";
  // Short-lived pods that only bind a volume carry the launcher label too.
  const bool provisioning =
      object.FindString({"metadata", "annotations", "kubevirt.io/ephemeral-provisioning"}).has_value() ||
      object.FindString({"metadata", "labels", "kubevirt.io/ephemeral-provisioning"}).has_value();
  if (launcher && !provisioning) pod.vmi_uid = TextOr(object, {"metadata", "labels", "kubevirt.io/created-by"});
  pod.agent = pod.ns == agent_namespace &&
              object.FindString({"metadata", "labels", "app.kubernetes.io/name"}) == "whorl" &&
              object.FindString({"metadata", "labels", "app.kubernetes.io/component"}) == "agent";
  pod.ready = ConditionTrue(object, "Ready");
  pod.deleting = Deleting(object);
  // Whatever else stands there than a priority of Kubernetes is none.
  const std::int64_t priority = object.FindInt({"spec", "priority"}).value_or(0);
  constexpr std::int64_t kHighest = 2'000'001'000;
  if (priority >= -kHighest && priority <= kHighest) pod.priority = static_cast<std::int32_t>(priority);
  auto containers = RunningContainers(object);
  if (!containers) return Fail(containers.error().In(pod.ns + "/" + pod.name));
  pod.cpu_request = PodRequest(*containers);
  pod.cpu_limit = PodLimit(*containers);
  for (const auto& container : *containers) pod.memory_request += container.memory_request;
  return pod;
}

Result<Node> DecodeNode(JsonView object) {
  auto id = ReadIdentity(object);
  if (!id) return Fail(id.error());
  Node node;
  node.name = id->name;
  node.uid = id->uid;
  if (const auto text = object.FindString({"status", "allocatable", "cpu"})) {
    auto cpu = ParseCpu(*text);
    if (!cpu) return Fail(cpu.error().In("node " + node.name + " status.allocatable.cpu"));
    node.allocatable = *cpu;
  }
  node.takes_vms = ConditionTrue(object, "Ready") && !object.FindBool({"spec", "unschedulable"}).value_or(false) &&
                   object.FindString({"metadata", "labels", "kubevirt.io/schedulable"}) == "true";
  if (object.FindString({"status", "allocatable", "memory"})) {
    auto memory = BytesAt(object, {"status", "allocatable", "memory"});
    if (!memory) return Fail(memory.error().In("node " + node.name + " status.allocatable.memory"));
    node.allocatable_memory = *memory;
  }
  return node;
}

Result<Namespace> DecodeNamespace(JsonView object) {
  auto id = ReadIdentity(object);
  if (!id) return Fail(id.error());
  return Namespace{id->name, id->uid, Annotation(object, crd::kModeKey)};
}

Result<PolicyObject> DecodePolicy(JsonView object) {
  auto id = ReadIdentity(object);
  if (!id) return Fail(id.error());
  PolicyObject out;
  out.name = id->name;
  out.uid = id->uid;
  out.generation = object.FindInt({"metadata", "generation"}).value_or(0);
  if (auto policy = crd::ParsePartitionPolicy(object.ToJson())) {
    out.policy = std::make_shared<const crd::PartitionPolicy>(std::move(*policy));
  } else {
    out.trouble = policy.error().message;
  }
  return out;
}

}  // namespace whorl::controller
