#include "crd/conditions.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace whorl::crd {
namespace {

constexpr Time kEarly{Millis{1'000'000}};
constexpr Time kLate{Millis{2'000'000}};

Condition Ready(ConditionStatus status, std::string reason) {
  return {.type = "Ready", .status = status, .reason = std::move(reason), .message = "m", .observed_generation = 3};
}

TEST(Conditions, KeepTheirTransitionTimeWhileTheStatusStays) {
  std::vector<Condition> conditions;
  SetCondition(conditions, Ready(ConditionStatus::kFalse, "Learning"), kEarly);
  SetCondition(conditions, Ready(ConditionStatus::kFalse, "Blind"), kLate);
  ASSERT_EQ(conditions.size(), 1U);
  EXPECT_EQ(conditions[0].reason, "Blind");
  EXPECT_EQ(conditions[0].last_transition, kEarly);
  SetCondition(conditions, Ready(ConditionStatus::kTrue, "Scored"), kLate);
  EXPECT_EQ(conditions[0].last_transition, kLate);
}

TEST(Conditions, StandInTheOrderOfTheirTypes) {
  std::vector<Condition> conditions;
  for (const char* type : {"Sensed", "Learned", "Ready", "Learned"}) {
    SetCondition(conditions, {.type = type, .status = ConditionStatus::kUnknown, .reason = "New"}, kEarly);
  }
  ASSERT_EQ(conditions.size(), 3U);
  EXPECT_EQ(conditions[0].type, "Learned");
  EXPECT_EQ(conditions[2].type, "Sensed");
  EXPECT_NE(FindCondition(conditions, "Ready"), nullptr);
  EXPECT_EQ(FindCondition(conditions, "ready"), nullptr);
}

TEST(Conditions, ComeBackFromAnObjectAsTheyWereWritten) {
  std::vector<Condition> conditions;
  SetCondition(conditions, Ready(ConditionStatus::kTrue, "Scored"), kEarly);
  SetCondition(conditions, {.type = "Learned", .status = ConditionStatus::kUnknown, .reason = "New"}, kLate);
  const nlohmann::json object{{"status", {{"conditions", ToJson(conditions)}}}};
  EXPECT_EQ(ConditionsOf(object), conditions);
}

TEST(Conditions, ThatCannotBeReadAreLeftOut) {
  const auto object = nlohmann::json::parse(R"({"status":{"conditions":[
    7, {"type":"A"}, {"type":"B","status":"Maybe","reason":"R","lastTransitionTime":"2026-01-02T03:04:05Z"},
    {"type":"C","status":"True","reason":"R","lastTransitionTime":"soon"},
    {"type":"D","status":"True","reason":"R","lastTransitionTime":"2026-01-02T03:04:05Z"}]}})");
  const auto conditions = ConditionsOf(object);
  ASSERT_EQ(conditions.size(), 1U);
  EXPECT_EQ(conditions[0].type, "D");
  EXPECT_TRUE(ConditionsOf(nlohmann::json::parse(R"({"status":{"conditions":{}}})")).empty());
  EXPECT_TRUE(ConditionsOf(nlohmann::json::parse("[]")).empty());
}

}  // namespace
}  // namespace whorl::crd
