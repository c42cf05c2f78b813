#include "operator/controller/enrol/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/controller/rows.h"

namespace whorl::controller {
namespace {

using ::testing::HasSubstr;

// One namespace, one policy, one running VM; tests change what they are about.
struct Cluster {
  VirtualMachine vm;
  VirtualMachineInstance vmi;
  Pod pod;
  Namespace ns;
  std::optional<PolicyObject> policy;
  bool has_vm = true;
  bool has_vmi = true;

  Cluster() {
    vm.ns = vmi.ns = pod.ns = ns.name = "default";
    vm.name = vmi.name = "db-1";
    vm.uid = "vm-uid";
    vm.mode = "enforce";
    vmi.uid = "vmi-uid";
    vmi.vm_uid = "vm-uid";
    vmi.node = "node-1";
    vmi.phase = "Running";
    vmi.vcpus = 2;
    pod.name = "virt-launcher-db-1-x";
    pod.uid = "pod-uid";
    pod.vmi_uid = "vmi-uid";
    pod.node = "node-1";
    pod.phase = "Running";
    pod.cpu_request = MilliCores{200};
    policy = PolicyObject{"default", "p", 1, test::MakePolicy(), ""};
  }
  ClusterView View() const {
    ClusterView view;
    if (has_vm) view.vms.push_back(std::make_shared<const VirtualMachine>(vm));
    if (has_vmi) view.vmis.push_back(std::make_shared<const VirtualMachineInstance>(vmi));
    view.pods.push_back(std::make_shared<const Pod>(pod));
    view.namespaces.push_back(std::make_shared<const Namespace>(ns));
    if (policy) view.policies.push_back(std::make_shared<const PolicyObject>(*policy));
    return view;
  }
  std::vector<Resolution> Rows() const { return Resolve(View()); }
};

TEST(Resolve, EnrolsAnAnnotatedRunningVmByItsPodUid) {
  const auto rows = Cluster().Rows();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].mode.mode, Mode::kEnforce);
  ASSERT_TRUE(rows[0].enrolment.has_value());
  EXPECT_EQ(rows[0].enrolment->pod_uid, "pod-uid");
  EXPECT_EQ(rows[0].enrolment->node, "node-1");
  EXPECT_EQ(rows[0].enrolment->vcpus, 2);
  EXPECT_EQ(rows[0].subject.uid, "vm-uid");
  EXPECT_TRUE(rows[0].subject.patchable());
}

TEST(Resolve, SaysNothingAboutAVmThatSaysNothing) {
  Cluster cluster;
  cluster.vm.mode.reset();
  EXPECT_TRUE(cluster.Rows().empty());
}

TEST(Resolve, TreatsAnUnknownModeAsOffAndSaysWhatIsAllowed) {
  Cluster cluster;
  cluster.vm.mode = "Enforced";
  const auto rows = cluster.Rows();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_FALSE(rows[0].opted_in());
  EXPECT_FALSE(rows[0].enrolment.has_value());
  ASSERT_FALSE(rows[0].mode.invalid_modes.empty());
  EXPECT_THAT(rows[0].mode.invalid_modes[0], HasSubstr("recommend"));
}

TEST(Resolve, KeepsAnEnforceVmAtWhatThePolicyAllows) {
  Cluster cluster;
  cluster.policy->policy = test::MakePolicy(Mode::kObserve);
  const auto rows = cluster.Rows();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].mode.mode, Mode::kObserve);
  EXPECT_EQ(rows[0].mode.cap, crd::Cap::kPolicyMaxMode);
  EXPECT_TRUE(rows[0].enrolment.has_value());
}

TEST(Resolve, TakesTheNamespacesModeWhereTheVmSaysNone) {
  Cluster cluster;
  cluster.vm.mode.reset();
  cluster.ns.mode = "observe";
  const auto rows = cluster.Rows();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].mode.mode, Mode::kObserve);
}

TEST(Resolve, ObservesAtMostWhenThePolicyIsMissingOrRefused) {
  Cluster cluster;
  cluster.policy.reset();
  EXPECT_LE(cluster.Rows().at(0).mode.mode, Mode::kObserve);
  EXPECT_FALSE(cluster.Rows().at(0).mode.invalid_policies.empty() && cluster.Rows().at(0).mode.message.empty());
  cluster.policy = PolicyObject{"default", "p", 1, nullptr, "spec.leaseSeconds: 1 is below 5"};
  EXPECT_LE(cluster.Rows().at(0).mode.mode, Mode::kObserve);
  EXPECT_NE(cluster.Rows().at(0).policy, nullptr);
}

TEST(Resolve, SaysThatAStoppedVmDoesNotRun) {
  Cluster cluster;
  cluster.has_vmi = false;
  const auto rows = cluster.Rows();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_TRUE(rows[0].opted_in());
  ASSERT_TRUE(rows[0].not_watched.has_value());
  EXPECT_EQ(rows[0].not_watched->reason, "NotRunning");
}

TEST(Resolve, SaysThatNoLauncherPodRunsYet) {
  Cluster cluster;
  cluster.pod.phase = "Pending";
  cluster.vmi.phase = "Scheduling";
  const auto rows = cluster.Rows();
  ASSERT_TRUE(rows.at(0).not_watched.has_value());
  EXPECT_THAT(rows[0].not_watched->message, HasSubstr("Scheduling"));
}

TEST(Resolve, WatchesABareInstanceButNeverCallsItPatchable) {
  Cluster cluster;
  cluster.has_vm = false;
  cluster.vmi.vm_uid.clear();
  cluster.vmi.mode = "observe";
  const auto rows = cluster.Rows();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_FALSE(rows[0].subject.patchable());
  EXPECT_EQ(rows[0].subject.kind, "VirtualMachineInstance");
  EXPECT_TRUE(rows[0].enrolment.has_value());
}

TEST(Resolve, NeverPutsALimitBelowTheRequest) {
  Cluster cluster;
  cluster.pod.cpu_request = MilliCores{300};
  cluster.pod.cpu_limit = MilliCores{200};
  EXPECT_EQ(cluster.Rows().at(0).enrolment->limit, MilliCores{300});
}

struct PodRow {
  const char* name;
  const char* node;
  const char* phase;
  const char* created;
};

const Pod* Choose(const VirtualMachineInstance& vmi, std::vector<Pod>& pods) {
  std::vector<const Pod*> pointers;
  for (const auto& pod : pods) pointers.push_back(&pod);
  return ChoosePod(vmi, pointers);
}

std::vector<Pod> Pods(std::initializer_list<PodRow> rows) {
  std::vector<Pod> pods;
  for (const auto& row : rows) {
    Pod pod;
    pod.name = pod.uid = row.name;
    pod.node = row.node;
    pod.phase = row.phase;
    pod.created = row.created;
    pods.push_back(pod);
  }
  return pods;
}

TEST(Resolve, PassesABaselineRequestOnAndSaysWhatIsWrongWithOneOutsideTheGrammar) {
  Cluster cluster;
  cluster.vm.baseline = "reset@now";
  auto rows = cluster.Rows();
  ASSERT_TRUE(rows[0].baseline_request.has_value());
  EXPECT_EQ(rows[0].baseline_request->verb, crd::BaselineVerb::kReset);
  cluster.vm.baseline = "forget";
  rows = cluster.Rows();
  EXPECT_FALSE(rows[0].baseline_request.has_value());
  EXPECT_THAT(rows[0].invalid_baseline, ::testing::HasSubstr("reset or accept"));
}

TEST(ChoosePod, PassesOverDeadPodsThatActivePodsStillNames) {
  VirtualMachineInstance vmi;
  vmi.node = "hostnode";
  vmi.target_pod = "d";
  auto pods = Pods({{"a", "vmnode", "Failed", "1"},
                    {"b", "vmnode", "Succeeded", "2"},
                    {"c", "hostnode", "Running", "0"},
                    {"d", "", "Pending", "3"}});
  EXPECT_EQ(Choose(vmi, pods)->name, "c");
}

TEST(ChoosePod, StaysWithTheSourceUntilTheMigrationHasEndedWell) {
  VirtualMachineInstance vmi;
  vmi.node = "a-node";
  vmi.target_pod = "target";
  auto pods = Pods({{"source", "a-node", "Running", "1"}, {"target", "b-node", "Running", "2"}});
  EXPECT_EQ(Choose(vmi, pods)->name, "source");
  vmi.node = "b-node";
  vmi.migrated = true;
  EXPECT_EQ(Choose(vmi, pods)->name, "target");
}

TEST(ChoosePod, FindsNothingWhenNothingRuns) {
  VirtualMachineInstance vmi;
  auto pods = Pods({{"a", "n", "Failed", "1"}, {"b", "", "Running", "2"}});
  EXPECT_EQ(Choose(vmi, pods), nullptr);
}

}  // namespace
}  // namespace whorl::controller
