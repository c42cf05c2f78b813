#include "operator/controller/hotplug/budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace whorl::controller::hotplug {
namespace {

using ::testing::ElementsAre;

const Time kNow{Seconds{1'767'000'000}};
constexpr auto kHour = std::chrono::hours{1};

std::string_view CodeOf(const Spent& spent, const Budget& budget = {}, const KubeVirtFacts& kubevirt = {}) {
  const auto refusal = OverBudget(budget, kubevirt, spent, kNow);
  return refusal ? refusal->code : "within";
}

TEST(HotplugBudget, CountsChangesOfOneVmOverADay) {
  EXPECT_EQ(CodeOf({}), "within");
  EXPECT_EQ(CodeOf({.changes = {kNow - 3 * kHour}}), "within");
  EXPECT_EQ(CodeOf({.changes = {kNow - 3 * kHour, kNow - kHour}}), "ChangesOfDaySpent");
  EXPECT_EQ(CodeOf({.changes = {kNow - 25 * kHour, kNow - kHour}}), "within");
  const auto refusal = OverBudget({}, {}, {.changes = {kNow - 3 * kHour, kNow - kHour}}, kNow);
  EXPECT_EQ(refusal->text, "2 of 2 changes of this VM's size in a day are spent, until 2025-12-30T06:20:00Z");
}

TEST(HotplugBudget, AClockSetBackGrantsNoSecondBudget) {
  EXPECT_EQ(CodeOf({.changes = {kNow + kHour, kNow + 2 * kHour}}), "ChangesOfDaySpent");
}

TEST(HotplugBudget, StopsFarBelowKubeVirtsAlertWhoeverMigrated) {
  Spent spent;
  for (int i = 0; i < kMostMigrationsPerDay - 1; ++i) spent.migrations.push_back(kNow - i * kHour);
  EXPECT_EQ(CodeOf(spent), "within");
  spent.migrations.push_back(kNow - 20 * kHour);
  EXPECT_EQ(CodeOf(spent), "MigrationsNearAlert");
  // Even one that fails and is tried again by KubeVirt a few times stays below it.
  EXPECT_LE(kMostMigrationsPerDay + 3, kAlarmingMigrations - 1);
}

TEST(HotplugBudget, HoldsPerNodeAndPerClusterAndNeverMoreThanKubeVirtDoesItself) {
  EXPECT_EQ(CodeOf({.on_node = 1, .in_cluster = 1}), "NodeBusy");
  EXPECT_EQ(CodeOf({.on_node = 0, .in_cluster = 1}), "within");
  EXPECT_EQ(CodeOf({.on_node = 0, .in_cluster = 2}), "ClusterBusy");
  EXPECT_EQ(CodeOf({.on_node = 1, .in_cluster = 1}, {.at_once_per_node = 2}), "within");
  KubeVirtFacts small;
  small.migrations_per_cluster = 1;
  EXPECT_EQ(CodeOf({.on_node = 0, .in_cluster = 1}, {}, small), "ClusterBusy");
  small.migrations_per_node = 1;
  EXPECT_EQ(CodeOf({.on_node = 1, .in_cluster = 0}, {.at_once_per_node = 2}, small), "NodeBusy");
}

TEST(HotplugBudget, TheDayIsWhatIsStoredAndWhatIsSeenEachOnce) {
  const auto day = LastDay({kNow - 30 * kHour, kNow - 2 * kHour}, {kNow - 2 * kHour + Millis{400}, kNow - kHour}, kNow);
  EXPECT_THAT(day, ElementsAre(kNow - 2 * kHour, kNow - kHour));
}

TEST(HotplugBudget, MigrationsInFlightAreCountedOnTheNodeTheyLeave) {
  Migration pending{.ns = "default", .name = "a", .uid = "1", .vmi = "db-1", .phase = "Pending", .source_node = {}};
  Migration running{
      .ns = "default", .name = "b", .uid = "2", .vmi = "web-1", .phase = "Running", .source_node = "node-2"};
  Migration over{
      .ns = "default", .name = "c", .uid = "3", .vmi = "web-2", .phase = "Succeeded", .source_node = "node-2"};
  Migration failed{.ns = "default", .name = "d", .uid = "4", .vmi = "web-2", .phase = "Failed", .source_node = {}};
  const auto by_node = InFlight({&pending, &running, &over, &failed}, {{"default/db-1", "node-1"}});
  EXPECT_THAT(by_node, ElementsAre(std::pair("node-1", 1), std::pair("node-2", 1)));
}

}  // namespace
}  // namespace whorl::controller::hotplug
