#include "operator/controller/hotplug/rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "operator/controller/watch/quantity.h"

namespace whorl::controller::hotplug {
namespace {

using Found = std::optional<Refusal>;

constexpr Bytes kGi{1LL << 30};
constexpr std::int64_t kMostVcpus = 512;

bool HasMethod(const KubeVirtFacts& kubevirt, std::string_view method) {
  return std::find(kubevirt.update_methods.begin(), kubevirt.update_methods.end(), method) !=
         kubevirt.update_methods.end();
}

std::string Architecture(const Situation& s) {
  if (s.vmi != nullptr && !s.vmi->architecture.empty()) return s.vmi->architecture;
  return s.vm->architecture.empty() ? "amd64" : s.vm->architecture;
}

// What a change of memory means to a VM that cannot have one: KubeVirt says the
// reason itself at admission where the template names maxGuest, and wraps it in
// a RestartRequired otherwise.
Refusal NoMemoryHotplug(const Situation& s, std::string_view code, std::string_view reason) {
  return {code, s.vm->max_guest ? std::string(reason) : fmt::format("memory hotplug not supported, {}", reason),
          "set memory.guest for the next start instead"};
}

// --- The cluster ---------------------------------------------------------------------------------------------------

Found KubeVirtUnknown(const Situation& s) {
  if (s.kubevirt != nullptr) return std::nullopt;
  return Refusal{"KubeVirtUnknown",
                 "no KubeVirt object could be read, so it is not known whether this cluster hotplugs",
                 "see that whorl-controller may list kubevirts.kubevirt.io"};
}

Found KubeVirtNotDeployed(const Situation& s) {
  if (s.kubevirt->phase == "Deployed") return std::nullopt;
  return Refusal{"KubeVirtNotDeployed",
                 fmt::format("KubeVirt is {}, not Deployed; it carries out no changes until it is",
                             s.kubevirt->phase.empty() ? "without a phase" : s.kubevirt->phase),
                 {}};
}

Found KubeVirtUpdating(const Situation& s) {
  if (s.kubevirt->observed_deployment == s.kubevirt->target_deployment) return std::nullopt;
  return Refusal{"KubeVirtUpdating", "KubeVirt is being updated; it carries out no changes until that is done", {}};
}

Found RolloutStrategy(const Situation& s) {
  if (s.kubevirt->rollout_strategy.empty() || s.kubevirt->rollout_strategy == "LiveUpdate") return std::nullopt;
  return Refusal{"RolloutStrategyStage",
                 fmt::format("spec.configuration.vmRolloutStrategy of KubeVirt is {}: changes wait for a restart",
                             s.kubevirt->rollout_strategy),
                 "set it to LiveUpdate; it holds for a VM from its next start"};
}

// Without LiveMigrate the VM keeps HotVCPUChange for ever; with Evict alone a
// VM that cannot migrate is evicted, which is a restart.
Found NoLiveMigrateMethod(const Situation& s) {
  if (HasMethod(*s.kubevirt, "LiveMigrate")) return std::nullopt;
  return Refusal{"NoLiveMigrateMethod",
                 HasMethod(*s.kubevirt, "Evict")
                     ? "spec.workloadUpdateStrategy.workloadUpdateMethods of KubeVirt has Evict but not LiveMigrate: "
                       "the change would restart the VM"
                     : "spec.workloadUpdateStrategy.workloadUpdateMethods of KubeVirt has no LiveMigrate: the change "
                       "would never be carried out",
                 "add LiveMigrate to it"};
}

// --- The VM now ----------------------------------------------------------------------------------------------------

Found NotRunning(const Situation& s) {
  if (s.vmi != nullptr && s.vmi->phase == "Running" && !s.vmi->deleting) return std::nullopt;
  return Refusal{"NotRunning", "the VM is not running", "a stopped VM takes its template's size when it starts"};
}

Found RestartPending(const Situation& s) {
  const auto* c = Find(s.vm->conditions, kRestartRequired);
  if (c == nullptr || !c->is_true) return std::nullopt;
  return Refusal{
      "RestartRequired",
      fmt::format("the VM has an earlier change that needs a restart, and until then takes no other: {}", c->message),
      "restart the VM, or take that change back"};
}

Found DedicatedCpus(const Situation& s) {
  if (!s.vm->dedicated_cpus) return std::nullopt;
  return Refusal{"DedicatedCPUs", "Whorl changes nothing of a VM with dedicated CPUs", {}};
}

Found InstanceType(const Situation& s) {
  if (s.vm->instancetype.empty()) return std::nullopt;
  std::string fields;
  if (s.changes_sockets()) fields = "spec.template.spec.domain.cpu.sockets";
  if (s.changes_guest()) fields += fmt::format("{}spec.template.spec.domain.memory.guest", fields.empty() ? "" : ", ");
  return Refusal{"InstanceType", fmt::format("VM field(s) {} conflicts with selected instance type", fields),
                 fmt::format("choose a larger instance type than {} in spec.instancetype.name and clear revisionName",
                             s.vm->instancetype)};
}

Found CpuHotplugInProgress(const Situation& s) {
  if (!s.changes_sockets() || !IsTrue(s.vmi->conditions, kHotVcpuChange)) return std::nullopt;
  return Refusal{"HotplugInProgress", "another CPU hotplug is in progress", {}};
}

Found MemoryHotplugInProgress(const Situation& s) {
  if (!s.changes_guest() || !IsTrue(s.vmi->conditions, kHotMemoryChange)) return std::nullopt;
  return Refusal{"HotplugInProgress", "another memory hotplug is in progress", {}};
}

// One kind of change under way blocks the other, too: the migration that carries
// it out was made for the size it saw.
Found OtherHotplugInProgress(const Situation& s) {
  if (!IsTrue(s.vmi->conditions, kHotVcpuChange) && !IsTrue(s.vmi->conditions, kHotMemoryChange)) return std::nullopt;
  return Refusal{"HotplugInProgress", "a hotplug of the other kind is in progress", {}};
}

Found Migrating(const Situation& s) {
  if (!s.vmi->migrating && !s.migration_in_flight) return std::nullopt;
  return Refusal{"Migrating",
                 s.changes_sockets() ? "CPU hotplug is not allowed while VMI is migrating"
                                     : "memory hotplug is not allowed while VMI is migrating",
                 {}};
}

Found NotMigratable(const Situation& s) {
  const auto* c = Find(s.vmi->conditions, kLiveMigratable);
  if (c != nullptr && c->is_true) return std::nullopt;
  const std::string why = c == nullptr || c->message.empty() ? std::string() : fmt::format(" ({})", c->message);
  return Refusal{"NotMigratable",
                 s.changes_guest()
                     ? "memory updated in template spec. Memory-hotplug is only available for migratable VMs" + why
                     : "the VM cannot be migrated, which is how KubeVirt adds sockets" + why,
                 "only a restart changes its size"};
}

Found NoOtherNode(const Situation& s) {
  if (s.other_nodes > 0) return std::nullopt;
  return Refusal{"NoOtherNode",
                 "a change of size is a migration to another node, and no other node is ready for VMs: it would stay "
                 "pending",
                 {}};
}

// --- Sockets -------------------------------------------------------------------------------------------------------

Found ArmSockets(const Situation& s) {
  if (!s.changes_sockets() || Architecture(s) != "arm64") return std::nullopt;
  return Refusal{"Architecture", "ARM doesn't support CPU hotplug", {}};
}

Found NoSocketsStated(const Situation& s) {
  if (!s.changes_sockets() || s.vm->sockets) return std::nullopt;
  return Refusal{"NoSocketsStated",
                 s.vm->has_cpu ? "CPU sockets updated in template spec to a value higher than what's available"
                               : "a non-live-updatable field was changed in the template spec",
                 "state domain.cpu.sockets in the template and restart the VM once"};
}

Found SocketsReduced(const Situation& s) {
  if (!s.changes_sockets() || *s.target.sockets >= *s.vm->sockets) return std::nullopt;
  return Refusal{"SocketsReduced", "Reduction of CPU socket count requires a restart",
                 "limit its CPU instead, or set the size for its next start"};
}

Found AboveTemplateMaxSockets(const Situation& s) {
  if (!s.changes_sockets() || !s.vm->max_sockets || *s.target.sockets <= *s.vm->max_sockets) return std::nullopt;
  return Refusal{"AboveMaxSockets", "Number of sockets in CPU topology is greater than the maximum sockets allowed",
                 "raise domain.cpu.maxSockets and restart the VM"};
}

Found AboveMaxSockets(const Situation& s) {
  if (!s.changes_sockets() || (s.vmi->max_sockets && *s.target.sockets <= *s.vmi->max_sockets &&
                               *s.target.sockets * s.vm->vcpus_per_socket() <= kMostVcpus)) {
    return std::nullopt;
  }
  return Refusal{"AboveMaxSockets", "CPU sockets updated in template spec to a value higher than what's available",
                 "set domain.cpu.maxSockets and restart the VM"};
}

Found CpuRequestAboveLimit(const Situation& s) {
  if (!s.vm->cpu_request || !s.vm->cpu_limit || Count(*s.vm->cpu_request) <= Count(*s.vm->cpu_limit))
    return std::nullopt;
  return Refusal{"RequestAboveLimit",
                 fmt::format("spec.template.spec.domain.resources.requests.cpu '{}m' is greater than "
                             "spec.template.spec.domain.resources.limits.cpu '{}m'",
                             Count(*s.vm->cpu_request), Count(*s.vm->cpu_limit)),
                 "repair the template"};
}

// --- Memory --------------------------------------------------------------------------------------------------------

Found MemoryRequestAboveLimit(const Situation& s) {
  if (!s.vm->memory_request || !s.vm->memory_limit || Count(*s.vm->memory_request) <= Count(*s.vm->memory_limit))
    return std::nullopt;
  return Refusal{"RequestAboveLimit",
                 fmt::format("spec.template.spec.domain.resources.requests.memory '{}' is greater than "
                             "spec.template.spec.domain.resources.limits.memory '{}'",
                             BytesText(*s.vm->memory_request), BytesText(*s.vm->memory_limit)),
                 "repair the template"};
}

Found MemoryArchitecture(const Situation& s) {
  if (!s.changes_guest() || Architecture(s) == "amd64") return std::nullopt;
  return NoMemoryHotplug(s, "Architecture", "Memory hotplug is only available for x86_64 VMs");
}

Found Realtime(const Situation& s) {
  if (!s.changes_guest() || !s.vm->realtime) return std::nullopt;
  return NoMemoryHotplug(s, "Realtime", "Memory hotplug is not compatible with realtime VMs");
}

Found Passthrough(const Situation& s) {
  if (!s.changes_guest() || !s.vm->guest_mapping_passthrough) return std::nullopt;
  return NoMemoryHotplug(s, "GuestMappingPassthrough",
                         "Memory hotplug is not compatible with guest mapping passthrough");
}

Found Encrypted(const Situation& s) {
  if (!s.changes_guest() || !s.vm->encrypted) return std::nullopt;
  return NoMemoryHotplug(s, "Encrypted", "Memory hotplug is not compatible with encrypted VMs");
}

Found NoGuestMemory(const Situation& s) {
  if (!s.changes_guest() || s.vm->guest) return std::nullopt;
  return NoMemoryHotplug(s, "NoGuestMemory", "Guest memory must be configured when memory hotplug is enabled");
}

Found SmallGuest(const Situation& s) {
  if (!s.changes_guest()) return std::nullopt;
  const Bytes boot = s.vmi->guest_at_boot.value_or(*s.vm->guest);
  if (boot >= kGi) return std::nullopt;
  return NoMemoryHotplug(s, "SmallGuest", "Memory hotplug is only available for VMs with at least 1Gi of guest memory");
}

Found NoMaxGuest(const Situation& s) {
  if (!s.changes_guest() || s.vmi->max_guest) return std::nullopt;
  return Refusal{"NoMaxGuest",
                 "memory updated in template spec. Memory-hotplug is not available for this VM configuration",
                 "set domain.memory.maxGuest and restart the VM"};
}

Found MaxGuestAligned(const Situation& s) {
  if (!s.changes_guest() || Count(*s.vmi->max_guest) % Count(Alignment(*s.vm)) == 0) return std::nullopt;
  return NoMemoryHotplug(s, "Alignment", fmt::format("MaxGuest must be {} aligned", BytesText(Alignment(*s.vm))));
}

Found GuestAligned(const Situation& s) {
  if (!s.changes_guest() || Count(*s.target.guest) % Count(Alignment(*s.vm)) == 0) return std::nullopt;
  return NoMemoryHotplug(s, "Alignment", fmt::format("Guest memory must be {} aligned", BytesText(Alignment(*s.vm))));
}

Found MemoryFailedBefore(const Situation& s) {
  if (!s.changes_guest()) return std::nullopt;
  const auto* c = Find(s.vmi->conditions, kHotMemoryChange);
  if (c == nullptr || !c->is_false) return std::nullopt;
  return Refusal{
      "MemoryHotplugFailed",
      "memory updated in template spec. Memory-hotplug failed and is not available for this VM configuration",
      "restart the VM"};
}

Found AboveTemplateMaxGuest(const Situation& s) {
  if (!s.changes_guest() || !s.vm->max_guest || *s.target.guest <= *s.vm->max_guest) return std::nullopt;
  return Refusal{"AboveMaxGuest", "Guest memory is greater than the configured maxGuest memory",
                 "raise domain.memory.maxGuest and restart the VM"};
}

Found AboveMaxGuest(const Situation& s) {
  if (!s.changes_guest() || *s.target.guest <= *s.vmi->max_guest) return std::nullopt;
  return Refusal{"AboveMaxGuest", "memory updated in template spec to a value higher than what's available",
                 "set domain.memory.maxGuest and restart the VM"};
}

Found BelowBoot(const Situation& s) {
  if (!s.changes_guest() || !s.vmi->guest_at_boot || *s.target.guest >= *s.vmi->guest_at_boot) return std::nullopt;
  return Refusal{"BelowBootMemory", "memory updated in template spec to a value lower than what the VM started with",
                 "set the size for its next start"};
}

Found BelowUse(const Situation& s) {
  if (!s.changes_guest() || *s.target.guest >= *s.vm->guest) return std::nullopt;
  if (s.used && *s.target.guest > *s.used) return std::nullopt;
  return Refusal{"BelowUse",
                 s.used ? fmt::format("the guest needs {} now, more than {} would leave", BytesText(*s.used),
                                      BytesText(*s.target.guest))
                        : "it is not known how much memory the guest needs, so none is taken from it",
                 {}};
}

// KubeVirt itself does not look: its check of guest against limit is off where
// live updates are on, and the pod is killed when the guest fills its memory.
Found AboveMemoryLimit(const Situation& s) {
  if (!s.changes_guest() || !s.vm->memory_limit || *s.target.guest <= *s.vm->memory_limit) return std::nullopt;
  return Refusal{
      "AboveMemoryLimit",
      fmt::format("guest memory {} is greater than spec.template.spec.domain.resources.limits.memory {}: the "
                  "pod would be killed when the guest fills it",
                  BytesText(*s.target.guest), BytesText(*s.vm->memory_limit)),
      "raise the limit and restart the VM"};
}

// The next request and limit are reckoned from what the balloon leaves the guest.
Found Ballooned(const Situation& s) {
  if (!s.changes_guest() || !(s.vm->memory_request || s.vm->memory_limit)) return std::nullopt;
  if (!s.vmi->guest_current || !s.vmi->guest_requested || *s.vmi->guest_current >= *s.vmi->guest_requested)
    return std::nullopt;
  return Refusal{
      "Ballooned",
      fmt::format("the guest's balloon holds memory back ({} of {}): KubeVirt would reckon requests and limits "
                  "from that",
                  BytesText(*s.vmi->guest_current), BytesText(*s.vmi->guest_requested)),
      "wait until it is deflated"};
}

Found NothingToDo(const Situation& s) {
  if (s.changes_sockets() || s.changes_guest()) return std::nullopt;
  return Refusal{"NothingToDo", "the VM has that size", {}};
}

constexpr Rule kRules[] = {
    {"NothingToDo", NothingToDo},
    {"KubeVirtUnknown", KubeVirtUnknown},
    {"KubeVirtNotDeployed", KubeVirtNotDeployed},
    {"KubeVirtUpdating", KubeVirtUpdating},
    {"RolloutStrategyStage", RolloutStrategy},
    {"NoLiveMigrateMethod", NoLiveMigrateMethod},
    {"NotRunning", NotRunning},
    {"RestartRequired", RestartPending},
    {"DedicatedCPUs", DedicatedCpus},
    {"InstanceType", InstanceType},
    {"HotplugInProgress", CpuHotplugInProgress},
    {"HotplugInProgress", MemoryHotplugInProgress},
    {"HotplugInProgress", OtherHotplugInProgress},
    {"Migrating", Migrating},
    {"NotMigratable", NotMigratable},
    {"NoOtherNode", NoOtherNode},
    {"RequestAboveLimit", CpuRequestAboveLimit},
    {"RequestAboveLimit", MemoryRequestAboveLimit},
    {"Architecture", ArmSockets},
    {"NoSocketsStated", NoSocketsStated},
    {"SocketsReduced", SocketsReduced},
    {"AboveMaxSockets", AboveTemplateMaxSockets},
    {"AboveMaxSockets", AboveMaxSockets},
    {"Architecture", MemoryArchitecture},
    {"Realtime", Realtime},
    {"GuestMappingPassthrough", Passthrough},
    {"Encrypted", Encrypted},
    {"NoGuestMemory", NoGuestMemory},
    {"MemoryHotplugFailed", MemoryFailedBefore},
    {"SmallGuest", SmallGuest},
    {"NoMaxGuest", NoMaxGuest},
    {"Alignment", MaxGuestAligned},
    {"Alignment", GuestAligned},
    {"AboveMaxGuest", AboveTemplateMaxGuest},
    {"AboveMaxGuest", AboveMaxGuest},
    {"BelowBootMemory", BelowBoot},
    {"BelowUse", BelowUse},
    {"AboveMemoryLimit", AboveMemoryLimit},
    {"Ballooned", Ballooned},
};

}  // namespace

bool Situation::changes_sockets() const { return target.sockets && target.sockets != vm->sockets; }
bool Situation::changes_guest() const { return target.guest && target.guest != vm->guest; }

Bytes Alignment(const VmFacts& vm) { return vm.hugepages == "1Gi" ? kGi : Bytes{2LL << 20}; }

std::span<const Rule> Rules() { return kRules; }

std::optional<Refusal> WhyNot(const Situation& situation) {
  for (const auto& rule : kRules) {
    if (auto refusal = rule.check(situation)) return refusal;
  }
  return std::nullopt;
}

}  // namespace whorl::controller::hotplug
