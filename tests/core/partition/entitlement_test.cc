#include "core/partition/entitlement.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
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

TEST(Entitlements, TheLowestPriorityClassGivesWayFirst) {
  auto a = Of("a", 100), b = Of("b", 100), c = Of("c", 100);
  for (Member* m : {&a, &b, &c}) m->floor_fraction = 0.1;
  a.request = b.request = c.request = 300;
  a.priority_class = 7;
  b.priority_class = -2;
  c.priority_class = 7;
  c.priority = 0.5;  // deviates, and so do not those of its class
  auto s = Compute({a, b, c}, 800);
  EXPECT_EQ(s[0].floor, 300);
  EXPECT_EQ(s[1].floor, 200);
  EXPECT_EQ(s[1].floor_cut, 100);
  EXPECT_EQ(s[2].floor, 300);
  s = Compute({a, b, c}, 500);  // the whole lowest class, then the calm of the next
  EXPECT_EQ(s[0].floor, 200);
  EXPECT_EQ(s[1].floor, 0);
  EXPECT_EQ(s[2].floor, 300);
  // What a policy adds above requests goes before anybody's request does.
  for (Member* m : {&a, &b, &c}) m->request = 100;
  for (Member* m : {&a, &b, &c}) m->floor_fraction = 1;
  a.weight = 700;
  s = Compute({a, b, c}, 350);
  EXPECT_GE(s[1].floor, 100);
  EXPECT_EQ(s[0].floor + s[1].floor + s[2].floor, 350);
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

TEST(Entitlements, LowerTheFloorsOfALowerClassFirstAndInProportion) {
  auto a = Of("a", 100), b = Of("b", 100), c = Of("c", 100), d = Of("d", 100);
  for (Member* m : {&a, &b, &c, &d}) m->floor_fraction = 1;
  a.priority_class = b.priority_class = -5;
  c.request = d.request = 400;  // 400 + 400 + 2 x 250 do not fit 1000
  a.request = 200;
  Entitlements e;
  std::vector<Share> s;
  const std::vector<Member> members{a, b, c, d};
  const std::vector<double> credit(4, 1.0);
  ASSERT_EQ(e.Compute(members, credit, 1000, s), Division::kFloorsLowered);
  // What is above the requests of class -5 does not suffice: its requests go, too, class 0 keeps all.
  EXPECT_TRUE(s[0].floor_scaled && s[1].floor_scaled);
  EXPECT_FALSE(s[2].floor_scaled || s[3].floor_scaled);
  EXPECT_EQ(s[2].entitlement, 400);
  EXPECT_EQ(s[3].entitlement, 400);
  EXPECT_GT(s[0].floor, 180);
  ASSERT_EQ(e.Compute(members, credit, 700, s), Division::kFloorsLowered);
  EXPECT_EQ(s[0].floor + s[1].floor, 0) << "class -5 gave all it had";
  EXPECT_EQ(s[2].floor, 350) << "within a class in proportion";
  EXPECT_EQ(s[3].floor, 350);
}

TEST(Entitlements, SayThatThereIsNothingToDivide) {
  Entitlements e;
  std::vector<Share> s;
  const std::vector<Member> members{Of("a", 100), Of("b", 100)};
  for (const std::int64_t capacity : {std::int64_t{0}, std::int64_t{-7}}) {
    EXPECT_EQ(e.Compute(members, std::vector<double>(2, 1.0), capacity, s), Division::kNoCapacity);
    EXPECT_EQ(s[0].allocation(), 0);
    EXPECT_TRUE(s[0].floor_scaled);
  }
  EXPECT_EQ(e.Compute(members, std::vector<double>(2, 1.0), 1000, s), Division::kDone);
}

TEST(Entitlements, RefuseADemandThatIsNoneWithTheVmsName) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinite = std::numeric_limits<double>::infinity();
  for (const double demand : {nan, infinite, -infinite, -1.0, 1e16}) {
    const auto need = NeedOf("default/vm-a", demand);
    ASSERT_FALSE(need) << demand;
    EXPECT_NE(need.error().message.find("default/vm-a: demand is"), std::string::npos) << need.error().message;
  }
  EXPECT_EQ(NeedOf("a", 12.2), 13);
}

TEST(Entitlements, AVmWithABadNeedKeepsItsEntitlementAndIsNamed) {
  auto bad = Of("bad", 100);
  bad.need = -3;
  const auto s = Compute({bad, Of("good", 100)}, 1000);
  EXPECT_EQ(s[0].refused, "need");
  EXPECT_EQ(s[0].entitlement, 500);
  EXPECT_EQ(s[1].refused, "");
  EXPECT_EQ(Check(bad).error().message, "bad: need must be from 0 to 10^15");
}

TEST(Entitlements, AVmWithABadPolicyIsSetAsideWithItsRequest) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  auto bad = Of("bad", nan);
  bad.request = 120;
  const auto s = Compute({bad, Of("good", 100)}, 1000);
  EXPECT_EQ(s[0].refused, "weight");
  EXPECT_EQ(s[0].entitlement, 120);
  EXPECT_EQ(s[1].entitlement, 880);
  auto worse = Of("bad", 100);
  worse.request = -9;
  EXPECT_EQ(Compute({worse, Of("good", 100)}, 1000)[0].entitlement, 0);
  for (double Member::* field : {&Member::floor_fraction, &Member::ceiling_fraction, &Member::lendable_fraction,
                                 &Member::deviation_factor, &Member::max_bonus, &Member::priority}) {
    auto m = Of("m", 100);
    for (const double wrong : {nan, -0.5, 1e300}) {
      m.*field = wrong;
      EXPECT_FALSE(Check(m)) << wrong;
      EXPECT_NE(Compute({m, Of("other", 100)}, 1000)[0].refused, "");
    }
  }
}

TEST(Entitlements, NobodyIsNothing) {
  Entitlements e;
  std::vector<Share> shares(3);
  e.Compute({}, {}, 1000, shares);
  EXPECT_TRUE(shares.empty());
}

}  // namespace
}  // namespace whorl::partition
