#include "tests/bench/eval/baselines.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/bench/eval/random.h"

namespace whorl::eval {
namespace {

Series Rows(std::vector<std::string> columns, std::vector<float> values, std::size_t train_rows) {
  Series series;
  series.columns = std::move(columns);
  series.values = std::move(values);
  series.train_rows = train_rows;
  series.interval = Millis{300'000};
  for (std::size_t r = 0; r < series.values.size() / series.columns.size(); ++r) {
    series.at.push_back(static_cast<std::int64_t>(r) * 300'000);
  }
  return series;
}

TEST(Baselines, MeanZ2IsTheMeanSquaredDistanceInTrainingDeviations) {
  // Training: a = 1, 3 (mean 2, deviation 1); b = 0, 20 (10, 10).
  const Series series = Rows({"a", "b"}, {1, 0, 3, 20, 4, 10, 2, 40}, 2);
  const auto evidence = MeanZ2(series);
  EXPECT_FLOAT_EQ(evidence[2], (4 + 0) / 2.0f);
  EXPECT_FLOAT_EQ(evidence[3], (0 + 9) / 2.0f);
  const auto top = MeanZ2Top(series, 2);
  EXPECT_EQ(top, (std::vector<std::int16_t>{0, 1, 0, 1, 0, 1, 1, 0}));
}

TEST(Baselines, AColumnThatNeverMovedOrWasNeverMeasuredHasNoInfiniteSay) {
  const Series series = Rows({"still", "absent"}, {7, kMissing, 7, kMissing, 8, 5, kMissing, kMissing}, 2);
  EXPECT_EQ(MeanZ2(series), (std::vector<float>{0, 0, 0.5f, 0}));
}

TEST(Baselines, APcaResidualSeesABrokenCorrelationThatEachColumnAloneHides) {
  Random random(3);
  std::vector<float> values;
  for (int r = 0; r < 500; ++r) {
    const auto load = static_cast<float>(random.Uniform());
    for (int c = 0; c < 4; ++c) values.push_back(load + 0.01f * static_cast<float>(random.Uniform()));
  }
  values.insert(values.end(), {0.2f, 0.2f, 0.2f, 0.8f});
  const Series series = Rows({"a", "b", "c", "d"}, values, 400);
  const auto residual = PcaResidual(series);
  for (std::size_t r = 0; r < 500; ++r) ASSERT_LT(residual[r] * 20, residual[500]);
  const auto z2 = MeanZ2(series);
  EXPECT_LT(z2[500], 2);
}

TEST(Baselines, SimpleOnesNoticeAJumpAndStayFinite) {
  std::vector<float> values(3000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 10 + static_cast<float>(i % 288) / 100;
  values[2900] = 30;
  values[100] = kMissing;
  Series series = Rows({"value"}, values, 450);
  for (const auto& [name, evidence] : SimpleBaselines(series, 1)) {
    ASSERT_EQ(evidence.size(), 3000u) << name;
    for (const float e : evidence) ASSERT_TRUE(std::isfinite(e)) << name;
    if (name == "random") continue;
    std::size_t above = 0;
    for (std::size_t i = series.train_rows; i < evidence.size(); ++i) above += evidence[i] > evidence[2900];
    EXPECT_LE(above, name == "pca_residual" ? 12u : 1u) << name;
  }
}

TEST(Baselines, TheSameSeedGivesTheSameRandomEvidence) {
  const Series series = Rows({"a"}, std::vector<float>(50, 1), 5);
  EXPECT_EQ(RandomEvidence(series, 9), RandomEvidence(series, 9));
  EXPECT_NE(RandomEvidence(series, 9), RandomEvidence(series, 10));
}

}  // namespace
}  // namespace whorl::eval
