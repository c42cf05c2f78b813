#include "operator/plugin/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "crd/text.h"
#include "tests/operator/plugin/views.h"

namespace whorl::plugin {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const ExplainOptions kAt{.colours = false, .now = *crd::ParseTimeText("2026-01-02T03:04:05Z")};

TEST(Explain, SaysWhyADeviatingVmDeviatesAndWhatToDoNext) {
  const auto text = RenderExplain(ToView(test::Deviating()), kAt);
  for (const auto* part : {"shop/db-1",
                           "Deviating",
                           "83 of 100 ########..; an alarm opens at 62",
                           "1 in 95,000",
                           "Runaway: it ",
                           "cpu.usage",
                           "above",
                           "950 millicores",
                           "40 millicores",
                           "71%",
                           "below",
                           "100% learnt, from 5000 samples",
                           "databases",
                           "number 3, opened 4 min ago",
                           "still open; highest score 88",
                           "uses 950m, predicted to need 970m, limit 900m, weight 204",
                           "entitlement 400m",
                           "400m-800m of cpu, for 3 min",
                           "LimitRaised: 400m -> 900m, 3 min ago",
                           "neighbours do not need theirs",
                           "kubectl whorl accept vm/db-1 -n shop",
                           "kubectl describe vm db-1 -n shop"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, Not(HasSubstr("\033")));
}

TEST(Explain, SaysWhatALearningVmStillNeedsAndClaimsNoScore) {
  const auto text = RenderExplain(ToView(test::Learning()), kAt);
  EXPECT_THAT(text, HasSubstr("40% learnt, from 80 samples; still needs 120 more samples and 35 more minutes"));
  EXPECT_THAT(text, HasSubstr("Nothing: it has no score before it is learnt"));
  EXPECT_THAT(text, Not(HasSubstr("of 100")));
  EXPECT_THAT(text, Not(HasSubstr("Alarms")));
}

TEST(Explain, SaysWhereToLookForABlindVmAndThatItsModeIsCapped) {
  const auto text = RenderExplain(ToView(test::Blind()), kAt);
  EXPECT_THAT(text, HasSubstr("no sample for 9 s"));
  EXPECT_THAT(text, HasSubstr("kubectl describe npart node-3"));
  EXPECT_THAT(text, HasSubstr("It gets less than its owner asked for: asked for enforce"));
}

TEST(Explain, SaysThatNothingIsKnownYet) {
  const auto text = RenderExplain(ToView(nlohmann::json::parse(R"({"metadata":{"name":"a","namespace":"b"}})")), kAt);
  EXPECT_THAT(text, HasSubstr("not written yet"));
  EXPECT_THAT(text, HasSubstr("logs deployment/whorl-controller"));
}

TEST(Explain, TellsWhatBecameOfTheLastRequest) {
  auto object = test::Deviating();
  object["status"]["lastBaselineRequest"] = {
      {"request", "accept@2026-01-02T03:00:00Z"}, {"outcome", "Done"}, {"time", "2026-01-02T03:00:05Z"}};
  EXPECT_THAT(RenderExplain(ToView(object), kAt), HasSubstr("accept@2026-01-02T03:00:00Z, Done 4 min ago"));
}

TEST(Explain, BreaksLongLines) {
  auto object = test::Deviating();
  object["status"]["summary"] = std::string(60, 'x') + " " + std::string(60, 'y');
  EXPECT_THAT(RenderExplain(ToView(object), kAt), HasSubstr("x\n               y"));
}

TEST(Ago, IsAsCoarseAsPeopleCount) {
  EXPECT_EQ(Ago("2026-01-02T03:04:00Z", kAt.now), "5 s");
  EXPECT_EQ(Ago("2026-01-02T02:00:00Z", kAt.now), "1 h 4 min");
  EXPECT_EQ(Ago("2025-12-31T03:04:05Z", kAt.now), "2 d 0 h");
  EXPECT_EQ(Ago("2027-01-01T00:00:00Z", kAt.now), "0 s");  // the other clock is ahead
  EXPECT_EQ(Ago("soon", kAt.now), "soon");
  EXPECT_EQ(Ago("", kAt.now), "");
}

}  // namespace
}  // namespace whorl::plugin
