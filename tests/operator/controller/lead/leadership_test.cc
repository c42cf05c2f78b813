#include "operator/controller/lead/leadership.h"

#include <gtest/gtest.h>

namespace whorl::controller {
namespace {

struct World {
  LeaseView lease;
  Leadership leadership{[this] { return lease; }};
};

TEST(Leadership, DoesNotLeadBeforeTheLeaseIsHeld) {
  World world;
  EXPECT_FALSE(world.leadership.Current().leading);
  world.lease = {true, false, false, 4};
  EXPECT_TRUE(world.leadership.Current().leading);
}

TEST(Leadership, TakesAnEpochAboveTransitionsAndEverythingSeen) {
  World world;
  world.lease = {true, false, false, 4};
  EXPECT_EQ(world.leadership.Current().epoch, 5u);
  World other;
  other.leadership.SawEpoch(17);
  other.lease = {true, false, false, 4};
  EXPECT_EQ(other.leadership.Current().epoch, 18u);
  EXPECT_EQ(other.leadership.Current().epoch, 18u);  // and keeps it
}

TEST(Leadership, RisesWhileLeadingWhenAnAgentComesBackWithANewerEpoch) {
  World world;
  world.lease = {true, false, false, 0};
  ASSERT_EQ(world.leadership.Current().epoch, 1u);
  world.leadership.Refused(1, 9);
  EXPECT_EQ(world.leadership.Current().epoch, 10u);
  world.leadership.Refused(1, 30);  // about an epoch we no longer use
  EXPECT_EQ(world.leadership.Current().epoch, 10u);
}

TEST(Leadership, OnlyRenewsPastTheRenewDeadline) {
  World world;
  world.lease = {true, false, false, 0};
  EXPECT_EQ(world.leadership.Current().authority, Authority::kFull);
  world.lease.renew_deadline_passed = true;
  EXPECT_TRUE(world.leadership.Current().leading);
  EXPECT_EQ(world.leadership.Current().authority, Authority::kRenewOnly);
}

TEST(Leadership, GoesOnRenewingWhenTheApiServerIsAwayForLonger) {
  World world;
  world.lease = {true, false, false, 0};
  const auto epoch = world.leadership.Current().epoch;
  world.lease = {false, false, false, 0};  // run out, and still our name in it
  EXPECT_TRUE(world.leadership.Current().leading);
  EXPECT_EQ(world.leadership.Current().authority, Authority::kRenewOnly);
  world.lease = {true, false, false, 0};  // back: the same reign
  EXPECT_EQ(world.leadership.Current().authority, Authority::kFull);
  EXPECT_EQ(world.leadership.Current().epoch, epoch);
}

TEST(Leadership, StepsDownForANewerEpochWhileItCannotRenew) {
  World world;
  world.lease = {true, false, false, 0};
  const auto epoch = world.leadership.Current().epoch;
  world.lease = {false, false, false, 0};
  world.leadership.Refused(epoch, epoch + 1);
  EXPECT_FALSE(world.leadership.Current().leading);
  // Elected anew it rises above the one that came between.
  world.lease = {true, false, false, 2};
  EXPECT_GT(world.leadership.Current().epoch, epoch + 1);
}

TEST(Leadership, StepsDownAsSoonAsAnotherNameStandsInTheLease) {
  World world;
  world.lease = {true, false, false, 0};
  ASSERT_TRUE(world.leadership.Current().leading);
  world.lease = {false, false, true, 1};
  EXPECT_FALSE(world.leadership.Current().leading);
  EXPECT_EQ(world.leadership.Current().epoch, 0u);
}

}  // namespace
}  // namespace whorl::controller
