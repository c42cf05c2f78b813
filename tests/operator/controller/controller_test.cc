// The whole controller between an API server in memory and a simulated node:
// real threads and real time, so not among the unit tests.
#include "operator/controller/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/fake/fake_agent.h"
#include "tests/fake/fake_api.h"

namespace whorl::controller {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr const char* kVms = "/apis/kubevirt.io/v1/namespaces/default/virtualmachines";
constexpr const char* kFingerprint = "/apis/whorl.dev/v1alpha1/namespaces/default/behaviorfingerprints/db-1";
constexpr const char* kPartition = "/apis/whorl.dev/v1alpha1/nodepartitions/node-1";

json Vm(const json& annotations) {
  return {{"apiVersion", "kubevirt.io/v1"},
          {"kind", "VirtualMachine"},
          {"metadata", {{"name", "db-1"}, {"namespace", "default"}, {"uid", "vm-uid"}, {"annotations", annotations}}}};
}

// The smallest cluster in which something can be enrolled. The node's seconds
// pass as fast as the link takes them.
struct World {
  World() {
    api.KeepWatchesOpen(true);
    api.Put("/api/v1/namespaces", {{"metadata", {{"name", "default"}, {"uid", "ns-uid"}}}});
    api.Put("/api/v1/nodes",
            {{"metadata", {{"name", "node-1"}, {"uid", "node-uid"}}}, {"status", {{"allocatable", {{"cpu", "2"}}}}}});
    api.Put("/apis/whorl.dev/v1alpha1/partitionpolicies",
            {{"apiVersion", "whorl.dev/v1alpha1"},
             {"kind", "PartitionPolicy"},
             {"metadata", {{"name", "default"}, {"uid", "policy-uid"}, {"generation", 1}}},
             {"spec",
              {{"maxMode", "Enforce"},
               {"learningSeconds", 60},
               {"learningSamples", 60},
               // The budget that so short a baseline can keep: the alarm stands low enough to be reached at once.
               {"falseEpisodesPerWeek", 168},
               {"capacity", {{"cpuMillicores", 900}}},
               {"resources", {{"cpu", {{"partition", "Hard"}}}}}}}});
    api.Put(kVms, Vm({{"whorl.dev/mode", "enforce"}}));
    api.Put("/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances",
            {{"metadata",
              {{"name", "db-1"},
               {"namespace", "default"},
               {"uid", "vmi-uid"},
               {"ownerReferences", json::array({{{"kind", "VirtualMachine"}, {"uid", "vm-uid"}}})}}},
             {"status", {{"phase", "Running"}, {"nodeName", "node-1"}, {"currentCPUTopology", {{"sockets", 1}}}}}});
    api.Put("/api/v1/namespaces/default/pods",
            {{"metadata",
              {{"name", "virt-launcher-db-1"},
               {"namespace", "default"},
               {"uid", "db-1-pod"},
               {"labels", {{"kubevirt.io", "virt-launcher"}, {"kubevirt.io/created-by", "vmi-uid"}}}}},
             {"spec",
              {{"nodeName", "node-1"},
               {"containers", json::array({{{"name", "compute"}, {"resources", {{"requests", {{"cpu", "100m"}}}}}}})}}},
             {"status", {{"phase", "Running"}, {"podIP", "10.0.0.2"}}}});
    api.Put("/api/v1/namespaces/whorl-system/pods",
            {{"metadata",
              {{"name", "whorl-agent-1"},
               {"namespace", "whorl-system"},
               {"uid", "agent-uid"},
               {"labels", {{"app.kubernetes.io/name", "whorl"}, {"app.kubernetes.io/component", "agent"}}}}},
             {"spec", {{"nodeName", "node-1"}}},
             {"status", {{"phase", "Running"}, {"podIP", "10.0.0.5"}}}});
    node.Add("db-1-pod", 1);
    node.more = [this] {
      std::this_thread::sleep_for(Millis{2});
      // The node's guests belong to the link's thread; this is how a test tells them something.
      node.guests.at("db-1-pod").vm->demand = demand.load();
      held = node.guests.at("db-1-pod").held;
      return true;
    };
    controller.Start();
  }
  ~World() {
    controller.Stop();
    api.EndWatches();
  }

  bool Eventually(const std::function<bool()>& holds) const {
    for (int i = 0; i < 2000; ++i) {
      if (holds()) return true;
      std::this_thread::sleep_for(Millis{10});
    }
    return false;
  }
  std::string Annotation(const char* key) const {
    const auto vm = api.Find(std::string(kVms) + "/db-1");
    if (!vm) return {};
    return vm->value(json::json_pointer("/metadata/annotations"), json::object()).value(key, std::string());
  }
  std::string State() const {
    const auto object = api.Find(kFingerprint);
    return object ? object->value(json::json_pointer("/status/state"), std::string()) : std::string();
  }
  bool HasEvent(const std::string& reason) const {
    for (const auto& event : api.All("/apis/events.k8s.io/v1/namespaces/default/events")) {
      if (event.value("reason", "") == reason && event["regarding"].value("uid", "") == "vm-uid") return true;
    }
    return false;
  }

  fake::FakeApi api;
  fake::FakeNode node{"node-1"};
  std::atomic<double> demand{20};
  std::atomic<bool> held{false};
  kube::SystemClock clock;
  std::unique_ptr<kube::Client> client = api.NewClient(clock);
  std::unique_ptr<kube::Client> lease_client = api.NewClient(clock);
  Metrics metrics;
  Controller controller{
      *client, *lease_client,
      clock,   [this](const AgentAddress&) -> Result<std::unique_ptr<NodeClient>> { return node.Dial(); },
      metrics, ControllerOptions{"whorl-system", "replica-1_uid", "replica-1", 7443}};
};

TEST(Controller, MakesAGuestsBehaviourVisibleAndLeavesNothingBehindAfterOptOut) {
  World world;
  ASSERT_TRUE(world.Eventually([&] { return world.controller.NotReady().empty(); })) << world.controller.NotReady();
  ASSERT_TRUE(world.Eventually([&] { return world.State() == "Normal"; })) << world.State();
  ASSERT_TRUE(world.Eventually([&] { return world.Annotation("whorl.dev/state") == "Normal"; }));
  EXPECT_FALSE(world.Annotation("whorl.dev/score").empty());
  EXPECT_TRUE(world.Eventually([&] { return world.HasEvent("BaselineReady"); }));
  EXPECT_TRUE(world.Eventually([&] { return world.held.load(); }));

  world.demand = 900;
  ASSERT_TRUE(world.Eventually([&] { return world.HasEvent("BehaviorDeviating"); }));
  EXPECT_TRUE(world.Eventually([&] { return world.api.Find(kPartition).has_value(); }));
  EXPECT_THAT(world.metrics.Render(), HasSubstr("whorl_leader 1"));

  world.api.Put(kVms, Vm({{"whorl.dev/state", "Deviating"}, {"kept", "yes"}}));
  EXPECT_TRUE(world.Eventually([&] { return !world.held.load(); }));
  EXPECT_TRUE(world.Eventually([&] { return !world.api.Find(kFingerprint).has_value(); }));
  EXPECT_TRUE(world.Eventually([&] { return world.Annotation("whorl.dev/state").empty(); }));
  EXPECT_EQ(world.Annotation("kept"), "yes");
}

}  // namespace
}  // namespace whorl::controller
