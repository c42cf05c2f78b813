#include "tests/bench/eval/nab_score.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/bench/eval/traces.h"

namespace whorl::eval {
namespace {

constexpr std::size_t kRows = 200;

NabFile File(const std::vector<float>& evidence, const std::vector<Segment>& windows, std::size_t probation = 0) {
  return {evidence, windows, probation};
}

TEST(NabScore, SilenceIsZeroAndTheFirstRowOfEachWindowAHundred) {
  const std::vector<Segment> windows{{50, 70, {}}, {120, 140, {}}};
  const std::vector<float> silence(kRows, kMissing);
  EXPECT_DOUBLE_EQ(BestNabScore(std::vector{File(silence, windows)}).standard, 0);

  std::vector<float> perfect(kRows, 0.0f);
  perfect[50] = perfect[120] = 1;
  const NabScore score = BestNabScore(std::vector{File(perfect, windows)});
  EXPECT_DOUBLE_EQ(score.standard, 100);
  EXPECT_DOUBLE_EQ(score.threshold, 1);
  EXPECT_EQ(score.windows, 2u);
}

TEST(NabScore, AWindowIsWorthLessTheLaterItIsFound) {
  const std::vector<Segment> windows{{50, 60, {}}};
  std::vector<float> late(kRows, 0.0f);
  late[55] = 1;
  // Half way through a window of ten: (2 sigmoid(2.5) - 1) / (2 sigmoid(5) - 1).
  const double worth = (2 / (1 + std::exp(-2.5)) - 1) / (2 / (1 + std::exp(-5.0)) - 1);
  EXPECT_NEAR(BestNabScore(std::vector{File(late, windows)}).raw, worth, 1e-12);
  late[58] = 1;  // a second one adds nothing
  EXPECT_NEAR(BestNabScore(std::vector{File(late, windows)}).raw, worth, 1e-12);
}

TEST(NabScore, AFalseAlarmCostsMoreTheFartherBehindTheWindowItLies) {
  const std::vector<Segment> windows{{50, 61, {}}};  // eleven rows: one width is ten steps
  for (const auto& [row, cost] : {std::pair<std::size_t, double>{10, 0.11},
                                  {65, 0.11 * (1 - 2 / (1 + std::exp(2.5)))},
                                  {70, 0.11 * (1 - 2 / (1 + std::exp(5.0)))},
                                  {199, 0.11}}) {
    std::vector<float> evidence(kRows, 0.0f);
    evidence[50] = evidence[row] = 1;
    EXPECT_NEAR(NabScoreAt(std::vector{File(evidence, windows)}, 1).raw, 1 - cost, 1e-12) << row;
  }
}

TEST(NabScore, TheProbationaryRowsCountForNothing) {
  std::vector<float> evidence(kRows, 0.0f);
  for (std::size_t i = 0; i < 30; ++i) evidence[i] = 5;
  evidence[50] = 5;
  EXPECT_DOUBLE_EQ(BestNabScore(std::vector{File(evidence, {{50, 60, {}}}, 30)}).standard, 100);
  EXPECT_EQ(NabProbation(1000), 150u);
  EXPECT_EQ(NabProbation(1243), 186u);
  EXPECT_EQ(NabProbation(22'695), 750u);
}

TEST(NabScore, OneThresholdServesAllFiles) {
  // Alone each file is perfect at its own threshold; together one must give.
  std::vector<float> loud(kRows, 0.0f), quiet(kRows, 0.0f);
  for (std::size_t i = 100; i < 200; ++i) loud[i] = 0.5f;  // a hundred false ones at 0.5
  loud[50] = 1;
  quiet[50] = 0.4f;
  const std::vector<Segment> windows{{50, 60, {}}};
  const NabFile files[] = {File(loud, windows), File(quiet, windows)};
  EXPECT_DOUBLE_EQ(BestNabScore(std::span(files, 1)).standard, 100);
  EXPECT_DOUBLE_EQ(BestNabScore(std::span(files + 1, 1)).standard, 100);
  EXPECT_DOUBLE_EQ(BestNabScore(files).standard, 50);
  EXPECT_DOUBLE_EQ(BestNabScore(files).threshold, 1);
}

TEST(NabScore, ThresholdsBetweenLevelsDetectWhatLiesAboveThem) {
  std::vector<float> evidence(kRows, 0.0f);
  evidence[50] = 0.8f;
  const std::vector<Segment> windows{{50, 60, {}}};
  EXPECT_DOUBLE_EQ(NabScoreAt(std::vector{File(evidence, windows)}, 0.5).standard, 100);
  EXPECT_DOUBLE_EQ(NabScoreAt(std::vector{File(evidence, windows)}, 0.9).standard, 0);
}

TEST(NabScore, WithoutAnyWindowThereIsNoStandardScore) {
  const std::vector<float> evidence(kRows, 1.0f);
  EXPECT_TRUE(std::isnan(BestNabScore(std::vector{File(evidence, {})}).standard));
  EXPECT_DOUBLE_EQ(BestNabScore(std::vector{File(evidence, {})}).raw, 0);
}

TEST(NabPublished, RanksDetectorsOverTheGivenFiles) {
  auto table = Table::Parse(
      "file,detector,threshold,raw_score_standard\n"
      "real/a.csv,good,0.5,1\nreal/b.csv,good,0.5,0\n"
      "real/a.csv,bad,0.5,-1\nreal/b.csv,bad,0.5,-1\n"
      "real/a.csv,partial,0.5,1\n");
  const auto published = NabPublished::Parse(std::move(*table));
  ASSERT_TRUE(published);
  const auto entries = published->Over(std::vector<std::string>{"real__a", "real__b"}, 2);
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].detector, "good");
  EXPECT_DOUBLE_EQ(entries[0].standard, 75);
  EXPECT_DOUBLE_EQ(entries[1].standard, 0);
}

}  // namespace
}  // namespace whorl::eval
