#include "core/fingerprint/whitening.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

namespace whorl {
namespace {

constexpr int kN = static_cast<int>(kFeatureCount);
using Matrix = Eigen::Matrix<float, kN, kN>;

// Directions that hardly varied while learning must not turn a whisper into an
// alarm: no component counts as quieter than this, in squared deviations.
constexpr float kRidge = 0.1f;
// With n samples, correlations are trusted by n / (n + kShrink).
constexpr float kShrink = 24.0f;
constexpr float kExplained = 0.9f;

Matrix Shrunk(const Covariance& covariance, float samples) {
  const float trust = samples / (samples + kShrink);
  Matrix m;
  for (int i = 0; i < kN; ++i) {
    for (int j = 0; j <= i; ++j) {
      const float c = covariance.At(static_cast<std::size_t>(i), static_cast<std::size_t>(j));
      m(i, j) = m(j, i) = i == j ? std::max(c, 1.0f) : trust * c;
    }
  }
  return m;
}

}  // namespace

bool Whitening::Refresh(const Covariance& covariance, float samples) {
  const Matrix m = Shrunk(covariance, samples);
  if (!m.allFinite()) return false;
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(m);
  if (solver.info() != Eigen::Success) return false;

  float total = 0;
  for (int j = 0; j < kN; ++j) total += std::max(solver.eigenvalues()[j], 0.0f);
  float explained = 0;
  std::uint32_t kept = 0;
  for (int j = 0; j < kN; ++j) {
    const int from = kN - 1 - j;  // the solver sorts ascending
    const float eigenvalue = std::max(solver.eigenvalues()[from], 0.0f);
    if (kept < kMaxLeading && explained < kExplained * total) {
      explained += eigenvalue;
      ++kept;
    }
    const float v = eigenvalue + kRidge;
    const float scale = 1.0f / std::sqrt(v);
    const auto to = static_cast<std::size_t>(j);
    variance.Set(to, v);
    for (int f = 0; f < kN; ++f) column[f][to] = HalfOf(solver.eigenvectors()(f, from) * scale);
  }
  leading = std::max(kept, 1u);
  return true;
}

Condensed Whitening::Apply(const Features& z) const {
  Float8 y[kGroups]{};
  Float8 largest{};
  for (std::size_t block = 0; block < kGroups; ++block) {
    largest = Max(largest, Abs(z.group[block]));
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const Float8 zf = Broadcast(z.group[block][lane]);
      const std::uint16_t* w = column[block * kLanes + lane];
      for (std::size_t g = 0; g < kGroups; ++g) y[g] += zf * FromHalf(w + g * kLanes);
    }
  }
  static_assert(kMaxLeading == kLanes, "the leading components are the first vector");
  const Int8 index{0, 1, 2, 3, 4, 5, 6, 7};
  const Int8 outside = index >= BroadcastInt(static_cast<std::int32_t>(leading));
  Float8 distance{};
  for (std::size_t g = 0; g < kGroups; ++g) distance += y[g] * y[g];
  Float8 residual = Select(outside, y[0] * y[0] * variance.group[0], Broadcast(0));
  for (std::size_t g = 1; g < kGroups; ++g) residual += y[g] * y[g] * variance.group[g];

  Condensed c;
  c.leading = leading;
  for (std::size_t j = 0; j < kMaxLeading; ++j) c.whitened[j] = j < leading ? y[0][j] : 0;
  c.residual = std::sqrt(Sum(residual));
  c.mahalanobis = std::sqrt(Sum(distance));
  c.largest = Largest(largest);
  return c;
}

}  // namespace whorl
