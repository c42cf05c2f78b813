#include "crd/partition_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "tests/crd/schema.h"

namespace whorl::crd {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

json Object(json spec) {
  return {{"metadata", {{"name", "gold"}, {"uid", "u-1"}, {"generation", 4}}}, {"spec", std::move(spec)}};
}

// {"a.b": 1} as {"a": {"b": 1}}.
json Nested(std::string path, json value) {
  for (auto dot = path.rfind('.'); dot != std::string::npos; dot = path.rfind('.')) {
    value = json{{path.substr(dot + 1), std::move(value)}};
    path.resize(dot);
  }
  return {{path, std::move(value)}};
}

std::string ErrorOf(const json& object) {
  const auto policy = ParsePartitionPolicy(object);
  if (policy) return "accepted";
  EXPECT_EQ(policy.error().code, Code::kInvalid);
  return policy.error().message;
}

TEST(PartitionPolicy, ThatSaysNothingIsTheEnginesOwnDefault) {
  const auto policy = ParsePartitionPolicy(Object(json::object()));
  ASSERT_TRUE(policy) << policy.error().message;
  const Policy standard;
  EXPECT_EQ(policy->engine.max_mode, standard.max_mode);
  EXPECT_EQ(policy->engine.pause, standard.pause);
  EXPECT_EQ(policy->engine.learning, standard.learning);
  EXPECT_EQ(policy->engine.learning_samples, standard.learning_samples);
  EXPECT_DOUBLE_EQ(policy->engine.false_episodes_per_week, standard.false_episodes_per_week);
  EXPECT_EQ(policy->engine.reserve, standard.reserve);
  EXPECT_EQ(policy->engine.cpu.partition, standard.cpu.partition);
  EXPECT_DOUBLE_EQ(policy->engine.cpu.floor_fraction, standard.cpu.floor_fraction);
  EXPECT_DOUBLE_EQ(policy->engine.cpu.ceiling_fraction, standard.cpu.ceiling_fraction);
  EXPECT_DOUBLE_EQ(policy->engine.cpu.lendable_fraction, standard.cpu.lendable_fraction);
  EXPECT_EQ(policy->engine.cpu.step, standard.cpu.step);
  EXPECT_EQ(policy->engine.cpu.quantum, standard.cpu.quantum);
  EXPECT_DOUBLE_EQ(policy->engine.cpu.demand_quantile, standard.cpu.demand_quantile);
  EXPECT_DOUBLE_EQ(policy->engine.cpu.margin, standard.cpu.margin);
  EXPECT_DOUBLE_EQ(policy->engine.cpu.deviation_factor, standard.cpu.deviation_factor);
  EXPECT_DOUBLE_EQ(policy->engine.cpu.max_bonus, standard.cpu.max_bonus);
  EXPECT_EQ(policy->engine.cpu.bonus_credit, standard.cpu.bonus_credit);
  EXPECT_EQ(policy->engine.cpu.least_loan, standard.cpu.least_loan);
  EXPECT_EQ(policy->engine.cpu.weight_per_vcpu, standard.cpu.weight_per_vcpu);
  EXPECT_DOUBLE_EQ(policy->engine.cpu.recall_use, standard.cpu.recall_use);
  EXPECT_EQ(policy->engine.cpu.recall_delay_ms_per_s, standard.cpu.recall_delay_ms_per_s);
  EXPECT_EQ(policy->engine.cpu.recall_for, standard.cpu.recall_for);
  EXPECT_EQ(policy->engine.cpu.flapping, standard.cpu.flapping);
  const auto& ladder = policy->engine.remediation;
  for (std::size_t i = 0; i < remedy::kRungCount; ++i) {
    EXPECT_EQ(ladder.rungs[i].approval, standard.remediation.rungs[i].approval) << i;
    EXPECT_EQ(ladder.rungs[i].ttl, standard.remediation.rungs[i].ttl) << i;
  }
  EXPECT_EQ(ladder.climb_after, standard.remediation.climb_after);
  EXPECT_EQ(ladder.calm, standard.remediation.calm);
  EXPECT_EQ(ladder.proposal, standard.remediation.proposal);
  EXPECT_DOUBLE_EQ(ladder.cap_fraction, standard.remediation.cap_fraction);
  EXPECT_EQ(ladder.network_kilobits, standard.remediation.network_kilobits);
  EXPECT_EQ(ladder.disk_kibibytes, standard.remediation.disk_kibibytes);
  EXPECT_DOUBLE_EQ(ladder.raise_weight, standard.remediation.raise_weight);
  EXPECT_EQ(policy->cpu_capacity, std::nullopt);
  EXPECT_EQ(policy->lease, Seconds{30});
  EXPECT_EQ(policy->name, "gold");
  EXPECT_EQ(policy->uid, "u-1");
  EXPECT_EQ(policy->generation, 4);
}

TEST(PartitionPolicy, TakesEveryFieldToItsPlace) {
  const auto policy = ParsePartitionPolicy(Object(json::parse(R"({
    "maxMode": "Enforce", "pause": "Hold", "learningSeconds": 60, "learningSamples": 50, "falseEpisodesPerWeek": 7,
    "leaseSeconds": 20, "reserve": {"cpuMillicores": 200}, "capacity": {"cpuMillicores": 1200},
    "resources": {"cpu": {"partition": "Hard", "floorPercent": 40, "ceilingPercent": 300, "lendablePercent": 70,
      "stepMillicores": 250, "quantumSeconds": 5, "demandQuantilePercent": 90, "marginPercent": 20,
      "deviationFactorPercent": 30, "maxBonusPercent": 60, "bonusCreditSeconds": 60,
      "leastLoanMillicores": 50, "weightPerVcpuMillicores": 200, "recallUsePercent": 80,
      "recallDelayMillisPerSecond": 100, "recallForMillis": 500, "flappingReversals": 4}}})")));
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_EQ(policy->engine.max_mode, Mode::kEnforce);
  EXPECT_EQ(policy->engine.pause, Pause::kHold);
  EXPECT_EQ(policy->engine.learning, Seconds{60});
  EXPECT_EQ(policy->engine.learning_samples, 50U);
  EXPECT_DOUBLE_EQ(policy->engine.false_episodes_per_week, 7);
  EXPECT_EQ(policy->engine.reserve, MilliCores{200});
  EXPECT_EQ(policy->cpu_capacity, MilliCores{1200});
  EXPECT_EQ(policy->lease, Seconds{20});
  EXPECT_EQ(policy->engine.cpu.partition, PartitionKind::kHard);
  EXPECT_DOUBLE_EQ(policy->engine.cpu.floor_fraction, 0.4);
  EXPECT_DOUBLE_EQ(policy->engine.cpu.ceiling_fraction, 3);
  EXPECT_DOUBLE_EQ(policy->engine.cpu.lendable_fraction, 0.7);
  EXPECT_EQ(policy->engine.cpu.step, MilliCores{250});
  EXPECT_EQ(policy->engine.cpu.quantum, Seconds{5});
  EXPECT_DOUBLE_EQ(policy->engine.cpu.demand_quantile, 0.9);
  EXPECT_DOUBLE_EQ(policy->engine.cpu.margin, 0.2);
  EXPECT_DOUBLE_EQ(policy->engine.cpu.deviation_factor, 0.3);
  EXPECT_DOUBLE_EQ(policy->engine.cpu.max_bonus, 0.6);
  EXPECT_EQ(policy->engine.cpu.bonus_credit, Seconds{60});
  EXPECT_EQ(policy->engine.cpu.least_loan, MilliCores{50});
  EXPECT_EQ(policy->engine.cpu.weight_per_vcpu, MilliCores{200});
  EXPECT_DOUBLE_EQ(policy->engine.cpu.recall_use, 0.8);
  EXPECT_EQ(policy->engine.cpu.recall_delay_ms_per_s, 100);
  EXPECT_EQ(policy->engine.cpu.recall_for, Millis{500});
  EXPECT_EQ(policy->engine.cpu.flapping, 4);
}

TEST(PartitionPolicy, TakesTheRemediationOfEveryRung) {
  const auto policy = ParsePartitionPolicy(Object({{"remediation", json::parse(R"({
    "climbAfterSeconds": 20, "calmSeconds": 5, "proposalSeconds": 120, "propose": {"mode": "Auto"},
    "borrow": {"mode": "Ask", "ttlSeconds": 11}, "raiseWeight": {"mode": "Never", "ttlSeconds": 12, "percent": 200},
    "cap": {"mode": "Auto", "ttlSeconds": 13, "cpuPercent": 25, "networkKilobitsPerSecond": 512,
            "diskKibibytesPerSecond": 2048},
    "isolate": {"mode": "Auto", "ttlSeconds": 14}, "quarantine": {"mode": "Never", "ttlSeconds": 15},
    "migrate": {"mode": "Never", "ttlSeconds": 616}, "pause": {"mode": "Ask", "ttlSeconds": 17}})")}}));
  ASSERT_TRUE(policy) << policy.error().message;
  const auto& ladder = policy->engine.remediation;
  EXPECT_EQ(ladder.climb_after, Seconds{20});
  EXPECT_EQ(ladder.calm, Seconds{5});
  EXPECT_EQ(ladder.proposal, Seconds{120});
  using remedy::Approval;
  constexpr struct {
    remedy::Rung rung;
    Approval approval;
    std::int64_t ttl;
  } kRows[] = {{remedy::Rung::kBorrow, Approval::kAsk, 11},       {remedy::Rung::kRaiseWeight, Approval::kNever, 12},
               {remedy::Rung::kCap, Approval::kAuto, 13},         {remedy::Rung::kIsolate, Approval::kAuto, 14},
               {remedy::Rung::kQuarantine, Approval::kNever, 15}, {remedy::Rung::kMigrate, Approval::kNever, 616},
               {remedy::Rung::kPause, Approval::kAsk, 17}};
  for (const auto& row : kRows) {
    EXPECT_EQ(ladder.of(row.rung).approval, row.approval) << remedy::RungName(row.rung);
    EXPECT_EQ(ladder.of(row.rung).ttl, Seconds{row.ttl}) << remedy::RungName(row.rung);
  }
  EXPECT_DOUBLE_EQ(ladder.cap_fraction, 0.25);
  EXPECT_EQ(ladder.network_kilobits, 512);
  EXPECT_EQ(ladder.disk_kibibytes, 2048);
  EXPECT_DOUBLE_EQ(ladder.raise_weight, 2);
}

TEST(PartitionPolicy, RefusesARungThatAsksWhileNothingIsProposed) {
  EXPECT_THAT(ErrorOf(Object({{"remediation", {{"propose", {{"mode", "Never"}}}}}})),
              HasSubstr("spec.remediation.cap.mode must be Auto or Never"));
  EXPECT_THAT(ErrorOf(Object({{"remediation", {{"propose", {{"mode", "Ask"}}}}}})), HasSubstr("must be Auto or Never"));
}

TEST(PartitionPolicy, HasTheBoundsAndDefaultsOfItsYaml) {
  const auto crd = testing::DefinitionOf("PartitionPolicy");
  const auto& spec = testing::SchemaAt(crd.schema(), "spec");
  std::set<std::string> numbers;
  testing::ForEachProperty(spec, "", [&](const std::string& path, const json& schema) {
    if (schema["type"] == "integer") numbers.insert(path);
  });
  for (const auto& number : kPolicyNumbers) {
    SCOPED_TRACE(number.path);
    ASSERT_EQ(numbers.erase(std::string(number.path)), 1U) << "not in the YAML";
    const auto& schema = testing::SchemaAt(spec, std::string(number.path));
    EXPECT_EQ(schema["minimum"], number.minimum);
    EXPECT_EQ(schema["maximum"], number.maximum);
    EXPECT_EQ(schema.contains("default"), number.standard.has_value());
    if (number.standard) {
      EXPECT_EQ(schema["default"], *number.standard);
    }
  }
  EXPECT_TRUE(numbers.empty()) << "the YAML has a number that C++ does not read: " << *numbers.begin();
}

TEST(PartitionPolicy, KnowsEveryWordOfItsYaml) {
  const auto crd = testing::DefinitionOf("PartitionPolicy");
  const auto& spec = testing::SchemaAt(crd.schema(), "spec");
  for (const char* path : {"maxMode", "pause", "resources.cpu.partition", "remediation.borrow.mode",
                           "remediation.raiseWeight.mode", "remediation.cap.mode", "remediation.isolate.mode",
                           "remediation.quarantine.mode", "remediation.migrate.mode", "remediation.pause.mode"}) {
    const auto& schema = testing::SchemaAt(spec, path);
    for (const auto& word : schema["enum"]) EXPECT_EQ(ErrorOf(Object(Nested(path, word))), "accepted") << path << word;
    const auto standard = ParsePartitionPolicy(Object(Nested(path, schema["default"])));
    const auto silent = ParsePartitionPolicy(Object(json::object()));
    ASSERT_TRUE(standard && silent);
    EXPECT_EQ(standard->engine.max_mode, silent->engine.max_mode);
    EXPECT_EQ(standard->engine.pause, silent->engine.pause);
    EXPECT_EQ(standard->engine.cpu.partition, silent->engine.cpu.partition);
    for (std::size_t i = 0; i < remedy::kRungCount; ++i) {
      EXPECT_EQ(standard->engine.remediation.rungs[i].approval, silent->engine.remediation.rungs[i].approval) << path;
    }
  }
}

TEST(PartitionPolicy, RefusesANumberOutsideItsBoundsAndSaysThem) {
  for (const auto& number : kPolicyNumbers) {
    const std::string path(number.path);
    for (const std::int64_t wrong : {number.minimum - 1, number.maximum + 1}) {
      EXPECT_THAT(ErrorOf(Object(Nested(path, wrong))),
                  AllOf(HasSubstr("PartitionPolicy gold: spec." + path), HasSubstr(std::to_string(wrong)),
                        HasSubstr("must be a whole number from " + std::to_string(number.minimum) + " to " +
                                  std::to_string(number.maximum))));
    }
    // Their maximum needs another field to match.
    if (path != "resources.cpu.maxBonusPercent" && path != "resources.cpu.leastLoanMillicores") {
      EXPECT_EQ(ErrorOf(Object(Nested(path, number.maximum))), "accepted");
    }
  }
}

TEST(PartitionPolicy, NeverTakesSomethingElseForANumber) {
  for (const json& wrong :
       {json("60"), json(60.5), json(60.0), json(true), json::array({60}), json(18'446'744'073'709'551'615U)}) {
    EXPECT_THAT(ErrorOf(Object({{"learningSeconds", wrong}})), HasSubstr("spec.learningSeconds is ")) << wrong;
  }
  EXPECT_EQ(ErrorOf(Object({{"learningSeconds", nullptr}})), "accepted") << "null is absent";
}

TEST(PartitionPolicy, RefusesAWordItDoesNotKnow) {
  EXPECT_THAT(ErrorOf(Object({{"maxMode", "enforce"}})),
              HasSubstr("spec.maxMode is \"enforce\"; it must be Off, Observe, Recommend or Enforce"));
  EXPECT_THAT(ErrorOf(Object({{"pause", 1}})), HasSubstr("it must be None, Hold or HoldAndDrain"));
}

TEST(PartitionPolicy, RefusesOtherShapes) {
  EXPECT_THAT(ErrorOf(Object({{"resources", 5}})), HasSubstr("spec.resources must be an object"));
  EXPECT_THAT(ErrorOf(Object({{"resources", {{"cpu", "all"}}}})), HasSubstr("spec.resources.cpu must be an object"));
  EXPECT_THAT(ErrorOf(Object("all")), HasSubstr("spec must be an object"));
  EXPECT_THAT(ErrorOf(json::object()), HasSubstr("without metadata.name"));
  EXPECT_THAT(ErrorOf(json(7)), HasSubstr("without metadata.name"));
}

TEST(PartitionPolicy, RefusesABonusAboveTheCeiling) {
  const auto spec = [](int ceiling, int bonus) {
    return Object({{"resources", {{"cpu", {{"ceilingPercent", ceiling}, {"maxBonusPercent", bonus}}}}}});
  };
  EXPECT_EQ(ErrorOf(spec(150, 50)), "accepted");
  EXPECT_THAT(ErrorOf(spec(150, 51)), HasSubstr("must be no more than ceilingPercent minus 100"));
}

TEST(PartitionPolicy, RefusesALeastLoanAboveTheStep) {
  const auto spec = [](int step, int least) {
    return Object({{"resources", {{"cpu", {{"stepMillicores", step}, {"leastLoanMillicores", least}}}}}});
  };
  EXPECT_EQ(ErrorOf(spec(50, 50)), "accepted");
  EXPECT_THAT(ErrorOf(spec(50, 51)), HasSubstr("spec.resources.cpu.leastLoanMillicores must be no more than step"));
}

TEST(PartitionPolicy, ExamplesAreAccepted) {
  const auto object = testing::YamlToJson(testing::FileText("crd/examples/default-policy.yaml"));
  const auto policy = ParsePartitionPolicy(object);
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_EQ(policy->name, "default");
  EXPECT_EQ(policy->engine.max_mode, Mode::kObserve);
  const auto crd = testing::DefinitionOf("PartitionPolicy");
  EXPECT_EQ(testing::Problems(testing::SchemaAt(crd.schema(), "spec"), object["spec"], "spec"),
            std::vector<std::string>{});
}

TEST(PartitionPolicyStatus, FitsTheSchema) {
  PartitionPolicyStatus status{.observed_generation = 2, .virtual_machines = 3, .conditions = {}};
  SetCondition(status.conditions, {.type = std::string(kAccepted), .status = ConditionStatus::kTrue, .reason = "Valid"},
               Time{});
  const auto crd = testing::DefinitionOf("PartitionPolicy");
  EXPECT_EQ(testing::Problems(testing::SchemaAt(crd.schema(), "status"), ToJson(status), ""),
            std::vector<std::string>{});
}

}  // namespace
}  // namespace whorl::crd
