// Checkpoints as the links of two controllers and two nodes pass them on.
#include "operator/controller/ingest/checkpoint_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/controller/ingest/node_link.h"
#include "tests/fake/fake_agent.h"
#include "tests/fake/manual_clock.h"
#include "tests/operator/controller/rows.h"

namespace whorl::controller {
namespace {

using test::MakeAssignment;
using test::MakeRow;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr int kLearn = 150;

struct Heard final : LinkListener {
  void OnReport(NodeReport r, std::vector<Happening> h) override {
    report = std::move(r);
    happenings.insert(happenings.end(), h.begin(), h.end());
  }
  void OnTick(const std::string&, std::chrono::microseconds) override {}
  void OnPlan(const std::string&, std::string_view, const std::optional<TickTimes>&) override {}
  void OnRecall(const std::string&) override {}

  std::optional<State> StateOf(const std::string& name) const {
    for (const auto& vm : report.vms) {
      if (vm.resolution.subject.name == name) return vm.assessment.state;
    }
    return std::nullopt;
  }
  std::vector<Happening> Told(crd::EventReason reason) const {
    std::vector<Happening> out;
    for (const auto& h : happenings) {
      if (h.reason == reason) out.push_back(h);
    }
    return out;
  }
  NodeReport report;
  std::vector<Happening> happenings;
};

const CheckpointSeal kSeal(std::string(32, 'k'));

// One controller: its memory, and a link to each node it is given.
struct Replica {
  struct Linked {
    Linked(fake::FakeNode& n, Replica& r, const CheckpointSeal* seal)
        : node(n),
          clock(r.clock),
          link(
              n.name(), [&n](const AgentAddress&) -> Result<std::unique_ptr<NodeClient>> { return n.Dial(); },
              r.leadership, r.bank, heard, r.clock, NodeLink::Options{.seal = seal}) {}
    void Assign(std::vector<Resolution> rows) {
      auto assignment = MakeAssignment(std::move(rows));
      assignment.node = node.name();
      link.Assign(std::make_shared<const NodeAssignment>(assignment));
    }
    void Run(int seconds) {
      node.more = [this, left = seconds]() mutable {
        clock.Advance(Seconds{1});
        return left-- > 0;
      };
      EXPECT_TRUE(link.RunOnce({}));
    }
    fake::FakeNode& node;
    fake::ManualClock& clock;
    Heard heard;
    NodeLink link;
  };

  explicit Replica(std::int64_t transitions = 0) { lease = {true, false, false, transitions}; }
  Linked& To(fake::FakeNode& node, const CheckpointSeal* seal = &kSeal) {
    links.push_back(std::make_unique<Linked>(node, *this, seal));
    return *links.back();
  }
  LeaseView lease;
  Leadership leadership{[this] { return lease; }};
  BaselineBank bank;
  fake::ManualClock clock;
  std::vector<std::unique_ptr<Linked>> links;
};

Resolution Db() { return MakeRow("db-1", Mode::kObserve); }

struct World {
  World() { a.Add("db-1-pod", 1); }
  // A first controller learns what is usual and ends.
  void Learn(std::vector<Resolution> rows = {Db()}) {
    Replica first;
    auto& link = first.To(a);
    link.Assign(std::move(rows));
    link.Run(kLearn);
    ASSERT_EQ(link.heard.StateOf("db-1"), State::kNormal);
    ASSERT_THAT(a.checkpoints, ::testing::Contains(::testing::Key("db-1-uid")));
  }
  fake::FakeNode a{"node-a"};
  fake::FakeNode b{"node-b"};
};

TEST(CheckpointKeeper, TheNextControllerGoesOnWhereTheLastOneEnded) {
  World world;
  world.Learn();
  Replica next(1);
  auto& link = next.To(world.a);
  link.Assign({Db()});
  link.Run(3);
  EXPECT_EQ(link.heard.StateOf("db-1"), State::kNormal);
  EXPECT_THAT(link.heard.Told(crd::EventReason::kBaselineDiscarded), SizeIs(0));
}

TEST(CheckpointKeeper, SavesEveryFewMinutesSoThatACrashCostsNoMore) {
  World world;
  Replica first;
  auto& link = first.To(world.a);
  link.Assign({Db()});
  std::string at_first;
  int second = 0;
  world.a.more = [&] {
    first.clock.Advance(Seconds{1});
    ++second;
    if (second == 70) at_first = world.a.checkpoints["db-1-uid"];
    if (second == 500) world.a.fail_store = Error{Code::kUnavailable, "the controller has crashed"};
    return second < 501;
  };
  EXPECT_TRUE(link.link.RunOnce({}));
  EXPECT_FALSE(at_first.empty());
  EXPECT_NE(world.a.checkpoints["db-1-uid"], at_first);
  world.a.fail_store.reset();

  Replica next(1);
  auto& again = next.To(world.a);
  again.Assign({Db()});
  again.Run(3);
  EXPECT_EQ(again.heard.StateOf("db-1"), State::kNormal);
}

TEST(CheckpointKeeper, FollowsAVmThatMovedWhileNoControllerRan) {
  World world;
  world.Learn();
  world.b.Add("db-1-pod-2", 1);
  world.b.now = world.a.now;
  Replica next(1);
  next.bank.SetWatched({"db-1-uid"}, Millis{0});
  auto& to_a = next.To(world.a);
  auto& to_b = next.To(world.b);
  auto moved = Db();
  moved.enrolment->pod_uid = "db-1-pod-2";
  moved.enrolment->node = "node-b";
  to_a.Assign({});
  to_b.Assign({moved});
  to_b.Run(2);
  EXPECT_EQ(to_b.heard.StateOf("db-1"), State::kLearning);
  to_a.Run(10);
  to_b.Run(3);
  EXPECT_EQ(to_b.heard.StateOf("db-1"), State::kNormal);
  EXPECT_EQ(world.b.checkpoints.count("db-1-uid"), 1u);
  to_a.Run(10);
  EXPECT_EQ(world.a.checkpoints.count("db-1-uid"), 0u);  // the new node has it now
}

TEST(CheckpointKeeper, SetsAForgedOneAsideTellsItAndLeavesTheOthersAlone) {
  World world;
  world.a.Add("web-1-pod", 2);
  const auto web = MakeRow("web-1", Mode::kObserve);
  world.Learn({Db(), web});
  world.a.checkpoints["db-1-uid"][20] = static_cast<char>(world.a.checkpoints["db-1-uid"][20] ^ 1);
  const auto forged = world.a.checkpoints["db-1-uid"];
  Replica next(1);
  auto& link = next.To(world.a);
  link.Assign({Db(), web});
  link.Run(3);
  EXPECT_EQ(link.heard.StateOf("db-1"), State::kLearning);
  EXPECT_EQ(link.heard.StateOf("web-1"), State::kNormal);
  const auto told = link.heard.Told(crd::EventReason::kBaselineDiscarded);
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told[0].subject.name, "db-1");
  EXPECT_THAT(told[0].note, HasSubstr("its seal is not ours"));
  EXPECT_THAT(told[0].note, HasSubstr("db-1-uid.corrupt"));
  EXPECT_EQ(world.a.corrupt["db-1-uid"], forged);
}

TEST(CheckpointKeeper, SetsOneAsideThatTheEngineWillNotTake) {
  World world;
  world.a.checkpoints["db-1-uid"] = kSeal.Seal("db-1-uid", {"of a much later version", world.a.now, true});
  Replica next;
  auto& link = next.To(world.a);
  link.Assign({Db()});
  link.Run(3);
  EXPECT_THAT(link.heard.Told(crd::EventReason::kBaselineDiscarded), SizeIs(1));
  EXPECT_EQ(world.a.corrupt.count("db-1-uid"), 1u);
}

TEST(CheckpointKeeper, ForgetsAVmAnHourAfterItOptedOut) {
  World world;
  world.Learn();
  Replica next(1);
  auto& link = next.To(world.a);
  link.Assign({});
  next.bank.SetWatched({}, next.clock.Monotonic());
  link.Run(10);
  EXPECT_EQ(world.a.checkpoints.count("db-1-uid"), 1u);
  next.clock.Advance(BaselineBank::kGrace);
  link.Run(10);
  EXPECT_EQ(world.a.checkpoints.count("db-1-uid"), 0u);
}

TEST(CheckpointKeeper, ALeaderThatComesBackTakesOverWhatTheOtherOneLearnt) {
  World world;
  Replica first;
  auto& before = first.To(world.a);
  before.Assign({Db()});
  before.Run(10);
  ASSERT_EQ(before.heard.StateOf("db-1"), State::kLearning);
  Replica second(4);
  auto& meanwhile = second.To(world.a);
  meanwhile.Assign({Db()});
  meanwhile.Run(kLearn);
  ASSERT_EQ(meanwhile.heard.StateOf("db-1"), State::kNormal);
  first.lease.transitions = 8;
  before.Run(3);
  EXPECT_EQ(before.heard.StateOf("db-1"), State::kNormal);
}

TEST(CheckpointKeeper, AnAgentThatKeepsNoneOrADiskThatIsFullCostsNothingElse) {
  World world;
  world.a.fail_fetch = Error{Code::kUnsupported, "the agent does not know this call"};
  Replica replica;
  auto& link = replica.To(world.a);
  link.Assign({Db()});
  link.Run(kLearn);
  EXPECT_EQ(link.heard.StateOf("db-1"), State::kNormal);
  world.a.fail_fetch.reset();
  world.a.fail_store = Error{Code::kUnavailable, "no space left on device"};
  link.Run(100);
  EXPECT_EQ(link.heard.StateOf("db-1"), State::kNormal);
  EXPECT_THAT(world.a.checkpoints, SizeIs(0));
}

TEST(CheckpointKeeper, KeepsNothingWithoutAKey) {
  World world;
  Replica replica;
  auto& link = replica.To(world.a, nullptr);
  link.Assign({Db()});
  link.Run(kLearn);
  EXPECT_THAT(world.a.checkpoints, SizeIs(0));
}

TEST(CheckpointKeeper, AResetIsOnDiskBeforeItIsTold) {
  World world;
  world.Learn();
  Replica next(1);
  auto& link = next.To(world.a);
  auto asked = Db();
  asked.baseline_request = crd::BaselineRequest{crd::BaselineVerb::kReset, "reset@1"};
  link.Assign({asked});
  const auto learnt = world.a.checkpoints["db-1-uid"];
  link.Run(1);
  EXPECT_THAT(link.heard.Told(crd::EventReason::kBaselineReset), SizeIs(1));
  EXPECT_NE(world.a.checkpoints["db-1-uid"], learnt);
  Replica third(8);
  auto& after = third.To(world.a);
  after.Assign({Db()});
  after.Run(3);
  EXPECT_EQ(after.heard.StateOf("db-1"), State::kLearning);
}

}  // namespace
}  // namespace whorl::controller
