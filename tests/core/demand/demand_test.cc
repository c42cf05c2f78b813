#include "core/demand/demand.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace whorl {
namespace {

DemandSample Used(float used) {
  DemandSample s;
  s.used = used;
  s.most = 1000;
  return s;
}

TEST(CpuDemand, SaysNothingBeforeItHasSeenEnough) {
  CpuDemand demand;
  for (int i = 0; i < 4; ++i) {
    demand.Observe(Used(100), 0.95);
    EXPECT_FALSE(demand.predicted());
  }
  demand.Observe(Used(100), 0.95);
  ASSERT_TRUE(demand.predicted());
  EXPECT_NEAR(*demand.predicted(), 100, 15);
}

// The prediction is a quantile: the next second stays below it that often.
TEST(CpuDemand, CoversTheNextSecondAsOftenAsTheQuantileSays) {
  for (const double quantile : {0.8, 0.95, 0.99}) {
    CpuDemand demand;
    std::mt19937 random(51);
    std::lognormal_distribution<float> use(5.0f, 0.3f);
    int covered = 0, all = 0;
    for (int i = 0; i < 20'000; ++i) {
      const float next = use(random);
      if (i > 500) {
        ++all;
        covered += next <= *demand.predicted();
      }
      demand.Observe(Used(next), quantile);
    }
    EXPECT_NEAR(static_cast<double>(covered) / all, quantile, 0.025) << quantile;
  }
}

TEST(CpuDemand, FollowsARiseAtOnceAndAFallWithinSeconds) {
  CpuDemand demand;
  for (int i = 0; i < 60; ++i) demand.Observe(Used(20), 0.95);
  EXPECT_LT(*demand.predicted(), 40);
  demand.Observe(Used(600), 0.95);
  EXPECT_GE(*demand.predicted(), 600);
  for (int i = 0; i < 60; ++i) demand.Observe(Used(600), 0.95);
  for (int i = 0; i < 20; ++i) demand.Observe(Used(20), 0.95);
  EXPECT_LT(*demand.predicted(), 120);
}

// A VM at its quota shows only the quota; its need is found by giving more.
TEST(CpuDemand, GrowsWhileTheLimitHoldsTheVmBack) {
  CpuDemand demand;
  float limit = 300;
  int seconds = 0;
  for (; seconds < 20; ++seconds) {
    DemandSample s = Used(std::min(950.0f, limit));
    s.limit = limit;
    s.throttled = limit < 950 ? 400.0f : 0.0f;
    demand.Observe(s, 0.95);
    if (!demand.predicted()) continue;
    limit = std::max(limit, *demand.predicted() * 1.15f);
    if (limit >= 950) break;
  }
  EXPECT_LE(seconds, 6);
  EXPECT_LE(*demand.predicted(), 1000) << "never beyond what its vCPUs can use";
  for (int i = 0; i < 15; ++i) {
    DemandSample s = Used(200);
    s.limit = 1100;
    s.throttled = 0;
    demand.Observe(s, 0.95);
  }
  EXPECT_FALSE(demand.censored());
  EXPECT_LT(*demand.predicted(), 700);
}

TEST(CpuDemand, WaitingCountsButNeverMoreThanRunning) {
  CpuDemand starved, idle;
  for (int i = 0; i < 20; ++i) {
    DemandSample s = Used(400);
    s.waited = 300;
    starved.Observe(s, 0.95);
    s.used = 10;
    idle.Observe(s, 0.95);  // a noisy host makes an idle guest wait, too
  }
  EXPECT_GE(*starved.predicted(), 700);
  EXPECT_LT(*idle.predicted(), 50);
}

}  // namespace
}  // namespace whorl
