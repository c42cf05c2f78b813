#include "operator/controller/publish/publisher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fake/fake_cluster_writer.h"
#include "tests/fake/manual_clock.h"
#include "tests/operator/controller/rows.h"

namespace whorl::controller {
namespace {

using test::MakeRow;
using ::testing::HasSubstr;

constexpr const char* kVm = "virtualmachines default/db-1";
constexpr const char* kStatus = "behaviorfingerprints/status default/db-1";

VmReport Report(const std::string& name, State state, std::optional<std::uint8_t> score, Mode mode = Mode::kEnforce) {
  VmReport vm;
  vm.resolution = MakeRow(name, mode);
  vm.assessment.state = state;
  vm.assessment.score = score;
  vm.assessment.learning.samples = vm.assessment.learning.samples_needed = 60;
  vm.assessment.learning.percent = 100;
  vm.assessment.last_sample = FromUnixMillis(1'700'000'000'000);
  vm.assessment.cpu_now = MilliCores{40};
  return vm;
}

struct World {
  explicit World(Publisher::Options o = {}) : options(std::move(o)) {
    pass.rows = {MakeRow("db-1", Mode::kEnforce)};
    pass.node_uids = {{"node-1", "node-uid"}};
    Put(Report("db-1", State::kNormal, 5));
  }
  void Put(VmReport vm, std::vector<Happening> happenings = {}) {
    NodeReport node;
    node.node = "node-1";
    node.connected = true;
    node.epoch = 3;
    node.vms = {std::move(vm)};
    publisher.OnReport(node, happenings);
  }
  void Step(Millis after = Millis{0}) {
    clock.Advance(after);
    publisher.SetPass(std::make_shared<const Pass>(pass));
    publisher.Step();
  }

  fake::FakeClusterWriter writer;
  fake::ManualClock clock;
  Publisher::Options options;
  bool leads = true;
  std::vector<kube::Event> events;
  Pass pass;
  Publisher publisher{writer, [this](kube::Event e) { events.push_back(std::move(e)); }, [this] { return leads; },
                      clock, options};
};

TEST(Publisher, WritesAnnotationsAndFingerprintOnceAndThenNothing) {
  World world;
  world.Step();
  ASSERT_EQ(world.writer.Of("patch", kVm).size(), 1u);
  const auto annotations = world.writer.Of("patch", kVm)[0].body["metadata"]["annotations"];
  EXPECT_EQ(annotations["whorl.dev/score"], "5");
  EXPECT_EQ(annotations["whorl.dev/state"], "Normal");
  EXPECT_THAT(annotations["whorl.dev/summary"].get<std::string>(), HasSubstr("Behaves like itself"));
  EXPECT_EQ(world.writer.Of("patch", kVm)[0].body["metadata"]["uid"], "db-1-uid");
  const auto made = world.writer.Of("apply", "behaviorfingerprints default/db-1");
  ASSERT_EQ(made.size(), 1u);
  EXPECT_EQ(made[0].body["metadata"]["ownerReferences"][0]["uid"], "db-1-uid");
  ASSERT_EQ(world.writer.Of("apply", kStatus).size(), 1u);
  EXPECT_EQ(world.writer.Of("apply", kStatus)[0].body["status"]["score"], 5);
  const auto before = world.writer.writes.size();
  for (int i = 0; i < 20; ++i) world.Step(Seconds{1});
  EXPECT_EQ(world.writer.writes.size(), before);
}

TEST(Publisher, NeverTouchesTheTemplate) {
  World world;
  world.Step();
  for (const auto& write : world.writer.writes) EXPECT_FALSE(write.body.contains("spec")) << write.path;
}

TEST(Publisher, WritesAChangeOfStateAtOnceAndAScoreAtMostEveryTenSeconds) {
  World world;
  world.Step();
  world.Put(Report("db-1", State::kNormal, 33));
  world.Step(Seconds{1});
  EXPECT_EQ(world.writer.Of("patch", kVm).size(), 1u);
  world.Put(Report("db-1", State::kDeviating, 70));
  world.Step(Seconds{1});
  ASSERT_EQ(world.writer.Of("patch", kVm).size(), 2u);
  EXPECT_EQ(world.writer.Of("patch", kVm)[1].body["metadata"]["annotations"]["whorl.dev/state"], "Deviating");
  world.Put(Report("db-1", State::kDeviating, 95));
  world.Step(Seconds{1});
  EXPECT_EQ(world.writer.Of("patch", kVm).size(), 2u);
  world.Step(Seconds{10});
  EXPECT_EQ(world.writer.Of("patch", kVm).size(), 3u);
}

TEST(Publisher, AnotherNatureIsAnotherSummary) {
  World world;
  auto report = Report("db-1", State::kDeviating, 100);
  report.assessment.nature = Nature::kCpuPressure;
  world.Put(report);
  world.Step();
  const auto written = world.writer.Of("patch", kVm).size();
  report.assessment.nature = Nature::kRunaway;
  world.Put(report);
  world.Step(Seconds{11});
  ASSERT_EQ(world.writer.Of("patch", kVm).size(), written + 1);
  const std::string summary = world.writer.Of("patch", kVm).back().body["metadata"]["annotations"]["whorl.dev/summary"];
  EXPECT_NE(summary.find("Runaway"), std::string::npos) << summary;
}

TEST(Publisher, RemovesTheScoreWhileBlind) {
  World world;
  world.Step();
  auto blind = Report("db-1", State::kBlind, std::nullopt);
  blind.blind_reason = "the agent is gone";
  world.Put(blind);
  world.Step(Seconds{1});
  const auto patches = world.writer.Of("patch", kVm);
  EXPECT_TRUE(patches.back().body["metadata"]["annotations"]["whorl.dev/score"].is_null());
  EXPECT_FALSE(world.writer.Of("apply", kStatus).back().body["status"].contains("score"));
}

TEST(Publisher, WritesNothingWhileItDoesNotLead) {
  World world;
  world.leads = false;
  world.Step();
  world.Step(Seconds{30});
  EXPECT_TRUE(world.writer.writes.empty());
}

TEST(Publisher, CatchesUpWhenTheApiServerIsBack) {
  World world;
  world.writer.FailNext({Code::kUnavailable, "connection refused"}, 1000);
  world.Step();
  EXPECT_EQ(world.writer.asked, 1);  // one try, not one per object
  world.Step(Millis{100});
  EXPECT_EQ(world.writer.asked, 1);  // and a pause
  for (int i = 0; i < 30; ++i) world.Step(Seconds{1});
  EXPECT_LT(world.writer.asked, 10);
  world.writer = fake::FakeClusterWriter();
  world.Put(Report("db-1", State::kDeviating, 88));
  world.Step(Seconds{11});
  EXPECT_EQ(world.writer.Of("patch", kVm).at(0).body["metadata"]["annotations"]["whorl.dev/state"], "Deviating");
  EXPECT_EQ(world.writer.Of("apply", kStatus).size(), 1u);
}

TEST(Publisher, LeavesAnObjectTheServerRefusesAloneForAWhileAndWritesTheOthers) {
  World world;
  world.writer.FailNext({Code::kInvalid, "spec is wrong"});
  world.Step();
  EXPECT_TRUE(world.writer.Of("patch", kVm).empty());
  EXPECT_EQ(world.writer.Of("apply", kStatus).size(), 1u);
  world.Step(Seconds{1});
  EXPECT_TRUE(world.writer.Of("patch", kVm).empty());
  world.Step(Seconds{10});
  EXPECT_EQ(world.writer.Of("patch", kVm).size(), 1u);
}

TEST(Publisher, SpendsItsBudgetOnStatesBeforeScores) {
  Publisher::Options options;
  options.writes_per_second = 1;
  options.burst = 1;
  World world(options);
  world.Step();
  ASSERT_EQ(world.writer.writes.size(), 1u);
  EXPECT_EQ(world.writer.writes[0].path, kVm);
}

TEST(Publisher, CountsEventsAgainstTheSameBudget) {
  Publisher::Options options;
  options.writes_per_second = 1;
  options.burst = 5;
  World world(options);
  world.publisher.Charge(5);
  world.Step();
  EXPECT_TRUE(world.writer.writes.empty());
}

TEST(Publisher, CleansUpAfterOptOutOnlyWhenNothingIsHeldAnyMore) {
  World world;
  auto held = Report("db-1", State::kNormal, 5);
  held.held = true;
  world.Put(held);
  world.Step();
  auto fingerprint = std::make_shared<FingerprintObject>();
  fingerprint->ns = "default";
  fingerprint->name = "db-1";
  fingerprint->uid = "bfp-uid";
  fingerprint->owner_uid = "db-1-uid";
  world.pass.fingerprints = {fingerprint};
  world.pass.annotated = {{"db-1-uid", MakeRow("db-1", Mode::kOff).subject}};
  world.pass.rows.clear();
  world.Step(Seconds{1});
  EXPECT_TRUE(world.writer.Of("delete", "behaviorfingerprints default/db-1").empty());

  NodeReport given_back;
  given_back.node = "node-1";
  given_back.connected = true;
  world.publisher.OnReport(given_back, {});
  world.Step(Seconds{1});
  ASSERT_EQ(world.writer.Of("delete", "behaviorfingerprints default/db-1").size(), 1u);
  EXPECT_EQ(world.writer.Of("delete", "behaviorfingerprints default/db-1")[0].body, "bfp-uid");
  const auto removal = world.writer.Of("patch", kVm).back().body["metadata"]["annotations"];
  for (const auto* key : {"whorl.dev/score", "whorl.dev/state", "whorl.dev/summary", "whorl.dev/resizing"}) {
    ASSERT_TRUE(removal.contains(key));
    EXPECT_TRUE(removal[key].is_null());
  }
  const auto before = world.writer.writes.size();
  world.Step(Seconds{1});  // the watch has not caught up yet
  EXPECT_EQ(world.writer.writes.size(), before);
}

TEST(Publisher, NeverPatchesABareInstance) {
  World world;
  world.pass.rows[0].subject.kind = "VirtualMachineInstance";
  world.Step();
  for (const auto& write : world.writer.writes) EXPECT_NE(write.verb, "patch");
  EXPECT_EQ(world.writer.Of("apply", kStatus).size(), 1u);
}

TEST(Publisher, TellsAnInvalidModeAndACapOnce) {
  World world;
  auto& mode = world.pass.rows[0].mode;
  mode.mode = Mode::kOff;
  mode.cap = crd::Cap::kInvalidMode;
  mode.invalid_modes = {"whorl.dev/mode is \"on\""};
  for (int i = 0; i < 3; ++i) world.Step(Seconds{1});
  ASSERT_EQ(world.events.size(), 1u);
  EXPECT_EQ(world.events[0].reason, "InvalidMode");
  EXPECT_EQ(world.events[0].type, kube::EventType::kWarning);
  EXPECT_EQ(world.events[0].regarding.uid, "db-1-uid");
  mode = {};
  mode.mode = Mode::kObserve;
  mode.cap = crd::Cap::kPolicyMaxMode;
  mode.message = "the policy allows observe";
  for (int i = 0; i < 3; ++i) world.Step(Seconds{1});
  ASSERT_EQ(world.events.size(), 2u);
  EXPECT_EQ(world.events[1].reason, "ModeCapped");
}

TEST(Publisher, PutsAMovedLimitIntoTheFingerprintAsLastAction) {
  World world;
  world.Step();
  Happening raised;
  raised.subject = MakeRow("db-1", Mode::kEnforce).subject;
  raised.reason = crd::EventReason::kLimitRaised;
  raised.note = "CPU limit 300m -> 540m";
  raised.from = "300m";
  raised.to = "540m";
  raised.at = world.clock.Now();
  world.Put(Report("db-1", State::kNormal, 5), {raised});
  world.Step(Seconds{6});
  const auto status = world.writer.Of("apply", kStatus).back().body["status"];
  EXPECT_EQ(status["lastAction"]["reason"], "LimitRaised");
  EXPECT_EQ(status["lastAction"]["to"], "540m");
  ASSERT_EQ(world.events.size(), 1u);
  EXPECT_EQ(world.events[0].note, raised.note);
}

TEST(Publisher, WritesTheNodesLedgerOnceAMinuteAndWhenLoansOpenOrClose) {
  World world;
  world.Step();
  const auto count = [&] { return world.writer.Of("apply", "nodepartitions/status node-1").size(); };
  EXPECT_EQ(count(), 1u);
  NodeReport node;
  node.node = "node-1";
  node.connected = true;
  node.epoch = 3;
  node.loans = {LoanReport{.id = 1,
                           .lender = "default/web-1",
                           .borrower = "default/db-1",
                           .amount = MilliCores{200},
                           .reason = LoanReason::kCredits,
                           .lender_need = MilliCores{40},
                           .borrower_need = MilliCores{900}}};
  world.publisher.OnReport(node, {});
  world.Step(Seconds{6});
  EXPECT_EQ(count(), 2u);
  const auto loan = world.writer.Of("apply", "nodepartitions/status node-1").back().body["status"]["openLoans"][0];
  EXPECT_EQ(loan["borrower"], "default/db-1");
  EXPECT_EQ(loan["reason"], "Credits");
  EXPECT_THAT(loan["message"].get<std::string>(), HasSubstr("divided by what each has lent"));
  EXPECT_EQ(loan["forecast"], "900m");
  EXPECT_EQ(loan["lenderForecast"], "40m");
  node.loans[0].amount = MilliCores{210};  // the same loan: not worth a write
  world.publisher.OnReport(node, {});
  world.Step(Seconds{6});
  EXPECT_EQ(count(), 2u);
  world.Step(Seconds{60});
  EXPECT_EQ(count(), 3u);
}

TEST(Publisher, WritesCreditsThatSumToZeroByUid) {
  World world;
  auto busy = Report("db-1", State::kNormal, 5), idle = Report("web-1", State::kNormal, 5);
  busy.assessment.cpu_credits = -123'999;
  idle.assessment.cpu_credits = 123'500;
  NodeReport node;
  node.node = "node-1";
  node.epoch = 3;
  node.vms = {busy, idle, Report("seen-1", State::kNormal, 5, Mode::kObserve)};
  world.publisher.OnReport(node, {});
  world.Step();
  const auto status = world.writer.Of("apply", "nodepartitions/status node-1").back().body["status"];
  EXPECT_EQ(status["virtualMachines"][0]["uid"], "db-1-uid");
  EXPECT_EQ(status["virtualMachines"][0]["credits"], -123);
  EXPECT_EQ(status["virtualMachines"][1]["credits"], 123);
  EXPECT_FALSE(status["virtualMachines"][2].contains("credits"));
  EXPECT_EQ(status["houseCredits"], 0);
}

TEST(Publisher, KeepsTheStoredBooksUntilSomebodyHasTakenThemOver) {
  World world;
  crd::NodePartitionRecord stored;
  stored.node = "node-1";
  stored.epoch = 7;
  stored.credits = {{"default", "db-1", "db-1-uid", 90},
                    {"default", "off-1", "off-uid", -30},
                    {"default", "web-1", "former-web-uid", 5}};
  stored.house_credits = -65;
  world.pass.partitions = {std::make_shared<const crd::NodePartitionRecord>(stored)};
  NodeReport node;
  node.node = "node-1";
  node.trouble = "connection refused";
  node.vms = {Report("db-1", State::kBlind, std::nullopt), Report("web-1", State::kBlind, std::nullopt)};
  world.publisher.OnReport(node, {});
  world.Step();
  const auto status = world.writer.Of("apply", "nodepartitions/status node-1").back().body["status"];
  EXPECT_EQ(status["epoch"], 7);
  ASSERT_EQ(status["virtualMachines"].size(), 3u);
  EXPECT_EQ(status["virtualMachines"][0]["credits"], 90);
  EXPECT_FALSE(status["virtualMachines"][1].contains("credits")) << "another VM of that name";
  EXPECT_EQ(status["virtualMachines"][2]["uid"], "off-uid");
  EXPECT_EQ(status["virtualMachines"][2]["credits"], -30);
  EXPECT_EQ(status["houseCredits"], -60);
}

TEST(Publisher, NeverWritesOverTheBooksOfANewerEpoch) {
  World world;
  crd::NodePartitionRecord stored;
  stored.node = "node-1";
  stored.epoch = 4;
  world.pass.partitions = {std::make_shared<const crd::NodePartitionRecord>(stored)};
  world.Step();  // the report is of epoch 3
  world.Step(Seconds{120});
  EXPECT_TRUE(world.writer.Of("apply", "nodepartitions/status node-1").empty());
}

TEST(Publisher, WritesTheBooksOnceMoreWhenItStops) {
  World world;
  world.Step();
  world.publisher.Start();
  world.publisher.Stop();
  EXPECT_EQ(world.writer.Of("apply", "nodepartitions/status node-1").size(), 2u);
}

TEST(Publisher, TellsOfANodeOnItsPartition) {
  World world;
  Happening h;
  h.subject = Subject{"whorl.dev/v1alpha1", "NodePartition", "", "node-1", ""};
  crd::NodePartitionRecord stored;
  stored.node = "node-1";
  stored.uid = "npart-uid";
  world.pass.partitions = {std::make_shared<const crd::NodePartitionRecord>(stored)};
  h.reason = crd::EventReason::kLedgerSetAside;
  h.note = "credits do not sum to zero";
  world.Put(Report("db-1", State::kNormal, 5), {h});
  world.Step();
  ASSERT_EQ(world.events.size(), 1u);
  EXPECT_EQ(world.events[0].regarding.kind, "NodePartition");
  EXPECT_EQ(world.events[0].regarding.uid, "npart-uid");
  EXPECT_FALSE(world.events[0].related.has_value());
}

TEST(Publisher, MakesTheFingerprintAgainWhenSomebodyDeletedIt) {
  World world;
  world.Step();
  world.Put(Report("db-1", State::kDeviating, 90));
  // annotations, then the status finds nothing there
  world.writer.FailNext({Code::kNotFound, "not found"}, 2);
  world.Step(Seconds{1});
  world.Step(Seconds{15});
  EXPECT_EQ(world.writer.Of("apply", "behaviorfingerprints default/db-1").size(), 2u);
}

TEST(Publisher, CallsAVmWhoseNodeHasNoAgentBlindAfterAWhile) {
  World world;
  world.pass.rows = {MakeRow("web-1", Mode::kObserve)};
  world.Step();
  EXPECT_TRUE(world.writer.Of("patch", "virtualmachines default/web-1").empty());
  world.Step(Seconds{11});
  ASSERT_EQ(world.writer.Of("patch", "virtualmachines default/web-1").size(), 1u);
  EXPECT_EQ(
      world.writer.Of("patch", "virtualmachines default/web-1")[0].body["metadata"]["annotations"]["whorl.dev/state"],
      "Blind");
}

TEST(Publisher, SaysWhetherAPolicyWasAcceptedAndHowManyFollowIt) {
  World world;
  world.pass.policies = {
      std::make_shared<const PolicyObject>(PolicyObject{"default", "p", 4, test::MakePolicy(), ""}),
      std::make_shared<const PolicyObject>(PolicyObject{"broken", "q", 1, nullptr, "leaseSeconds: 1 is below 5"})};
  world.pass.rows[0].mode.policy = "default";
  world.Step();
  const auto good = world.writer.Of("apply", "partitionpolicies/status default");
  ASSERT_EQ(good.size(), 1u);
  EXPECT_EQ(good[0].body["status"]["virtualMachines"], 1);
  EXPECT_EQ(good[0].body["status"]["conditions"][0]["status"], "True");
  const auto bad = world.writer.Of("apply", "partitionpolicies/status broken");
  ASSERT_EQ(bad.size(), 1u);
  EXPECT_THAT(bad[0].body["status"]["conditions"][0]["message"].get<std::string>(), HasSubstr("leaseSeconds"));
}

Happening Reset() {
  Happening h;
  h.subject = MakeRow("db-1", Mode::kEnforce).subject;
  h.reason = crd::EventReason::kBaselineReset;
  h.note = "done";
  h.request = "reset@1";
  return h;
}

TEST(Publisher, TellsAPerformedRequestInTheStatusBeforeItTakesTheAnnotationAway) {
  World world;
  world.Step();
  world.Put(Report("db-1", State::kLearning, std::nullopt), {Reset()});
  world.writer.FailNext({Code::kInvalid, "the status is refused"});
  world.Step(Seconds{1});
  EXPECT_TRUE(world.writer.Of("json-patch", kVm).empty());
  world.Step(Seconds{20});
  world.Step(Seconds{1});
  const auto last = world.writer.Of("apply", kStatus).back().body["status"]["lastBaselineRequest"];
  EXPECT_EQ(last["request"], "reset@1");
  EXPECT_EQ(last["outcome"], "Done");
  const auto removed = world.writer.Of("json-patch", kVm);
  ASSERT_EQ(removed.size(), 1u);
  EXPECT_EQ(removed[0].body[0]["value"], "db-1-uid");
  EXPECT_EQ(removed[0].body[1]["value"], "reset@1");
  EXPECT_EQ(removed[0].body[2]["op"], "remove");
  world.Step(Seconds{20});
  EXPECT_EQ(world.writer.Of("json-patch", kVm).size(), 1u);
}

TEST(Publisher, ARestartTakesAwayWhatAnEarlierRunHasDoneAndRepeatsNothing) {
  World world;
  auto row = MakeRow("db-1", Mode::kEnforce);
  row.baseline_request = crd::BaselineRequest{crd::BaselineVerb::kReset, "reset@1"};
  auto fingerprint = std::make_shared<FingerprintObject>();
  fingerprint->ns = "default";
  fingerprint->name = "db-1";
  fingerprint->owner_uid = "db-1-uid";
  fingerprint->last_request = crd::LastBaselineRequest{.request = "reset@1", .time = FromUnixMillis(1'600'000'000'000)};
  world.pass.rows = {row};
  world.pass.fingerprints = {fingerprint};
  MarkDoneRequests(world.pass.rows, world.pass.fingerprints, world.clock.Now());
  EXPECT_FALSE(world.pass.rows[0].baseline_request.has_value());
  world.Step();
  EXPECT_EQ(world.writer.Of("json-patch", kVm).size(), 1u);
  EXPECT_EQ(world.writer.Of("apply", kStatus).back().body["status"]["lastBaselineRequest"]["request"], "reset@1");
}

TEST(Publisher, SaysOnceThatABaselineRequestIsOutsideTheGrammar) {
  World world;
  world.pass.rows[0].invalid_baseline = "whorl.dev/baseline is \"forget\"";
  world.Step();
  world.Step(Seconds{10});
  int told = 0;
  for (const auto& event : world.events) told += event.reason == "InvalidBaselineRequest" ? 1 : 0;
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(world.writer.Of("json-patch", kVm).empty());
}

TEST(AlreadyDone, IsCertainWithAMarkAndAMinuteWithoutOne) {
  const Time then = FromUnixMillis(1'700'000'000'000);
  const auto done = [&](const std::string& asked, const std::string& last, Seconds later) {
    return AlreadyDone({crd::BaselineVerb::kReset, asked}, {.request = last, .time = then}, then + later);
  };
  EXPECT_TRUE(done("reset@1", "reset@1", Seconds{1'000'000}));
  EXPECT_FALSE(done("reset@2", "reset@1", Seconds{1}));
  EXPECT_TRUE(done("reset", "reset", Seconds{59}));
  EXPECT_FALSE(done("reset", "reset", Seconds{61}));
}

VmReport OnTheLadder(const World& world, remedy::Rung rung, Seconds ttl = Seconds{300}) {
  auto vm = Report("db-1", State::kDeviating, 97);
  crd::RemedyView view;
  view.rung = remedy::RungName(rung);
  view.held = {{view.rung, world.clock.Now(), world.clock.Now() + ttl, "Runaway", 0, {}}};
  view.history = {{world.clock.Now(), "RemedyTaken", view.rung, "why"}};
  vm.remedy = view;
  return vm;
}

constexpr const char* kPausePath = "virtualmachineinstances/pause default/db-1";
constexpr const char* kUnpausePath = "virtualmachineinstances/unpause default/db-1";

TEST(PublisherRemedy, APauseStandsInTheStatusBeforeItIsDoneAndEndsWithItsTime) {
  World world;
  world.Step();
  world.Put(OnTheLadder(world, remedy::Rung::kPause));
  world.writer.FailNext({Code::kUnavailable, "no API server"});
  world.Step(Seconds{20});
  EXPECT_TRUE(world.writer.Of("act", kPausePath).empty());
  for (int i = 0; i < 30; ++i) world.Step(Seconds{1});
  ASSERT_EQ(world.writer.Of("act", kPausePath).size(), 1u);
  bool recorded = false;
  for (const auto& write : world.writer.writes) {
    if (write.path == kStatus && write.body["status"].contains("remedy")) recorded = true;
    if (write.path == kPausePath) {
      EXPECT_TRUE(recorded);
    }
  }
  // Nobody reports the VM any more.
  NodeReport gone;
  gone.node = "node-1";
  world.publisher.OnReport(gone, {});
  for (int i = 0; i < 240; ++i) world.Step(Seconds{1});
  EXPECT_TRUE(world.writer.Of("act", kUnpausePath).empty());
  for (int i = 0; i < 60; ++i) world.Step(Seconds{1});
  EXPECT_EQ(world.writer.Of("act", kUnpausePath).size(), 1u);
}

TEST(PublisherRemedy, ARestartedControllerEndsThePauseOfAVmThatWasOptedOutMeanwhile) {
  World world;
  auto stored = std::make_shared<FingerprintObject>();
  stored->ns = "default";
  stored->name = "db-1";
  stored->uid = "bfp-uid";
  stored->owner_uid = "db-1-uid";
  stored->remedy = OnTheLadder(world, remedy::Rung::kPause, Seconds{3600}).remedy;
  world.pass.rows.clear();
  world.pass.fingerprints = {stored};
  world.writer.FailNext({Code::kUnavailable, "no API server"});
  world.Step();
  EXPECT_TRUE(world.writer.Of("delete", "behaviorfingerprints default/db-1").empty());
  for (int i = 0; i < 5; ++i) world.Step(Seconds{1});
  EXPECT_EQ(world.writer.Of("act", kUnpausePath).size(), 1u);
  EXPECT_EQ(world.writer.Of("delete", "behaviorfingerprints default/db-1").size(), 1u);
  EXPECT_EQ(world.writer.writes[0].path, kUnpausePath);
}

TEST(PublisherRemedy, AMigrationIsAskedForOnce) {
  World world;
  world.Step();
  world.Put(OnTheLadder(world, remedy::Rung::kMigrate, Seconds{3600}));
  world.writer.FailNext({Code::kUnavailable, "no API server"});
  for (int i = 0; i < 100; ++i) world.Step(Seconds{1});
  std::vector<fake::FakeClusterWriter::Write> made;
  for (const auto& write : world.writer.writes) {
    if (write.verb == "create") made.push_back(write);
  }
  ASSERT_EQ(made.size(), 1u);
  EXPECT_EQ(made[0].body["kind"], "VirtualMachineInstanceMigration");
  EXPECT_EQ(made[0].body["spec"]["vmiName"], "db-1");
}

TEST(PublisherRemedy, AnAnswerIsRemovedOnceItWasHeard) {
  World world;
  world.pass.rows[0].answer = RemedyAnswer{"cap-65", true};
  world.Step();
  EXPECT_TRUE(world.writer.Of("json-patch", kVm).empty());
  auto vm = Report("db-1", State::kNormal, 5);
  vm.heard = RemedyAnswer{"cap-65", true};
  world.Put(vm);
  for (int i = 0; i < 5; ++i) world.Step(Seconds{1});
  const auto patches = world.writer.Of("json-patch", kVm);
  ASSERT_EQ(patches.size(), 1u);
  EXPECT_EQ(patches[0].body[1]["value"], "cap-65");
  EXPECT_EQ(patches[0].body[2]["path"], "/metadata/annotations/whorl.dev~1approve");
}

TEST(PublisherRemedy, AStepIsAnEventAndTheLastActionAtOnce) {
  World world;
  world.Step();
  Happening step;
  step.subject = MakeRow("db-1", Mode::kEnforce).subject;
  step.reason = crd::EventReason::kRemedyTaken;
  step.note = "limited";
  step.at = world.clock.Now();
  step.rung = step.to = "cap";
  step.from = "observe";
  step.until = world.clock.Now() + Seconds{900};
  world.Put(OnTheLadder(world, remedy::Rung::kCap), {step});
  world.Step(Seconds{1});
  ASSERT_FALSE(world.events.empty());
  EXPECT_EQ(world.events.back().reason, "RemedyTaken");
  const auto status = world.writer.Of("apply", kStatus).back().body["status"];
  EXPECT_EQ(status["lastAction"]["to"], "cap");
  EXPECT_EQ(status["remedy"]["rung"], "cap");
  EXPECT_EQ(status["remedy"]["history"].size(), 1u);
}

}  // namespace
}  // namespace whorl::controller
