#include "operator/kube/lease.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "tests/fake/fake_api.h"
#include "tests/fake/fake_api_clock.h"

namespace whorl::kube {
namespace {

using ::testing::ElementsAre;

constexpr auto kPath = "/apis/coordination.k8s.io/v1/namespaces/whorl-system/leases/whorl-controller";

struct World {
  fake::FakeApi api;
  fake::WaitingClock clock;
  std::unique_ptr<Client> client = api.NewClient(clock);
  std::vector<std::string> told;

  LeaderElectorOptions Options(const std::string& identity) {
    LeaderElectorOptions o;
    o.ns = "whorl-system";
    o.name = "whorl-controller";
    o.identity = identity;
    o.seed = 1;
    o.on_started_leading = [this, identity](std::int64_t t) {
      told.push_back(identity + " leads " + std::to_string(t));
    };
    o.on_stopped_leading = [this, identity] { told.push_back(identity + " lost"); };
    return o;
  }
  LeaderElector a{*client, clock, Options("a")};
  LeaderElector b{*client, clock, Options("b")};
  nlohmann::json Spec() const { return api.Find(kPath)->at("spec"); }
};

TEST(LeaderElector, CreatesTheLeaseAndRenewsIt) {
  World world;
  ASSERT_TRUE(world.a.Step());
  EXPECT_TRUE(world.a.IsLeader());
  EXPECT_EQ(world.a.transitions(), 0);
  EXPECT_EQ(world.Spec()["holderIdentity"], "a");
  EXPECT_EQ(world.Spec()["leaseDurationSeconds"], 15);
  world.clock.Advance(Seconds(2));
  ASSERT_TRUE(world.a.Step());
  EXPECT_EQ(world.Spec()["renewTime"], "2026-01-02T03:04:07.000000Z");
  EXPECT_EQ(world.Spec()["acquireTime"], "2026-01-02T03:04:05.000000Z");
  EXPECT_EQ(world.api.Count("GET"), 1) << "a renewal is one request";
}

TEST(LeaderElector, WaitsUntilTheOthersLeaseHasRunOutByItsOwnClock) {
  World world;
  ASSERT_TRUE(world.a.Step());
  world.clock.JumpWall(Millis(3'600'000));  // clocks that disagree by an hour mean nothing
  ASSERT_TRUE(world.b.Step());
  EXPECT_FALSE(world.b.IsLeader());
  EXPECT_EQ(world.b.leader(), "a");
  world.clock.Advance(Seconds(14));
  ASSERT_TRUE(world.b.Step());
  EXPECT_FALSE(world.b.IsLeader());
  world.clock.Advance(Seconds(1));
  ASSERT_TRUE(world.b.Step());
  EXPECT_TRUE(world.b.IsLeader());
  EXPECT_EQ(world.b.transitions(), 1);
  EXPECT_THAT(world.told, ElementsAre("a leads 0", "b leads 1"));
}

TEST(LeaderElector, KeepsOffWhileTheOtherRenews) {
  World world;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(world.a.Step());
    ASSERT_TRUE(world.b.Step());
    world.clock.Advance(Seconds(2));
  }
  EXPECT_TRUE(world.a.IsLeader());
  EXPECT_FALSE(world.b.IsLeader());
}

TEST(LeaderElector, KnowsThatItsRenewDeadlineHasPassedAndThenThatItLost) {
  World world;
  ASSERT_TRUE(world.a.Step());
  world.api.FailNext("leases", Error{Code::kUnavailable, "away"}, 100);
  world.clock.Advance(Seconds(9));
  EXPECT_FALSE(world.a.Step());
  EXPECT_FALSE(world.a.RenewDeadlinePassed());
  world.clock.Advance(Seconds(1));
  EXPECT_FALSE(world.a.Step());
  EXPECT_TRUE(world.a.RenewDeadlinePassed());
  EXPECT_TRUE(world.a.IsLeader()) << "still its own until it runs out: it may return and restore";
  world.clock.Advance(Seconds(5));
  EXPECT_FALSE(world.a.IsLeader()) << "even before the next step";
  EXPECT_FALSE(world.a.Step());
  EXPECT_THAT(world.told, ElementsAre("a leads 0", "a lost"));
}

TEST(LeaderElector, CountsFromBeforeARenewalsRequest) {
  World world;
  ASSERT_TRUE(world.a.Step());
  world.api.OnRequest([&](const Request&) { world.clock.Advance(Seconds(12)); });  // a slow server
  ASSERT_TRUE(world.a.Step());
  EXPECT_TRUE(world.a.RenewDeadlinePassed());
}

TEST(LeaderElector, LosesToWhoeverTookTheLease) {
  World world;
  ASSERT_TRUE(world.a.Step());
  world.clock.Advance(Seconds(20));  // a sleeps
  ASSERT_TRUE(world.b.Step());       // sees it
  world.clock.Advance(Seconds(15));
  ASSERT_TRUE(world.b.Step());  // takes it
  ASSERT_TRUE(world.a.Step());
  EXPECT_FALSE(world.a.IsLeader());
  EXPECT_EQ(world.Spec()["holderIdentity"], "b");
  EXPECT_EQ(world.a.transitions(), 1);
}

TEST(LeaderElector, LetsTheQuickerOneHaveIt) {
  World world;
  ASSERT_TRUE(world.a.Step());
  world.clock.Advance(Seconds(1));
  ASSERT_TRUE(world.b.Step());
  world.clock.Advance(Seconds(15));
  world.api.FailNext("PUT", Response{409, R"({"message":"modified"})"});
  EXPECT_TRUE(world.b.Step());
  EXPECT_FALSE(world.b.IsLeader());
}

TEST(LeaderElector, MakesADeletedLeaseAgainAndGoesOnCounting) {
  World world;
  ASSERT_TRUE(world.a.Step());
  world.api.Remove(kPath);
  ASSERT_TRUE(world.a.Step());
  EXPECT_TRUE(world.a.IsLeader());
  EXPECT_EQ(world.a.transitions(), 1);
  EXPECT_THAT(world.told, ElementsAre("a leads 0"));
}

TEST(LeaderElector, TakesItsOwnLeaseUpAgainAfterARestart) {
  World world;
  ASSERT_TRUE(world.a.Step());
  LeaderElector again(*world.client, world.clock, world.Options("a"));
  ASSERT_TRUE(again.Step());
  EXPECT_TRUE(again.IsLeader());
  EXPECT_EQ(again.transitions(), 0);
}

TEST(LeaderElector, GivesTheLeaseBackAtStop) {
  fake::FakeApi api;
  SystemClock clock;
  const auto client = api.NewClient(clock);
  LeaderElectorOptions options;
  options.ns = "whorl-system";
  options.name = "whorl-controller";
  options.identity = "a";
  std::promise<void> leads;
  options.on_started_leading = [&](std::int64_t) { leads.set_value(); };
  LeaderElector elector(*client, clock, options);
  elector.Start();
  ASSERT_EQ(leads.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
  elector.Stop();
  EXPECT_FALSE(elector.IsLeader());
  EXPECT_EQ(api.Find(kPath)->at("spec").at("holderIdentity"), "");
  // The next one need not wait.
  options.identity = "b";
  options.on_started_leading = nullptr;
  LeaderElector next(*client, clock, options);
  ASSERT_TRUE(next.Step());
  EXPECT_TRUE(next.IsLeader());
  EXPECT_EQ(next.transitions(), 1);
}

TEST(LeaderElector, RefusesTimesThatCannotWork) {
  World world;
  auto options = world.Options("a");
  EXPECT_TRUE(LeaderElector::Check(options));
  options.renew_deadline = Seconds(15);
  EXPECT_EQ(LeaderElector::Check(options).error().code, Code::kInvalid);
  options.renew_deadline = Seconds(2);
  EXPECT_EQ(LeaderElector::Check(options).error().code, Code::kInvalid);
  options = world.Options("");
  EXPECT_EQ(LeaderElector::Check(options).error().code, Code::kInvalid);
}

}  // namespace
}  // namespace whorl::kube
