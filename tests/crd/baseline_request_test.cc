#include "crd/baseline_request.h"

#include <gtest/gtest.h>

namespace whorl::crd {
namespace {

TEST(BaselineRequest, TakesTheTwoWordsWithOrWithoutAMark) {
  EXPECT_EQ(ParseBaselineRequest("reset")->verb, BaselineVerb::kReset);
  EXPECT_EQ(ParseBaselineRequest("accept")->verb, BaselineVerb::kAccept);
  const auto marked = ParseBaselineRequest("accept@2026-01-02T03:04:05Z");
  ASSERT_TRUE(marked);
  EXPECT_EQ(marked->verb, BaselineVerb::kAccept);
  EXPECT_EQ(marked->text, "accept@2026-01-02T03:04:05Z");
}

TEST(BaselineRequest, RefusesEverythingElseAndSaysWhatIsAllowed) {
  for (const auto* value : {"", "Reset", " reset", "reset ", "reset@", "@now", "forget", "reset@a b", "reset@a@b",
                            "reset,accept", "reset@\n"}) {
    const auto request = ParseBaselineRequest(value);
    ASSERT_FALSE(request) << value;
    EXPECT_EQ(request.error().code, Code::kInvalid);
    EXPECT_NE(request.error().message.find("reset or accept"), std::string::npos);
    EXPECT_EQ(request.error().message.find('\n'), std::string::npos);
  }
  EXPECT_FALSE(ParseBaselineRequest("reset@" + std::string(41, 'a')));
}

TEST(BaselineRequest, WritesWhatItReads) {
  const auto text = BaselineRequestText(BaselineVerb::kReset, FromUnixMillis(1'700'000'000'000));
  EXPECT_EQ(text, "reset@2023-11-14T22:13:20Z");
  EXPECT_TRUE(ParseBaselineRequest(text));
}

}  // namespace
}  // namespace whorl::crd
