// dlib's headers are heavy: this is the only file of the core that includes them.
#include <dlib/svm/svm_one_class_trainer.h>

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/score/one_class.h"

namespace whorl {
namespace {

// The part of the training points that may lie outside. It is no false-alarm
// rate (that is what the calibration is for).
constexpr double kOutside = 0.1;
// Added to the landmarks' kernel matrix: two that nearly coincide say no more than one.
constexpr double kJitter = 1e-3;
constexpr std::size_t kMostPairs = 2048;

using Point = dlib::matrix<double, static_cast<long>(kCondensedInputs), 1>;
using Kernel = dlib::radial_basis_kernel<Point>;

Point Unpack(const CondensedPoint& packed) {
  Point p;
  for (std::size_t i = 0; i < kCondensedInputs; ++i) p(static_cast<long>(i)) = static_cast<double>(packed[i]);
  return p;
}

// gamma = 1 / (2 * median squared distance): with a larger one every point
// becomes a support vector and everything new looks strange.
double Gamma(const std::vector<Point>& points) {
  std::vector<double> squares;
  const std::size_t stride = std::max<std::size_t>(points.size() * points.size() / 2 / kMostPairs, 1);
  std::size_t pair = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j, ++pair) {
      if (pair % stride == 0) squares.push_back(dlib::length_squared(points[i] - points[j]));
    }
  }
  const auto middle = squares.begin() + static_cast<std::ptrdiff_t>(squares.size() / 2);
  std::nth_element(squares.begin(), middle, squares.end());
  return *middle > 0 ? 1.0 / (2.0 * *middle) : 0.0;
}

// Farthest-point choice (Gonzalez 1985) from the first point on.
std::vector<std::size_t> Landmarks(const std::vector<Point>& points) {
  std::vector<std::size_t> chosen{0};
  std::vector<double> nearest(points.size(), 1e300);
  while (chosen.size() < OneClass::kLandmarks) {
    std::size_t farthest = 0;
    for (std::size_t i = 0; i < points.size(); ++i) {
      nearest[i] = std::min(nearest[i], dlib::length_squared(points[i] - points[chosen.back()]));
      if (nearest[i] > nearest[farthest]) farthest = i;
    }
    chosen.push_back(farthest);
  }
  return chosen;
}

}  // namespace

Result<OneClass> TrainOneClass(std::span<const CondensedPoint> packed) {
  if (packed.size() < kLeastPoints) {
    return Fail(Code::kInvalid, "one-class machine: " + std::to_string(packed.size()) + " points, needs " +
                                    std::to_string(kLeastPoints));
  }
  std::vector<Point> points;
  points.reserve(packed.size());
  for (const CondensedPoint& p : packed) points.push_back(Unpack(p));
  const double gamma = Gamma(points);
  if (!(gamma > 0) || !std::isfinite(gamma)) return Fail(Code::kInvalid, "one-class machine: all points are alike");

  dlib::svm_one_class_trainer<Kernel> trainer;
  const Kernel kernel(gamma);
  trainer.set_kernel(kernel);
  trainer.set_nu(kOutside);
  dlib::decision_function<Kernel> machine;
  try {
    machine = trainer.train(points);
  } catch (const std::exception& e) {
    return Fail(Code::kInvalid, std::string("one-class machine: ") + e.what());
  }
  if (!(machine.b > 0) || !std::isfinite(machine.b)) return Fail(Code::kInvalid, "one-class machine: no border found");

  const std::vector<std::size_t> chosen = Landmarks(points);
  const auto n = static_cast<Eigen::Index>(chosen.size());
  Eigen::MatrixXd among(n, n);
  Eigen::VectorXd towards = Eigen::VectorXd::Zero(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    const Point& landmark = points[chosen[static_cast<std::size_t>(i)]];
    for (Eigen::Index j = 0; j < n; ++j) among(i, j) = kernel(landmark, points[chosen[static_cast<std::size_t>(j)]]);
    among(i, i) += kJitter;
    for (long v = 0; v < machine.basis_vectors.size(); ++v) {
      towards(i) += machine.alpha(v) * kernel(landmark, machine.basis_vectors(v));
    }
  }
  const Eigen::VectorXd weight = among.ldlt().solve(towards);

  OneClass result;
  for (std::size_t l = 0; l < OneClass::kLandmarks; ++l) {
    result.landmark[l] = packed[chosen[l]];
    result.weight[l] = static_cast<float>(weight(static_cast<Eigen::Index>(l)));
    if (!std::isfinite(result.weight[l])) return Fail(Code::kInvalid, "one-class machine: landmarks coincide");
  }
  result.gamma = static_cast<float>(gamma);
  result.offset = static_cast<float>(machine.b);
  result.trained_on = static_cast<std::uint32_t>(packed.size());
  return result;
}

}  // namespace whorl
