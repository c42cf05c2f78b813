#include "core/fingerprint/cohort.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "tests/core/fingerprint/made_up_fleet.h"

namespace whorl {
namespace {

using test::MadeUpFleet;

Cohorts Find(const std::vector<FleetVm>& fleet, const Cohorts* previous = nullptr) {
  const auto space = FindFleetSpace(fleet, nullptr);
  std::vector<std::size_t> all(fleet.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  return FindCohorts(fleet, *space, all, previous);
}

Features LevelsOf(const Behaviour& usual) {
  Features y;
  for (std::size_t f = 0; f < kFeatureCount; ++f) y.Set(f, usual.level[f]);
  return y;
}

TEST(Cohorts, AreTheKindsOfTheFleet) {
  const auto fleet = MadeUpFleet(60, 3);
  const auto cohorts = Find(fleet);
  ASSERT_EQ(cohorts.models.size(), 3u);
  EXPECT_GT(cohorts.silhouette, 0.5f);
  for (std::size_t i = 3; i < 60; ++i) EXPECT_EQ(cohorts.members[i].cohort, cohorts.members[i % 3].cohort);
  for (const CohortModel& m : cohorts.models) EXPECT_EQ(m.members, 20u);
  EXPECT_EQ(cohorts.Find(2)->id, 2u);
  EXPECT_EQ(cohorts.Find(9), nullptr);
}

TEST(Cohorts, OneKindIsOneCohort) {
  const auto cohorts = Find(MadeUpFleet(50, 1));
  ASSERT_EQ(cohorts.models.size(), 1u);
  EXPECT_EQ(cohorts.silhouette, 0);
}

TEST(Cohorts, DoublesAreOneCohort) {
  auto fleet = MadeUpFleet(12, 1);
  for (FleetVm& vm : fleet) vm.usual = fleet[0].usual;
  const auto cohorts = Find(fleet);
  ASSERT_EQ(cohorts.models.size(), 1u);
  EXPECT_EQ(cohorts.models[0].members, 12u);
  EXPECT_EQ(cohorts.members[5].distance, 0);
}

TEST(Cohorts, TooFewVmsAreNone) {
  EXPECT_TRUE(Find({}).models.empty());
  const auto cohorts = Find(MadeUpFleet(3, 1));
  EXPECT_TRUE(cohorts.models.empty());
  ASSERT_EQ(cohorts.members.size(), 3u);
  EXPECT_EQ(cohorts.members[0].cohort, 0u);
}

TEST(Cohorts, AVmLikeNobodyIsInNone) {
  auto fleet = MadeUpFleet(61, 3);
  for (float& level : fleet[60].usual.level) level = 20 - level;
  const auto cohorts = Find(fleet);
  EXPECT_EQ(cohorts.members[60].cohort, 0u);
  EXPECT_GT(cohorts.members[60].distance, 3);
  EXPECT_EQ(cohorts.models.size(), 3u);
}

TEST(Cohorts, KeepTheirNamesWhenVmsComeAndGo) {
  const auto fleet = MadeUpFleet(60, 3);
  const auto first = Find(fleet);
  // The first kind's VMs leave, a fourth kind comes.
  auto later = MadeUpFleet(120, 4);
  std::erase_if(later, [](const FleetVm& vm) { return vm.id < "vm-100060" && std::stoi(vm.id.substr(3)) % 3 == 0; });
  std::vector<FleetVm> mixed;
  for (const FleetVm& vm : fleet) {
    if (std::stoi(vm.id.substr(3)) % 3 != 100'000 % 3) mixed.push_back(vm);
  }
  for (std::size_t i = 0; i < 20; ++i) {
    FleetVm vm = MadeUpFleet(80, 4)[4 * i + 3];
    vm.id = "vm-2" + std::to_string(10'000 + i);
    mixed.push_back(vm);
  }
  const auto second = Find(mixed, &first);
  ASSERT_EQ(second.models.size(), 3u);
  for (std::size_t i = 0; i < mixed.size(); ++i) {
    if (const auto former = first.of.find(mixed[i].id); former != first.of.end()) {
      EXPECT_EQ(second.members[i].cohort, former->second);
    } else {
      EXPECT_EQ(second.members[i].cohort, first.next_id) << "a new kind gets a name never used before";
    }
  }
}

TEST(Cohorts, SameFleetGivesTheSameCohorts) {
  const auto fleet = MadeUpFleet(90, 4);
  const auto a = Find(fleet), b = Find(fleet);
  EXPECT_EQ(a.models, b.models);
  EXPECT_EQ(Find(fleet, &a).models, a.models);
}

TEST(CohortModel, KnowsTheMiddleOfItsMembersAndHowFarTheyLieApart) {
  const auto fleet = MadeUpFleet(300, 1, 0.5f);
  const auto model = Find(fleet).models.at(0);
  EXPECT_NEAR(model.between[2], 0.5f, 0.1f);
  EXPECT_NEAR(model.spread[2], 0.32f, 0.05f);
  EXPECT_EQ(model.known.count(), static_cast<int>(kFeatureCount));
}

TEST(CohortModel, DistanceGrowsWithWhatIsUnlikeTheCohortAndIsCut) {
  const auto fleet = MadeUpFleet(60, 3);
  const auto cohorts = Find(fleet);
  const CohortModel& own = *cohorts.Find(cohorts.members[0].cohort);
  const FeatureMask all = fleet[0].usual.known;
  const float at_home = own.Distance(LevelsOf(fleet[0].usual), all);
  const float abroad = own.Distance(LevelsOf(fleet[1].usual), all);
  EXPECT_LT(at_home, 1.5f);
  EXPECT_GT(abroad, 2 * at_home);
  Features wild;
  for (std::size_t f = 0; f < kFeatureCount; ++f) wild.Set(f, 1e6f);
  EXPECT_FLOAT_EQ(own.Distance(wild, all), CohortModel::kFarthest);
  EXPECT_EQ(own.Distance(wild, FeatureMask{}), 0) << "what is not measured is not far away";
}

TEST(CohortModel, AYoungVmBelievesItsCohortAndAnOldOneItself) {
  CohortModel cohort;
  cohort.known.Set(Feature::kCpuUsage);
  cohort.level.Set(0, 5);
  cohort.spread.Set(0, 0.4f);
  cohort.between.Set(0, 0.1f);  // n0 = 16
  CohortModel::Belief own;
  own.level.Set(0, 7);
  own.spread_squared.Set(0, 0.01f);
  own.level.Set(1, 3);
  own.spread_squared.Set(1, 0.02f);
  Features count;
  const auto never = cohort.Shrink(own, count);
  EXPECT_FLOAT_EQ(never.level[0], 5);
  EXPECT_FLOAT_EQ(never.spread_squared[0], 0.16f);
  count.Set(0, 16);
  EXPECT_NEAR(cohort.Shrink(own, count).level[0], 6, 1e-4f);
  count.Set(0, 1e6f);
  const auto old = cohort.Shrink(own, count);
  EXPECT_NEAR(old.level[0], 7, 1e-3f);
  EXPECT_NEAR(old.spread_squared[0], 0.01f, 1e-4f);
  EXPECT_EQ(old.level[1], 3) << "what the cohort does not know stays the VM's own";
  EXPECT_EQ(old.spread_squared[1], 0.02f);
}

}  // namespace
}  // namespace whorl
