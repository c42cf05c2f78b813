#include "core/partition/entitlement.h"

#include <gtest/gtest.h>

#include <vector>

namespace whorl::partition {
namespace {

Member Of(std::string_view id, double weight) {
  Member m;
  m.id = id;
  m.weight = weight;
  m.floor_fraction = 0.5;
  m.ceiling_fraction = 4;
  m.lendable_fraction = 0.8;
  m.deviation_factor = 0.5;
  m.max_bonus = 0.5;
  m.need = 100;
  return m;
}

std::vector<Share> Compute(const std::vector<Member>& members, std::int64_t capacity, double credit = 1) {
  Entitlements e;
  std::vector<Share> shares;
  e.Compute(members, std::vector<double>(members.size(), credit), capacity, shares);
  return shares;
}

TEST(Entitlements, AreInProportionToWeightWhenNothingSpeaksAgainst) {
  const auto s = Compute({Of("a", 100), Of("b", 200), Of("c", 100)}, 2000);
  EXPECT_EQ(s[0].entitlement, 500);
  EXPECT_EQ(s[1].entitlement, 1000);
  EXPECT_EQ(s[2].entitlement, 500);
  EXPECT_EQ(s[0].floor, 250);
  EXPECT_EQ(s[0].ceiling, 2000);
}

TEST(Entitlements, KeepTheUsersLimitAndGiveTheRestToOthers) {
  auto a = Of("a", 100);
  a.limit = 300;
  const auto s = Compute({a, Of("b", 100)}, 1000);
  EXPECT_EQ(s[0].entitlement, 300);
  EXPECT_EQ(s[1].entitlement, 700);
}

TEST(Entitlements, NeverFallBelowRequests) {
  auto a = Of("a", 10);
  a.request = 400;
  const auto s = Compute({a, Of("b", 1000)}, 1000);
  EXPECT_GE(s[0].entitlement, 400);
  EXPECT_FALSE(s[0].floor_scaled);
}

TEST(Entitlements, LowerFloorsThatDoNotFitAndSaySo) {
  auto a = Of("a", 100), b = Of("b", 100), calm = Of("c", 100);
  a.request = b.request = calm.request = 300;
  for (Member* m : {&a, &b, &calm}) m->floor_fraction = 1;
  a.priority = 0.9;
  // Requests fit, floors (333 each) nearly; 950 do not hold all three floors.
  const auto fits = Compute({a, b, calm}, 1000);
  EXPECT_FALSE(fits[1].floor_scaled);
  // 800 do not even hold the requests: the calm ones give first.
  const auto s = Compute({a, b, calm}, 800);
  EXPECT_EQ(s[0].floor, 300);
  EXPECT_TRUE(s[1].floor_scaled);
  EXPECT_TRUE(s[2].floor_scaled);
  EXPECT_LE(s[0].entitlement + s[1].entitlement + s[2].entitlement, 800);
}

TEST(Entitlements, ADeviatingVmGetsABonusOnlyUnderContention) {
  auto a = Of("a", 100), b = Of("b", 100);
  a.priority = 0.8;
  a.need = 900;
  b.need = 50;
  EXPECT_EQ(Compute({a, b}, 1000)[0].entitlement, 500) << "enough for all: no bonus, lending will do";
  b.need = 600;
  const auto s = Compute({a, b}, 1000);
  EXPECT_GT(s[0].entitlement, 500);
  EXPECT_EQ(s[0].entitlement + s[1].entitlement, 1000);
  EXPECT_EQ(s[0].plain, 500);
}

TEST(Entitlements, TheBonusIsBoundedByPolicyNeedAndCredits) {
  auto a = Of("a", 100), b = Of("b", 100);
  a.priority = 1;
  b.need = 900;
  a.need = 520;
  EXPECT_LE(Compute({a, b}, 1000)[0].entitlement, 520) << "never above predicted demand";
  a.need = 5000;
  a.deviation_factor = 100;
  EXPECT_LE(Compute({a, b}, 1000)[0].entitlement, 500 + 250) << "never above max_bonus of base";
  EXPECT_EQ(Compute({a, b}, 1000, 0)[0].entitlement, 500) << "nothing left to pay with";
}

TEST(Entitlements, NobodyIsNothing) {
  Entitlements e;
  std::vector<Share> shares(3);
  e.Compute({}, {}, 1000, shares);
  EXPECT_TRUE(shares.empty());
}

}  // namespace
}  // namespace whorl::partition
