#include "crd/resize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/crd/schema.h"

namespace whorl::crd {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const Time kNow{Seconds{1'767'323'045}};

ResizeStatus Full() {
  ResizeStatus status;
  status.mode = "Auto";
  status.recommendation = {{"sockets", "1", "2", "1", "3", "why"}, {"memory", "1Gi", "2Gi", "1Gi", "3Gi", "why"}};
  status.expected_migrations = 1;
  status.change = ResizeChange{.state = "Done",
                               .from = "1 socket",
                               .to = "2 sockets",
                               .request = "sockets=2@x",
                               .since = kNow,
                               .ended = kNow + Seconds{13},
                               .message = "the guest has it after 13 s"};
  status.changes = {kNow};
  status.migrations = {kNow, kNow + Seconds{60}};
  SetCondition(status.conditions,
               {.type = std::string(kRecommended),
                .status = ConditionStatus::kTrue,
                .reason = "AnotherSize",
                .message = "2 sockets would fit",
                .observed_generation = 3},
               kNow);
  return status;
}

TEST(ResizeStatus, FitsTheSchemaAndFillsAllOfIt) {
  const auto crd = testing::DefinitionOf("BehaviorFingerprint");
  const auto& schema = testing::SchemaAt(crd.schema(), "status.resize");
  EXPECT_EQ(testing::Problems(schema, ToJson(Full()), ""), std::vector<std::string>{});
  const auto written = ToJson(Full()).flatten().dump();
  testing::ForEachProperty(schema, "", [&](const std::string& path, const json&) {
    std::string pointer;
    for (const char c : path) pointer += c == '.' ? "/" : c == '[' ? "/0" : c == ']' ? "" : std::string(1, c);
    EXPECT_NE(written.find("\"/" + pointer), std::string::npos) << "C++ never writes status.resize." << path;
  });
}

TEST(ResizeStatus, IsReadAgainAsItWasWritten) {
  EXPECT_EQ(ResizeStatusOf({{"status", {{"resize", ToJson(Full())}}}}), Full());
  EXPECT_EQ(ResizeStatusOf(json::object()), ResizeStatus{});
}

TEST(ResizeStatus, ReadsWhatItCanOfAnObjectThatWasEdited) {
  const json edited = {{"status",
                        {{"resize",
                          {{"changesLastDay", {"yesterday", 3, "2026-01-02T03:04:05Z"}},
                           {"migrationsLastDay", "none"},
                           {"recommendation", {3}},
                           {"change", {{"state", "Done"}}}}}}}};
  const auto read = ResizeStatusOf(edited);
  EXPECT_EQ(read.changes, std::vector<Time>{kNow});
  EXPECT_TRUE(read.migrations.empty());
  EXPECT_FALSE(read.change);
}

TEST(ResizeStatus, LongListsAndTextsAreCutToWhatTheSchemaTakes) {
  auto status = Full();
  for (int i = 0; i < 100; ++i) status.migrations.push_back(kNow + Seconds{100 + i});
  status.change->message = std::string(5000, 'x');
  status.recommendation[0].why = std::string(5000, 'x');
  const auto crd = testing::DefinitionOf("BehaviorFingerprint");
  EXPECT_EQ(testing::Problems(testing::SchemaAt(crd.schema(), "status.resize"), ToJson(status), ""),
            std::vector<std::string>{});
  // The latest are kept.
  EXPECT_EQ(ResizeStatusOf({{"status", {{"resize", ToJson(status)}}}}).migrations.back(), kNow + Seconds{199});
}

TEST(ResizeRequest, IsSocketsMemoryOrBothAndAMark) {
  const auto both = ParseResizeRequest("sockets=2,memory=4Gi@2026-01-02T03:04:05Z");
  ASSERT_TRUE(both);
  EXPECT_EQ(both->sockets, 2);
  EXPECT_EQ(both->memory, "4Gi");
  EXPECT_EQ(ResizeRequestText(*both, kNow), both->text);
  EXPECT_EQ(ParseResizeRequest("memory=1.5Gi")->memory, "1.5Gi");
  EXPECT_FALSE(ParseResizeRequest("memory=1.5Gi")->sockets);
  EXPECT_EQ(ParseResizeRequest("memory=4Gi,sockets=512")->sockets, 512);
}

TEST(ResizeRequest, RefusesEverythingElseAndSaysWhatIsAllowed) {
  for (const auto* text : {"",
                           "2",
                           "sockets",
                           "sockets=",
                           "sockets=0",
                           "sockets=513",
                           "sockets=-1",
                           "sockets=2.5",
                           "sockets=2 ",
                           "Sockets=2",
                           "sockets=2,sockets=3",
                           "sockets=2,",
                           ",sockets=2",
                           "memory=",
                           "memory=0",
                           "memory=-1Gi",
                           "memory=lots",
                           "memory=1GiB",
                           "memory=1e9",
                           "memory=1Gi,memory=2Gi",
                           "sockets=2;memory=1Gi",
                           "sockets=2@",
                           "sockets=2@a b",
                           "sockets=2,memory=1Gi,cores=3",
                           "memory=999999999999999999999Gi"}) {
    const auto request = ParseResizeRequest(text);
    ASSERT_FALSE(request) << text;
    EXPECT_EQ(request.error().code, Code::kInvalid);
    EXPECT_THAT(request.error().message, HasSubstr("sockets=N (1 to 512), memory=QUANTITY such as 4Gi"));
  }
  EXPECT_THAT(ParseResizeRequest("\n\"\x01").error().message, HasSubstr("\"???\""));
}

}  // namespace
}  // namespace whorl::crd
