#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/bench/eval/vocabulary.h"

namespace whorl::eval {

// The simple scores every result stands beside. Each learns from the rows
// before train_rows and nothing later (the adaptive ones go on, causally); one
// evidence per row, larger = more anomalous. A missing value counts as usual.

// Uniform, from `seed`: what luck reaches.
std::vector<float> RandomEvidence(const Series& series, std::uint64_t seed);

// The mean over columns of the squared z-score by the training part's mean and
// deviation. No deviation is below kLeastSpread of the median range of the
// columns that moved in training (SMD and ASD come scaled to 0-1, so: 0.01):
// a column that stood still says much when it moves, but not infinitely much.
// Of the floors tried this one makes both baselines strong on both sets.
inline constexpr double kLeastSpread = 0.01;
std::vector<float> MeanZ2(const Series& series);
// The columns by falling |z| at each row, first k: rows x k, -1 = no further column.
std::vector<std::int16_t> MeanZ2Top(const Series& series, std::size_t k);

// Squared distance of the z-scored row to the training part's leading principal
// components that hold 90 % of its variance. A series of fewer than three
// columns is embedded first: the last 12 rows side by side.
std::vector<float> PcaResidual(const Series& series);

// For series of one column, what one would try first; the largest over columns otherwise.
// |z| against mean and deviation of the last 2,016 rows (a week of 5 minutes).
std::vector<float> WindowedGaussian(const Series& series);
// |x - EWMA| over the EWMA of the same, forgetting 0.05 a row.
std::vector<float> EwmaResidual(const Series& series);
// |x - x one day before|, over the training part's spread; the row before where a day is not on record yet.
std::vector<float> SeasonalNaive(const Series& series);

struct NamedEvidence {
  std::string name;  // as in the JSON fields: random, mean_z2, pca_residual, ...
  std::vector<float> evidence;
};
// random, mean_z2 and pca_residual; for a single column the other three as well.
std::vector<NamedEvidence> SimpleBaselines(const Series& series, std::uint64_t seed);

}  // namespace whorl::eval
