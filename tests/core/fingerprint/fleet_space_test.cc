#include "core/fingerprint/fleet_space.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/core/fingerprint/made_up_fleet.h"

namespace whorl {
namespace {

using test::MadeUpFleet;

TEST(FleetSpace, KnowsOnlyWhatWasSeenOftenEnough) {
  Scaling scaling;
  scaling.center.Set(3, 5);
  scaling.spread_squared.Set(3, 0.25f);
  scaling.count.Set(3, 200);
  scaling.count.Set(4, 2);
  const Behaviour usual = BehaviourOf(scaling);
  EXPECT_EQ(usual.known.count(), 1);
  EXPECT_EQ(usual.level[3], 5);
  EXPECT_EQ(usual.spread[3], scaling.Spread(3));
  EXPECT_EQ(usual.missing(), static_cast<int>(kFeatureCount) - 1);
}

TEST(FleetSpace, StandsAWholeMissingFeatureAtTheFleetsMean) {
  auto fleet = MadeUpFleet(30);
  const auto space = FindFleetSpace(fleet, nullptr);
  ASSERT_TRUE(space);
  FleetVm with = fleet[0], without = fleet[0];
  with.usual.level[2] = space->mean[2];
  with.usual.spread[2] = Exp(space->mean[kFeatureCount + 2]);
  without.usual.known.Clear(static_cast<Feature>(2));
  without.usual.level[2] = std::numeric_limits<float>::quiet_NaN();  // must not be looked at
  const FleetPoint a = space->At(with.usual), b = space->At(without.usual);
  for (std::size_t k = 0; k < kFleetAxes; ++k) EXPECT_NEAR(a[k], b[k], 1e-3f);
}

TEST(FleetSpace, KeepsTheEarlierYardstickWhileItFits) {
  const auto fleet = MadeUpFleet(60);
  const auto first = FindFleetSpace(fleet, nullptr);
  ASSERT_TRUE(first);
  const auto grown = FindFleetSpace(MadeUpFleet(63), &*first);
  ASSERT_TRUE(grown);
  EXPECT_EQ(grown->mean, first->mean);
  EXPECT_EQ(grown->axes.axis, first->axes.axis);
  // Another fleet altogether.
  const auto other = FindFleetSpace(MadeUpFleet(60, 1, 1.0f), &*first);
  ASSERT_TRUE(other);
  EXPECT_NE(other->mean, first->mean);
}

TEST(FleetSpace, AFleetOfDoublesHasOnePoint) {
  auto fleet = MadeUpFleet(9, 1);
  for (FleetVm& vm : fleet) vm.usual = fleet[0].usual;
  const auto space = FindFleetSpace(fleet, nullptr);
  ASSERT_TRUE(space);
  EXPECT_NEAR(space->radius, 0, 1e-4f);
  for (const float v : FleetPoints(*space, fleet)) EXPECT_NEAR(v, 0, 1e-4f);
}

TEST(FleetSpace, RefusesWhatIsNotANumberAndNamesIt) {
  auto fleet = MadeUpFleet(5);
  fleet[3].usual.level[0] = std::numeric_limits<float>::quiet_NaN();
  const auto nan = FindFleetSpace(fleet, nullptr);
  ASSERT_FALSE(nan);
  EXPECT_EQ(nan.error().code, Code::kInvalid);
  EXPECT_EQ(nan.error().message, "VM vm-100003: the usual cpu usage is not a number");
}

TEST(FleetSpace, RefusesAFleetOutOfOrderAndAVmOfWhichNothingIsKnown) {
  auto fleet = MadeUpFleet(5);
  std::swap(fleet[1], fleet[2]);
  EXPECT_FALSE(FindFleetSpace(fleet, nullptr));
  fleet = MadeUpFleet(5);
  fleet[4].usual.known = FeatureMask{};
  const auto unknown = FindFleetSpace(fleet, nullptr);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().message, "VM vm-100004: only 0 features are known, 4 are needed to compare it");
}

}  // namespace
}  // namespace whorl
