#include "core/fingerprint/principal_axes.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

namespace whorl {
namespace {

constexpr int kMostSweeps = 30;  // ten are usual

// A symmetric matrix and the rotations that make it diagonal, row by row.
struct Diagonal {
  std::size_t n;
  std::vector<double> a;
  std::vector<double> axis;  // row = eigenvector

  double Off() const {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < i; ++j) sum += a[i * n + j] * a[i * n + j];
    }
    return sum;
  }

  // Turns rows and columns p and q so that a[p][q] becomes 0.
  void Rotate(std::size_t p, std::size_t q) {
    const double apq = a[p * n + q];
    if (apq == 0) return;
    const double theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
    const double t = (theta >= 0 ? 1.0 : -1.0) / (std::abs(theta) + std::sqrt(theta * theta + 1));
    const double c = 1 / std::sqrt(t * t + 1), s = t * c;
    for (std::size_t k = 0; k < n; ++k) {
      const double kp = a[k * n + p], kq = a[k * n + q];
      a[k * n + p] = c * kp - s * kq;
      a[k * n + q] = s * kp + c * kq;
    }
    for (std::size_t k = 0; k < n; ++k) {
      const double pk = a[p * n + k], qk = a[q * n + k];
      a[p * n + k] = c * pk - s * qk;
      a[q * n + k] = s * pk + c * qk;
      const double vp = axis[p * n + k], vq = axis[q * n + k];
      axis[p * n + k] = c * vp - s * vq;
      axis[q * n + k] = s * vp + c * vq;
    }
  }
};

std::vector<double> Mean(std::span<const float> rows, std::size_t dims) {
  std::vector<double> mean(dims);
  const std::size_t n = rows.size() / dims;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t d = 0; d < dims; ++d) mean[d] += static_cast<double>(rows[i * dims + d]);
  }
  for (double& m : mean) m /= static_cast<double>(std::max<std::size_t>(n, 1));
  return mean;
}

Diagonal Covariance(std::span<const float> rows, const std::vector<double>& mean) {
  const std::size_t dims = mean.size(), n = rows.size() / dims;
  Diagonal m{dims, std::vector<double>(dims * dims), std::vector<double>(dims * dims)};
  std::vector<double> off(dims);
  for (std::size_t r = 0; r < n; ++r) {
    for (std::size_t d = 0; d < dims; ++d) off[d] = static_cast<double>(rows[r * dims + d]) - mean[d];
    for (std::size_t i = 0; i < dims; ++i) {
      for (std::size_t j = 0; j <= i; ++j) m.a[i * dims + j] += off[i] * off[j];
    }
  }
  for (std::size_t i = 0; i < dims; ++i) {
    m.axis[i * dims + i] = 1;
    for (std::size_t j = 0; j <= i; ++j) {
      m.a[j * dims + i] = m.a[i * dims + j] /= static_cast<double>(std::max<std::size_t>(n, 1));
    }
  }
  return m;
}

}  // namespace

void PrincipalAxes::Project(std::span<const float> point, std::span<float> along) const {
  assert(point.size() == dims && along.size() == count());
  for (std::size_t k = 0; k < count(); ++k) {
    float sum = 0;
    for (std::size_t d = 0; d < dims; ++d) sum += (point[d] - mean[d]) * axis[k * dims + d];
    along[k] = sum;
  }
}

PrincipalAxes FindPrincipalAxes(std::span<const float> rows, std::size_t dims, std::size_t keep) {
  assert(dims > 0 && rows.size() % dims == 0);
  const auto mean = Mean(rows, dims);
  Diagonal m = Covariance(rows, mean);
  double total = 0;
  for (std::size_t i = 0; i < dims; ++i) total += m.a[i * dims + i];
  for (int sweep = 0; sweep < kMostSweeps && m.Off() > 1e-24 * total * total; ++sweep) {
    for (std::size_t p = 0; p < dims; ++p) {
      for (std::size_t q = p + 1; q < dims; ++q) m.Rotate(p, q);
    }
  }
  std::vector<std::size_t> order(dims);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto along = [&](std::size_t k) { return m.a[k * dims + k]; };
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return along(a) != along(b) ? along(a) > along(b) : a < b; });

  PrincipalAxes out;
  out.dims = dims;
  out.mean.assign(mean.begin(), mean.end());
  out.total = static_cast<float>(total);
  for (std::size_t k = 0; k < std::min(keep, dims); ++k) {
    const double* axis = m.axis.data() + order[k] * dims;
    const double* largest =
        std::max_element(axis, axis + dims, [](double a, double b) { return std::abs(a) < std::abs(b); });
    const double sign = *largest < 0 ? -1 : 1;
    for (std::size_t d = 0; d < dims; ++d) out.axis.push_back(static_cast<float>(sign * axis[d]));
    out.variance.push_back(static_cast<float>(std::max(along(order[k]), 0.0)));
  }
  return out;
}

}  // namespace whorl
