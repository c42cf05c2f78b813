#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace whorl {

// The directions in which a set of points varies most. Plain values.
struct PrincipalAxes {
  std::size_t dims = 0;         // of a point
  std::vector<float> mean;      // dims values
  std::vector<float> axis;      // one axis after another, dims values each, of length 1
  std::vector<float> variance;  // along each axis, largest first
  float total = 0;              // variance of all directions together

  std::size_t count() const { return variance.size(); }
  // `point`: dims values; `along`: count() values.
  void Project(std::span<const float> point, std::span<float> along) const;
};

// The first `keep` axes (fewer when there are fewer dimensions) of the points in
// `rows`, dims finite values each. The largest part of every axis is positive,
// so that the same points give the same axes, not their mirror image. Own
// arithmetic (cyclic Jacobi rotations in double, Golub & Van Loan 8.5) in a fixed
// order: the same bits from every compiler. Costs n dims^2 + some 10 dims^3.
PrincipalAxes FindPrincipalAxes(std::span<const float> rows, std::size_t dims, std::size_t keep);

}  // namespace whorl
