#include "operator/controller/ingest/node_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "operator/controller/publish/node_ledger.h"
#include "tests/fake/fake_agent.h"
#include "tests/operator/controller/rows.h"

namespace whorl::controller {
namespace {

using test::MakeAssignment;
using test::MakePolicy;
using test::MakeRow;
using ::testing::HasSubstr;
using ::testing::Not;

// A session and its node, run second by second.
struct World {
  explicit World(std::vector<Resolution> rows, History* history = nullptr) : session("node-1", bank, history) {
    for (const auto& row : rows) node.Add(row.enrolment->pod_uid, ++seed);
    Assign(std::move(rows));
  }
  void Assign(std::vector<Resolution> rows) {
    auto assignment = std::make_shared<const NodeAssignment>(MakeAssignment(std::move(rows)));
    auto reply = node.Enrol(NodeSession::ToEnrol(*assignment, epoch));
    ASSERT_TRUE(reply) << reply.error().message;
    session.Admit(assignment, *reply, node.now);
    Take();
  }
  void Run(int seconds, Authority authority = Authority::kFull) {
    for (int i = 0; i < seconds; ++i) {
      const auto frame = node.Second();
      if (auto plan = session.Tick(frame, authority, epoch)) {
        auto receipt = node.Apply(*plan);
        ASSERT_TRUE(receipt);
        session.Settle(*receipt, node.now);
      }
      Take();
    }
  }
  void Take() {
    for (auto& h : session.TakeHappenings()) told.push_back(std::move(h));
  }
  const VmReport& Of(const std::string& name) const {
    for (const auto& vm : session.report().vms) {
      if (vm.resolution.subject.name == name) return vm;
    }
    throw std::runtime_error("no report of " + name);
  }
  std::vector<Happening> Told(const std::string& name, crd::EventReason reason) const {
    std::vector<Happening> out;
    for (const auto& h : told) {
      if (h.subject.name == name && h.reason == reason) out.push_back(h);
    }
    return out;
  }

  fake::FakeNode node{"node-1"};
  BaselineBank bank;
  NodeSession session;
  std::uint64_t epoch = 3;
  std::uint64_t seed = 0;
  std::vector<Happening> told;
};

constexpr int kLearn = 150;
constexpr Time kStored{Seconds{1'767'000'000}};

World ThreeEnforced() {
  return World({MakeRow("batch-1", Mode::kEnforce), MakeRow("db-1", Mode::kEnforce), MakeRow("web-1", Mode::kEnforce)});
}

// A stored NodePartition as the API server would give it back.
crd::NodePartitionRecord StoredBy(const NodeSession& session) {
  const auto status = ToNodePartition(session.report(), "replica-1", {}, kStored);
  const auto read = crd::ParseNodePartition(
      {{"metadata", {{"name", "node-1"}, {"uid", "npart-uid"}}}, {"status", crd::ToJson(status)}});
  return read.value();
}

// db-1 borrows from its idle neighbours for some time.
void MakeThemLend(World& world) {
  world.Run(kLearn);
  world.node.guests.at("db-1-pod").vm->demand = 900;
  world.Run(60);
}

std::int64_t SumOf(const crd::NodePartitionRecord& record) {
  std::int64_t sum = record.house_credits;
  for (const auto& credit : record.credits) sum += credit.credits;
  return sum;
}

TEST(NodeSession, CreditsOutliveTheControllerAndItsLoansAreHandedOver) {
  World world = ThreeEnforced();
  MakeThemLend(world);
  const auto stored = StoredBy(world.session);
  ASSERT_EQ(SumOf(stored), 0);
  ASSERT_EQ(stored.credits.size(), 3u);
  ASSERT_LT(stored.credits[1].credits, -1000) << stored.credits[1].name;
  ASSERT_FALSE(stored.open_loans.empty());

  World next = ThreeEnforced();
  next.epoch = 4;
  next.session.TakeOver(stored, next.node.now);
  next.Run(1);
  EXPECT_TRUE(next.Told("node-1", crd::EventReason::kLedgerSetAside).empty());
  const auto after = StoredBy(next.session);
  EXPECT_EQ(after.epoch, 4u);
  ASSERT_EQ(after.credits.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(after.credits[i].credits, stored.credits[i].credits);
  EXPECT_EQ(SumOf(after), 0);
  std::size_t handed_over = 0;
  for (const auto& loan : after.closed_loans) handed_over += loan.outcome == "HandedOver" ? 1 : 0;
  EXPECT_EQ(handed_over, stored.open_loans.size());
}

TEST(NodeSession, TheBooksOfAVmThatIsGoneBelongToTheHouse) {
  World world = ThreeEnforced();
  MakeThemLend(world);
  const auto stored = StoredBy(world.session);
  World next({MakeRow("db-1", Mode::kEnforce), MakeRow("new-1", Mode::kEnforce)});
  next.session.TakeOver(stored, next.node.now);
  next.Run(1);
  const auto after = StoredBy(next.session);
  ASSERT_EQ(after.credits.size(), 2u);
  EXPECT_EQ(after.credits[0].credits, stored.credits[1].credits);
  EXPECT_EQ(after.credits[1].credits, 0);
  EXPECT_EQ(after.house_credits, -after.credits[0].credits);
}

TEST(NodeSession, BooksThatContradictThemselvesAreSetAsideAndSaidOnce) {
  World world = ThreeEnforced();
  MakeThemLend(world);
  auto edited = StoredBy(world.session);
  edited.credits[0].credits += 1'000'000;  // by hand
  World next = ThreeEnforced();
  next.epoch = 4;
  next.session.TakeOver(edited, next.node.now);
  next.Run(1);
  const auto told = next.Told("node-1", crd::EventReason::kLedgerSetAside);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].subject.kind, "NodePartition");
  EXPECT_THAT(told[0].note, HasSubstr("NodePartition node-1"));
  EXPECT_THAT(told[0].note, HasSubstr("do not sum to zero"));
  EXPECT_THAT(told[0].note, HasSubstr("--show-managed-fields"));
  for (const auto& credit : StoredBy(next.session).credits) EXPECT_EQ(credit.credits, 0);
  next.Run(kLearn);
  EXPECT_EQ(next.Of("db-1").assessment.state, State::kNormal) << "nothing else is harmed";
}

TEST(NodeSession, ItsOwnBooksAreNewerThanWhatItWroteOfThem) {
  World world = ThreeEnforced();
  MakeThemLend(world);
  const auto written = StoredBy(world.session);
  world.Run(10);
  const auto before = StoredBy(world.session);
  ASSERT_NE(before.credits[1].credits, written.credits[1].credits);
  world.session.TakeOver(written, world.node.now);  // as after a broken connection
  EXPECT_EQ(StoredBy(world.session).credits[1].credits, before.credits[1].credits);
}

TEST(NodeSession, WhoLeadsAgainTakesOverWhatAnotherHasWrittenMeanwhile) {
  World world = ThreeEnforced();
  MakeThemLend(world);
  ASSERT_FALSE(world.session.report().loans.empty());
  crd::NodePartitionRecord other;
  other.node = "node-1";
  other.epoch = 9;
  other.credits = {{"default", "db-1", "db-1-uid", 77}};
  other.house_credits = -77;
  world.session.TakeOver(other, world.node.now);
  world.epoch = 10;
  world.Run(1);
  EXPECT_EQ(StoredBy(world.session).credits[1].credits, 77);
  std::size_t handed_over = 0;
  for (const auto& loan : world.session.report().closed) handed_over += loan.outcome == "HandedOver" ? 1 : 0;
  EXPECT_GT(handed_over, 0u);
}

TEST(NodeSession, SaysWhoseFloorsWereLoweredWhenTheyDoNotFit) {
  auto first = MakeRow("batch-1", Mode::kEnforce), second = MakeRow("db-1", Mode::kEnforce);
  for (auto* row : {&first, &second}) row->enrolment->request = MilliCores{700};
  second.enrolment->priority_class = 1000;
  World world({first, second});
  world.Run(3);
  EXPECT_THAT(world.session.report().floors_trouble, HasSubstr("need 200m more than the 1200m"));
  EXPECT_THAT(world.session.report().floors_trouble, HasSubstr("default/batch-1 by 200m."));
  EXPECT_THAT(world.session.report().floors_trouble, Not(HasSubstr("db-1")));
  const auto told = world.Told("node-1", crd::EventReason::kFloorsDoNotFit);
  ASSERT_EQ(told.size(), 1u) << "once, not each second";
  EXPECT_EQ(told[0].subject.kind, "NodePartition");
  EXPECT_THAT(told[0].note, HasSubstr("Move a VM away"));
  EXPECT_EQ(ToNodePartition(world.session.report(), "r", {}, kStored).conditions[1].reason, "FloorsAboveCapacity");
  world.Assign({first});
  world.Run(1);
  EXPECT_EQ(world.session.report().floors_trouble, "");
}

TEST(NodeSession, TellsOfEveryLoanHowItEnded) {
  World world = ThreeEnforced();
  MakeThemLend(world);
  const auto open = world.session.report().loans;
  ASSERT_FALSE(open.empty());
  EXPECT_GT(Count(open[0].borrower_need), Count(open[0].lender_need));
  world.node.guests.at("db-1-pod").vm->demand = 20;
  world.Run(120);
  ASSERT_FALSE(world.session.report().closed.empty());
  for (const auto& loan : open) {
    const auto& closed = world.session.report().closed;
    const auto ended = std::find_if(closed.begin(), closed.end(), [&](const crd::ClosedLoan& c) {
      return c.number == static_cast<std::int64_t>(loan.id);
    });
    ASSERT_NE(ended, closed.end()) << loan.id;
    EXPECT_EQ(ended->lender, loan.lender);
    EXPECT_EQ(ended->borrower, "default/db-1");
    EXPECT_GT(*ended->moved, 0);
    EXPECT_FALSE(ended->message.empty());
  }
  world.Assign({MakeRow("db-1", Mode::kEnforce)});
  world.Run(1);
  EXPECT_LE(world.session.report().closed.size(), crd::kMostClosedLoans);
}

TEST(NodeSession, LearnsAndSaysOnceThatItHas) {
  World world({MakeRow("db-1", Mode::kObserve)});
  world.Run(5);
  EXPECT_EQ(world.Of("db-1").assessment.state, State::kLearning);
  EXPECT_FALSE(world.Of("db-1").assessment.score.has_value());
  world.Run(kLearn);
  EXPECT_EQ(world.Of("db-1").assessment.state, State::kNormal);
  EXPECT_TRUE(world.Of("db-1").assessment.score.has_value());
  EXPECT_EQ(world.Told("db-1", crd::EventReason::kBaselineReady).size(), 1u);
}

// Has an answer ready from the moment it is given one.
struct FakeHistory final : History {
  void Ask(const Subject& vm) override { asked.push_back(vm.name); }
  std::optional<Result<HistoryAnswer>> Take(const std::string&) override { return std::exchange(answer, std::nullopt); }
  void Forget(const std::string& uid) override { forgotten.push_back(uid); }
  std::optional<Result<HistoryAnswer>> answer;
  std::vector<std::string> asked;
  std::vector<std::string> forgotten;
};

TEST(NodeSession, BeginsFromHistoryAndSaysSo) {
  FakeHistory history;
  World world({MakeRow("db-1", Mode::kObserve)}, &history);
  world.Run(NodeSession::kAskHistoryAfter);
  EXPECT_EQ(history.asked, std::vector<std::string>{"db-1"});
  const auto before = world.Of("db-1").assessment.learning.percent;
  HistoryAnswer answer;
  answer.prior.known.Set(Feature::kCpuUsage);
  answer.prior.feature[0] = {2.0f, 0.3f, 300};
  answer.prior.to = answer.prior.from + std::chrono::hours(24 * 13);
  answer.warnings = {"a store was away"};
  history.answer = answer;
  world.Run(3);
  const auto told = world.Told("db-1", crd::EventReason::kBaselineBootstrapped);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_THAT(told[0].note, HasSubstr("13 days of history"));
  EXPECT_THAT(told[0].note, HasSubstr("a store was away"));
  EXPECT_EQ(world.Of("db-1").assessment.state, State::kLearning) << "shortened, not left out";
  EXPECT_GE(world.Of("db-1").assessment.learning.percent, before);
  world.Run(kLearn);
  EXPECT_EQ(world.Of("db-1").assessment.state, State::kNormal);
}

TEST(NodeSession, LearnsWithoutHistoryAndSaysWhy) {
  FakeHistory history;
  World world({MakeRow("db-1", Mode::kObserve)}, &history);
  history.answer = Result<HistoryAnswer>(Fail(Code::kUnavailable, "Prometheus x: cannot connect"));
  world.Run(NodeSession::kAskHistoryAfter + 1);
  EXPECT_EQ(world.Of("db-1").no_history, "Prometheus x: cannot connect");
  EXPECT_TRUE(world.Told("db-1", crd::EventReason::kBaselineBootstrapped).empty());
  world.Run(kLearn);
  EXPECT_EQ(world.Of("db-1").assessment.state, State::kNormal);
}

TEST(NodeSession, AsksForNoHistoryOfAVmWhoseBaselineItHas) {
  FakeHistory history;
  World world({MakeRow("db-1", Mode::kObserve)}, &history);
  world.Run(kLearn);
  world.Assign({});
  EXPECT_EQ(history.forgotten, std::vector<std::string>{"db-1-uid"});
  world.Assign({MakeRow("db-1", Mode::kObserve)});
  world.Run(kLearn);
  EXPECT_EQ(history.asked.size(), 1u);
}

TEST(NodeSession, SendsNoPlanForVmsThatAreOnlyObserved) {
  World world({MakeRow("db-1", Mode::kObserve), MakeRow("web-1", Mode::kRecommend)});
  world.Run(20);
  EXPECT_TRUE(world.node.plans.empty());
}

TEST(NodeSession, TellsWhichFeaturesMadeABusyGuestDeviate) {
  World world({MakeRow("db-1", Mode::kObserve)});
  world.Run(kLearn);
  world.node.guests.at("db-1-pod").vm->demand = 900;
  world.Run(30);
  const auto told = world.Told("db-1", crd::EventReason::kBehaviorDeviating);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_THAT(told[0].note, HasSubstr("cpu"));
  EXPECT_THAT(told[0].note, HasSubstr("threshold of"));
  EXPECT_THAT(told[0].note, HasSubstr("whorl.dev/mode=off"));
  ASSERT_TRUE(world.Of("db-1").episode.has_value());
  EXPECT_FALSE(world.Of("db-1").episode->closed.has_value());
}

TEST(NodeSession, LendsAnIdleNeighboursCpuToABusyGuestAndTakesItBack) {
  World world = ThreeEnforced();
  world.Run(kLearn);
  world.node.guests.at("db-1-pod").vm->demand = 900;
  world.Run(30);
  EXPECT_TRUE(world.Of("db-1").borrowed.open());
  EXPECT_FALSE(world.session.report().loans.empty());
  EXPECT_EQ(world.session.report().loans.front().borrower, "default/db-1");
  const auto raised = world.Told("db-1", crd::EventReason::kLimitRaised);
  ASSERT_EQ(raised.size(), 1u);
  EXPECT_FALSE(raised[0].from.empty());
  EXPECT_NE(raised[0].from, raised[0].to);
  EXPECT_TRUE(raised[0].until.has_value());
  EXPECT_THAT(raised[0].note, HasSubstr("whorl.dev/mode=observe"));

  world.node.guests.at("db-1-pod").vm->demand = 20;
  world.Run(120);
  EXPECT_FALSE(world.Of("db-1").borrowed.open());
  const auto restored = world.Told("db-1", crd::EventReason::kLimitRestored);
  ASSERT_EQ(restored.size(), 1u);
  EXPECT_NE(restored[0].from, restored[0].to);  // from the raised limit, not from its own share
}

TEST(NodeSession, NeverPlansAboveCapacity) {
  World world = ThreeEnforced();
  world.Run(kLearn);
  for (auto& [uid, guest] : world.node.guests) guest.vm->demand = 900;
  world.Run(60);
  ASSERT_FALSE(world.node.plans.empty());
  for (const auto& plan : world.node.plans) {
    std::int64_t sum = 0;
    for (const auto& directive : plan.directives()) sum += directive.allocation_millicores();
    EXPECT_LE(sum, plan.capacity_millicores());
    EXPECT_LE(plan.capacity_millicores(), 1200);
    EXPECT_EQ(plan.epoch(), 3u);
    EXPECT_EQ(plan.lease_millis(), 30'000u);
  }
}

TEST(NodeSession, GivesBackWhatItHeldWhenAVmOptsOut) {
  World world = ThreeEnforced();
  world.Run(kLearn);
  ASSERT_TRUE(world.node.guests.at("db-1-pod").held);
  world.Assign({MakeRow("batch-1", Mode::kEnforce), MakeRow("web-1", Mode::kEnforce)});
  EXPECT_FALSE(world.node.guests.at("db-1-pod").held);
  EXPECT_EQ(world.node.guests.at("db-1-pod").now.quota_us(), -1);
  const auto told = world.Told("db-1", crd::EventReason::kLimitRestored);
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back().to, "none");
  EXPECT_EQ(world.session.report().vms.size(), 3u);  // until the next tick
  world.Run(1);
  EXPECT_EQ(world.session.report().vms.size(), 2u);
}

TEST(NodeSession, SendsAnEmptyPlanWhenThePolicyIsPausedAndDrained) {
  World world({MakeRow("db-1", Mode::kEnforce), MakeRow("web-1", Mode::kEnforce)});
  world.Run(20);
  ASSERT_TRUE(world.node.guests.at("db-1-pod").held);
  auto paused = std::make_shared<crd::PartitionPolicy>(*MakePolicy());
  paused->generation = 2;
  paused->engine.pause = Pause::kHoldAndDrain;
  world.Assign({MakeRow("db-1", Mode::kObserve, paused), MakeRow("web-1", Mode::kObserve, paused)});
  world.Run(2);
  EXPECT_FALSE(world.node.guests.at("db-1-pod").held);
  ASSERT_EQ(world.Told("db-1", crd::EventReason::kLimitRestored).size(), 1u);
  EXPECT_THAT(world.Told("db-1", crd::EventReason::kLimitRestored)[0].note, HasSubstr("HoldAndDrain"));
  const auto plans = world.node.plans.size();
  world.Run(5);
  EXPECT_EQ(world.node.plans.size(), plans);  // nothing held, nothing to say
}

TEST(NodeSession, KeepsTheBaselineOfAVmThatComesBackOnAnotherNode) {
  World world({MakeRow("db-1", Mode::kObserve)});
  world.Run(kLearn);
  ASSERT_EQ(world.Of("db-1").assessment.state, State::kNormal);
  world.Assign({});

  NodeSession other("node-2", world.bank);
  auto assignment = std::make_shared<const NodeAssignment>(MakeAssignment({MakeRow("db-1", Mode::kObserve)}));
  auto reply = world.node.Enrol(NodeSession::ToEnrol(*assignment, world.epoch));
  ASSERT_TRUE(reply);
  other.Admit(assignment, *reply, world.node.now);
  for (int i = 0; i < 5; ++i) other.Tick(world.node.Second(), Authority::kFull, world.epoch);
  EXPECT_EQ(other.report().vms.at(0).assessment.state, State::kNormal);
}

TEST(NodeSession, CallsAVmBlindWithTheAgentsOwnReason) {
  World world({MakeRow("db-1", Mode::kObserve)});
  world.node.guests.at("db-1-pod").present = false;
  world.Assign({MakeRow("db-1", Mode::kObserve)});
  EXPECT_TRUE(world.session.SomePodMissing());
  world.Run(8);
  EXPECT_EQ(world.Of("db-1").assessment.state, State::kBlind);
  EXPECT_FALSE(world.Of("db-1").assessment.score.has_value());
  const auto told = world.Told("db-1", crd::EventReason::kAgentBlind);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_THAT(told[0].note, HasSubstr("no QEMU runs in the pod's cgroup"));
}

TEST(NodeSession, CallsEveryVmBlindFiveSecondsAfterTheConnectionBroke) {
  World world({MakeRow("db-1", Mode::kObserve)});
  world.Run(kLearn);
  const auto assignment = MakeAssignment({MakeRow("db-1", Mode::kObserve), MakeRow("web-1", Mode::kObserve)});
  world.session.Unseen(world.node.now, "connection refused", assignment);
  EXPECT_FALSE(world.session.report().connected);
  EXPECT_EQ(world.Of("db-1").assessment.state, State::kNormal);
  world.session.Unseen(world.node.now + Seconds{6}, "connection refused", assignment);
  world.Take();
  EXPECT_EQ(world.Of("db-1").assessment.state, State::kBlind);
  EXPECT_EQ(world.Of("web-1").blind_reason, "connection refused");
  EXPECT_EQ(world.Told("db-1", crd::EventReason::kAgentBlind).size(), 1u);
  // And sees again without having forgotten anything.
  world.Run(3);
  EXPECT_EQ(world.Of("db-1").assessment.state, State::kNormal);
}

TEST(NodeSession, TellsARefusedDirectiveOnceAndKeepsTheReason) {
  World world({MakeRow("db-1", Mode::kEnforce), MakeRow("web-1", Mode::kEnforce)});
  world.node.refuse_reason = "BelowRequest";
  world.Run(10);
  EXPECT_EQ(world.Of("db-1").refusal, "BelowRequest");
  EXPECT_FALSE(world.Of("db-1").held);
  ASSERT_EQ(world.Told("db-1", crd::EventReason::kPlanRefused).size(), 1u);
  EXPECT_THAT(world.Told("db-1", crd::EventReason::kPlanRefused)[0].note, HasSubstr("BelowRequest"));
  world.node.refuse_reason.clear();
  world.Run(2);
  EXPECT_TRUE(world.Of("db-1").refusal.empty());
}

TEST(NodeSession, TellsAKnobThatIsNotInForceOnceAndAgainWhenItComesBack) {
  World world({MakeRow("db-1", Mode::kEnforce)});
  const auto told = [&] { return world.Told("db-1", crd::EventReason::kPlanRefused); };
  world.node.refuse_knob = "net.out@tap0";
  world.Run(10);
  ASSERT_EQ(told().size(), 1u);
  EXPECT_THAT(told()[0].note, HasSubstr("net.out@tap0 is not in force: told by the fake"));
  EXPECT_TRUE(world.Of("db-1").held) << "the rest of the plan is";
  world.node.refuse_knob.clear();
  world.Run(2);
  world.node.refuse_knob = "net.out@tap0";
  world.Run(2);
  EXPECT_EQ(told().size(), 2u);
}

TEST(NodeSession, TellsOfAForeignWriterWithFileAndValues) {
  World world({MakeRow("db-1", Mode::kEnforce)});
  world.Run(5);
  for (int i = 0; i < 3; ++i) {
    auto frame = world.node.Second();
    auto* foreign = frame.mutable_vms(0)->mutable_foreign();
    foreign->set_knob("cpu.cfs_quota_us");
    foreign->set_expected("60000");
    foreign->set_seen("20000");
    world.session.Tick(frame, Authority::kFull, world.epoch);
    world.Take();
  }
  const auto told = world.Told("db-1", crd::EventReason::kForeignWriter);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_THAT(told[0].note, HasSubstr("cpu.cfs_quota_us was set to 20000"));
}

TEST(NodeSession, RisesAboveTheSequenceTheAgentHasSeen) {
  World world({MakeRow("db-1", Mode::kEnforce)});
  auto description = world.node.Description();
  description.set_last_sequence(500);
  world.session.Connected(description);
  world.Run(1);
  ASSERT_FALSE(world.node.plans.empty());
  EXPECT_EQ(world.node.plans.front().sequence(), 501u);
}

TEST(NodeSession, OpensNoLoanWhileItMayOnlyRenew) {
  World world = ThreeEnforced();
  world.Run(kLearn);
  ASSERT_TRUE(world.session.report().loans.empty());
  world.node.guests.at("db-1-pod").vm->demand = 900;
  world.Run(20, Authority::kRenewOnly);
  EXPECT_TRUE(world.session.report().loans.empty());
  EXPECT_TRUE(world.node.guests.at("db-1-pod").held);  // what was held is renewed
}

TEST(NodeSession, NeverMovesAGuestWithDedicatedCpus) {
  auto row = MakeRow("db-1", Mode::kEnforce);
  row.enrolment->dedicated_cpus = true;
  EXPECT_EQ(NodeSession::ToEnrol(MakeAssignment({row}), 1).pods(0).mode(), api::MODE_OBSERVE);
  World world({row, MakeRow("web-1", Mode::kEnforce)});
  world.Run(20);
  for (const auto& plan : world.node.plans) {
    for (const auto& directive : plan.directives()) EXPECT_NE(directive.pod_uid(), "db-1-pod");
  }
}

TEST(NodeSession, SaysWhetherTheGuestItselfTellsAnything) {
  World world({MakeRow("db-1", Mode::kObserve)});
  world.Run(1);
  EXPECT_EQ(world.Of("db-1").guest_telemetry, "");
  auto frame = world.node.Second();
  frame.mutable_vms(0)->mutable_guest()->set_sequence(1);
  world.session.Tick(frame, Authority::kFull, world.epoch);
  EXPECT_EQ(world.Of("db-1").guest_telemetry, "Fresh");
  world.Run(119);
  EXPECT_EQ(world.Of("db-1").guest_telemetry, "Fresh");
  world.Run(1);
  EXPECT_EQ(world.Of("db-1").guest_telemetry, "Silent");
}

Resolution Asked(Resolution row, crd::BaselineVerb verb, const std::string& text) {
  row.baseline_request = crd::BaselineRequest{verb, text};
  return row;
}

TEST(NodeSession, ResetsABaselineOnceForEachRequest) {
  World world({MakeRow("db-1", Mode::kObserve)});
  world.Run(kLearn);
  const auto asked = Asked(MakeRow("db-1", Mode::kObserve), crd::BaselineVerb::kReset, "reset@1");
  world.Assign({asked});
  world.Run(2);
  EXPECT_EQ(world.Of("db-1").assessment.state, State::kLearning);
  EXPECT_FALSE(world.bank.Get("db-1-uid").has_value() && world.bank.Get("db-1-uid")->learnt);
  world.Assign({asked});  // it still stands there
  world.Run(2);
  const auto told = world.Told("db-1", crd::EventReason::kBaselineReset);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].request, "reset@1");
  world.Run(kLearn);
  EXPECT_EQ(world.Of("db-1").assessment.state, State::kNormal);
  world.Assign({MakeRow("db-1", Mode::kObserve)});
  world.Assign({asked});  // taken away and written again: another request
  EXPECT_EQ(world.Told("db-1", crd::EventReason::kBaselineReset).size(), 2u);
}

TEST(NodeSession, AcceptingEndsTheAlarmAndWhatTheVmDoesBecomesUsual) {
  World world({MakeRow("db-1", Mode::kObserve)});
  world.Run(kLearn);
  world.node.guests.at("db-1-pod").vm->demand = 700;
  world.Run(30);
  ASSERT_EQ(world.Of("db-1").assessment.state, State::kDeviating);
  world.Assign({Asked(MakeRow("db-1", Mode::kObserve), crd::BaselineVerb::kAccept, "accept@1")});
  world.Run(2);
  EXPECT_EQ(world.Of("db-1").assessment.state, State::kNormal);
  EXPECT_TRUE(world.Of("db-1").episode->closed.has_value());
  EXPECT_EQ(world.Told("db-1", crd::EventReason::kBaselineAccepted).size(), 1u);
  world.Run(600);
  EXPECT_EQ(world.Of("db-1").assessment.state, State::kNormal);
  EXPECT_EQ(world.Told("db-1", crd::EventReason::kBehaviorDeviating).size(), 1u);
}

}  // namespace
}  // namespace whorl::controller
