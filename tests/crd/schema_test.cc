#include "tests/crd/schema.h"

#include <gtest/gtest.h>

#include <cctype>
#include <regex>
#include <set>

#include "crd/names.h"

namespace whorl::crd::testing {
namespace {

using nlohmann::json;

TEST(Crds, NameTheKindsThatTheProgramsUse) {
  for (const KindName& kind : {kBehaviorFingerprint, kPartitionPolicy, kNodePartition}) {
    const auto crd = DefinitionOf(std::string(kind.kind));
    EXPECT_EQ(crd.plural(), kind.plural);
    EXPECT_EQ(crd.document["spec"]["group"], kGroup);
    EXPECT_EQ(crd.version()["name"], kVersion);
    EXPECT_EQ(crd.document["metadata"]["name"], std::string(kind.plural) + "." + std::string(kGroup));
    EXPECT_EQ(crd.document["spec"]["scope"], kind.namespaced ? "Namespaced" : "Cluster");
    EXPECT_EQ(crd.document["spec"]["names"]["categories"], json::array({"whorl"}));
    EXPECT_TRUE(crd.version()["subresources"].contains("status"));
  }
}

TEST(Crds, BoundEveryStringListAndNumber) {
  for (const auto& crd : Definitions()) {
    ForEachProperty(crd.schema(), "", [&](const std::string& path, const json& schema) {
      SCOPED_TRACE(crd.kind() + " " + path);
      const std::string type = schema.value("type", "");
      ASSERT_FALSE(type.empty()) << "a structural schema gives every field a type";
      EXPECT_NE(type, "number") << "no floats: use percent or thousandths";
      if (type == "string") {
        EXPECT_TRUE(schema.contains("maxLength") || schema.contains("enum"));
      }
      if (type == "array") {
        EXPECT_TRUE(schema.contains("maxItems"));
        EXPECT_TRUE(schema.contains("x-kubernetes-list-type"));
      }
      if (type == "integer") {
        EXPECT_TRUE(schema.contains("minimum"));
        const std::string format = schema.value("format", "");
        EXPECT_TRUE(format == "int32" || format == "int64");
      }
    });
  }
}

TEST(Crds, HaveFieldNamesThatKubectlDescribeSpellsOut) {
  const std::regex plain("^[a-z]+([A-Z][a-z]*)*$");
  const std::regex duration("(Period|Timeout|Duration|Interval)$");
  for (const auto& crd : Definitions()) {
    ForEachProperty(crd.schema(), "", [&](const std::string& path, const json&) {
      std::string name = path.substr(path.rfind('.') + 1);
      if (name.size() > 2 && name.ends_with("[]")) name.resize(name.size() - 2);
      EXPECT_TRUE(std::regex_match(name, plain)) << crd.kind() << " " << path;
      EXPECT_NE(name, "phase") << crd.kind() << " " << path;
      EXPECT_FALSE(std::regex_search(name, duration)) << crd.kind() << " " << path << ": durations are ...Seconds";
    });
  }
}

TEST(Crds, SayWhatIsAllowedWhenARuleRefuses) {
  std::size_t rules = 0;
  const auto check = [&](const json& schema, const std::string& place) {
    for (const auto& rule : schema.value("x-kubernetes-validations", json::array())) {
      ++rules;
      EXPECT_NE(rule.value("message", "").find(" must be "), std::string::npos) << place << ": " << rule.dump();
    }
  };
  for (const auto& crd : Definitions()) {
    check(crd.schema(), crd.kind());
    ForEachProperty(crd.schema(), "",
                    [&](const std::string& path, const json& schema) { check(schema, crd.kind() + " " + path); });
  }
  EXPECT_GE(rules, 4U);
}

TEST(Crds, KeepConditionsAsAListKeyedByType) {
  for (const auto& crd : Definitions()) {
    const auto& conditions = SchemaAt(crd.schema(), "status.conditions");
    EXPECT_EQ(conditions["x-kubernetes-list-type"], "map");
    EXPECT_EQ(conditions["x-kubernetes-list-map-keys"], json::array({"type"}));
    EXPECT_TRUE(conditions["items"]["properties"].contains("observedGeneration"));
  }
}

TEST(Crds, PrintFourToSixFactsAndThenAge) {
  for (const auto& crd : Definitions()) {
    const auto& columns = crd.version()["additionalPrinterColumns"];
    std::size_t always = 0;
    for (const auto& column : columns) always += column.value("priority", 0) == 0 ? 1 : 0;
    EXPECT_GE(always, 5U) << crd.kind();
    EXPECT_LE(always, 7U) << crd.kind();
    EXPECT_EQ(columns.back()["name"], "Age") << crd.kind();
  }
}

TEST(Crds, PrintOnlyFieldsThatExist) {
  const std::regex filter(R"(\[\?\([^)]*\)\])");
  for (const auto& crd : Definitions()) {
    std::set<std::string> known;
    ForEachProperty(crd.schema(), "", [&](const std::string& path, const json&) { known.insert(path); });
    std::vector<std::string> paths;
    for (const auto& column : crd.version()["additionalPrinterColumns"]) paths.push_back(column["jsonPath"]);
    for (const auto& field : crd.version().value("selectableFields", json::array())) paths.push_back(field["jsonPath"]);
    for (const auto& path : paths) {
      if (path.starts_with(".metadata.")) continue;
      EXPECT_TRUE(known.contains(std::regex_replace(path, filter, "[]").substr(1))) << crd.kind() << " " << path;
    }
  }
}

TEST(Crds, StaySmallEnoughForPlainKubectlApply) {
  // kubectl keeps the whole object in an annotation of at most 256 KiB.
  for (const auto& crd : Definitions()) EXPECT_LT(crd.document.dump().size(), 200U * 1024) << crd.kind();
}

TEST(SchemaCheck, FindsWhatIsWrong) {
  const auto schema = DefinitionOf("BehaviorFingerprint").schema();
  const auto problems = [&](const json& status) { return Problems(schema, json{{"status", status}}, "").size(); };
  EXPECT_EQ(problems({{"score", 40}, {"state", "Normal"}}), 0U);
  EXPECT_EQ(problems({{"score", 101}}), 1U);
  EXPECT_EQ(problems({{"score", 4.5}}), 1U);
  EXPECT_EQ(problems({{"state", "normal"}}), 1U);
  EXPECT_EQ(problems({{"Score", 1}}), 1U);
  EXPECT_EQ(problems({{"summary", std::string(513, 'x')}}), 1U);
  EXPECT_EQ(problems({{"episode", {{"number", 1}}}}), 2U);
  EXPECT_EQ(problems({{"lastSampleTime", "yesterday"}}), 1U);
}

}  // namespace
}  // namespace whorl::crd::testing
