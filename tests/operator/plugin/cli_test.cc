#include "operator/plugin/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "operator/plugin/completion.h"
#include "tests/fake/manual_clock.h"
#include "tests/operator/plugin/views.h"

namespace whorl::plugin {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

struct FakeState {
  std::vector<json> fingerprints{test::Deviating(), test::Learning(), test::Blind()};
  std::vector<json> histories;
  std::vector<json> partitions{test::Partition()};
  std::map<std::string, json> vms{{"shop/db-1", {{"metadata", {{"uid", "db-uid"}}}}}};
  std::optional<Error> fail;
  std::vector<std::string> annotated;
};

class FakeCluster final : public Cluster {
 public:
  explicit FakeCluster(FakeState& state) : state_(state) {}
  std::string default_namespace() const override { return "shop"; }
  Result<std::vector<json>> Fingerprints(const std::string& ns) override {
    if (state_.fail) return Fail(*state_.fail);
    std::vector<json> out;
    for (const auto& object : state_.fingerprints) {
      if (ns.empty() || object["metadata"]["namespace"] == ns) out.push_back(object);
    }
    return out;
  }
  Result<json> Fingerprint(const std::string& ns, const std::string& name) override {
    if (state_.fail) return Fail(*state_.fail);
    for (const auto& object : state_.fingerprints) {
      if (object["metadata"]["namespace"] == ns && object["metadata"]["name"] == name) return object;
    }
    return Fail(Code::kNotFound, "no such fingerprint");
  }
  Result<std::vector<json>> NodePartitions(const std::string& name) override {
    if (state_.fail) return Fail(*state_.fail);
    std::vector<json> out;
    for (const auto& object : state_.partitions) {
      if (name.empty() || object["metadata"]["name"] == name) out.push_back(object);
    }
    if (out.empty() && !name.empty()) return Fail(Code::kNotFound, "there is no NodePartition " + name);
    return out;
  }
  Result<std::vector<json>> LedgerHistories(const std::string& ns) override {
    if (state_.histories.empty()) return Fail(Code::kNotFound, "no history of the ledger in " + ns);
    return state_.histories;
  }
  Result<json> VirtualMachine(const std::string& ns, const std::string& name) override {
    const auto it = state_.vms.find(ns + "/" + name);
    if (it == state_.vms.end()) return Fail(Code::kNotFound, "no such VM");
    return it->second;
  }
  Status Annotate(const std::string& ns, const std::string& name, const std::string& uid, const std::string& key,
                  const std::string& value, bool dry_run) override {
    if (state_.fail) return Fail(*state_.fail);
    state_.annotated.push_back(ns + "/" + name + " " + uid + " " + key + "=" + value + (dry_run ? " dry" : ""));
    return {};
  }

 private:
  FakeState& state_;
};

struct World {
  int Run(std::vector<std::string> arguments) {
    out.str("");
    err.str("");
    Shell shell{.out = out,
                .err = err,
                .in = in,
                .out_is_terminal = terminal,
                .in_is_terminal = terminal,
                .environment = [this](const std::string& name) -> std::optional<std::string> {
                  const auto it = environment.find(name);
                  return it == environment.end() ? std::nullopt : std::optional(it->second);
                },
                .connect = [this](const Access& a) -> Result<std::unique_ptr<Cluster>> {
                  access = a;
                  if (refuse) return Fail(*refuse);
                  return std::unique_ptr<Cluster>(std::make_unique<FakeCluster>(cluster));
                },
                .wait = [this](Seconds) { return looks-- > 0; },
                .clock = clock};
    return plugin::Run(std::move(arguments), shell);
  }
  FakeState cluster;
  Access access;
  std::optional<Error> refuse;
  std::map<std::string, std::string> environment;
  std::ostringstream out, err;
  std::istringstream in;
  bool terminal = false;
  int looks = 0;
  fake::ManualClock clock;
};

const std::string kNow = "2023-11-14T22:13:20Z";

TEST(Cli, TopShowsTheNamespaceOfTheContextUnlessToldOtherwise) {
  World world;
  EXPECT_EQ(world.Run({"top"}), kOk);
  EXPECT_THAT(world.out.str(), HasSubstr("db-1"));
  EXPECT_THAT(world.out.str(), Not(HasSubstr("batch-1")));
  EXPECT_EQ(world.Run({"top", "-n", "lab"}), kOk);
  EXPECT_THAT(world.out.str(), HasSubstr("batch-1"));
  EXPECT_EQ(world.Run({"-n", "lab", "top"}), kOk);
  EXPECT_THAT(world.out.str(), HasSubstr("batch-1"));
  EXPECT_EQ(world.Run({"top", "-A", "-o", "json"}), kOk);
  EXPECT_EQ(json::parse(world.out.str()).size(), 3u);
}

TEST(Cli, PassesOnWhichClusterIsMeant) {
  World world;
  EXPECT_EQ(world.Run({"top", "--context", "prod", "--kubeconfig", "/k"}), kOk);
  EXPECT_EQ(world.access.context, "prod");
  EXPECT_EQ(world.access.kubeconfig, "/k");
}

TEST(Cli, TopSaysHowToOptInWhenNothingIsWatched) {
  World world;
  EXPECT_EQ(world.Run({"top", "-n", "empty"}), kOk);
  EXPECT_EQ(world.out.str(), "");
  EXPECT_THAT(world.err.str(), HasSubstr("No VM is watched in namespace empty"));
  EXPECT_THAT(world.err.str(), HasSubstr("whorl.dev/mode=observe"));
}

TEST(Cli, WatchLooksAgainUntilItIsEnded) {
  World world;
  world.looks = 2;
  EXPECT_EQ(world.Run({"top", "--watch"}), kOk);
  std::size_t headers = 0;
  for (std::size_t at = 0; (at = world.out.str().find("NAME", at)) != std::string::npos; ++at) ++headers;
  EXPECT_EQ(headers, 3u);
  world.looks = 2;
  world.cluster.fail = Error{Code::kUnavailable, "connection refused"};
  EXPECT_EQ(world.Run({"top", "--watch"}), kFailure);
}

TEST(Cli, ColoursOnATerminalOnlyAndNeverWithNoColor) {
  World world;
  EXPECT_EQ(world.Run({"top"}), kOk);
  EXPECT_THAT(world.out.str(), Not(HasSubstr("\033")));
  world.terminal = true;
  EXPECT_EQ(world.Run({"top"}), kOk);
  EXPECT_THAT(world.out.str(), HasSubstr("\033"));
  world.environment["NO_COLOR"] = "1";
  EXPECT_EQ(world.Run({"top"}), kOk);
  EXPECT_THAT(world.out.str(), Not(HasSubstr("\033")));
}

TEST(Cli, ExplainTakesTheNamesKubectlUsersWrite) {
  World world;
  for (const auto* target : {"vm/db-1", "db-1", "virtualmachine/db-1", "bfp/db-1"}) {
    EXPECT_EQ(world.Run({"explain", target}), kOk) << target;
    EXPECT_THAT(world.out.str(), StartsWith("shop/db-1"));
  }
  for (const auto* target : {"pod/db-1", "vm/", "vm/a/b"}) {
    EXPECT_EQ(world.Run({"explain", target}), kUsage) << target;
    EXPECT_THAT(world.err.str(), HasSubstr("write vm/NAME"));
  }
}

TEST(Cli, TellsAVmThatIsNotThereFromOneThatIsNotWatched) {
  World world;
  EXPECT_EQ(world.Run({"explain", "vm/nobody"}), kMissing);
  EXPECT_THAT(world.err.str(), HasSubstr("there is no VM nobody in namespace shop"));
  world.cluster.vms["shop/quiet"] = {{"metadata", {{"uid", "q"}}}};
  EXPECT_EQ(world.Run({"explain", "vm/quiet"}), kMissing);
  EXPECT_THAT(world.err.str(), HasSubstr("whorl.dev/mode is not set; opt it in"));
  world.cluster.vms["shop/quiet"]["metadata"]["annotations"]["whorl.dev/mode"] = "observe";
  EXPECT_EQ(world.Run({"explain", "vm/quiet"}), kMissing);
  EXPECT_THAT(world.err.str(), HasSubstr("no BehaviorFingerprint yet"));
}

TEST(Cli, LedgerShowsAllNodesOrOneOrWhatConcernsAVm) {
  World world;
  EXPECT_EQ(world.Run({"ledger"}), kOk);
  EXPECT_THAT(world.out.str(), StartsWith("node-1   epoch 4, led by whorl-controller-abc\n"));
  EXPECT_THAT(world.out.str(), HasSubstr("The books balance"));
  EXPECT_THAT(world.out.str(), Not(HasSubstr("Recalled")));
  EXPECT_EQ(world.Run({"ledger", "node-1", "--closed"}), kOk);
  EXPECT_THAT(world.out.str(), HasSubstr("Recalled"));
  EXPECT_EQ(world.Run({"ledger", "node-9"}), kMissing);
  EXPECT_EQ(world.Run({"ledger", "--vm", "db-1"}), kOk) << "in the context's namespace";
  EXPECT_THAT(world.out.str(), HasSubstr("shop/db-1"));
  EXPECT_EQ(world.Run({"ledger", "--vm", "lab/nobody"}), kOk);
  EXPECT_EQ(world.out.str(), "");
  EXPECT_THAT(world.err.str(), HasSubstr("No node has VM lab/nobody in its books"));
  world.cluster.partitions.clear();
  EXPECT_EQ(world.Run({"ledger"}), kOk);
  EXPECT_THAT(world.err.str(), HasSubstr("No node runs an agent"));
}

TEST(Cli, LedgerTellsWhatTheControllersRemember) {
  World world;
  EXPECT_EQ(world.Run({"ledger", "--history", "--whorl-namespace", "ops"}), kMissing);
  EXPECT_THAT(world.err.str(), HasSubstr("no history of the ledger in ops"));
  world.cluster.histories = {test::History()};
  EXPECT_EQ(world.Run({"ledger", "--history"}), kOk);
  EXPECT_THAT(world.out.str(), HasSubstr("Recalled"));
  EXPECT_EQ(world.Run({"ledger", "--history", "-o", "json"}), kOk);
  EXPECT_EQ(json::parse(world.out.str())["loans"].size(), 2u);
  EXPECT_EQ(world.Run({"ledger", "--history", "--watch"}), kUsage);
}

TEST(Cli, LedgerIsWatchedLikeTop) {
  World world;
  world.looks = 2;
  EXPECT_EQ(world.Run({"ledger", "--watch"}), kOk);
  std::size_t titles = 0;
  for (std::size_t at = 0; (at = world.out.str().find("led by", at)) != std::string::npos; ++at) ++titles;
  EXPECT_EQ(titles, 3u);
}

TEST(Cli, ResetAsksFirstAndWritesOneAnnotation) {
  World world;
  world.terminal = true;
  world.in.str("n\n");
  EXPECT_EQ(world.Run({"reset", "vm/db-1"}), kFailure);
  EXPECT_THAT(world.out.str(), HasSubstr("no score until it is learnt anew, after at least 60 min"));
  EXPECT_THAT(world.cluster.annotated, IsEmpty());
  world.in.clear();
  world.in.str("y\n");
  EXPECT_EQ(world.Run({"reset", "vm/db-1"}), kOk);
  EXPECT_THAT(world.cluster.annotated, ElementsAre("shop/db-1 db-uid whorl.dev/baseline=reset@" + kNow));
}

TEST(Cli, WithoutATerminalItDoesNothingUnlessToldYes) {
  World world;
  EXPECT_EQ(world.Run({"accept", "vm/db-1"}), kUsage);
  EXPECT_THAT(world.err.str(), HasSubstr("--yes"));
  EXPECT_THAT(world.cluster.annotated, IsEmpty());
  EXPECT_EQ(world.Run({"accept", "vm/db-1", "--yes"}), kOk);
  EXPECT_THAT(world.cluster.annotated, ElementsAre("shop/db-1 db-uid whorl.dev/baseline=accept@" + kNow));
  EXPECT_THAT(world.out.str(), HasSubstr("cpu.usage 950 millicores (usually 40 millicores); its alarm closes"));
}

TEST(Cli, ADryRunIsJudgedByTheServerAndNotAsked) {
  World world;
  EXPECT_EQ(world.Run({"reset", "vm/db-1", "--dry-run"}), kOk);
  EXPECT_THAT(world.cluster.annotated, ElementsAre("shop/db-1 db-uid whorl.dev/baseline=reset@" + kNow + " dry"));
  EXPECT_THAT(world.out.str(), HasSubstr("(server dry run)"));
}

// As the controller writes it: one more socket is recommended.
json Resizable() {
  auto object = test::Deviating();
  object["status"]["resize"] = json::parse(R"json({
    "mode": "Recommend", "expectedMigrations": 1,
    "recommendation": [
      {"name": "sockets", "current": "1", "target": "2", "lower": "1", "upper": "3", "why": "P95 of the next hour 1500m"},
      {"name": "memory", "current": "1Gi", "target": "1Gi", "lower": "1Gi", "upper": "1Gi", "why": "P95 600Mi"}],
    "migrationsLastDay": ["2026-01-02T01:00:00Z"],
    "conditions": [{"type": "Possible", "status": "True", "reason": "Allowed", "message": "",
                    "lastTransitionTime": "2026-01-02T03:00:00Z"}]})json");
  return object;
}

TEST(Cli, ApplySaysWhatItTakesAndAsksBeforeItWritesOneAnnotation) {
  World world;
  world.cluster.fingerprints = {Resizable()};
  world.terminal = true;
  world.in.str("n\n");
  EXPECT_EQ(world.Run({"apply", "vm/db-1"}), kFailure);
  EXPECT_THAT(world.out.str(), HasSubstr("sockets  1 -> 2  (P95 of the next hour 1500m)"));
  EXPECT_THAT(world.out.str(), HasSubstr("1 live migration to another node; 1 of the last 24 hours count"));
  EXPECT_THAT(world.out.str(), Not(HasSubstr("memory ")));
  EXPECT_THAT(world.cluster.annotated, IsEmpty());
  EXPECT_EQ(world.Run({"apply", "vm/db-1", "--yes"}), kOk);
  EXPECT_THAT(world.cluster.annotated, ElementsAre("shop/db-1 db-uid whorl.dev/resize=sockets=2@" + kNow));
}

TEST(Cli, ApplyDryRunChangesNothing) {
  World world;
  world.cluster.fingerprints = {Resizable()};
  EXPECT_EQ(world.Run({"apply", "vm/db-1", "--dry-run"}), kOk);
  EXPECT_THAT(world.out.str(), HasSubstr("1 live migration"));
  EXPECT_THAT(world.cluster.annotated, ElementsAre("shop/db-1 db-uid whorl.dev/resize=sockets=2@" + kNow + " dry"));
}

TEST(Cli, ApplyTakesAnotherSizeThanTheRecommendedOne) {
  World world;
  world.cluster.fingerprints = {Resizable()};
  EXPECT_EQ(world.Run({"apply", "vm/db-1", "--memory", "2Gi", "--sockets", "4", "-y"}), kOk);
  EXPECT_THAT(world.cluster.annotated, ElementsAre("shop/db-1 db-uid whorl.dev/resize=sockets=4,memory=2Gi@" + kNow));
  EXPECT_EQ(world.Run({"apply", "vm/db-1", "--memory", "lots", "-y"}), kUsage);
  EXPECT_THAT(world.err.str(), HasSubstr("memory=QUANTITY such as 4Gi"));
}

TEST(Cli, ApplyRefusesWithTheReasonThatStandsInTheStatus) {
  World world;
  auto object = Resizable();
  object["status"]["resize"]["conditions"][0]["status"] = "False";
  object["status"]["resize"]["conditions"][0]["reason"] = "NoOtherNode";
  object["status"]["resize"]["conditions"][0]["message"] = "no other node is ready for VMs";
  world.cluster.fingerprints = {object};
  EXPECT_EQ(world.Run({"apply", "vm/db-1", "-y"}), kFailure);
  EXPECT_THAT(world.err.str(), HasSubstr("NoOtherNode: no other node is ready for VMs"));
  object["status"]["resize"]["change"] = {
      {"state", "Migrating"}, {"since", "2026-01-02T03:04:00Z"}, {"from", "1 socket"}, {"to", "2 sockets"}};
  world.cluster.fingerprints = {object};
  EXPECT_EQ(world.Run({"apply", "vm/db-1", "-y"}), kFailure);
  EXPECT_THAT(world.err.str(), HasSubstr("resized already, from 1 socket to 2 sockets"));
  object = Resizable();
  object["status"]["resize"]["recommendation"][0]["target"] = "1";
  world.cluster.fingerprints = {object};
  EXPECT_EQ(world.Run({"apply", "vm/db-1", "-y"}), kFailure);
  EXPECT_THAT(world.err.str(), HasSubstr("no other size is recommended"));
  world.cluster.fingerprints = {test::Deviating()};
  EXPECT_EQ(world.Run({"apply", "vm/db-1", "-y"}), kFailure);
  EXPECT_THAT(world.err.str(), HasSubstr("has said nothing about the size"));
  EXPECT_THAT(world.cluster.annotated, IsEmpty());
}

// As the controller writes it: it asks before it caps. kNow is before it runs out.
json Proposed() {
  auto object = test::Deviating();
  object["status"]["remedy"] = json::parse(R"json({
    "rung": "propose",
    "proposal": {"id": "cap-6553f0f4", "action": "cap", "nature": "Runaway", "score": 83,
                 "since": "2023-11-14T22:13:08Z", "expires": "2023-11-14T23:13:08Z",
                 "reason": "limit what it takes too much of, because it is a fault"}})json");
  return object;
}

TEST(Cli, ApproveShowsTheProposalAndAsksBeforeItWritesItsIdAndNothingElse) {
  World world;
  world.cluster.fingerprints = {Proposed()};
  world.terminal = true;
  world.in.str("n\n");
  EXPECT_EQ(world.Run({"approve", "vm/db-1"}), kFailure);
  EXPECT_THAT(world.out.str(), StartsWith("Proposed about shop/db-1:\n"
                                          "  id       cap-6553f0f4\n"
                                          "  action   cap\n"
                                          "  for      Runaway, score 83\n"
                                          "  reason   limit what it takes too much of, because it is a fault\n"
                                          "  expires  2023-11-14T23:13:08Z\n"));
  EXPECT_THAT(world.cluster.annotated, IsEmpty());
  world.in.clear();
  world.in.str("y\n");
  EXPECT_EQ(world.Run({"approve", "vm/db-1"}), kOk);
  EXPECT_THAT(world.cluster.annotated, ElementsAre("shop/db-1 db-uid whorl.dev/approve=cap-6553f0f4"));
}

TEST(Cli, RejectWritesTheOtherAnnotation) {
  World world;
  world.cluster.fingerprints = {Proposed()};
  EXPECT_EQ(world.Run({"reject", "vm/db-1"}), kUsage);  // nobody can be asked here
  EXPECT_THAT(world.cluster.annotated, IsEmpty());
  EXPECT_EQ(world.Run({"reject", "vm/db-1", "--yes"}), kOk);
  EXPECT_THAT(world.out.str(), HasSubstr("nothing more is proposed until the next alarm"));
  EXPECT_THAT(world.cluster.annotated, ElementsAre("shop/db-1 db-uid whorl.dev/reject=cap-6553f0f4"));
}

TEST(Cli, AnAnswerTriedDryChangesNothing) {
  World world;
  world.cluster.fingerprints = {Proposed()};
  EXPECT_EQ(world.Run({"approve", "vm/db-1", "--dry-run"}), kOk);
  EXPECT_THAT(world.out.str(), HasSubstr("(server dry run)"));
  EXPECT_THAT(world.cluster.annotated, ElementsAre("shop/db-1 db-uid whorl.dev/approve=cap-6553f0f4 dry"));
}

TEST(Cli, AnAnswerByIdIsForThatProposalOnly) {
  World world;
  world.cluster.fingerprints = {Proposed()};
  EXPECT_EQ(world.Run({"approve", "vm/db-1", "--id", "pause-6553f0f4", "-y"}), kFailure);
  EXPECT_THAT(world.err.str(), HasSubstr("pause-6553f0f4 about shop/db-1 is not open; cap-6553f0f4 is"));
  EXPECT_THAT(world.cluster.annotated, IsEmpty());
  EXPECT_EQ(world.Run({"approve", "vm/db-1", "--id", "cap-6553f0f4", "-y"}), kOk);
  EXPECT_THAT(world.cluster.annotated, ElementsAre("shop/db-1 db-uid whorl.dev/approve=cap-6553f0f4"));
}

TEST(Cli, AnswersNothingWhereNothingIsOpen) {
  World world;
  for (const auto* verb : {"approve", "reject"}) {
    auto object = test::Deviating();
    world.cluster.fingerprints = {object};
    EXPECT_EQ(world.Run({verb, "vm/db-1", "-y"}), kFailure);
    EXPECT_EQ(world.err.str(), "error: nothing is proposed about shop/db-1 and nothing is held\n");
    object["status"]["remedy"] = {{"rung", "borrow"}, {"next", "cap: Ask, from severity strong on"}};
    world.cluster.fingerprints = {object};
    EXPECT_EQ(world.Run({verb, "vm/db-1", "-y"}), kFailure);
    EXPECT_THAT(world.err.str(), HasSubstr("it stands at borrow; next cap: Ask, from severity strong on"));
    object = Proposed();
    object["status"]["remedy"]["proposal"]["expires"] = kNow;
    world.cluster.fingerprints = {object};
    EXPECT_EQ(world.Run({verb, "vm/db-1", "-y"}), kFailure);
    EXPECT_THAT(world.err.str(), HasSubstr("has run out at " + kNow));
    EXPECT_EQ(world.Run({verb, "vm/gone", "-y"}), kMissing);
  }
  EXPECT_THAT(world.cluster.annotated, IsEmpty());
}

TEST(Cli, ErrorsGoToStderrWithTheirExitCode) {
  World world;
  world.refuse = Error{Code::kNotFound, "no API server configured"};
  EXPECT_EQ(world.Run({"top"}), kMissing);
  EXPECT_EQ(world.err.str(), "error: no API server configured\n");
  world.refuse.reset();
  world.cluster.fail = Error{Code::kUnauthorized, "forbidden"};
  EXPECT_EQ(world.Run({"top"}), kFailure);
  EXPECT_EQ(world.Run({"explain", "vm/db-1"}), kFailure);
  EXPECT_EQ(world.out.str(), "");
}

TEST(Cli, WrongUsageIsTwoAndHelpIsNone) {
  World world;
  EXPECT_EQ(world.Run({}), kUsage);
  EXPECT_EQ(world.Run({"fly"}), kUsage);
  EXPECT_EQ(world.Run({"top", "--sort-by", "memory"}), kUsage);
  EXPECT_EQ(world.Run({"explain"}), kUsage);
  EXPECT_EQ(world.Run({"completion", "tcsh"}), kUsage);
  EXPECT_EQ(world.Run({"--help"}), kOk);
  EXPECT_THAT(world.out.str(), HasSubstr("explain"));
  EXPECT_EQ(world.Run({"version"}), kOk);
  EXPECT_EQ(world.out.str(), "kubectl-whorl 0.1.0\n");
}

TEST(Completion, KnowsVerbsFlagsAndValues) {
  const auto fixed = [](const std::vector<std::string>& words) { return *FixedCompletions(ReadHalfTyped(words)); };
  EXPECT_THAT(fixed({""}), ElementsAre("top", "explain", "ledger", "reset", "accept", "apply", "approve", "reject",
                                       "replay", "completion", "version"));
  EXPECT_THAT(fixed({"ex"}), ElementsAre("explain"));
  EXPECT_THAT(fixed({"top", "--sort-by", "p"}), ElementsAre("predicted"));
  EXPECT_THAT(fixed({"top", "-o", ""}), ElementsAre("wide", "json"));
  EXPECT_THAT(fixed({"ledger", "-o", ""}), ElementsAre("json"));
  EXPECT_THAT(fixed({"ledger", "--cl"}), ElementsAre("--closed"));
  EXPECT_THAT(fixed({"reset", "--d"}), ElementsAre("--dry-run"));
  EXPECT_THAT(fixed({"approve", "--i"}), ElementsAre("--id"));
  EXPECT_THAT(fixed({"reject", "--id", ""}), IsEmpty());
  EXPECT_THAT(fixed({"reject", "--y"}), ElementsAre("--yes"));
  EXPECT_THAT(fixed({"completion", ""}), ElementsAre("bash", "zsh", "fish"));
  EXPECT_THAT(fixed({"-n", ""}), IsEmpty());
  EXPECT_THAT(fixed({"explain", "vm/db-1", ""}), IsEmpty());
}

TEST(Completion, OffersTheWatchedVmsOfTheNamespace) {
  World world;
  EXPECT_EQ(world.Run({"__complete", "explain", ""}), kOk);
  EXPECT_EQ(world.out.str(), "vm/db-1\nvm/web-1\n:4\n");
  EXPECT_EQ(world.Run({"__complete", "-n", "lab", "reset", "vm/b"}), kOk);
  EXPECT_EQ(world.out.str(), "vm/batch-1\n:4\n");
  EXPECT_EQ(world.Run({"__complete", "approve", "vm/d"}), kOk);
  EXPECT_EQ(world.out.str(), "vm/db-1\n:4\n");
  world.refuse = Error{Code::kUnavailable, "away"};
  EXPECT_EQ(world.Run({"__complete", "explain", ""}), kOk);
  EXPECT_EQ(world.out.str(), ":4\n");
  EXPECT_EQ(world.err.str(), "");
}

TEST(Completion, LetsTheShellCompleteFilesOfAReplay) {
  World world;
  EXPECT_EQ(world.Run({"__complete", "replay", ""}), kOk);
  EXPECT_EQ(world.out.str(), ":0\n");
  EXPECT_EQ(world.Run({"__complete", "replay", "--policy", ""}), kOk);
  EXPECT_EQ(world.out.str(), ":0\n");
  EXPECT_EQ(world.Run({"__complete", "replay", "-o", ""}), kOk);
  EXPECT_EQ(world.out.str(), "table\njson\n:4\n");
  EXPECT_EQ(world.Run({"__complete", "replay", "--h"}), kOk);
  EXPECT_THAT(world.out.str(), HasSubstr("--html"));
}

TEST(Completion, OffersNodesAndTheirVmsForTheLedger) {
  World world;
  EXPECT_EQ(world.Run({"__complete", "ledger", ""}), kOk);
  EXPECT_EQ(world.out.str(), "node-1\n:4\n");
  EXPECT_EQ(world.Run({"__complete", "ledger", "--vm", "shop/"}), kOk);
  EXPECT_EQ(world.out.str(), "shop/db-1\nshop/web-1\n:4\n");
}

TEST(Completion, HasAScriptForEachShell) {
  World world;
  for (const auto* shell : {"bash", "zsh", "fish"}) {
    EXPECT_EQ(world.Run({"completion", shell}), kOk);
    EXPECT_THAT(world.out.str(), HasSubstr("kubectl-whorl __complete"));
  }
}

TEST(ReferencePage, TheOneInTheDocsIsUpToDate) {
  std::ifstream in(WHORL_SOURCE_DIR "/docs/reference/plugin.md");
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), ReferencePage()) << "kubectl-whorl reference > docs/reference/plugin.md";
}

}  // namespace
}  // namespace whorl::plugin
