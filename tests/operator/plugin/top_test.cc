#include "operator/plugin/top.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/operator/plugin/views.h"

namespace whorl::plugin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<VmView> Three() { return {ToView(test::Learning()), ToView(test::Deviating()), ToView(test::Blind())}; }

std::vector<std::string> Names(const std::vector<VmView>& vms) {
  std::vector<std::string> out;
  for (const auto& vm : vms) out.push_back(vm.name);
  return out;
}

TEST(Top, ShowsOneLinePerVmAsItIs) {
  auto vms = Three();
  Sort(vms, SortBy::kScore);
  EXPECT_EQ(
      RenderTop(vms, {.all_namespaces = true}),
      "NAMESPACE   NAME      STATE       SCORE            NATURE    CPU    PREDICTED   LIMIT   LENT   BORROWED    "
      "TOP FEATURE\n"
      "shop        db-1      Deviating    83 ########..   Runaway   950m   970m        900m    -      400m-800m   "
      "cpu.usage 950 millicores (usually 40 millicores)\n"
      "lab         batch-1   Blind       -                -         -      -           -       -      -           "
      "-\n"
      "shop        web-1     Learning    learnt 40%       -         40m    60m         none    -      -           "
      "-\n");
}

TEST(Top, WideTellsAlsoModeNodeAndRarity) {
  const auto text = RenderTop(Three(), {.wide = true});
  for (const auto* part :
       {"MODE", "NODE", "THRESHOLD", "RARITY", "COHORT", "1 in 95,000", "node-1", "databases", "62"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, Not(HasSubstr("NAMESPACE")));
}

TEST(Top, SortsNumbersLargestFirstAndWhatIsUnknownLast) {
  auto vms = Three();
  Sort(vms, SortBy::kCpu);
  EXPECT_THAT(Names(vms), ElementsAre("db-1", "web-1", "batch-1"));
  Sort(vms, SortBy::kName);
  EXPECT_THAT(Names(vms), ElementsAre("batch-1", "db-1", "web-1"));
  Sort(vms, SortBy::kState);
  EXPECT_THAT(Names(vms), ElementsAre("batch-1", "db-1", "web-1"));
  EXPECT_EQ(ParseSortBy("memory"), std::nullopt);
}

TEST(Top, ColoursOnlyWhenAsked) {
  EXPECT_THAT(RenderTop(Three(), {.colours = true}), HasSubstr("\033[31mDeviating\033[0m"));
  EXPECT_THAT(RenderTop(Three(), {}), Not(HasSubstr("\033")));
}

TEST(Top, AsJsonLeavesOutWhatIsNotKnown) {
  const auto rows = nlohmann::json::parse(RenderTopJson(Three()));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_FALSE(rows[0].contains("score"));
  EXPECT_EQ(rows[0]["learnedPercent"], 40);
  EXPECT_EQ(rows[1]["score"], 83);
  EXPECT_EQ(rows[1]["nature"], "Runaway");
  EXPECT_EQ(rows[1]["cpuMillicores"], 950);
  EXPECT_EQ(rows[1]["topFeature"]["direction"], "Above");
}

TEST(Top, SurvivesAFingerprintWithoutStatusOrOfAnotherShape) {
  const std::vector<VmView> vms{ToView(nlohmann::json::parse(R"({"metadata": {"name": "new"}})")),
                                ToView(nlohmann::json::parse(R"({"metadata": 7, "status": {"score": "high",
                                  "contributingFeatures": {}, "resources": [3, {"name": "cpu", "demand": 5}]}})"))};
  EXPECT_THAT(RenderTop(vms, {}), HasSubstr("new"));
}

TEST(Millicores, ReadsQuantitiesAndTheLowerEndOfRanges) {
  EXPECT_EQ(Millicores("350m"), 350);
  EXPECT_EQ(Millicores("2"), 2000);
  EXPECT_EQ(Millicores("400m-800m"), 400);
  for (const auto* text : {"", "none", "1.5", "-3m", "3x", "99999999999999999999m"}) {
    EXPECT_EQ(Millicores(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace whorl::plugin
