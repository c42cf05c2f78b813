#include "operator/controller/ingest/node_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fake/fake_agent.h"
#include "tests/fake/manual_clock.h"
#include "tests/operator/controller/rows.h"

namespace whorl::controller {
namespace {

using test::MakeAssignment;
using test::MakeRow;
using ::testing::HasSubstr;

struct Heard final : LinkListener {
  void OnReport(NodeReport r, std::vector<Happening> h) override {
    report = std::move(r);
    happenings.insert(happenings.end(), h.begin(), h.end());
  }
  void OnTick(const std::string&, std::chrono::microseconds) override { ++ticks; }
  void OnPlan(const std::string&, std::string_view result, const std::optional<TickTimes>& t) override {
    results.emplace_back(result);
    if (t) times = t;
  }
  void OnRecall(const std::string&) override { ++recalls; }
  NodeReport report;
  std::vector<Happening> happenings;
  std::vector<std::string> results;
  std::optional<TickTimes> times;
  int ticks = 0;
  int recalls = 0;
};

struct World {
  World() {
    node.Add("db-1-pod", 1);
    lease = {true, false, false, 0};
    link.Assign(std::make_shared<const NodeAssignment>(MakeAssignment({MakeRow("db-1", Mode::kEnforce)})));
  }
  Status Run(int frames) {
    node.more = [left = frames]() mutable { return left-- > 0; };
    return link.RunOnce({});
  }

  fake::FakeNode node{"node-1"};
  fake::ManualClock clock;
  LeaseView lease;
  Leadership leadership{[this] { return lease; }};
  BaselineBank bank;
  Heard heard;
  std::optional<Error> fail_dial;
  NodeLink link{"node-1",
                [this](const AgentAddress&) -> Result<std::unique_ptr<NodeClient>> {
                  if (fail_dial) return Fail(*fail_dial);
                  return node.Dial();
                },
                leadership,
                bank,
                heard,
                clock};
};

TEST(NodeLink, AnswersEveryFrameWithAPlanAndMeasuresHowLongItTook) {
  World world;
  EXPECT_TRUE(world.Run(10));
  EXPECT_EQ(world.heard.ticks, 10);
  EXPECT_EQ(world.node.plans.size(), 10u);
  EXPECT_TRUE(world.heard.report.connected);
  ASSERT_TRUE(world.heard.times.has_value());
  EXPECT_EQ(world.heard.times->sample_to_limit, Millis{2});
}

TEST(NodeLink, DoesNotDialWhileItDoesNotLead) {
  World world;
  world.lease = {};
  EXPECT_FALSE(world.Run(10));
  EXPECT_EQ(world.node.enrolments, 0);
  EXPECT_TRUE(world.node.plans.empty());
}

TEST(NodeLink, SaysThatNoAgentRunsOnTheNode) {
  World world;
  auto assignment = MakeAssignment({});
  assignment.agent_ip.clear();
  world.link.Assign(std::make_shared<const NodeAssignment>(assignment));
  const auto ended = world.Run(1);
  ASSERT_FALSE(ended);
  EXPECT_THAT(ended.error().message, HasSubstr("no whorl-agent runs on node node-1"));
}

TEST(NodeLink, RefusesAnAgentThatSaysItIsAnotherNode) {
  World world;
  fake::FakeNode impostor("node-2");
  NodeLink link(
      "node-1", [&](const AgentAddress&) -> Result<std::unique_ptr<NodeClient>> { return impostor.Dial(); },
      world.leadership, world.bank, world.heard, world.clock);
  link.Assign(std::make_shared<const NodeAssignment>(MakeAssignment({})));
  const auto ended = link.RunOnce({});
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::kUnauthorized);
  EXPECT_THAT(ended.error().message, HasSubstr("says it is node node-2"));
}

TEST(NodeLink, PassesOnWhyDiallingOrACallFailed) {
  World world;
  world.fail_dial = Error{Code::kNotFound, "tls.crt cannot be read"};
  EXPECT_EQ(world.Run(1).error().message, "tls.crt cannot be read");
  world.fail_dial.reset();
  world.node.fail_describe = Error{Code::kUnauthorized, "wrong certificate"};
  EXPECT_EQ(world.Run(1).error().code, Code::kUnauthorized);
  world.node.fail_describe.reset();
  world.node.fail_enrol = Error{Code::kTimeout, "no answer"};
  EXPECT_EQ(world.Run(1).error().code, Code::kTimeout);
  world.node.fail_enrol.reset();
  world.node.fail_apply = Error{Code::kUnavailable, "gone"};
  EXPECT_EQ(world.Run(5).error().message, "gone");
  EXPECT_EQ(world.heard.results.back(), "error");
  world.node.fail_apply.reset();
  EXPECT_TRUE(world.Run(3));
}

TEST(NodeLink, RisesAboveTheEpochAnAgentHasSeenBeforeItEnrols) {
  World world;
  world.node.epoch = 41;
  EXPECT_TRUE(world.Run(2));
  EXPECT_EQ(world.node.epoch, 42u);
}

TEST(NodeLink, StepsDownWhenAnAgentObeysANewerOneAndTheLeaseCannotBeRenewed) {
  World world;
  ASSERT_TRUE(world.Run(2));
  world.lease = {false, false, false, 0};  // the API server is away
  EXPECT_TRUE(world.Run(2));               // renewing goes on
  world.node.epoch = 99;
  EXPECT_FALSE(world.Run(2));
  EXPECT_FALSE(world.leadership.Current().leading);
}

TEST(NodeLink, TakesANewAssignmentOverAtTheNextFrame) {
  World world;
  world.node.Add("web-1-pod", 2);
  int left = 6;
  world.node.more = [&] {
    if (left == 3) {
      world.link.Assign(std::make_shared<const NodeAssignment>(
          MakeAssignment({MakeRow("db-1", Mode::kEnforce), MakeRow("web-1", Mode::kEnforce)})));
    }
    return left-- > 0;
  };
  EXPECT_TRUE(world.link.RunOnce({}));
  EXPECT_EQ(world.node.enrolments, 2);
  EXPECT_EQ(world.heard.report.vms.size(), 2u);
  EXPECT_EQ(world.node.plans.back().directives_size(), 2);
}

TEST(NodeLink, LooksAgainForAPodThatWasNotThereYet) {
  World world;
  world.node.guests.at("db-1-pod").present = false;
  int left = 10;
  world.node.more = [&] {
    world.clock.Advance(Seconds{1});
    if (left == 5) world.node.guests.at("db-1-pod").present = true;
    return left-- > 0;
  };
  EXPECT_TRUE(world.link.RunOnce({}));
  EXPECT_GE(world.node.enrolments, 2);
  EXPECT_EQ(world.node.guests.at("db-1-pod").mode, api::MODE_ENFORCE);
}

}  // namespace
}  // namespace whorl::controller
