#include "crd/behavior_fingerprint.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "core/score/nature.h"
#include "crd/text.h"
#include "tests/crd/schema.h"

namespace whorl::crd {
namespace {

using nlohmann::json;

constexpr Time kNow{Seconds{1'767'000'000}};

BehaviorFingerprintStatus Full() {
  BehaviorFingerprintStatus status;
  status.observed_generation = 1;
  status.node = "node-a";
  status.policy = "default";
  status.mode = Mode::kEnforce;
  status.state = State::kDeviating;
  status.score = 87;
  status.threshold = 55;
  status.nature = NatureName(Nature::kRunaway);
  status.summary = "deviates: cpu usage far above usual";
  status.rarity = RarityText(1.05e-5);
  status.regime = 2;
  status.cohort = "databases";
  status.guest_telemetry = "Fresh";
  status.last_baseline_request =
      LastBaselineRequest{.request = "accept@2026-01-02T03:04:05Z", .done = true, .time = kNow, .message = "why"};
  status.last_sample = kNow;
  status.baseline = ToBaselineProgress(
      {.samples = 300, .samples_needed = 200, .elapsed = Seconds{400}, .elapsed_needed = Seconds{60}, .percent = 100});
  status.baseline->missing = "nothing";
  status.contributing = {ToContributingFeature(
      {.feature = Feature::kCpuUsage, .sigmas = 9.4F, .share = 0.71F, .value = 980, .usual = 55})};
  status.episode = Episode{.number = 2, .opened = kNow, .closed = kNow + Seconds{9}, .peak_score = 91};
  status.resources = {{.name = "cpu",
                       .demand = "980m",
                       .predicted = "990m",
                       .base = "400m",
                       .entitlement = "420m",
                       .allocation = "900m",
                       .lent = "under 100m",
                       .borrowed = "250m-500m",
                       .limit = "900m",
                       .weight = 922,
                       .credits = -120,
                       .five_minutes = ForecastView{"90m", "120m", "150m", "240m", 12, 96},
                       .hour = ForecastView{"90m", "130m", "170m", "300m", 15, 95}}};
  status.lent = {{.resource = "cpu", .amount = "under 100m", .since = kNow, .renewed_until = kNow}};
  status.borrowed = {{.resource = "cpu", .amount = "250m-500m", .since = kNow, .renewed_until = kNow + Seconds{10}}};
  status.last_action = LastAction{.reason = "LimitRaised",
                                  .resource = "cpu",
                                  .from = "400m",
                                  .to = "900m",
                                  .time = kNow,
                                  .until = kNow + Seconds{30},
                                  .message = "why, and how to stop it"};
  status.remedy =
      RemedyView{.rung = "cap",
                 .next = "isolate: Ask",
                 .held = {{"cap", kNow, kNow + Seconds{900}, "Runaway", 250, "250m"}},
                 .proposal = RemedyProposal{"isolate-65", "isolate", "Runaway", 96, kNow, kNow + Seconds{3600}, "why"},
                 .history = {{kNow, "RemedyTaken", "cap", "limited"}}};
  SetCondition(status.conditions, {.type = std::string(kReady), .status = ConditionStatus::kTrue, .reason = "Scored"},
               kNow);
  return status;
}

std::vector<std::string> ProblemsOf(const BehaviorFingerprintStatus& status) {
  const auto crd = testing::DefinitionOf("BehaviorFingerprint");
  return testing::Problems(testing::SchemaAt(crd.schema(), "status"), ToJson(status), "");
}

TEST(BehaviorFingerprint, FitsTheSchemaAndFillsAllOfIt) {
  EXPECT_EQ(ProblemsOf(Full()), std::vector<std::string>{});
  const auto crd = testing::DefinitionOf("BehaviorFingerprint");
  const auto written = ToJson(Full()).flatten().dump();
  testing::ForEachProperty(testing::SchemaAt(crd.schema(), "status"), "", [&](const std::string& path, const json&) {
    if (path.starts_with("resize")) return;  // has a writer of its own; resize_test.cc
    std::string pointer;
    for (const char c : path) pointer += c == '.' ? "/" : c == '[' ? "/0" : c == ']' ? "" : std::string(1, c);
    EXPECT_NE(written.find("\"/" + pointer), std::string::npos) << "C++ never writes status." << path;
  });
}

TEST(BehaviorFingerprint, TakesEveryNatureThereIs) {
  for (std::size_t i = 0; i < kNatureCount; ++i) {
    BehaviorFingerprintStatus status;
    status.nature = NatureName(static_cast<Nature>(i));
    EXPECT_EQ(ProblemsOf(status), std::vector<std::string>{}) << status.nature;
  }
}

TEST(BehaviorFingerprint, GivesTheLastRequestBackAsItWasWritten) {
  EXPECT_EQ(LastBaselineRequestOf({{"status", ToJson(Full())}}), Full().last_baseline_request);
  EXPECT_EQ(LastBaselineRequestOf(json::object()), std::nullopt);
  EXPECT_EQ(LastBaselineRequestOf({{"status", {{"lastBaselineRequest", {{"request", 7}, {"time", "soon"}}}}}}),
            std::nullopt);
}

TEST(BehaviorFingerprint, GivesTheLadderBackAsItWasWritten) {
  const auto view = RemedyOf({{"status", ToJson(Full())}});
  ASSERT_TRUE(view);
  EXPECT_EQ(*view, *Full().remedy);
  const auto record = ToRecord(*view);
  const auto& cap = record.holds[remedy::Index(remedy::Rung::kCap)];
  EXPECT_TRUE(cap.held);
  EXPECT_EQ(cap.until, kNow + Seconds{900});
  EXPECT_EQ(cap.nature, Nature::kRunaway);
  EXPECT_EQ(cap.amount, 250);
  ASSERT_TRUE(record.proposal);
  EXPECT_EQ(record.proposal->rung, remedy::Rung::kIsolate);
  EXPECT_EQ(record.proposal->until, kNow + Seconds{3600});
}

TEST(BehaviorFingerprint, TakesNothingFromALadderThatCannotBeRead) {
  EXPECT_EQ(RemedyOf(json::object()), std::nullopt);
  const auto view = RemedyOf({{"status",
                               {{"remedy",
                                 {{"rung", 7},
                                  {"held", {{{"rung", "cap"}, {"since", "soon"}}, 5, {{"rung", "fly"}}}},
                                  {"proposal", {{"action", "cap"}}},
                                  {"history", "none"}}}}}});
  ASSERT_TRUE(view);
  EXPECT_EQ(*view, RemedyView{});
  EXPECT_FALSE(ToRecord(*view).proposal);
}

TEST(RarityText, HasTwoDigitsThatMeanSomething) {
  EXPECT_EQ(RarityText(0.05), "1 in 20");
  EXPECT_EQ(RarityText(1.0 / 4187), "1 in 4,200");
  EXPECT_EQ(RarityText(1.05e-5), "1 in 95,000");
  EXPECT_EQ(RarityText(1e-6), "1 in 1,000,000");
  EXPECT_EQ(RarityText(1e-300), "1 in 1,000,000,000");
}

TEST(RarityText, SaysNothingOfWhatIsCommonOrNoProbability) {
  for (const double p : {0.5, 1.0, 0.0, -1.0, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_EQ(RarityText(p), "") << p;
}

TEST(BehaviorFingerprint, LeavesOutWhatIsNotKnown) {
  const json status = ToJson(BehaviorFingerprintStatus{});
  EXPECT_EQ(status.size(), 2U) << status;  // observedGeneration, conditions
  EXPECT_EQ(ProblemsOf({}), std::vector<std::string>{});
}

TEST(BehaviorFingerprint, HasNoScoreWhileLearningOrBlind) {
  auto status = Full();
  for (const State state : {State::kLearning, State::kBlind}) {
    status.state = state;
    EXPECT_FALSE(ToJson(status).contains("score")) << StateName(state);
  }
  status.state = State::kPaused;
  EXPECT_EQ(ToJson(status)["score"], 87);
}

TEST(BehaviorFingerprint, IsNeverRefusedForItsLength) {
  auto status = Full();
  const std::string endless(5000, 'x');
  status.summary = status.node = status.policy = endless;
  status.last_action->message = status.last_action->from = endless;
  status.conditions[0].message = endless;
  status.contributing.assign(50, status.contributing[0]);
  status.contributing[0].current = endless;
  status.borrowed.assign(50, status.borrowed[0]);
  status.lent.assign(50, {.resource = endless, .amount = endless, .since = kNow, .renewed_until = kNow});
  status.resources[0].demand = endless;
  status.score = 255;
  status.threshold = 255;
  status.resources[0].weight = 0;
  status.contributing[1].sigmas = std::numeric_limits<std::int32_t>::min();
  EXPECT_EQ(ProblemsOf(status), std::vector<std::string>{});
}

TEST(BehaviorFingerprint, KnowsEveryStateAndModeOfItsYaml) {
  const auto crd = testing::DefinitionOf("BehaviorFingerprint");
  std::set<std::string> states;
  std::set<std::string> modes;
  for (const State state : {State::kLearning, State::kNormal, State::kDeviating, State::kBlind, State::kPaused}) {
    states.emplace(StateName(state));
  }
  for (const Mode mode : {Mode::kOff, Mode::kObserve, Mode::kRecommend, Mode::kEnforce}) modes.emplace(ModeName(mode));
  EXPECT_EQ(states, testing::SchemaAt(crd.schema(), "status.state")["enum"].get<std::set<std::string>>());
  EXPECT_EQ(modes, testing::SchemaAt(crd.schema(), "status.mode")["enum"].get<std::set<std::string>>());
}

TEST(BaselineProgress, SaysWhatIsMissing) {
  const auto missing = [](std::uint32_t samples, std::int64_t seconds) {
    return ToBaselineProgress({.samples = samples,
                               .samples_needed = 200,
                               .elapsed = Seconds{seconds},
                               .elapsed_needed = Seconds{3600},
                               .percent = 0})
        .missing;
  };
  EXPECT_EQ(missing(0, 0), "200 more samples and 60 more minutes");
  EXPECT_EQ(missing(199, 3600), "1 more sample");
  EXPECT_EQ(missing(200, 3599), "1 more second");
  EXPECT_EQ(missing(500, 3480), "120 more seconds");
  EXPECT_EQ(missing(200, 3600), "");
}

TEST(ContributingFeature, IsReadable) {
  const auto feature = [](Feature f, float sigmas, float value, float usual) {
    return ToContributingFeature({.feature = f, .sigmas = sigmas, .share = 0.5F, .value = value, .usual = usual});
  };
  const auto net = feature(Feature::kNetTransmitBytes, -3.6F, 1536, 5.0F * 1024 * 1024);
  EXPECT_EQ(net.name, "network sent");
  EXPECT_FALSE(net.above);
  EXPECT_EQ(net.sigmas, 4);
  EXPECT_EQ(net.current, "1.5 KiB/s");
  EXPECT_EQ(net.usual, "5.0 MiB/s");
  EXPECT_EQ(net.share_percent, 50);
  EXPECT_EQ(feature(Feature::kCpuUsage, 2, 1234.4F, 3.25F).current, "1234 millicores");
  EXPECT_EQ(feature(Feature::kCpuUsage, 2, 1234.4F, 3.25F).usual, "3.2 millicores");
}

TEST(ContributingFeature, NeverMakesANumberOfNoNumber) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const auto feature =
      ToContributingFeature({.feature = Feature::kCpuUsage, .sigmas = inf, .share = nan, .value = nan, .usual = inf});
  EXPECT_EQ(feature.current, "unknown");
  EXPECT_EQ(feature.usual, "unknown");
  EXPECT_EQ(feature.sigmas, 1'000'000);
  EXPECT_EQ(feature.share_percent, 0);
}

}  // namespace
}  // namespace whorl::crd
