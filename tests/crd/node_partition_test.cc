#include "crd/node_partition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/crd/schema.h"

namespace whorl::crd {
namespace {

using nlohmann::json;

constexpr Time kNow{Seconds{1'767'000'000}};

NodePartitionStatus Full() {
  NodePartitionStatus status;
  status.observed_generation = 1;
  status.agent_version = "0.1.0";
  status.controller = "whorl-controller-abc";
  status.epoch = 12;
  status.resources = {{.name = "cpu",
                       .allocatable = "2000m",
                       .reserved = "200m",
                       .others = "300m",
                       .capacity = "1500m",
                       .entitled = "1500m",
                       .allocated = "1500m",
                       .lent = "400m",
                       .used = "900m"}};
  status.open_loans = {{.number = 7,
                        .resource = "cpu",
                        .lender = "default/web-1",
                        .borrower = "default/db-1",
                        .amount = "400m",
                        .reason = "Need",
                        .message = "db-1 is expected to need more",
                        .forecast = "900m",
                        .lender_forecast = "60m",
                        .since = kNow,
                        .expiry = kNow + Seconds{10}}};
  status.closed_loans = {{.number = 6,
                          .resource = "cpu",
                          .lender = "default/web-1",
                          .borrower = "default/db-1",
                          .amount = "300m",
                          .reason = "Credits",
                          .forecast = "800m",
                          .lender_forecast = "40m",
                          .since = kNow - Seconds{60},
                          .end = kNow - Seconds{20},
                          .outcome = "Recalled",
                          .message = "the lender needed it",
                          .moved = 12000}};
  status.house_credits = 400;
  status.virtual_machines = {{.ns = "default",
                              .name = "db-1",
                              .uid = "db-1-uid",
                              .mode = Mode::kEnforce,
                              .entitlement = "500m",
                              .allocation = "900m",
                              .credits = -400},
                             {.ns = "default",
                              .name = "web-1",
                              .uid = "web-1-uid",
                              .mode = Mode::kObserve,
                              .entitlement = "",
                              .allocation = "",
                              .credits = std::nullopt}};
  SetCondition(status.conditions,
               {.type = std::string(kNodeReady), .status = ConditionStatus::kTrue, .reason = "Partitioned"}, kNow);
  return status;
}

std::vector<std::string> ProblemsOf(const NodePartitionStatus& status) {
  const auto crd = testing::DefinitionOf("NodePartition");
  return testing::Problems(testing::SchemaAt(crd.schema(), "status"), ToJson(status), "");
}

TEST(NodePartition, FitsTheSchemaAndFillsAllOfIt) {
  EXPECT_EQ(ProblemsOf(Full()), std::vector<std::string>{});
  const auto crd = testing::DefinitionOf("NodePartition");
  const auto written = ToJson(Full()).flatten().dump();
  testing::ForEachProperty(testing::SchemaAt(crd.schema(), "status"), "", [&](const std::string& path, const json&) {
    std::string pointer;
    for (const char c : path) pointer += c == '.' ? "/" : c == '[' ? "/0" : c == ']' ? "" : std::string(1, c);
    EXPECT_NE(written.find("\"/" + pointer), std::string::npos) << "C++ never writes status." << path;
  });
}

TEST(NodePartition, IsNeverRefusedForItsLength) {
  auto status = Full();
  status.open_loans.assign(1000, status.open_loans[0]);
  status.virtual_machines.clear();
  for (int i = 0; i < 1000; ++i) {
    status.virtual_machines.push_back({.ns = "default",
                                       .name = "vm-" + std::to_string(i),
                                       .uid = "uid-" + std::to_string(i),
                                       .mode = std::nullopt,
                                       .entitlement = "",
                                       .allocation = "",
                                       .credits = 1});
  }
  status.open_loans[0].message = std::string(5000, 'x');
  status.closed_loans.assign(1000, status.closed_loans[0]);
  EXPECT_EQ(ProblemsOf(status), std::vector<std::string>{});
}

TEST(NodePartition, GivesEpochAndCreditsBack) {
  const auto record = ParseNodePartition({{"metadata", {{"name", "node-a"}}}, {"status", ToJson(Full())}});
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->node, "node-a");
  EXPECT_EQ(record->epoch, 12U);
  ASSERT_EQ(record->credits.size(), 1U);
  EXPECT_EQ(record->credits[0].ns, "default");
  EXPECT_EQ(record->credits[0].name, "db-1");
  EXPECT_EQ(record->credits[0].uid, "db-1-uid");
  EXPECT_EQ(record->credits[0].credits, -400);
  EXPECT_EQ(record->house_credits, 400);
  EXPECT_EQ(record->trouble, "");
  EXPECT_EQ(record->open_loans, Full().open_loans);
  EXPECT_EQ(record->closed_loans, Full().closed_loans);
  EXPECT_EQ(record->conditions, Full().conditions);
}

TEST(NodePartition, SaysWhichFieldMakesItsCreditsUnusable) {
  const auto trouble = [](const char* path, const json& value) {
    auto object = json{{"metadata", {{"name", "node-a"}}}, {"status", ToJson(Full())}};
    object[json::json_pointer(path)] = value;
    return ParseNodePartition(object).value().trouble;
  };
  EXPECT_THAT(trouble("/status/virtualMachines/0/credits", "many"), ::testing::HasSubstr("credits of db-1"));
  EXPECT_THAT(trouble("/status/virtualMachines/0/credits", 9'007'199'254'740'992), ::testing::HasSubstr("below 2^53"));
  EXPECT_THAT(trouble("/status/virtualMachines/0/uid", nullptr), ::testing::HasSubstr("no namespace, name and uid"));
  EXPECT_THAT(trouble("/status/houseCredits", 0.5), ::testing::HasSubstr("status.houseCredits"));
  EXPECT_EQ(trouble("/status/virtualMachines/1/entitlement", 7), "");
}

TEST(NodePartition, LeavesOutLoansThatCouldNotBeWrittenBack) {
  const auto read = [](const char* path, const json& value) {
    auto object = json{{"metadata", {{"name", "node-a"}}}, {"status", ToJson(Full())}};
    object[json::json_pointer(path)] = value;
    return ParseNodePartition(object).value();
  };
  EXPECT_TRUE(read("/status/openLoans/0/borrower", "default/web-1").open_loans.empty());
  EXPECT_TRUE(read("/status/openLoans/0/number", -1).open_loans.empty());
  EXPECT_TRUE(read("/status/openLoans/0/since", "yesterday").open_loans.empty());
  EXPECT_TRUE(read("/status/closedLoans/0/outcome", "Stolen").closed_loans.empty());
  const auto older = read("/status/openLoans/0/reason", "the borrower is predicted to need more");
  ASSERT_EQ(older.open_loans.size(), 1U);
  EXPECT_EQ(older.open_loans[0].reason, "");
}

TEST(NodePartition, WithoutStatusHasNoEpoch) {
  const auto record = ParseNodePartition({{"metadata", {{"name", "node-a"}}}});
  ASSERT_TRUE(record);
  EXPECT_EQ(record->epoch, std::nullopt);
  EXPECT_TRUE(record->credits.empty());
}

TEST(NodePartition, NeverMakesAnEpochOfSomethingElse) {
  for (const json& wrong : {json(-1), json("12"), json(1.5), json(18'446'744'073'709'551'615U)}) {
    const auto record = ParseNodePartition({{"metadata", {{"name", "node-a"}}}, {"status", {{"epoch", wrong}}}});
    ASSERT_FALSE(record) << wrong;
    EXPECT_EQ(record.error().code, Code::kInvalid);
    EXPECT_THAT(record.error().message, ::testing::HasSubstr("NodePartition node-a: status.epoch must be"));
  }
  EXPECT_FALSE(ParseNodePartition(json::object()));
}

}  // namespace
}  // namespace whorl::crd
