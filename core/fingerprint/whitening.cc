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
constexpr float kRidge = 0.02f;
// With n samples, correlations are trusted by n / (n + kShrink).
constexpr float kShrink = 24.0f;
constexpr float kExplained = 0.9f;
constexpr float kMostByte = 127.0f;
constexpr float kSteps = 512.0f;     // of a deviation of one
constexpr float kMostSteps = 63.0f;  // deviations; they are cut at kClip before

Matrix Shrunk(const Covariance& covariance, float samples) {
  const float trust = samples / (samples + kShrink);
  Matrix m;
  for (int i = 0; i < kN; ++i) {
    for (int j = 0; j <= i; ++j) {
      const float c = covariance.At(static_cast<std::size_t>(i), static_cast<std::size_t>(j));
      // A feature that never moved has no part in any axis.
      m(i, j) = m(j, i) = i != j ? trust * c : c > 0 ? std::max(c, 1.0f) : 0.0f;
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
    const auto to = static_cast<std::size_t>(j);
    const float deviation = std::sqrt(eigenvalue + kRidge);
    const float largest = solver.eigenvectors().col(from).cwiseAbs().maxCoeff();
    const float unit = largest / deviation / kMostByte;
    scale.Set(to, unit);
    for (int f = 0; f < kN; ++f) {
      const float of_largest = solver.eigenvectors()(f, from) / largest * kMostByte;
      part[f / 2][to][f % 2] = static_cast<std::int8_t>(std::lround(of_largest));
    }
  }
  leading = std::max(kept, 1u);
  return true;
}

// In whole numbers: deviations in 512ths times bytes, two products to a lane.
// Exact, so no order of summing matters; 40 * 50 * 512 * 127 fits 31 bits.
Features Whitening::Whiten(const Features& z) const {
  std::int32_t pairs[kFeatureCount / 2];
  for (std::size_t g = 0; g < kGroups; ++g) {
    const __m256i whole = _mm256_cvtps_epi32(Clamp(z.group[g], Broadcast(-kMostSteps), Broadcast(kMostSteps)) * kSteps);
    const __m128i narrow = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    __builtin_memcpy(pairs + g * kLanes / 2, &narrow, sizeof narrow);
  }
  __m256i sum[kGroups]{};
  for (std::size_t p = 0; p < kFeatureCount / 2; ++p) {
    if (pairs[p] == 0) continue;  // two features that are as ever, or that nobody measures
    const __m256i pair = _mm256_set1_epi32(pairs[p]);
    for (std::size_t g = 0; g < kGroups; ++g) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(&part[p][g * kLanes][0]));
      sum[g] = _mm256_add_epi32(sum[g], _mm256_madd_epi16(_mm256_cvtepi8_epi16(bytes), pair));
    }
  }
  Features u;
  for (std::size_t g = 0; g < kGroups; ++g) u.group[g] = _mm256_cvtepi32_ps(sum[g]) * scale.group[g] * (1.0f / kSteps);
  return u;
}

Condensed Whitening::Apply(const Features& z) const {
  const Features u = Whiten(z);
  static_assert(kMaxLeading == kLanes, "the leading components are the first vector");
  const Int8 index{0, 1, 2, 3, 4, 5, 6, 7};
  const Int8 outside = index >= BroadcastInt(static_cast<std::int32_t>(leading));
  const Float8 first = u.group[0] * u.group[0];
  Float8 rest{};
  for (std::size_t g = 1; g < kGroups; ++g) rest += u.group[g] * u.group[g];

  Condensed c;
  c.leading = leading;
  for (std::size_t j = 0; j < kMaxLeading; ++j) c.whitened[j] = j < leading ? u.group[0][j] : 0;
  c.residual = std::sqrt(Sum(rest + Select(outside, first, Broadcast(0))));
  c.mahalanobis = std::sqrt(Sum(rest + first));
  return c;
}

}  // namespace whorl
