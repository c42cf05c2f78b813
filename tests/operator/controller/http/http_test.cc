#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/controller/http/metrics.h"
#include "operator/controller/http/server.h"
#include "tests/operator/controller/rows.h"

namespace whorl::controller {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

NodeReport Node(State state, std::optional<std::uint8_t> score) {
  NodeReport node;
  node.node = "node-1";
  node.connected = true;
  node.capacity = MilliCores{900};
  VmReport vm;
  vm.resolution = test::MakeRow("db-1", Mode::kEnforce);
  vm.assessment.state = state;
  vm.assessment.score = score;
  vm.assessment.cpu_allocation = MilliCores{300};
  node.vms = {vm};
  return node;
}

TEST(Metrics, NamesTheVmByNamespaceNameAndNode) {
  Metrics metrics;
  metrics.OnReport(Node(State::kNormal, 7));
  const auto text = metrics.Render();
  EXPECT_THAT(text, HasSubstr("whorl_vm_score{namespace=\"default\",name=\"db-1\",node=\"node-1\"} 7"));
  EXPECT_THAT(text, HasSubstr("state=\"Normal\"} 1"));
  EXPECT_THAT(text, HasSubstr("state=\"Blind\"} 0"));
  EXPECT_THAT(text,
              HasSubstr("whorl_vm_cpu_allocation_cores{namespace=\"default\",name=\"db-1\",node=\"node-1\"} 0.3"));
  EXPECT_THAT(text, HasSubstr("whorl_agent_connected{node=\"node-1\"} 1"));
}

TEST(Metrics, HasNoScoreWhileBlindAndForgetsANodeThatIsGone) {
  Metrics metrics;
  metrics.OnReport(Node(State::kBlind, std::nullopt));
  EXPECT_THAT(metrics.Render(), Not(HasSubstr("whorl_vm_score{")));
  metrics.ForgetNode("node-1");
  EXPECT_THAT(metrics.Render(), Not(HasSubstr("db-1")));
}

TEST(Metrics, CountsPlansAndTheirTimes) {
  Metrics metrics;
  metrics.OnPlan("node-1", "accepted",
                 TickTimes{Millis{4}, std::chrono::microseconds{60}, std::chrono::microseconds{1500}});
  metrics.OnPlan("node-1", "refused", std::nullopt);
  const auto text = metrics.Render();
  EXPECT_THAT(text, HasSubstr("whorl_plans_total{node=\"node-1\",result=\"accepted\"} 1"));
  EXPECT_THAT(text, HasSubstr("whorl_plans_total{node=\"node-1\",result=\"refused\"} 1"));
  EXPECT_THAT(text, HasSubstr("whorl_sample_to_limit_seconds_count{node=\"node-1\"} 1"));
  EXPECT_THAT(text, HasSubstr("whorl_plan_seconds_bucket{node=\"node-1\",le=\"0.002\"} 1"));
}

TEST(HttpServer, RefusesAnAddressItCannotUseAndSaysWhatItMustBe) {
  const HttpServer::Pages pages{[] { return std::string(); }, [] { return std::string(); }};
  for (const auto* listen : {"9095", "localhost:", "0.0.0.0:http", ""}) {
    const auto server = HttpServer::Start(listen, pages);
    ASSERT_FALSE(server) << listen;
    EXPECT_THAT(server.error().message, HasSubstr("address:port"));
  }
}

TEST(HttpServer, SaysThatThePortIsTaken) {
  const HttpServer::Pages pages{[] { return std::string(); }, [] { return std::string(); }};
  // Some port of these is free, and then it is taken.
  std::unique_ptr<HttpServer> first;
  std::string listen;
  for (int port = 42'000; port < 42'050 && !first; ++port) {
    listen = "127.0.0.1:" + std::to_string(port);
    if (auto server = HttpServer::Start(listen, pages)) first = std::move(*server);
  }
  ASSERT_TRUE(first);
  const auto second = HttpServer::Start(listen, pages);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kConflict);
  EXPECT_THAT(second.error().message, HasSubstr(listen));
}

}  // namespace
}  // namespace whorl::controller
