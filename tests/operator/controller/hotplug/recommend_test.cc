#include "operator/controller/hotplug/recommend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace whorl::controller::hotplug {
namespace {

using ::testing::HasSubstr;

constexpr Bytes Mi(std::int64_t n) { return Bytes{n << 20}; }
constexpr Millis kMinute{60'000};

struct Scene {
  VmFacts vm;
  InstanceFacts vmi;
  Foreseen foreseen;
  Recommender recommender;
  Millis now{0};

  Scene() {
    vm.has_cpu = true;
    vm.sockets = 1;
    vm.cores = 2;
    vm.guest = Mi(2048);
    vmi.max_sockets = 4;
    vmi.max_guest = Mi(8192);
    foreseen.buckets = 100;
    foreseen.cpu = Quantiles{.p50 = 600, .p90 = 900, .p95 = 1000, .p99 = 1200, .highest = 1500};
    const auto mib = [](float x) { return x * 1024 * 1024; };
    foreseen.memory =
        Quantiles{.p50 = mib(1500), .p90 = mib(1700), .p95 = mib(1800), .p99 = mib(1900), .highest = mib(2000)};
    foreseen.guest_usable = Mi(800);
  }
  Recommendation Now() { return recommender.Recommend(vm, vmi, foreseen, now); }
  // As the loop asks: each minute.
  Recommendation After(Millis time) {
    for (const auto end = now + time; now < end; now += kMinute) Now();
    return Now();
  }
};

TEST(Recommend, SaysNothingBeforeTwoHoursHaveBeenLearnt) {
  Scene scene;
  scene.foreseen.buckets = 23;
  const auto none = scene.Now();
  EXPECT_FALSE(none.sockets);
  EXPECT_FALSE(none.memory);
  EXPECT_EQ(none.sockets_why, "23 of 24 times five minutes have been learnt from");
  EXPECT_EQ(none.expected_migrations(), 0);
}

TEST(Recommend, AVmThatFitsKeepsItsSizeAndSaysWhatWouldDo) {
  Scene scene;
  const auto calm = scene.After(60 * kMinute);
  EXPECT_EQ(calm.sockets->target, 1);
  EXPECT_EQ(calm.memory->target, Count(Mi(2048)));
  EXPECT_EQ(calm.expected_migrations(), 0);
  EXPECT_THAT(calm.memory->why, HasSubstr("; 1280Mi would do from its next start"));
}

TEST(Recommend, SocketsAreWholeAndHoldTheQuantileWithItsMargin) {
  Scene scene;
  // 1,740 m with 15 % are 2,001 m: one core more than a socket of two has.
  scene.foreseen.cpu = Quantiles{.p50 = 900, .p90 = 1600, .p95 = 1740, .p99 = 3500, .highest = 4000};
  const auto grown = scene.After(31 * kMinute);
  EXPECT_EQ(grown.sockets->current, 1);
  EXPECT_EQ(grown.sockets->target, 2);
  EXPECT_EQ(grown.sockets->lower, 1);
  EXPECT_EQ(grown.sockets->upper, 3);
  EXPECT_EQ(grown.sockets->why, "P95 of the next hour 1800m of 2000m with 15% margin");
  EXPECT_EQ(grown.Change().sockets, 2);
  EXPECT_FALSE(grown.Change().guest);
  EXPECT_EQ(grown.expected_migrations(), 1);
  // 1,739 m fit.
  Scene fits;
  fits.foreseen.cpu = Quantiles{.p50 = 900, .p90 = 1600, .p95 = 1739, .p99 = 3500, .highest = 4000};
  EXPECT_EQ(fits.After(31 * kMinute).sockets->target, 1);
}

TEST(Recommend, NeverMoreThanTheVmCanBeGivenWithoutARestart) {
  Scene scene;
  scene.foreseen.cpu = Quantiles{.p50 = 9000, .p90 = 9000, .p95 = 9000, .p99 = 9000, .highest = 9000};
  scene.vm.memory_limit = Mi(3000);
  scene.foreseen.memory->p95 = 6000.0F * 1024 * 1024;
  const auto grown = scene.After(31 * kMinute);
  EXPECT_EQ(grown.sockets->target, 4);
  EXPECT_THAT(grown.sockets->why, HasSubstr("; more than 4 sockets would need a restart"));
  // The pod's limit binds before maxGuest.
  EXPECT_EQ(grown.memory->target, Count(Mi(2816)));
}

TEST(Recommend, MemoryIsCountedWithoutWhatTheGuestCouldDoWithoutInWholeSteps) {
  Scene scene;
  scene.foreseen.guest_usable = Mi(20);
  // (1800 - 20) x 1.15 = 2047: fits just so. Then the guest fills up.
  EXPECT_EQ(scene.After(31 * kMinute).memory->target, Count(Mi(2048)));
  scene.foreseen.guest_usable = Mi(10);
  const auto grown = scene.After(31 * kMinute);
  EXPECT_EQ(grown.memory->target, Count(Mi(2304)));
  EXPECT_EQ(grown.Change().guest, Mi(2304));
  EXPECT_EQ(grown.expected_migrations(), 1);
}

TEST(Recommend, ResidentMemoryAloneIsNoReasonToGrow) {
  Scene scene;
  scene.foreseen.memory->p95 = 8000.0F * 1024 * 1024;
  scene.foreseen.guest_usable.reset();
  const auto none = scene.After(31 * kMinute);
  EXPECT_FALSE(none.memory);
  EXPECT_EQ(none.memory_why, "the guest does not tell how much memory it could do without (no balloon statistics)");
}

TEST(Recommend, BigPagesAreWholeGibibytes) {
  Scene scene;
  scene.vm.hugepages = "1Gi";
  scene.foreseen.guest_usable = Mi(0);
  EXPECT_EQ(scene.After(31 * kMinute).memory->target, Count(Mi(3072)));
}

TEST(Recommend, AShortPeakChangesNothing) {
  Scene scene;
  scene.Now();
  scene.foreseen.cpu->p95 = 4000;
  EXPECT_EQ(scene.After(29 * kMinute).sockets->target, 1);
  scene.foreseen.cpu->p95 = 1000;
  EXPECT_EQ(scene.After(5 * kMinute).sockets->target, 1);
  // The half hour begins anew.
  scene.foreseen.cpu->p95 = 4000;
  EXPECT_EQ(scene.After(29 * kMinute).sockets->target, 1);
  EXPECT_EQ(scene.After(2 * kMinute).sockets->target, 3);
}

TEST(Recommend, RisesToTheLeastThatWasWantedAllTheTimeAndNotBelowItSoon) {
  Scene scene;
  scene.Now();
  for (int i = 0; i < 8; ++i) {
    scene.foreseen.cpu->p95 = i % 2 == 0 ? 6000.0F : 2500.0F;
    scene.After(5 * kMinute);
  }
  EXPECT_EQ(scene.Now().sockets->target, 2);
  // Six hours of calm take it back, five do not.
  scene.foreseen.cpu->p95 = 100;
  EXPECT_EQ(scene.After(Millis{5 * 3'600'000}).sockets->target, 2);
  EXPECT_EQ(scene.After(Millis{3'660'000}).sockets->target, 1);
}

TEST(Recommend, ANeedThatSwingsBetweenTwoSizesMovesTheTargetOnce) {
  Scene scene;
  int moves = 0;
  std::int64_t before = 1;
  for (int i = 0; i < 24 * 12; ++i) {  // a day in steps of five minutes
    scene.foreseen.cpu->p95 = i % 3 == 0 ? 1500.0F : 2000.0F;
    const auto target = scene.After(5 * kMinute).sockets->target;
    if (target != before) ++moves;
    before = target;
  }
  EXPECT_LE(moves, 1);
}

TEST(Recommend, AfterAResizeTheNewSizeIsWhatIsCompared) {
  Scene scene;
  scene.foreseen.cpu->p95 = 3000;
  ASSERT_EQ(scene.After(31 * kMinute).sockets->target, 2);
  scene.vm.sockets = 2;
  const auto done = scene.Now();
  EXPECT_EQ(done.sockets->target, 2);
  EXPECT_EQ(done.expected_migrations(), 0);
}

}  // namespace
}  // namespace whorl::controller::hotplug
