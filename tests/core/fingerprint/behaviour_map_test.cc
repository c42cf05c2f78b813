#include "core/fingerprint/behaviour_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/core/fingerprint/made_up_fleet.h"

namespace whorl {
namespace {

using test::MadeUpFleet;

float Distance(MapPoint a, MapPoint b) { return std::hypot(a.x - b.x, a.y - b.y); }

// How many of each VM's nearest five on the map are of its own kind.
double Purity(const BehaviourMap& map, std::size_t kinds) {
  std::size_t same = 0;
  for (std::size_t i = 0; i < map.places.size(); ++i) {
    std::vector<std::pair<float, std::size_t>> near;
    for (std::size_t j = 0; j < map.places.size(); ++j) {
      if (j != i) near.emplace_back(Distance(map.places[i].at, map.places[j].at), j);
    }
    std::partial_sort(near.begin(), near.begin() + 5, near.end());
    for (std::size_t k = 0; k < 5; ++k) same += near[k].second % kinds == i % kinds;
  }
  return static_cast<double>(same) / static_cast<double>(5 * map.places.size());
}

double MeanDisplacement(const BehaviourMap& map) {
  double sum = 0;
  for (const MapPlace& p : map.places) sum += static_cast<double>(p.displacement.value_or(0));
  return sum / static_cast<double>(map.places.size());
}

// A quarter turn to the left, or the mirror image.
BehaviourMap Turned(BehaviourMap map) {
  for (MapPlace& p : map.places) p.at = {-p.at.y, p.at.x};
  return map;
}
BehaviourMap Mirrored(BehaviourMap map) {
  for (MapPlace& p : map.places) p.at.x = -p.at.x;
  return map;
}

TEST(BehaviourMap, PutsVmsOfOneKindTogether) {
  const auto map = DrawMap(MadeUpFleet(120, 3), nullptr);
  ASSERT_TRUE(map) << map.error().message;
  EXPECT_EQ(Purity(*map, 3), 1.0);
  EXPECT_TRUE(map->from_scratch);
  EXPECT_EQ(map->places[7].id, "vm-100007");
  EXPECT_FALSE(map->places[7].displacement);
  EXPECT_GT(map->explained, 0.8f);
}

TEST(BehaviourMap, SameFleetGivesTheSameMap) {
  const auto fleet = MadeUpFleet(90, 3);
  const auto a = DrawMap(fleet, nullptr), b = DrawMap(fleet, nullptr);
  ASSERT_TRUE(a && b);
  for (std::size_t i = 0; i < 90; ++i) EXPECT_EQ(a->places[i].at, b->places[i].at);
}

TEST(BehaviourMap, HoldsStillWhileBehaviourHardlyChanges) {
  auto fleet = MadeUpFleet(120, 3);
  const auto before = DrawMap(fleet, nullptr);
  ASSERT_TRUE(before);
  for (FleetVm& vm : fleet) vm.usual.level[1] += 0.02f;
  const auto after = DrawMap(fleet, &*before);
  ASSERT_TRUE(after);
  EXPECT_FALSE(after->from_scratch);
  EXPECT_FALSE(after->refused);
  EXPECT_EQ(after->changed, 0);
  EXPECT_LT(MeanDisplacement(*after), 0.03);
  EXPECT_LT(after->displacement, 0.03f);
}

TEST(BehaviourMap, MovesOnlyTheVmThatChanged) {
  auto fleet = MadeUpFleet(120, 3);
  const auto before = DrawMap(fleet, nullptr);
  ASSERT_TRUE(before);
  fleet[0].usual = fleet[1].usual;
  const auto after = DrawMap(fleet, &*before);
  ASSERT_TRUE(after);
  EXPECT_GT(after->places[0].change.value(), 0.5f);
  EXPECT_GT(after->places[0].displacement.value(), 0.5f);
  EXPECT_LT(Distance(after->places[0].at, after->places[1].at), 0.2f * after->radius);
  EXPECT_LT(after->displacement, 0.03f);
}

TEST(BehaviourMap, TurnsANewMapOntoTheEarlierOne) {
  auto fleet = MadeUpFleet(60, 3);
  const auto first = DrawMap(fleet, nullptr);
  ASSERT_TRUE(first);
  for (const auto& earlier : {Turned(*first), Mirrored(*first)}) {
    // So many newcomers that the map is drawn from scratch.
    const auto after = DrawMap(MadeUpFleet(150, 3), &earlier);
    ASSERT_TRUE(after);
    ASSERT_TRUE(after->from_scratch);
    for (std::size_t i = 0; i < 60; ++i) {
      EXPECT_LT(after->places[i].displacement.value(), 0.9f) << i;
    }
    EXPECT_LT(MeanDisplacement(*after), 0.2);
  }
}

TEST(BehaviourMap, RefusesToMoveWithoutACause) {
  const auto fleet = MadeUpFleet(120, 3);
  auto before = DrawMap(fleet, nullptr);
  ASSERT_TRUE(before);
  // A map nobody would draw: two kinds have changed places halfway.
  for (std::size_t i = 0; i + 3 < 60; i += 3) std::swap(before->places[i].at, before->places[i + 1].at);
  MapOptions free;
  free.tsne.spring = 0;
  const auto after = DrawMap(fleet, &*before, free);
  ASSERT_TRUE(after);
  EXPECT_TRUE(after->refused);
  EXPECT_GT(after->displacement, 0.1f);
  for (std::size_t i = 0; i < fleet.size(); ++i) EXPECT_EQ(after->places[i].at, before->places[i].at);
}

TEST(BehaviourMap, PlacesAVmOfWhichLittleIsKnownAndSaysHowMuchIsMissing) {
  auto fleet = MadeUpFleet(120, 3);
  for (std::size_t f = kFeatureCount / 2; f < kFeatureCount; ++f) fleet[4].usual.known.Clear(static_cast<Feature>(f));
  const auto map = DrawMap(fleet, nullptr);
  ASSERT_TRUE(map);
  EXPECT_EQ(map->places[4].missing, static_cast<int>(kFeatureCount - kFeatureCount / 2));
  EXPECT_TRUE(std::isfinite(map->places[4].at.x));
}

TEST(BehaviourMap, DrawsNoneOneAndTwoVmsAndDoubles) {
  const auto none = DrawMap({}, nullptr);
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->places.empty());
  auto fleet = MadeUpFleet(1);
  const auto one = DrawMap(fleet, &*none);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->places[0].at, MapPoint{});
  const auto two = DrawMap(MadeUpFleet(2), &*one);
  ASSERT_TRUE(two);
  EXPECT_GT(Distance(two->places[0].at, two->places[1].at), 0);
  fleet = MadeUpFleet(20);
  for (FleetVm& vm : fleet) vm.usual = fleet[0].usual;
  const auto doubles = DrawMap(fleet, &*two);
  ASSERT_TRUE(doubles);
  const auto again = DrawMap(fleet, &*doubles);
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->refused);
  for (const MapPlace& p : again->places) EXPECT_TRUE(std::isfinite(p.at.x) && std::isfinite(p.at.y));
}

TEST(BehaviourMap, RefusesNaN) {
  auto fleet = MadeUpFleet(10);
  fleet[2].usual.spread[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(DrawMap(fleet, nullptr));
}

TEST(BehaviourMap, PlacesTheManyAmongTheFewThatShapeIt) {
  const auto fleet = MadeUpFleet(400, 4);
  MapOptions options;
  options.landmarks = 100;
  const auto map = DrawMap(fleet, nullptr, options);
  ASSERT_TRUE(map);
  EXPECT_EQ(std::count_if(map->places.begin(), map->places.end(), [](const auto& p) { return p.landmark; }), 100);
  EXPECT_GT(Purity(*map, 4), 0.98);
  const auto again = DrawMap(fleet, &*map, options);
  ASSERT_TRUE(again);
  std::size_t stayed = 0;
  for (std::size_t i = 0; i < fleet.size(); ++i) stayed += map->places[i].landmark && again->places[i].landmark;
  EXPECT_GE(stayed, 80u);
  EXPECT_LT(again->displacement, 0.05f);
}

TEST(BehaviourMap, PlacesAPointThatIsALandmarkNearlyThere) {
  const auto fleet = MadeUpFleet(60, 3);
  const auto map = DrawMap(fleet, nullptr);
  ASSERT_TRUE(map);
  std::vector<MapPoint> at;
  for (const MapPlace& p : map->places) at.push_back(p.at);
  const auto rows = FleetPoints(map->space, fleet);
  const MapPlacer placer(rows, at);
  for (std::size_t i = 0; i < fleet.size(); ++i) {
    EXPECT_LT(Distance(placer.Place(&rows[i * kFleetAxes]), at[i]), 0.1f * map->radius);
  }
  // Fewer landmarks than neighbours asked for.
  const MapPlacer one(std::span<const float>(rows).first(kFleetAxes), {MapPoint{3, 4}});
  EXPECT_EQ(one.Place(&rows[kFleetAxes]), (MapPoint{3, 4}));
}

}  // namespace
}  // namespace whorl
