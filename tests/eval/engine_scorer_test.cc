#include "tests/bench/eval/engine_scorer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/bench/eval/random.h"

namespace whorl::eval {
namespace {

// `moving` noisy columns at `interval`, with a jump to the fourfold in rows 900 to 930.
Series Jumping(std::size_t moving, std::int64_t interval_ms = 60'000) {
  Series series;
  series.name = "jumping";
  series.set = "smd";
  series.interval = Millis{interval_ms};
  series.train_rows = 500;
  for (std::size_t c = 0; c < moving; ++c) series.columns.push_back("m" + std::to_string(c));
  Random random(2);
  for (std::size_t r = 0; r < 1000; ++r) {
    series.at.push_back(static_cast<std::int64_t>(r) * interval_ms);
    for (std::size_t c = 0; c < moving; ++c) {
      const float level = r >= 900 && r < 930 ? 2.0f : 0.5f;
      series.values.push_back(level + 0.05f * static_cast<float>(random.Uniform()));
    }
  }
  return series;
}

Scored ScoreOf(const Series& series) { return MakeEngineScorer({})->Score(series).value(); }

void ExpectSane(const Series& series, const Scored& scored) {
  ASSERT_EQ(scored.rows.size(), series.rows());
  std::size_t with_evidence = 0;
  for (const RowScore& row : scored.rows) {
    EXPECT_TRUE(std::isnan(row.evidence) || (row.evidence >= 0 && row.evidence <= 300));
    EXPECT_LE(row.score, 100);
    for (const std::int16_t column : row.top) EXPECT_LT(column, static_cast<std::int16_t>(series.columns.size()));
    with_evidence += !std::isnan(row.evidence);
  }
  EXPECT_GT(with_evidence, 500u);
}

TEST(EngineScorer, AJumpIsTheMostEvidentStretchAndOpensAnEpisode) {
  const Series series = Jumping(5);
  const Scored scored = ScoreOf(series);
  ExpectSane(series, scored);
  EXPECT_TRUE(std::isnan(scored.rows[0].evidence));
  for (std::size_t r = 500; r < 900; ++r) EXPECT_LT(scored.rows[r].evidence, scored.rows[905].evidence);
  const auto alarms = EpisodesOf(scored);
  ASSERT_FALSE(alarms.empty());
  EXPECT_GE(alarms[0].begin, 900u);
  EXPECT_LT(alarms[0].begin, 930u);
}

TEST(EngineScorer, TwoRunsSayTheSame) {
  const Series series = Jumping(3);
  const Scored a = ScoreOf(series), b = ScoreOf(series);
  for (std::size_t r = 300; r < a.rows.size(); ++r) ASSERT_EQ(a.rows[r].evidence, b.rows[r].evidence);
}

TEST(EngineScorer, WhatComesLaterChangesNothingBefore) {
  const Series series = Jumping(3);
  Series cut = series;
  cut.at.resize(905);
  cut.values.resize(905 * 3);
  const Scored whole = ScoreOf(series), part = ScoreOf(cut);
  for (std::size_t r = 300; r < 905; ++r) ASSERT_EQ(whole.rows[r].evidence, part.rows[r].evidence);
}

TEST(EngineScorer, OddTracesAreScoredWithoutHarm) {
  Series one = Jumping(1);
  ExpectSane(one, ScoreOf(one));

  Series many = Jumping(60);  // more columns than the engine has features
  const Scored of_many = ScoreOf(many);
  ExpectSane(many, of_many);
  EXPECT_LE(of_many.columns_used, 60u);

  Series odd = Jumping(4);  // a constant, a column never measured, one with holes
  for (std::size_t r = 0; r < odd.rows(); ++r) {
    odd.values[r * 4] = 7;
    odd.values[r * 4 + 1] = kMissing;
    if (r % 3 == 0) odd.values[r * 4 + 2] = kMissing;
  }
  ExpectSane(odd, ScoreOf(odd));

  Series jitter = Jumping(3, 300'000);
  for (std::size_t r = 1; r < jitter.rows(); ++r) {
    jitter.at[r] = jitter.at[r - 1] + (r % 7 == 0 ? 3'000'000 : r % 5 == 0 ? 30'000 : 300'000);
  }
  ExpectSane(jitter, ScoreOf(jitter));
}

TEST(EngineScorer, ARepeatedOrBackwardRowIsRefusedAndKeepsTheScoreBefore) {
  Series series = Jumping(3);
  series.at[800] = series.at[799];
  series.at[801] = series.at[790];
  const Scored scored = ScoreOf(series);
  ExpectSane(series, scored);
  EXPECT_EQ(scored.refused_rows, 2u);
  EXPECT_EQ(scored.rows[800].evidence, scored.rows[799].evidence);
  EXPECT_EQ(scored.rows[801].evidence, scored.rows[799].evidence);
}

}  // namespace
}  // namespace whorl::eval
