#include "operator/controller/hotplug/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace whorl::controller::hotplug {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr Bytes Gi(std::int64_t n) { return Bytes{n << 30}; }

// A VM of one socket and 1 Gi in a cluster that hotplugs; each test spoils one thing.
struct Scene {
  VmFacts vm;
  InstanceFacts vmi;
  KubeVirtFacts kubevirt;
  Situation situation;

  Scene() {
    vm.has_cpu = true;
    vm.sockets = 1;
    vm.cores = 1;
    vm.guest = Gi(1);
    vm.guest_text = "1Gi";
    vmi.phase = "Running";
    vmi.node = "node-1";
    vmi.sockets = vmi.current_sockets = 1;
    vmi.max_sockets = 4;
    vmi.guest = vmi.guest_at_boot = vmi.guest_current = vmi.guest_requested = Gi(1);
    vmi.max_guest = Gi(4);
    vmi.architecture = "amd64";
    vmi.conditions = {{.type = "LiveMigratable", .is_true = true, .reason = {}, .message = {}}};
    kubevirt.phase = "Deployed";
    kubevirt.update_methods = {"LiveMigrate"};
    situation.vm = &vm;
    situation.vmi = &vmi;
    situation.kubevirt = &kubevirt;
    situation.other_nodes = 1;
    situation.target = {.sockets = 2, .guest = Gi(2)};
  }
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;

  void Only(Target target) { situation.target = target; }
  Refusal Refused() const {
    const auto found = WhyNot(situation);
    return found ? *found : Refusal{"allowed", {}, {}};
  }
};
const Target kSockets{.sockets = 2, .guest = {}};
const Target kMemory{.sockets = {}, .guest = Gi(2)};

TEST(HotplugRules, AllowAVmThatMayGrowInBothWithOnePatch) {
  const Scene scene;
  EXPECT_FALSE(WhyNot(scene.situation)) << WhyNot(scene.situation)->text;
}

TEST(HotplugRules, AllowALimitedVmUpToItsLimit) {
  Scene scene;
  scene.vm.memory_request = scene.vm.memory_limit = Gi(2);
  EXPECT_FALSE(WhyNot(scene.situation));
}

// Each rule by what spoils the scene, with its code and its exact text.
struct Spoilt {
  const char* name;
  std::function<void(Scene&)> spoil;
  const char* code;
  const char* text;
};
class HotplugRule : public ::testing::TestWithParam<Spoilt> {};

TEST_P(HotplugRule, RefusesWithItsCodeAndText) {
  Scene scene;
  GetParam().spoil(scene);
  EXPECT_EQ(scene.Refused().code, GetParam().code);
  EXPECT_EQ(scene.Refused().text, GetParam().text);
}

const Spoilt kSpoilt[] = {
    {"NothingToDo", [](Scene& s) { s.Only({.sockets = 1, .guest = Gi(1)}); }, "NothingToDo", "the VM has that size"},
    // The cluster: kubevirt.md 1.1.
    {"KubeVirtUnknown", [](Scene& s) { s.situation.kubevirt = nullptr; }, "KubeVirtUnknown",
     "no KubeVirt object could be read, so it is not known whether this cluster hotplugs"},
    {"NotDeployed", [](Scene& s) { s.kubevirt.phase = "Deploying"; }, "KubeVirtNotDeployed",
     "KubeVirt is Deploying, not Deployed; it carries out no changes until it is"},
    {"NoPhase", [](Scene& s) { s.kubevirt.phase = ""; }, "KubeVirtNotDeployed",
     "KubeVirt is without a phase, not Deployed; it carries out no changes until it is"},
    {"Updating", [](Scene& s) { s.kubevirt.target_deployment = "next"; }, "KubeVirtUpdating",
     "KubeVirt is being updated; it carries out no changes until that is done"},
    {"Stage", [](Scene& s) { s.kubevirt.rollout_strategy = "Stage"; }, "RolloutStrategyStage",
     "spec.configuration.vmRolloutStrategy of KubeVirt is Stage: changes wait for a restart"},
    {"NoMethod", [](Scene& s) { s.kubevirt.update_methods = {}; }, "NoLiveMigrateMethod",
     "spec.workloadUpdateStrategy.workloadUpdateMethods of KubeVirt has no LiveMigrate: the change would never be "
     "carried out"},
    {"EvictOnly", [](Scene& s) { s.kubevirt.update_methods = {"Evict"}; }, "NoLiveMigrateMethod",
     "spec.workloadUpdateStrategy.workloadUpdateMethods of KubeVirt has Evict but not LiveMigrate: the change would "
     "restart the VM"},
    // The VM now: 1.2, 1.4, 0.1.
    {"NoInstance", [](Scene& s) { s.situation.vmi = nullptr; }, "NotRunning", "the VM is not running"},
    {"Scheduling", [](Scene& s) { s.vmi.phase = "Scheduling"; }, "NotRunning", "the VM is not running"},
    {"Deleting", [](Scene& s) { s.vmi.deleting = true; }, "NotRunning", "the VM is not running"},
    {"RestartPending",
     [](Scene& s) {
       s.vm.conditions = {{.type = "RestartRequired",
                           .is_true = true,
                           .reason = {},
                           .message = "a non-live-updatable field was changed in the template spec"}};
     },
     "RestartRequired",
     "the VM has an earlier change that needs a restart, and until then takes no other: a non-live-updatable field was "
     "changed in the template spec"},
    {"DedicatedCpus", [](Scene& s) { s.vm.dedicated_cpus = true; }, "DedicatedCPUs",
     "Whorl changes nothing of a VM with dedicated CPUs"},
    {"InstanceType", [](Scene& s) { s.vm.instancetype = "u1.medium"; }, "InstanceType",
     "VM field(s) spec.template.spec.domain.cpu.sockets, spec.template.spec.domain.memory.guest conflicts with "
     "selected "
     "instance type"},
    {"CpuInProgress",
     [](Scene& s) {
       s.vmi.conditions.push_back({.type = "HotVCPUChange", .is_true = true, .reason = {}, .message = {}});
     },
     "HotplugInProgress", "another CPU hotplug is in progress"},
    {"MemoryInProgress",
     [](Scene& s) {
       s.vmi.conditions.push_back({.type = "HotMemoryChange", .is_true = true, .reason = {}, .message = {}});
     },
     "HotplugInProgress", "another memory hotplug is in progress"},
    {"OtherInProgress",
     [](Scene& s) {
       s.Only(kSockets);
       s.vmi.conditions.push_back({.type = "HotMemoryChange", .is_true = true, .reason = {}, .message = {}});
     },
     "HotplugInProgress", "a hotplug of the other kind is in progress"},
    {"CpuWhileMigrating", [](Scene& s) { s.vmi.migrating = true; }, "Migrating",
     "CPU hotplug is not allowed while VMI is migrating"},
    {"MemoryWhileMigrating",
     [](Scene& s) {
       s.Only(kMemory);
       s.situation.migration_in_flight = true;
     },
     "Migrating", "memory hotplug is not allowed while VMI is migrating"},
    {"MemoryNotMigratable",
     [](Scene& s) {
       s.vmi.conditions[0].is_true = false;
       s.vmi.conditions[0].message = "";
     },
     "NotMigratable", "memory updated in template spec. Memory-hotplug is only available for migratable VMs"},
    {"CpuNotMigratable",
     [](Scene& s) {
       s.Only(kSockets);
       s.vmi.conditions[0].is_true = false;
       s.vmi.conditions[0].message = "PVC disk0 is not shared";
     },
     "NotMigratable", "the VM cannot be migrated, which is how KubeVirt adds sockets (PVC disk0 is not shared)"},
    {"MigratableUnknown", [](Scene& s) { s.Only(kSockets), s.vmi.conditions.clear(); }, "NotMigratable",
     "the VM cannot be migrated, which is how KubeVirt adds sockets"},
    {"OneNode", [](Scene& s) { s.situation.other_nodes = 0; }, "NoOtherNode",
     "a change of size is a migration to another node, and no other node is ready for VMs: it would stay pending"},
    // Sockets: 1.2, 1.3, 1.4, 0.7.
    {"ArmCpu", [](Scene& s) { s.Only(kSockets), s.vmi.architecture = "arm64"; }, "Architecture",
     "ARM doesn't support CPU hotplug"},
    {"CoresOnly", [](Scene& s) { s.vm.sockets.reset(); }, "NoSocketsStated",
     "CPU sockets updated in template spec to a value higher than what's available"},
    {"NoCpuAtAll", [](Scene& s) { s.vm.sockets.reset(), s.vm.has_cpu = false; }, "NoSocketsStated",
     "a non-live-updatable field was changed in the template spec"},
    {"FewerSockets", [](Scene& s) { s.vm.sockets = 3; }, "SocketsReduced",
     "Reduction of CPU socket count requires a restart"},
    {"AboveTemplateMax", [](Scene& s) { s.vm.max_sockets = 1; }, "AboveMaxSockets",
     "Number of sockets in CPU topology is greater than the maximum sockets allowed"},
    {"AboveMax", [](Scene& s) { s.vmi.max_sockets = 1; }, "AboveMaxSockets",
     "CPU sockets updated in template spec to a value higher than what's available"},
    {"MaxUnknown", [](Scene& s) { s.vmi.max_sockets.reset(); }, "AboveMaxSockets",
     "CPU sockets updated in template spec to a value higher than what's available"},
    {"Above512Vcpus", [](Scene& s) { s.vm.cores = 257; }, "AboveMaxSockets",
     "CPU sockets updated in template spec to a value higher than what's available"},
    {"CpuRequestAboveLimit", [](Scene& s) { s.vm.cpu_request = MilliCores{2000}, s.vm.cpu_limit = MilliCores{1000}; },
     "RequestAboveLimit",
     "spec.template.spec.domain.resources.requests.cpu '2000m' is greater than "
     "spec.template.spec.domain.resources.limits.cpu '1000m'"},
    // Memory: 1.2, 1.3, 1.4.
    {"MemoryRequestAboveLimit", [](Scene& s) { s.vm.memory_request = Gi(3), s.vm.memory_limit = Gi(2); },
     "RequestAboveLimit",
     "spec.template.spec.domain.resources.requests.memory '3Gi' is greater than "
     "spec.template.spec.domain.resources.limits.memory '2Gi'"},
    {"S390Memory", [](Scene& s) { s.vmi.architecture = "s390x"; }, "Architecture",
     "memory hotplug not supported, Memory hotplug is only available for x86_64 VMs"},
    {"ArmMemory", [](Scene& s) { s.Only(kMemory), s.vmi.architecture = "arm64"; }, "Architecture",
     "memory hotplug not supported, Memory hotplug is only available for x86_64 VMs"},
    {"Realtime", [](Scene& s) { s.vm.realtime = true; }, "Realtime",
     "memory hotplug not supported, Memory hotplug is not compatible with realtime VMs"},
    {"Passthrough", [](Scene& s) { s.vm.guest_mapping_passthrough = true; }, "GuestMappingPassthrough",
     "memory hotplug not supported, Memory hotplug is not compatible with guest mapping passthrough"},
    {"Encrypted", [](Scene& s) { s.vm.encrypted = true; }, "Encrypted",
     "memory hotplug not supported, Memory hotplug is not compatible with encrypted VMs"},
    // Where the template itself sets maxGuest, admission says it without the frame.
    {"EncryptedWithMaxGuest", [](Scene& s) { s.vm.encrypted = true, s.vm.max_guest = Gi(4); }, "Encrypted",
     "Memory hotplug is not compatible with encrypted VMs"},
    {"NoGuest", [](Scene& s) { s.vm.guest.reset(); }, "NoGuestMemory",
     "memory hotplug not supported, Guest memory must be configured when memory hotplug is enabled"},
    {"FailedBefore",
     [](Scene& s) {
       s.vmi.conditions.push_back(
           {.type = "HotMemoryChange", .is_true = false, .is_false = true, .reason = {}, .message = {}});
     },
     "MemoryHotplugFailed",
     "memory updated in template spec. Memory-hotplug failed and is not available for this VM configuration"},
    {"SmallGuest", [](Scene& s) { s.vmi.guest_at_boot = Bytes{512LL << 20}; }, "SmallGuest",
     "memory hotplug not supported, Memory hotplug is only available for VMs with at least 1Gi of guest memory"},
    {"NoMaxGuest", [](Scene& s) { s.vmi.max_guest.reset(); }, "NoMaxGuest",
     "memory updated in template spec. Memory-hotplug is not available for this VM configuration"},
    {"OddMaxGuest", [](Scene& s) { s.vmi.max_guest = Bytes{(4LL << 30) + (1 << 20)}; }, "Alignment",
     "memory hotplug not supported, MaxGuest must be 2Mi aligned"},
    {"OddGuest", [](Scene& s) { s.Only({.sockets = {}, .guest = Bytes{(2LL << 30) + (1 << 20)}}); }, "Alignment",
     "memory hotplug not supported, Guest memory must be 2Mi aligned"},
    {"OddGuestOfBigPages",
     [](Scene& s) {
       s.vm.hugepages = "1Gi";
       s.vm.max_guest = Gi(4);
       s.Only({.sockets = {}, .guest = Bytes{1536LL << 20}});
     },
     "Alignment", "Guest memory must be 1Gi aligned"},
    {"AboveTemplateMaxGuest", [](Scene& s) { s.vm.max_guest = Gi(1); }, "AboveMaxGuest",
     "Guest memory is greater than the configured maxGuest memory"},
    {"AboveMaxGuest", [](Scene& s) { s.Only({.sockets = {}, .guest = Gi(5)}); }, "AboveMaxGuest",
     "memory updated in template spec to a value higher than what's available"},
    {"BelowBoot",
     [](Scene& s) {
       s.vm.guest = Gi(4);
       s.vmi.guest_at_boot = Gi(3);
     },
     "BelowBootMemory", "memory updated in template spec to a value lower than what the VM started with"},
    // Ours.
    {"BelowUse",
     [](Scene& s) {
       s.vm.guest = Gi(3);
       s.situation.used = Bytes{2560LL << 20};
     },
     "BelowUse", "the guest needs 2560Mi now, more than 2Gi would leave"},
    {"UseUnknown", [](Scene& s) { s.vm.guest = Gi(3); }, "BelowUse",
     "it is not known how much memory the guest needs, so none is taken from it"},
    {"AbovePodLimit", [](Scene& s) { s.vm.memory_limit = Bytes{1536LL << 20}; }, "AboveMemoryLimit",
     "guest memory 2Gi is greater than spec.template.spec.domain.resources.limits.memory 1536Mi: the pod would be "
     "killed "
     "when the guest fills it"},
    {"Ballooned",
     [](Scene& s) {
       s.vm.memory_request = Gi(1);
       s.vmi.guest_current = Bytes{768LL << 20};
     },
     "Ballooned",
     "the guest's balloon holds memory back (768Mi of 1Gi): KubeVirt would reckon requests and limits from that"},
};
INSTANTIATE_TEST_SUITE_P(All, HotplugRule, ::testing::ValuesIn(kSpoilt),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(HotplugRules, EveryRuleIsTestedAndNamesItsOwnCode) {
  std::set<std::string_view> tested;
  std::set<std::optional<Refusal> (*)(const Situation&)> fired;
  for (const auto& spoilt : kSpoilt) {
    tested.insert(spoilt.code);
    Scene scene;
    spoilt.spoil(scene);
    for (const auto& rule : Rules()) {
      if (rule.check(scene.situation)) {
        fired.insert(rule.check);
        EXPECT_EQ(rule.check(scene.situation)->code, rule.code);
        break;
      }
    }
  }
  for (const auto& rule : Rules()) {
    EXPECT_TRUE(tested.contains(rule.code)) << rule.code;
    EXPECT_TRUE(fired.contains(rule.check)) << rule.code;
  }
}

TEST(HotplugRules, AnUnrelatedMemoryTroubleDoesNotStopSockets) {
  Scene scene;
  scene.Only(kSockets);
  scene.vm.encrypted = true;
  scene.vm.guest.reset();
  scene.vmi.max_guest.reset();
  EXPECT_FALSE(WhyNot(scene.situation));
  scene.situation.target = {.sockets = 2, .guest = scene.vm.guest};
  EXPECT_FALSE(WhyNot(scene.situation));
}

TEST(HotplugRules, MemoryMayShrinkToWhatTheVmStartedWithWhenTheGuestNeedsLess) {
  Scene scene;
  scene.vm.guest = Gi(3);
  scene.Only(kMemory);
  scene.situation.used = Gi(1);
  EXPECT_FALSE(WhyNot(scene.situation));
}

TEST(HotplugRules, ARefusalSaysWhatToDo) {
  Scene scene;
  scene.kubevirt.update_methods = {};
  EXPECT_THAT(scene.Refused().Message(), HasSubstr("; add LiveMigrate to it"));
  EXPECT_THAT(scene.Refused().Message(), StartsWith("spec.workloadUpdateStrategy"));
}

}  // namespace
}  // namespace whorl::controller::hotplug
