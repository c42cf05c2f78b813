#include "operator/controller/ingest/capacity.h"

#include <gtest/gtest.h>

namespace whorl::controller {
namespace {

CapacityFacts Facts(std::int64_t allocatable, std::int64_t reserve, std::int64_t requests,
                    std::optional<std::int64_t> p95) {
  CapacityFacts facts;
  facts.allocatable = MilliCores{allocatable};
  facts.reserve = MilliCores{reserve};
  facts.other_requests = MilliCores{requests};
  if (p95) facts.other_use_p95 = MilliCores{*p95};
  return facts;
}

TEST(CpuCapacity, TakesOffReserveAndTheLargerOfRequestsAndUse) {
  EXPECT_EQ(CpuCapacity(Facts(4000, 500, 1000, 300)).capacity, MilliCores{2500});
  EXPECT_EQ(CpuCapacity(Facts(4000, 500, 1000, 1700)).capacity, MilliCores{1800});
  EXPECT_EQ(CpuCapacity(Facts(4000, 500, 1000, 1701)).others, MilliCores{1750});  // in steps of 50m
  EXPECT_EQ(CpuCapacity(Facts(4000, 500, 1000, std::nullopt)).capacity, MilliCores{2500});
}

TEST(CpuCapacity, IsNeverAboveThePolicysCapNorBelowNothing) {
  auto facts = Facts(4000, 0, 0, 0);
  facts.cap = MilliCores{1200};
  EXPECT_EQ(CpuCapacity(facts).capacity, MilliCores{1200});
  facts.other_use_p95 = MilliCores{3900};
  EXPECT_EQ(CpuCapacity(facts).capacity, MilliCores{1200});  // the administrator's word stands over a busy minute
  facts.other_requests = MilliCores{3500};
  EXPECT_EQ(CpuCapacity(facts).capacity, MilliCores{500});  // but not over what others were promised
  facts.other_requests = MilliCores{0};
  facts.cap = MilliCores{9000};
  EXPECT_EQ(CpuCapacity(facts).capacity, MilliCores{4000});
  EXPECT_EQ(CpuCapacity(Facts(1000, 900, 900, 0)).capacity, MilliCores{0});
}

TEST(CpuCapacity, IsUnknownWhileTheNodesSizeIsUnknown) {
  CapacityFacts facts;
  facts.cap = MilliCores{1200};
  EXPECT_FALSE(CpuCapacity(facts).capacity.has_value());
}

TEST(RecentUse, IsTheNearestRankOfTheLastReadings) {
  RecentUse use(100);
  EXPECT_FALSE(use.P95().has_value());
  use.Push(MilliCores{7});
  EXPECT_EQ(use.P95(), MilliCores{7});
  for (int i = 1; i <= 100; ++i) use.Push(MilliCores{i});
  EXPECT_EQ(use.P95(), MilliCores{95});
  for (int i = 0; i < 100; ++i) use.Push(MilliCores{3});  // the old readings are gone
  EXPECT_EQ(use.P95(), MilliCores{3});
}

}  // namespace
}  // namespace whorl::controller
