#include "operator/controller/hotplug/facts.h"

#include <utility>

#include "crd/resize.h"
#include "operator/controller/watch/quantity.h"
#include "operator/kube/json.h"

namespace whorl::controller::hotplug {
namespace {

using kube::JsonView;

std::string TextOr(const JsonView& view, JsonView::Path path) {
  return std::string(view.FindString(path).value_or(""));
}

std::optional<Bytes> MemoryAt(const JsonView& view, JsonView::Path path) {
  const auto text = view.FindString(path);
  if (!text) {
    // A whole number is a quantity, too: the API server stores it as it came.
    const auto number = view.FindInt(path);
    return number && *number >= 0 ? std::optional(Bytes{*number}) : std::nullopt;
  }
  const auto bytes = ParseBytes(*text);
  return bytes ? std::optional(*bytes) : std::nullopt;
}

std::optional<MilliCores> CpuAt(const JsonView& view, JsonView::Path path) {
  if (const auto number = view.FindInt(path); number && *number >= 0 && *number < 1'000'000)
    return MilliCores{*number * 1000};
  const auto text = view.FindString(path);
  if (!text) return std::nullopt;
  const auto cpu = ParseCpu(*text);
  return cpu ? std::optional(*cpu) : std::nullopt;
}

// A part of a topology. Zero stands for "not stated" in KubeVirt's objects; what
// no machine has is not a number to reckon with.
std::optional<std::int64_t> CountAt(const JsonView& view, JsonView::Path path) {
  const auto n = view.FindInt(path);
  return n && *n > 0 && *n <= 1'000'000 ? n : std::nullopt;
}

std::vector<ConditionFact> Conditions(const JsonView& object) {
  std::vector<ConditionFact> out;
  if (const auto list = object.At({"status", "conditions"})) {
    list->ForEachItem([&](JsonView c) {
      const auto status = c.FindString({"status"}).value_or("");
      out.push_back(
          {TextOr(c, {"type"}), status == "True", status == "False", TextOr(c, {"reason"}), TextOr(c, {"message"})});
      return true;
    });
  }
  return out;
}

std::optional<std::string> Annotation(const JsonView& object, std::string_view key) {
  if (const auto value = object.FindString({"metadata", "annotations", key})) return std::string(*value);
  return std::nullopt;
}

}  // namespace

const ConditionFact* Find(const std::vector<ConditionFact>& conditions, std::string_view type) {
  for (const auto& c : conditions) {
    if (c.type == type) return &c;
  }
  return nullptr;
}

bool IsTrue(const std::vector<ConditionFact>& conditions, std::string_view type) {
  const auto* found = Find(conditions, type);
  return found != nullptr && found->is_true;
}

VmFacts ReadVm(JsonView object) {
  VmFacts vm;
  vm.resource_version = TextOr(object, {"metadata", "resourceVersion"});
  vm.has_annotations = object.At({"metadata", "annotations"}).has_value();
  vm.resize = Annotation(object, crd::kResizeKey);
  vm.resizing = Annotation(object, crd::kResizingKey);
  vm.instancetype = TextOr(object, {"spec", "instancetype", "name"});
  vm.conditions = Conditions(object);
  const auto spec = object.At({"spec", "template", "spec"});
  if (!spec) return vm;
  vm.architecture = TextOr(*spec, {"architecture"});
  const auto domain = spec->At({"domain"});
  if (!domain) return vm;
  if (const auto cpu = domain->At({"cpu"})) {
    vm.has_cpu = true;
    vm.sockets = CountAt(*cpu, {"sockets"});
    vm.cores = CountAt(*cpu, {"cores"});
    vm.threads = CountAt(*cpu, {"threads"});
    vm.max_sockets = CountAt(*cpu, {"maxSockets"});
    vm.dedicated_cpus = cpu->FindBool({"dedicatedCpuPlacement"}).value_or(false);
    vm.realtime = cpu->At({"realtime"}).has_value();
    vm.guest_mapping_passthrough = cpu->At({"numa", "guestMappingPassthrough"}).has_value();
  }
  vm.guest_text = TextOr(*domain, {"memory", "guest"});
  vm.guest = MemoryAt(*domain, {"memory", "guest"});
  vm.max_guest = MemoryAt(*domain, {"memory", "maxGuest"});
  vm.hugepages = TextOr(*domain, {"memory", "hugepages", "pageSize"});
  vm.memory_request = MemoryAt(*domain, {"resources", "requests", "memory"});
  vm.memory_limit = MemoryAt(*domain, {"resources", "limits", "memory"});
  vm.cpu_request = CpuAt(*domain, {"resources", "requests", "cpu"});
  vm.cpu_limit = CpuAt(*domain, {"resources", "limits", "cpu"});
  vm.encrypted = domain->At({"launchSecurity"}).has_value();
  return vm;
}

InstanceFacts ReadInstance(JsonView object) {
  InstanceFacts vmi;
  vmi.phase = TextOr(object, {"status", "phase"});
  vmi.node = TextOr(object, {"status", "nodeName"});
  vmi.deleting = object.FindString({"metadata", "deletionTimestamp"}).has_value();
  vmi.sockets = CountAt(object, {"spec", "domain", "cpu", "sockets"});
  vmi.max_sockets = CountAt(object, {"spec", "domain", "cpu", "maxSockets"});
  vmi.current_sockets = CountAt(object, {"status", "currentCPUTopology", "sockets"});
  vmi.guest = MemoryAt(object, {"spec", "domain", "memory", "guest"});
  vmi.max_guest = MemoryAt(object, {"spec", "domain", "memory", "maxGuest"});
  vmi.guest_at_boot = MemoryAt(object, {"status", "memory", "guestAtBoot"});
  vmi.guest_current = MemoryAt(object, {"status", "memory", "guestCurrent"});
  vmi.guest_requested = MemoryAt(object, {"status", "memory", "guestRequested"});
  vmi.architecture = TextOr(object, {"spec", "architecture"});
  if (const auto migration = object.At({"status", "migrationState"})) {
    vmi.migrating =
        migration->FindString({"startTimestamp"}).has_value() && !migration->FindString({"endTimestamp"}).has_value();
  }
  vmi.conditions = Conditions(object);
  return vmi;
}

Result<Migration> DecodeMigration(JsonView object) {
  Migration out;
  const auto name = object.String({"metadata", "name"});
  if (!name) return Fail(name.error());
  const auto uid = object.String({"metadata", "uid"});
  if (!uid) return Fail(uid.error().In(*name));
  const auto vmi = object.String({"spec", "vmiName"});
  if (!vmi) return Fail(vmi.error().In(*name));
  out.ns = TextOr(object, {"metadata", "namespace"});
  out.name = *name;
  out.uid = *uid;
  out.vmi = *vmi;
  out.phase = TextOr(object, {"status", "phase"});
  out.source_node = TextOr(object, {"status", "migrationState", "sourceNode"});
  if (const auto created = kube::ParseRfc3339(TextOr(object, {"metadata", "creationTimestamp"})))
    out.created = *created;
  out.for_update = object.FindString({"metadata", "annotations", "kubevirt.io/workloadUpdateMigration"}).has_value();
  return out;
}

Result<KubeVirtFacts> DecodeKubeVirt(JsonView object) {
  KubeVirtFacts out;
  const auto name = object.String({"metadata", "name"});
  if (!name) return Fail(name.error());
  out.ns = TextOr(object, {"metadata", "namespace"});
  out.name = *name;
  out.phase = TextOr(object, {"status", "phase"});
  out.observed_deployment = TextOr(object, {"status", "observedDeploymentID"});
  out.target_deployment = TextOr(object, {"status", "targetDeploymentID"});
  out.rollout_strategy = TextOr(object, {"spec", "configuration", "vmRolloutStrategy"});
  if (const auto methods = object.At({"spec", "workloadUpdateStrategy", "workloadUpdateMethods"})) {
    methods->ForEachItem([&](JsonView method) {
      if (const auto text = method.FindString({})) out.update_methods.emplace_back(*text);
      return true;
    });
  }
  if (const auto migrations = object.At({"spec", "configuration", "migrations"})) {
    out.migrations_per_cluster = CountAt(*migrations, {"parallelMigrationsPerCluster"}).value_or(5);
    out.migrations_per_node = CountAt(*migrations, {"parallelOutboundMigrationsPerNode"}).value_or(2);
  }
  return out;
}

}  // namespace whorl::controller::hotplug
