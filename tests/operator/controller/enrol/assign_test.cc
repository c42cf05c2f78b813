#include "operator/controller/enrol/assign.h"

#include <gtest/gtest.h>

#include "tests/operator/controller/rows.h"

namespace whorl::controller {
namespace {

using test::MakePolicy;
using test::MakeRow;

std::shared_ptr<const Pod> MakePod(const std::string& name, const std::string& node,
                                   std::optional<std::int64_t> request, const std::string& phase = "Running") {
  auto pod = std::make_shared<Pod>();
  pod->name = pod->uid = name;
  pod->ns = "default";
  pod->node = node;
  pod->phase = phase;
  if (request) pod->cpu_request = MilliCores{*request};
  return pod;
}

std::shared_ptr<const Pod> MakeAgent(const std::string& name, const std::string& node, const std::string& ip,
                                     bool ready, const std::string& created) {
  auto pod = std::make_shared<Pod>(*MakePod(name, node, 20));
  pod->agent = true;
  pod->ip = ip;
  pod->ready = ready;
  pod->created = created;
  return pod;
}

std::shared_ptr<const Node> MakeNode(const std::string& name, std::int64_t allocatable) {
  return std::make_shared<const Node>(Node{name, name + "-uid", MilliCores{allocatable}, false, std::nullopt});
}

TEST(Assign, CountsTheRequestsOfEverythingThatIsNotPartitioned) {
  ClusterView view;
  view.nodes = {MakeNode("node-1", 2000)};
  view.pods = {MakePod("db-1-pod", "node-1", 100),
               MakePod("web-1-pod", "node-1", 300),
               MakePod("other", "node-1", 50),
               MakePod("done", "node-1", 999, "Succeeded"),
               MakePod("elsewhere", "node-2", 999),
               MakePod("asks-nothing", "node-1", std::nullopt),
               MakeAgent("agent", "node-1", "10.0.0.5", true, "1")};
  const auto nodes = Assign(view, {MakeRow("db-1", Mode::kEnforce), MakeRow("web-1", Mode::kObserve)});
  ASSERT_EQ(nodes.size(), 1u);
  const auto& node = nodes.at("node-1");
  EXPECT_EQ(node.other_requests, MilliCores{300 + 50 + 20});  // the observed VM lives outside the partition
  EXPECT_EQ(node.allocatable, MilliCores{2000});
  EXPECT_EQ(node.agent_ip, "10.0.0.5");
  EXPECT_EQ(node.vms.size(), 2u);
}

TEST(Assign, CountsMemoryThatIsNotDividedAmongGuests) {
  constexpr std::int64_t kMib = 1 << 20;
  ClusterView view;
  auto node = std::make_shared<Node>(*MakeNode("node-1", 2000));
  node->allocatable_memory = 8192 * kMib;
  view.nodes = {node};
  auto other = std::make_shared<Pod>(*MakePod("other", "node-1", 50));
  other->memory_request = 100 * kMib;
  view.pods = {other, MakeAgent("agent", "node-1", "10.0.0.5", true, "1")};
  auto divided = MakeRow("db-1", Mode::kEnforce), kept = MakeRow("web-1", Mode::kEnforce);
  auto policy = std::make_shared<crd::PartitionPolicy>(*divided.policy);
  policy->engine.memory.partition = true;
  policy->memory_reserve_mib = 512;
  policy->memory_capacity_mib = 4096;
  divided.policy = policy;
  for (auto* row : {&divided, &kept}) {
    row->enrolment->guest_bytes = 2048 * kMib;
    row->enrolment->guest_request_bytes = 1024 * kMib;
    row->enrolment->memory_request = 1224 * kMib;
  }
  const auto nodes = Assign(view, {divided, kept});
  const auto& assigned = nodes.at("node-1");
  EXPECT_EQ(assigned.other_memory, (100 + 200 + 1224) * kMib) << "the overhead of one launcher, all of the other";
  EXPECT_EQ(assigned.memory_reserve, 512 * kMib);
  EXPECT_EQ(assigned.memory_cap, 4096 * kMib);
  EXPECT_EQ(assigned.allocatable_memory, 8192 * kMib);
}

TEST(Assign, TakesTheStrictestNumbersOfThePoliciesOnANode) {
  auto a = std::make_shared<crd::PartitionPolicy>(*MakePolicy());
  a->engine.reserve = MilliCores{100};
  a->cpu_capacity = MilliCores{1500};
  a->lease = Seconds{60};
  auto b = std::make_shared<crd::PartitionPolicy>(*MakePolicy());
  b->engine.reserve = MilliCores{400};
  b->cpu_capacity = MilliCores{900};
  b->lease = Seconds{20};
  const auto nodes = Assign({}, {MakeRow("db-1", Mode::kEnforce, a), MakeRow("web-1", Mode::kEnforce, b)});
  const auto& node = nodes.at("node-1");
  EXPECT_EQ(node.reserve, MilliCores{400});
  EXPECT_EQ(node.cap, MilliCores{900});
  EXPECT_EQ(node.lease, Seconds{20});
}

TEST(Assign, DialsTheReadyAgentDuringARollout) {
  ClusterView view;
  view.pods = {MakeAgent("old", "node-1", "10.0.0.5", true, "1"), MakeAgent("new", "node-1", "10.0.0.6", false, "2")};
  EXPECT_EQ(Assign(view, {}).at("node-1").agent_ip, "10.0.0.5");
  view.pods = {MakeAgent("old", "node-1", "10.0.0.5", false, "1"), MakeAgent("new", "node-1", "10.0.0.6", true, "2")};
  EXPECT_EQ(Assign(view, {}).at("node-1").agent_ip, "10.0.0.6");
}

TEST(SameOrders, SeesEveryChangeAnAgentOrEngineMustHear) {
  const auto base = test::MakeAssignment({MakeRow("db-1", Mode::kEnforce)});
  EXPECT_TRUE(SameOrders(base, base));
  auto generation = base;
  generation.vms[0].generation = 7;  // of no interest to a node
  EXPECT_TRUE(SameOrders(base, generation));
  auto mode = base;
  mode.vms[0].mode.mode = Mode::kObserve;
  EXPECT_FALSE(SameOrders(base, mode));
  auto request = base;
  request.vms[0].baseline_request = crd::BaselineRequest{crd::BaselineVerb::kReset, "reset"};
  EXPECT_FALSE(SameOrders(base, request));
  auto pod = base;
  pod.vms[0].enrolment->pod_uid = "another";
  EXPECT_FALSE(SameOrders(base, pod));
  auto policy = base;
  auto edited = std::make_shared<crd::PartitionPolicy>(*base.vms[0].policy);
  edited->generation = 2;
  policy.vms[0].policy = edited;
  EXPECT_FALSE(SameOrders(base, policy));
  auto agent = base;
  agent.agent_ip = "10.0.0.9";
  EXPECT_FALSE(SameOrders(base, agent));
}

}  // namespace
}  // namespace whorl::controller
