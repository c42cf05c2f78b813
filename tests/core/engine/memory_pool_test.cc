#include "core/engine/memory_pool.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>

namespace whorl {
namespace {

MemoryMember Guest(const char* id, std::uint32_t vm, std::int64_t guest, std::optional<std::int64_t> need) {
  MemoryMember m;
  m.id = id;
  m.vm = vm;
  m.guest = guest;
  m.need = need;
  m.floor_fraction = 0.25;
  return m;
}

std::int64_t Sum(std::span<const MemoryShare> shares) {
  return std::accumulate(shares.begin(), shares.end(), std::int64_t{0},
                         [](std::int64_t sum, const MemoryShare& s) { return sum + s.entitlement; });
}

TEST(MemoryPool, NobodyLendsWhileEveryGuestFits) {
  MemoryPool pool;
  const MemoryMember members[] = {Guest("a", 0, 1024, 100), Guest("b", 1, 2048, 2000)};
  for (const auto& share : pool.Divide(members, 4096, 1000)) EXPECT_FALSE(share.lends);
  EXPECT_EQ(Sum(pool.Divide(members, 4096, 2000)), 3072);
}

TEST(MemoryPool, WhoLeavesMuchIdleGivesUpFirstAndNobodyBelowItsFloor) {
  MemoryPool pool;
  const MemoryMember members[] = {Guest("busy", 0, 2048, 2000), Guest("idle", 1, 2048, 200)};
  const auto shares = pool.Divide(members, 3072, 1000);
  EXPECT_GE(shares[0].entitlement, 2000);
  EXPECT_LT(shares[1].entitlement, 1100);
  EXPECT_GE(shares[1].entitlement, 384) << "a quarter of its base share";
  EXPECT_LE(Sum(shares), 3072);
  const auto tight = pool.Divide(members, 2200, 100'000);
  EXPECT_GE(tight[1].entitlement, 275);
  EXPECT_LE(Sum(tight), 2200);
}

TEST(MemoryPool, ANeedWithinTheOwnShareComesBackWithoutWaitingForTheQuantum) {
  MemoryPool pool(60'000);
  MemoryMember members[] = {Guest("busy", 0, 2048, 2000), Guest("idle", 1, 2048, 200)};
  ASSERT_LT(pool.Divide(members, 3072, 1000)[1].entitlement, 1100);
  members[1].need = 1500;
  const auto shares = pool.Divide(members, 3072, 2000);
  EXPECT_GE(shares[1].entitlement, 1500);
  EXPECT_LE(Sum(shares), 3072);
}

TEST(MemoryPool, WithoutNewsNothingMovesWithinAQuantum) {
  MemoryPool pool(60'000);
  MemoryMember members[] = {Guest("busy", 0, 2048, 1800), Guest("idle", 1, 2048, 200)};
  const auto first = pool.Divide(members, 3072, 1000)[1].entitlement;
  members[1].need = 100;
  EXPECT_EQ(pool.Divide(members, 3072, 2000)[1].entitlement, first);
  EXPECT_LE(pool.Divide(members, 3072, 62'000)[1].entitlement, first);
}

TEST(MemoryPool, AGuestThatSaysNothingOrIsOnHoldKeepsWhatItHas) {
  MemoryPool pool;
  MemoryMember members[] = {Guest("busy", 0, 2048, 2000), Guest("deaf", 1, 2048, std::nullopt),
                            Guest("idle", 2, 2048, 200)};
  EXPECT_EQ(pool.Divide(members, 5000, 1000)[1].entitlement, 2048);
  const auto lent = pool.Divide(members, 5000, 20'000)[2].entitlement;
  EXPECT_LT(lent, 2048);
  members[2].hold = true;
  EXPECT_EQ(pool.Divide(members, 4500, 40'000)[2].entitlement, lent);
}

TEST(MemoryPool, NothingIsTakenBelowTheRequest) {
  MemoryPool pool;
  MemoryMember members[] = {Guest("busy", 0, 2048, 2048), Guest("idle", 1, 2048, 10)};
  members[1].request = 1500;
  EXPECT_GE(pool.Divide(members, 3000, 1000)[1].entitlement, 1500);
}

TEST(MemoryPool, WithoutCapacityNothingIsTakenFromAnybody) {
  MemoryPool pool;
  const MemoryMember members[] = {Guest("a", 0, 1024, 100), Guest("b", 1, 2048, 2000)};
  for (const auto& share : pool.Divide(members, 0, 1000)) EXPECT_FALSE(share.lends);
}

TEST(MemoryNeed, RisesAtOnceAndFallsByHalfInTwoMinutes) {
  MemoryNeed need;
  EXPECT_DOUBLE_EQ(need.Observe(100, 1000), 100);
  EXPECT_DOUBLE_EQ(need.Observe(900, 2000), 900);
  EXPECT_NEAR(need.Observe(100, 2000 + MemoryNeed::kHalfLifeMillis), 500, 1);
  EXPECT_DOUBLE_EQ(need.Observe(700, 3000 + MemoryNeed::kHalfLifeMillis), 700);
}

}  // namespace
}  // namespace whorl
