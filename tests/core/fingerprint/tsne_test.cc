#include "core/fingerprint/tsne.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

#include "core/fingerprint/principal_axes.h"

namespace whorl {
namespace {

constexpr std::size_t kDims = 6;

// Three clusters, point i in cluster i % 3.
std::vector<float> ThreeClusters(std::size_t n, float apart = 12) {
  std::mt19937 random(11);
  std::normal_distribution<float> noise;
  std::vector<float> rows;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t d = 0; d < kDims; ++d) rows.push_back(noise(random) + (d == i % 3 ? apart : 0));
  }
  return rows;
}

float Distance(MapPoint a, MapPoint b) { return std::hypot(a.x - b.x, a.y - b.y); }

// How many of each point's nearest five on the map are of its own cluster.
double Purity(const std::vector<MapPoint>& at) {
  std::size_t same = 0;
  for (std::size_t i = 0; i < at.size(); ++i) {
    std::vector<std::pair<float, std::size_t>> near;
    for (std::size_t j = 0; j < at.size(); ++j) {
      if (j != i) near.emplace_back(Distance(at[i], at[j]), j);
    }
    std::partial_sort(near.begin(), near.begin() + 5, near.end());
    for (std::size_t k = 0; k < 5; ++k) same += near[k].second % 3 == i % 3;
  }
  return static_cast<double>(same) / static_cast<double>(5 * at.size());
}

std::uint64_t Hash(const std::vector<MapPoint>& at) {
  std::uint64_t h = 1469598103934665603u;
  const auto* bytes = reinterpret_cast<const unsigned char*>(at.data());
  for (std::size_t i = 0; i < at.size() * sizeof(MapPoint); ++i) h = (h ^ bytes[i]) * 1099511628211u;
  return h;
}

TEST(PrincipalAxes, FindTheDirectionOfMostVariance) {
  std::vector<float> rows;
  for (int i = -50; i <= 50; ++i) {
    const auto t = static_cast<float>(i);
    rows.insert(rows.end(), {3 * t + 7, 4 * t, i % 2 == 0 ? 1.0f : -1.0f});
  }
  const auto axes = FindPrincipalAxes(rows, 3, 2);
  ASSERT_EQ(axes.count(), 2u);
  EXPECT_NEAR(axes.axis[0], 0.6f, 1e-4f);
  EXPECT_NEAR(axes.axis[1], 0.8f, 1e-4f);
  EXPECT_NEAR(std::abs(axes.axis[5]), 1, 1e-3f);
  EXPECT_NEAR(axes.mean[0], 7, 1e-3f);
  EXPECT_GT(axes.variance[0], axes.variance[1]);
  std::vector<float> along(2);
  axes.Project(std::vector<float>{10, 4, 0}, along);
  EXPECT_NEAR(along[0], 5, 1e-3f);
}

TEST(Tsne, PutsThreeClustersInThreePlaces) {
  const auto map = Tsne(ThreeClusters(150), kDims);
  ASSERT_TRUE(map) << map.error().message;
  EXPECT_EQ(Purity(map->at), 1.0);
  EXPECT_GT(map->divergence, 0);
  EXPECT_LT(map->divergence, 1);
}

TEST(Tsne, SamePointsGiveTheSameBytes) {
  const auto rows = ThreeClusters(93);
  const auto first = Tsne(rows, kDims), second = Tsne(rows, kDims);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(Hash(first->at), Hash(second->at));
}

// Values, not a comparison of two runs: every compiler and preset must give these bits.
TEST(Tsne, GivesTheseBitsInEveryBuild) {
  std::vector<float> rows;
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < 101 * kDims; ++i) {
    state = state * 1664525u + 1013904223u;
    rows.push_back(static_cast<float>(state >> 8) * 0x1p-24f);
  }
  const auto map = Tsne(rows, kDims);
  ASSERT_TRUE(map);
  EXPECT_EQ(Hash(map->at), 0xa1353ca376fccb73u);
}

TEST(Tsne, GoesOnFromAnEarlierMapWithoutMovingMuch) {
  auto rows = ThreeClusters(150);
  const auto before = Tsne(rows, kDims);
  ASSERT_TRUE(before);
  for (float& v : rows) v += 0.01f;
  rows[5] += 0.2f;
  const auto after = RefineTsne(rows, kDims, before->at, std::vector<float>(150, 1.0f));
  ASSERT_TRUE(after);
  float moved = 0, size = 0;
  for (std::size_t i = 0; i < 150; ++i) {
    moved += Distance(before->at[i], after->at[i]) / 150;
    size += std::hypot(before->at[i].x, before->at[i].y) / 150;
  }
  EXPECT_LT(moved, 0.02f * size);
  EXPECT_EQ(Purity(after->at), 1.0);
}

TEST(Tsne, APointThatIsNotHeldGoesWhereItBelongs) {
  auto rows = ThreeClusters(150);
  const auto before = Tsne(rows, kDims);
  ASSERT_TRUE(before);
  // Point 0 now behaves like point 1.
  for (std::size_t d = 0; d < kDims; ++d) rows[d] = rows[kDims + d] + 0.1f;
  std::vector<float> hold(150, 1.0f);
  hold[0] = 0;
  const auto after = RefineTsne(rows, kDims, before->at, hold);
  ASSERT_TRUE(after);
  EXPECT_LT(Distance(after->at[0], after->at[1]), 0.5f * Distance(before->at[0], before->at[1]));
}

TEST(Tsne, MapsNoneOneTwoAndIdenticalPoints) {
  const auto none = Tsne({}, kDims);
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->at.empty());
  const auto one = Tsne(std::vector<float>(kDims, 3.0f), kDims);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->at, std::vector<MapPoint>{MapPoint{}});
  const auto two = Tsne(ThreeClusters(2), kDims);
  ASSERT_TRUE(two);
  EXPECT_GT(Distance(two->at[0], two->at[1]), 0);
  const auto identical = Tsne(std::vector<float>(40 * kDims, 3.0f), kDims);
  ASSERT_TRUE(identical);
  for (const MapPoint& p : identical->at) EXPECT_TRUE(std::isfinite(p.x) && std::isfinite(p.y));
}

TEST(Tsne, RefusesWhatCannotBeMapped) {
  auto rows = ThreeClusters(9);
  rows[8] = std::numeric_limits<float>::quiet_NaN();
  const auto nan = Tsne(rows, kDims);
  ASSERT_FALSE(nan);
  EXPECT_EQ(nan.error().code, Code::kInvalid);
  EXPECT_EQ(nan.error().message, "t-SNE: value 2 of point 1 is not a finite number");
  EXPECT_FALSE(Tsne(std::vector<float>(7), kDims));
  EXPECT_FALSE(Tsne(std::vector<float>(kMostTsnePoints + 1), 1));
  EXPECT_FALSE(RefineTsne(std::vector<float>(2 * kDims), kDims, std::vector<MapPoint>(1), std::vector<float>(2)));
  const std::vector<float> hold{0, 2};
  EXPECT_FALSE(RefineTsne(std::vector<float>(2 * kDims), kDims, std::vector<MapPoint>(2), hold));
}

}  // namespace
}  // namespace whorl
