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
    RunOn("node-1", "db-1-pod");
    PutAgent("node-1");
    node.Add("db-1-pod", 1);
    node.more = [this] {
      std::this_thread::sleep_for(Millis{2});
      // The node's guests belong to the link's thread; this is how a test tells them something.
      node.guests.at("db-1-pod").vm->demand = demand.load();
      held = node.guests.at("db-1-pod").held;
      enrolments = node.enrolments;
      return true;
    };
    StartController();
  }
  // The guest runs on this node, in a launcher pod with this uid.
  void RunOn(const std::string& where, const std::string& pod_uid) {
    api.Put("/api/v1/namespaces/default/pods",
            {{"metadata",
              {{"name", "virt-launcher-" + pod_uid},
               {"namespace", "default"},
               {"uid", pod_uid},
               {"labels", {{"kubevirt.io", "virt-launcher"}, {"kubevirt.io/created-by", "vmi-uid"}}}}},
             {"spec",
              {{"nodeName", where},
               {"containers", json::array({{{"name", "compute"}, {"resources", {{"requests", {{"cpu", "100m"}}}}}}})}}},
             {"status", {{"phase", "Running"}, {"podIP", "10.0.0.2"}}}});
    api.Put("/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances",
            {{"metadata",
              {{"name", "db-1"},
               {"namespace", "default"},
               {"uid", "vmi-uid"},
               {"ownerReferences", json::array({{{"kind", "VirtualMachine"}, {"uid", "vm-uid"}}})}}},
             {"status", {{"phase", "Running"}, {"nodeName", where}, {"currentCPUTopology", {{"sockets", 1}}}}}});
  }
  void PutAgent(const std::string& where) {
    api.Put("/api/v1/namespaces/whorl-system/pods",
            {{"metadata",
              {{"name", "whorl-agent-" + where},
               {"namespace", "whorl-system"},
               {"uid", "agent-uid-" + where},
               {"labels", {{"app.kubernetes.io/name", "whorl"}, {"app.kubernetes.io/component", "agent"}}}}},
             {"spec", {{"nodeName", where}}},
             {"status", {{"phase", "Running"}, {"podIP", "10.0.0.5"}}}});
  }
  void MoveToSecondNode() {
    api.Put("/api/v1/nodes",
            {{"metadata", {{"name", "node-2"}, {"uid", "node-2-uid"}}}, {"status", {{"allocatable", {{"cpu", "2"}}}}}});
    second.Add("db-1-pod-2", 1);
    second.more = [] {
      std::this_thread::sleep_for(Millis{2});
      return true;
    };
    PutAgent("node-2");
    RunOn("node-2", "db-1-pod-2");
    api.Remove("/api/v1/namespaces/default/pods/virt-launcher-db-1-pod");
  }
  void StartController() { controller = NewController("replica-1"); }
  std::unique_ptr<Controller> NewController(const std::string& replica) {
    auto made = std::make_unique<Controller>(
        *client, *lease_client, clock,
        [this](const AgentAddress& address) -> Result<std::unique_ptr<NodeClient>> {
          return (address.node == "node-2" ? second : node).Dial();
        },
        metrics,
        ControllerOptions{
            .identity = replica + "_uid", .replica = replica, .seal = CheckpointSeal(std::string(32, 'k'))});
    made->Start();
    return made;
  }
  // As a new pod does: another process, with nothing but what the cluster keeps.
  void RestartController() {
    controller->Stop();
    StartController();
  }
  ~World() {
    controller->Stop();
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
  std::string Node() const {
    const auto object = api.Find(kFingerprint);
    return object ? object->value(json::json_pointer("/status/node"), std::string()) : std::string();
  }
  // Of db-1, in the NodePartition; nullopt: none are written there.
  std::optional<std::int64_t> Credits() const {
    const auto object = api.Find(kPartition);
    const json::json_pointer at("/status/virtualMachines/0/credits");
    if (!object || !object->contains(at)) return std::nullopt;
    return object->at(at).get<std::int64_t>();
  }
  std::uint64_t Epoch() const {
    const auto object = api.Find(kPartition);
    return object ? object->value(json::json_pointer("/status/epoch"), std::uint64_t{0}) : 0;
  }
  std::string Leader() const {
    const auto object = api.Find(kPartition);
    return object ? object->value(json::json_pointer("/status/controller"), std::string()) : std::string();
  }
  void EditBooks(std::int64_t credits, std::int64_t house) {
    auto object = api.Find(kPartition).value();
    object["status"]["virtualMachines"][0]["credits"] = credits;
    object["status"]["houseCredits"] = house;
    api.Put("/apis/whorl.dev/v1alpha1/nodepartitions", object);
  }
  int Times(const std::string& reason) const {
    int times = 0;
    for (const auto& event : api.All("/apis/events.k8s.io/v1/namespaces/default/events")) {
      times += event.value("reason", "") == reason ? 1 : 0;
    }
    return times;
  }
  bool HasEvent(const std::string& reason) const {
    for (const auto& event : api.All("/apis/events.k8s.io/v1/namespaces/default/events")) {
      if (event.value("reason", "") == reason && event["regarding"].value("uid", "") == "vm-uid") return true;
    }
    return false;
  }

  fake::FakeApi api;
  fake::FakeNode node{"node-1"};
  fake::FakeNode second{"node-2"};
  std::atomic<double> demand{20};
  std::atomic<bool> held{false};
  std::atomic<int> enrolments{0};
  kube::SystemClock clock;
  std::unique_ptr<kube::Client> client = api.NewClient(clock);
  std::unique_ptr<kube::Client> lease_client = api.NewClient(clock);
  Metrics metrics;
  std::unique_ptr<Controller> controller;
};

TEST(Controller, MakesAGuestsBehaviourVisibleAndLeavesNothingBehindAfterOptOut) {
  World world;
  ASSERT_TRUE(world.Eventually([&] { return world.controller->NotReady().empty(); })) << world.controller->NotReady();
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

TEST(Controller, ARestartedControllerGoesOnWithWhatWasLearnt) {
  World world;
  ASSERT_TRUE(world.Eventually([&] { return world.State() == "Normal"; })) << world.State();
  world.RestartController();
  const auto begun = world.enrolments.load();
  ASSERT_TRUE(world.Eventually([&] { return world.enrolments.load() > begun; }));
  ASSERT_TRUE(world.Eventually([&] { return world.controller->NotReady().empty(); }));
  // It would be written at once. (An alarm may open by chance: so short a baseline keeps no small budget.)
  for (int i = 0; i < 50; ++i) {
    ASSERT_NE(world.State(), "Learning");
    std::this_thread::sleep_for(Millis{10});
  }
  EXPECT_FALSE(world.HasEvent("BaselineDiscarded"));
}

TEST(Controller, ARestartedControllerGoesOnWithTheCreditsInTheNodePartition) {
  World world;
  ASSERT_TRUE(world.Eventually([&] { return world.Credits() == 0; }));
  world.controller->Stop();
  world.EditBooks(500, -500);
  world.StartController();
  ASSERT_TRUE(world.Eventually([&] { return world.Epoch() > 0 && world.controller->NotReady().empty(); }));
  const auto epoch = world.Epoch();
  ASSERT_TRUE(world.Eventually([&] { return world.enrolments.load() > 1; }));
  world.RestartController();  // and what that one has written is what the next begins with
  ASSERT_TRUE(world.Eventually([&] { return world.Epoch() > epoch; }));
  EXPECT_EQ(world.Credits(), 500);
  EXPECT_EQ(world.Times("LedgerSetAside"), 0);
}

TEST(Controller, WhoeverFollowsGoesOnWithTheBooksOfWhoLed) {
  World world;
  ASSERT_TRUE(world.Eventually([&] { return world.Credits() == 0; }));
  world.controller->Stop();
  world.EditBooks(300, -300);
  world.StartController();
  ASSERT_TRUE(world.Eventually([&] { return world.Leader() == "replica-1" && world.Credits() == 300; }));
  auto follower = world.NewController("replica-2");
  ASSERT_TRUE(world.Eventually([&] { return follower->NotReady().empty(); }));
  const auto epoch = world.Epoch();
  world.controller->Stop();
  ASSERT_TRUE(world.Eventually([&] { return world.Leader() == "replica-2"; }));
  ASSERT_TRUE(world.Eventually([&] { return world.Epoch() > epoch; }));
  EXPECT_EQ(world.Credits(), 300);
  EXPECT_EQ(world.Times("LedgerSetAside"), 0);
  follower->Stop();
}

TEST(Controller, ANodePartitionEditedByHandIsSetAsideAndHarmsNothingElse) {
  World world;
  ASSERT_TRUE(world.Eventually([&] { return world.State() == "Normal"; })) << world.State();
  ASSERT_TRUE(world.Eventually([&] { return world.Credits() == 0; }));
  world.controller->Stop();
  world.EditBooks(500, 0);
  world.StartController();
  ASSERT_TRUE(world.Eventually([&] { return world.Times("LedgerSetAside") == 1; }));
  ASSERT_TRUE(world.Eventually([&] { return world.Credits() == 0; }));
  EXPECT_TRUE(world.Eventually([&] { return world.State() == "Normal"; })) << world.State();
  for (const auto& event : world.api.All("/apis/events.k8s.io/v1/namespaces/default/events")) {
    if (event.value("reason", "") != "LedgerSetAside") continue;
    EXPECT_EQ(event["regarding"]["kind"], "NodePartition");
    EXPECT_EQ(event["regarding"]["name"], "node-1");
    EXPECT_EQ(event["regarding"]["uid"], world.api.Find(kPartition)->at("metadata").at("uid"));
  }
}

TEST(Controller, ABaselineFollowsItsVmToAnotherNode) {
  World world;
  ASSERT_TRUE(world.Eventually([&] { return world.State() == "Normal"; })) << world.State();
  world.MoveToSecondNode();
  ASSERT_TRUE(world.Eventually([&] { return world.Node() == "node-2"; }));
  EXPECT_TRUE(world.Eventually([&] { return world.State() == "Normal"; }));
  EXPECT_EQ(world.Times("BaselineReady"), 1);  // it did not learn a second time
}

TEST(Controller, PerformsABaselineRequestOnceAndTakesItAway) {
  World world;
  ASSERT_TRUE(world.Eventually([&] { return world.State() == "Normal"; })) << world.State();
  world.api.Put(kVms, Vm({{"whorl.dev/mode", "enforce"}, {"whorl.dev/baseline", "reset@1"}}));
  ASSERT_TRUE(world.Eventually([&] { return world.HasEvent("BaselineReset"); }));
  ASSERT_TRUE(world.Eventually([&] { return world.Annotation("whorl.dev/baseline").empty(); }));
  EXPECT_EQ(world.Annotation("whorl.dev/mode"), "enforce");
  EXPECT_EQ(world.api.Find(kFingerprint)->at("status").at("lastBaselineRequest").at("request"), "reset@1");
  ASSERT_TRUE(world.Eventually([&] { return world.State() == "Normal"; })) << world.State();

  // As if the annotation had outlived the crash of a controller that had done it.
  world.api.Put(kVms, Vm({{"whorl.dev/mode", "enforce"}, {"whorl.dev/baseline", "reset@1"}}));
  ASSERT_TRUE(world.Eventually([&] { return world.Annotation("whorl.dev/baseline").empty(); }));
  EXPECT_EQ(world.Times("BaselineReset"), 1);
}

}  // namespace
}  // namespace whorl::controller
