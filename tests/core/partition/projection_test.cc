#include "core/partition/projection.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace whorl::partition {
namespace {

TEST(Project, LeavesAFeasibleTargetAlone) {
  const std::vector<double> target{100, 200, 300}, lo{50, 50, 50}, hi{400, 400, 400};
  std::vector<double> e(3);
  Project(target, lo, hi, 600, e);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(e[i], target[i], 1e-6);
}

TEST(Project, TakesTheSameFromAllDownToTheirFloors) {
  const std::vector<double> target{100, 500, 600}, lo{90, 100, 100}, hi{1000, 1000, 1000};
  std::vector<double> e(3);
  Project(target, lo, hi, 900, e);
  EXPECT_NEAR(e[0], 90, 1e-6);
  EXPECT_NEAR(e[1], 355, 1e-6);
  EXPECT_NEAR(e[2], 455, 1e-6);
}

TEST(Project, GivesEverybodyTheCeilingWhenThereIsEnough) {
  const std::vector<double> target{1, 2}, lo{0, 0}, hi{10, 20};
  std::vector<double> e(2);
  Project(target, lo, hi, 100, e);
  EXPECT_EQ(e, hi);
}

// The definition itself: no feasible point is nearer to the target.
TEST(Project, NoFeasiblePointIsNearer) {
  std::mt19937 random(61);
  std::uniform_real_distribution<double> unit(0, 1);
  for (int pool = 0; pool < 200; ++pool) {
    const std::size_t n = 2 + random() % 6;
    std::vector<double> target(n), lo(n), hi(n), e(n);
    double floors = 0, ceilings = 0;
    for (std::size_t i = 0; i < n; ++i) {
      target[i] = 1000 * unit(random);
      lo[i] = 200 * unit(random);
      hi[i] = lo[i] + 800 * unit(random);
      floors += lo[i];
      ceilings += hi[i];
    }
    const double capacity = floors + (ceilings - floors) * unit(random);
    Project(target, lo, hi, capacity, e);
    EXPECT_NEAR(std::accumulate(e.begin(), e.end(), 0.0), capacity, 1e-5);
    for (int trial = 0; trial < 20; ++trial) {
      // Any move of d from one to another that stays inside the bounds.
      const std::size_t from = random() % n, to = random() % n;
      const double d = std::min({e[from] - lo[from], hi[to] - e[to], 50 * unit(random)});
      if (from == to || d <= 1e-6) continue;
      const auto square = [](double x) { return x * x; };
      const double before = square(e[from] - target[from]) + square(e[to] - target[to]);
      const double after = square(e[from] - d - target[from]) + square(e[to] + d - target[to]);
      EXPECT_GE(after, before - 1e-4);
    }
  }
}

TEST(RoundToSum, IsExactAndBreaksTiesByOrder) {
  const std::vector<double> real{33.4, 33.3, 33.3};
  const std::vector<std::int64_t> lo{0, 0, 0}, hi{100, 100, 100};
  std::vector<std::int64_t> out(3);
  std::vector<std::uint32_t> scratch(3);
  RoundToSum(real, lo, hi, 100, out, scratch);
  EXPECT_EQ(out, (std::vector<std::int64_t>{34, 33, 33}));
  RoundToSum(std::vector<double>{0.5, 0.5, 0.5}, lo, hi, 2, out, scratch);
  EXPECT_EQ(out, (std::vector<std::int64_t>{1, 1, 0}));
}

TEST(RoundToSum, StaysInsideTheBounds) {
  const std::vector<double> real{10.9, 10.9, 78.2};
  const std::vector<std::int64_t> lo{10, 10, 10}, hi{10, 11, 100};
  std::vector<std::int64_t> out(3);
  std::vector<std::uint32_t> scratch(3);
  RoundToSum(real, lo, hi, 100, out, scratch);
  EXPECT_EQ(out[0], 10);
  EXPECT_LE(out[1], 11);
  EXPECT_EQ(out[0] + out[1] + out[2], 100);
}

}  // namespace
}  // namespace whorl::partition
