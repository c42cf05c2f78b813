#include "tests/bench/eval/baselines.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

#include "tests/bench/eval/metrics.h"
#include "tests/bench/eval/random.h"

namespace whorl::eval {
namespace {

constexpr double kPcaVariance = 0.9;
constexpr std::size_t kEmbedding = 12;
constexpr std::size_t kWeek = 2016;
constexpr double kForget = 0.05;
constexpr double kDayMs = 86'400'000;

struct Usual {
  double mean = 0;
  double spread = 0;  // standard deviation
  double range = 0;
  bool measured = false;
};

Usual UsualOf(const Series& series, std::size_t column) {
  Usual usual;
  double n = 0, sum = 0, squares = 0, least = 0, most = 0;
  for (std::size_t r = 0; r < series.train_rows; ++r) {
    const auto v = static_cast<double>(series.Value(r, column));
    if (std::isnan(v)) continue;
    least = n == 0 ? v : std::min(least, v);
    most = n == 0 ? v : std::max(most, v);
    ++n;
    sum += v;
    squares += v * v;
  }
  if (n == 0) return usual;
  const double mean = sum / n;
  return {mean, std::sqrt(std::max(0.0, squares / n - mean * mean)), most - least, true};
}

// Rows x columns of z-scores by the training part; 0 where missing, and for a column that training never saw.
std::vector<double> ZScores(const Series& series) {
  const std::size_t rows = series.rows(), columns = series.columns.size();
  std::vector<Usual> usual;
  std::vector<double> ranges;
  for (std::size_t c = 0; c < columns; ++c) {
    usual.push_back(UsualOf(series, c));
    if (usual.back().range > 0) ranges.push_back(usual.back().range);
  }
  const double least = ranges.empty() ? 1.0 : kLeastSpread * Quantile(std::move(ranges), 0.5);
  std::vector<double> z(rows * columns, 0.0);
  for (std::size_t c = 0; c < columns; ++c) {
    if (!usual[c].measured) continue;
    const double scale = std::max(usual[c].spread, least);
    for (std::size_t r = 0; r < rows; ++r) {
      const auto v = static_cast<double>(series.Value(r, c));
      if (!std::isnan(v)) z[r * columns + c] = (v - usual[c].mean) / scale;
    }
  }
  return z;
}

// Each row beside the `lags` - 1 before it; the first row stands in for what came before it.
std::vector<double> Embed(const std::vector<double>& z, std::size_t columns, std::size_t lags) {
  const std::size_t rows = z.size() / columns;
  std::vector<double> wide(rows * columns * lags);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t k = 0; k < lags; ++k) {
      const std::size_t from = r >= k ? r - k : 0;
      std::copy_n(z.begin() + static_cast<std::ptrdiff_t>(from * columns), columns,
                  wide.begin() + static_cast<std::ptrdiff_t>((r * lags + k) * columns));
    }
  }
  return wide;
}

// Runs `one` over each column's values and keeps the largest evidence per row.
template <typename One>
std::vector<float> LargestOverColumns(const Series& series, One one) {
  std::vector<float> evidence(series.rows(), 0.0f);
  std::vector<double> column(series.rows());
  for (std::size_t c = 0; c < series.columns.size(); ++c) {
    for (std::size_t r = 0; r < series.rows(); ++r) column[r] = static_cast<double>(series.Value(r, c));
    const std::vector<double> single = one(column);
    for (std::size_t r = 0; r < series.rows(); ++r) evidence[r] = std::max(evidence[r], static_cast<float>(single[r]));
  }
  return evidence;
}

// Never zero, so that a flat column has no infinite evidence.
double Floored(double spread, double level) { return std::max({spread, 1e-6 * std::abs(level), 1e-9}); }

}  // namespace

std::vector<float> RandomEvidence(const Series& series, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> evidence(series.rows());
  for (float& e : evidence) e = static_cast<float>(random.Uniform());
  return evidence;
}

std::vector<float> MeanZ2(const Series& series) {
  const std::size_t columns = series.columns.size();
  const std::vector<double> z = ZScores(series);
  std::vector<float> evidence(series.rows());
  for (std::size_t r = 0; r < series.rows(); ++r) {
    double sum = 0;
    for (std::size_t c = 0; c < columns; ++c) sum += z[r * columns + c] * z[r * columns + c];
    evidence[r] = static_cast<float>(sum / static_cast<double>(columns));
  }
  return evidence;
}

std::vector<std::int16_t> MeanZ2Top(const Series& series, std::size_t k) {
  const std::size_t columns = series.columns.size();
  const std::vector<double> z = ZScores(series);
  std::vector<std::int16_t> top(series.rows() * k, -1);
  std::vector<std::int16_t> order(columns);
  for (std::size_t r = 0; r < series.rows(); ++r) {
    std::iota(order.begin(), order.end(), std::int16_t{0});
    const double* row = z.data() + r * columns;
    const std::size_t named = std::min(k, columns);
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(named), order.end(),
                      [&](std::int16_t a, std::int16_t b) {
                        const double za = std::abs(row[a]), zb = std::abs(row[b]);
                        return za != zb ? za > zb : a < b;
                      });
    std::copy_n(order.begin(), named, top.begin() + static_cast<std::ptrdiff_t>(r * k));
  }
  return top;
}

std::vector<float> PcaResidual(const Series& series) {
  std::vector<double> z = ZScores(series);
  std::size_t width = series.columns.size();
  if (width < 3) {
    z = Embed(z, width, kEmbedding);
    width *= kEmbedding;
  }
  const auto d = static_cast<Eigen::Index>(width);
  const auto rows = static_cast<Eigen::Index>(series.rows());
  const auto train = static_cast<Eigen::Index>(series.train_rows);
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::Map<const Matrix> all(z.data(), rows, d);
  const Matrix covariance = all.topRows(train).transpose() * all.topRows(train);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver{Eigen::MatrixXd(covariance)};
  // Ascending: drop from the back until 90 % is held.
  const double total = solver.eigenvalues().sum();
  Eigen::Index kept = 0;
  for (double held = 0; kept < d && held < kPcaVariance * total; ++kept) held += solver.eigenvalues()(d - 1 - kept);
  const Eigen::MatrixXd rest = solver.eigenvectors().leftCols(d - kept);
  const Eigen::VectorXd residual = (all * rest).rowwise().squaredNorm();
  std::vector<float> evidence(series.rows());
  for (Eigen::Index r = 0; r < rows; ++r) evidence[static_cast<std::size_t>(r)] = static_cast<float>(residual(r));
  return evidence;
}

std::vector<float> WindowedGaussian(const Series& series) {
  return LargestOverColumns(series, [](const std::vector<double>& x) {
    std::vector<double> evidence(x.size(), 0.0);
    std::vector<double> window;  // the last week's values, oldest overwritten
    std::size_t oldest = 0;
    double sum = 0, squares = 0;
    for (std::size_t r = 0; r < x.size(); ++r) {
      if (std::isnan(x[r])) continue;
      const auto n = static_cast<double>(window.size());
      if (window.size() > 1) {
        const double mean = sum / n;
        evidence[r] = std::abs(x[r] - mean) / Floored(std::sqrt(std::max(0.0, squares / n - mean * mean)), mean);
      }
      if (window.size() < kWeek) {
        window.push_back(x[r]);
      } else {
        sum -= window[oldest];
        squares -= window[oldest] * window[oldest];
        window[oldest] = x[r];
        oldest = (oldest + 1) % kWeek;
      }
      sum += x[r];
      squares += x[r] * x[r];
    }
    return evidence;
  });
}

std::vector<float> EwmaResidual(const Series& series) {
  return LargestOverColumns(series, [](const std::vector<double>& x) {
    std::vector<double> evidence(x.size(), 0.0);
    double level = 0, spread = 0;
    bool started = false;
    for (std::size_t r = 0; r < x.size(); ++r) {
      if (std::isnan(x[r])) continue;
      if (!started) {
        level = x[r];
        started = true;
      }
      const double miss = std::abs(x[r] - level);
      evidence[r] = miss / Floored(spread, level);
      level += kForget * (x[r] - level);
      spread += kForget * (miss - spread);
    }
    return evidence;
  });
}

std::vector<float> SeasonalNaive(const Series& series) {
  const auto day = static_cast<std::size_t>(
      std::max(1.0, std::round(kDayMs / static_cast<double>(std::max<std::int64_t>(1, series.interval.count())))));
  return LargestOverColumns(series, [&](const std::vector<double>& x) {
    std::vector<double> miss(x.size(), 0.0);
    for (std::size_t r = 1; r < x.size(); ++r) {
      const double before = r >= day ? x[r - day] : x[r - 1];
      if (!std::isnan(x[r]) && !std::isnan(before)) miss[r] = std::abs(x[r] - before);
    }
    // Only to make columns comparable; one column's order does not depend on it.
    double sum = 0;
    for (std::size_t r = 0; r < series.train_rows; ++r) sum += miss[r];
    const double scale = Floored(sum / static_cast<double>(std::max<std::size_t>(1, series.train_rows)), 0);
    for (double& m : miss) m /= scale;
    return miss;
  });
}

std::vector<NamedEvidence> SimpleBaselines(const Series& series, std::uint64_t seed) {
  std::vector<NamedEvidence> all{
      {"random", RandomEvidence(series, seed)}, {"mean_z2", MeanZ2(series)}, {"pca_residual", PcaResidual(series)}};
  if (series.columns.size() == 1) {
    all.push_back({"windowed_gaussian", WindowedGaussian(series)});
    all.push_back({"ewma_residual", EwmaResidual(series)});
    all.push_back({"seasonal_naive", SeasonalNaive(series)});
  }
  return all;
}

}  // namespace whorl::eval
