#include "core/score/forest.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace whorl {
namespace {

std::vector<CondensedPoint> Usual(std::size_t n, std::uint32_t seed = 3) {
  std::mt19937 random(seed);
  std::normal_distribution<float> noise;
  std::vector<CondensedPoint> points(n);
  for (CondensedPoint& p : points) {
    for (std::size_t i = 0; i < kCondensedInputs; ++i) p.Set(i, noise(random));
  }
  return points;
}

Forest Grown() {
  Forest forest;
  const auto points = Usual(128);
  for (std::uint64_t seed = 0; seed < Forest::kTrees; ++seed) forest.Grow(points, seed);
  return forest;
}

float Anomaly(const Forest& forest, const CondensedPoint& point) {
  float path = 0;
  for (std::uint32_t q = 0; q < Forest::kQuarters; ++q) path += forest.Walk(point, q) / Forest::kQuarters;
  return Forest::Anomaly(path);
}

TEST(Forest, APointFarAwayIsEasierToIsolateThanUsualOnes) {
  const Forest forest = Grown();
  ASSERT_TRUE(forest.ready());
  CondensedPoint far;
  for (std::size_t i = 0; i < kCondensedInputs; ++i) far.Set(i, i % 2 == 0 ? 6.0f : -6.0f);
  float highest = 0, sum = 0;
  for (const CondensedPoint& p : Usual(100, 9)) {
    highest = std::max(highest, Anomaly(forest, p));
    sum += Anomaly(forest, p) / 100;
  }
  EXPECT_GT(Anomaly(forest, far), highest);
  EXPECT_NEAR(sum, 0.5f, 0.1f) << "half is what the paper calls neither";
}

TEST(Forest, TheSamePointsAndSeedsGrowTheSameTrees) {
  const Forest a = Grown(), b = Grown();
  for (const CondensedPoint& p : Usual(50, 4)) EXPECT_EQ(Anomaly(a, p), Anomaly(b, p));
}

TEST(Forest, FollowsWhatItIsGrownFromAnew) {
  Forest forest = Grown();
  std::vector<CondensedPoint> moved(64);
  std::mt19937 random(5);
  std::normal_distribution<float> noise(5.0f, 0.5f);
  for (CondensedPoint& p : moved) {
    for (std::size_t i = 0; i < kCondensedInputs; ++i) p.Set(i, noise(random));
  }
  const auto mean = [&] {
    float sum = 0;
    for (const CondensedPoint& p : moved) sum += Anomaly(forest, p) / static_cast<float>(moved.size());
    return sum;
  };
  const float before = mean();
  for (std::uint64_t seed = 0; seed < Forest::kTrees; ++seed) forest.Grow(moved, 100 + seed);
  EXPECT_LT(mean(), before - 0.05f);
}

TEST(Forest, NothingGrowsFromTooFewPointsAndAlikeOnesMakeALeaf) {
  Forest forest;
  forest.Grow(Usual(10), 1);
  EXPECT_EQ(forest.grown, 0);
  const std::vector<CondensedPoint> alike(40);
  forest.Grow(alike, 1);
  EXPECT_EQ(forest.grown, 1);
  EXPECT_GT(forest.Walk(alike[0], 0), 0);
}

}  // namespace
}  // namespace whorl
