#include "core/engine/outlook.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/core/engine/node_world.h"

namespace whorl {
namespace {

constexpr Millis kSecond{1000};
constexpr std::int64_t kPhase = 40'000;
const Time kBegin = FromUnixMillis(1'700'000'000'000);

Wants Cpu(float millicores) {
  Wants wants;
  wants.of[static_cast<std::size_t>(Resource::kCpu)] = millicores;
  return wants;
}

struct OutlookTest : testing::Test {
  // Buckets closed while `seconds` pass, each with this use.
  int Pass(int seconds, float millicores, bool held_back = false) {
    int closed = 0;
    for (int i = 0; i < seconds; ++i) {
      at += Seconds{1};
      Wants wants = Cpu(millicores);
      wants.held_back = held_back;
      closed += outlook.Observe(at, kSecond, kPhase, wants, {}, bucket);
    }
    return closed;
  }
  Outlook outlook;
  BucketUnderWay bucket;
  Time at = kBegin;
};

TEST_F(OutlookTest, SaysNothingBeforeTheFirstFiveMinutes) {
  Pass(30, 100);
  EXPECT_FALSE(outlook.Of(Resource::kCpu));
  EXPECT_EQ(Pass(700, 100), 2);
  ASSERT_TRUE(outlook.Of(Resource::kCpu));
  EXPECT_NEAR(outlook.Of(Resource::kCpu)->five_minutes.p50, 100, 15);
  EXPECT_FALSE(outlook.Of(Resource::kMemory)) << "never measured";
}

TEST_F(OutlookTest, ABucketEnteredLateIsNotCounted) {
  // The epoch's buckets are shifted by the phase; begin 100 s before one ends.
  const std::int64_t into = (ToUnixMillis(at) + kPhase) % 300'000;
  at += Millis{300'000 - into - 100'000};
  EXPECT_EQ(Pass(110, 5000), 0);
  EXPECT_EQ(Pass(300, 10), 1);
  EXPECT_LT(outlook.Of(Resource::kCpu)->five_minutes.p50, 200);
}

TEST_F(OutlookTest, SamplesAsFarApartAsBucketsAreBucketsThemselves) {
  for (int i = 0; i < 3; ++i) {
    at += Seconds{300};
    EXPECT_TRUE(outlook.Observe(at, Millis{300'000}, kPhase, Cpu(100), {}, bucket));
  }
  EXPECT_EQ(outlook.Of(Resource::kCpu)->buckets, 3u);
}

TEST_F(OutlookTest, AClockThatIsSetBackTeachesNothingTwice) {
  Pass(1200, 100);
  const auto before = outlook.Of(Resource::kCpu)->buckets;
  at -= Seconds{1800};
  Pass(1200, 100);
  EXPECT_EQ(outlook.Of(Resource::kCpu)->buckets, before);
  Pass(1500, 100);
  EXPECT_GT(outlook.Of(Resource::kCpu)->buckets, before);
}

TEST_F(OutlookTest, ARiseThatComesEveryDayIsForeseenAndAFallIsNot) {
  // Ten hours at night of 100, fourteen by day of 600, for a week, in buckets.
  float foreseen_before_the_day = 0;
  int risen_at_wrong_times = 0;
  for (int i = 0; i < 7 * 288; ++i) {
    at = kBegin + Seconds{300} * i;
    const int slot = i % 288;
    const float use = slot < 120 ? 100.0f : 600.0f;
    outlook.Observe(at, Millis{300'000}, kPhase, Cpu(use), {}, bucket);
    const float rise = outlook.RiseOfCpu();
    if (i < 4 * 288) continue;
    if (slot == 119) foreseen_before_the_day = std::max(foreseen_before_the_day, rise);
    if (slot > 130 || (slot > 10 && slot < 110)) risen_at_wrong_times += rise > 0;
  }
  EXPECT_GT(foreseen_before_the_day, 150) << "100 were in use";
  EXPECT_LE(risen_at_wrong_times, 3 * 288 / 20);
}

TEST_F(OutlookTest, SurvivesARestartAndRefusesWhatIsNotItsOwn) {
  Pass(3000, 250);
  const std::string saved = outlook.Save();
  Outlook other;
  ASSERT_TRUE(other.Load(saved));
  EXPECT_EQ(other.Of(Resource::kCpu)->five_minutes.p95, outlook.Of(Resource::kCpu)->five_minutes.p95);
  EXPECT_EQ(other.Save(), saved);

  Outlook untouched;
  for (std::size_t cut = 0; cut < saved.size(); cut += 997) {
    EXPECT_FALSE(untouched.Load(std::string_view(saved).substr(0, cut)));
  }
  for (std::size_t at_byte = 0; at_byte < saved.size(); at_byte += 311) {
    std::string flipped = saved;
    flipped[at_byte] = static_cast<char>(flipped[at_byte] ^ 0x40);
    EXPECT_FALSE(untouched.Load(flipped)) << at_byte;
  }
  EXPECT_FALSE(untouched.Of(Resource::kCpu));
}

}  // namespace

namespace test {
namespace {

TEST(Needs, ThatDoNotFitTogetherAreLoweredByTheSamePart) {
  // Two that jitter want more than there is together, at the policy's quantile; about what they use fits.
  NodeWorld world(1500);
  auto& a = world.Add(SpecOf("a"), 1);
  auto& b = world.Add(SpecOf("b"), 2);
  a.demand = b.demand = 640;
  a.noise = b.noise = 0.15;
  int lowered = 0;
  for (int i = 0; i < 200; ++i) {
    const Plan& plan = world.Second();
    EXPECT_LE(SumOfAllocations(plan), 1500);
    if (i < 60) continue;
    const auto& of_a = world.Of(a);
    const auto& of_b = world.Of(b);
    ASSERT_TRUE(of_a.cpu_predicted && of_a.cpu_expected);
    EXPECT_LE(Count(*of_a.cpu_expected), Count(*of_a.cpu_predicted));
    lowered += Count(*of_a.cpu_predicted) + Count(*of_b.cpu_predicted) > 1500;
  }
  EXPECT_GT(lowered, 20) << "the case this is about";
}

TEST(Needs, WithinTheOwnShareAreNotAMatterOfPrice) {
  NodeWorld world(900);
  auto& db = world.Add(SpecOf("db-1"), 1);
  auto& web = world.Add(SpecOf("web-1"), 2);
  world.Add(SpecOf("batch-1"), 3);
  world.Run(150);
  db.demand = 1000;
  world.Run(20);
  ASSERT_GT(Count(world.Of(db).cpu_allocation), 400);
  const auto own = Count(world.Of(web).cpu_entitlement);
  ASSERT_LT(Count(world.Of(web).cpu_allocation), own);
  web.demand = 1000;
  int seconds = 0;
  while (Count(world.Of(web).cpu_allocation) < own - 15 && seconds < 10) {
    world.Second();
    ++seconds;
  }
  EXPECT_LE(seconds, 2) << "the agent does it sooner";
}

TEST(Forecasts, AreMadeFromTheNodesOwnSamplesAndSurviveACheckpoint) {
  NodeWorld world;
  auto& db = world.Add(SpecOf("db-1"), 3);
  db.demand = 200;
  world.Run(1300);
  const auto told = world.engine.Foretold(db.handle(), Resource::kCpu);
  ASSERT_TRUE(told);
  EXPECT_NEAR(told->five_minutes.p50, 200, 60);
  EXPECT_GE(told->five_minutes.p99, told->five_minutes.p50);
  EXPECT_TRUE(world.engine.Foretold(db.handle(), Resource::kMemory));

  const auto blob = world.engine.SaveBaseline(db.handle());
  ASSERT_TRUE(blob);
  NodeWorld later;
  auto& again = later.Add(SpecOf("db-1"), 3);
  ASSERT_TRUE(later.engine.LoadBaseline(again.handle(), *blob));
  ASSERT_TRUE(later.engine.Foretold(again.handle(), Resource::kCpu));
  EXPECT_EQ(later.engine.Foretold(again.handle(), Resource::kCpu)->five_minutes.p95, told->five_minutes.p95);

  std::string damaged = *blob;
  damaged[damaged.size() - 100] = static_cast<char>(damaged[damaged.size() - 100] ^ 1);
  NodeWorld other;
  auto& fresh = other.Add(SpecOf("db-1"), 3);
  EXPECT_FALSE(other.engine.LoadBaseline(fresh.handle(), damaged));
  EXPECT_FALSE(other.engine.Foretold(fresh.handle(), Resource::kCpu));
  EXPECT_FALSE(other.engine.Foretold(VmHandle{99}, Resource::kCpu));
}

}  // namespace
}  // namespace test
}  // namespace whorl
