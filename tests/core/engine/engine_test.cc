#include "core/engine/engine.h"

#include <gtest/gtest.h>

#include "tests/core/engine/node_world.h"

namespace whorl {
namespace {

using test::NodeWorld;
using test::SpecOf;

TEST(Engine, LearnsScoresLowWhileQuietAndLendsToTheOneThatTurnsBusy) {
  NodeWorld world;
  auto& db = world.Add(SpecOf("db-1"), 1);
  auto& web = world.Add(SpecOf("web-1"), 2);
  world.Add(SpecOf("batch-1"), 3);

  bool ready = false;
  for (int i = 0; i < 100; ++i) {
    world.Second();
    ready |= world.Of(db).baseline_ready;
  }
  ASSERT_TRUE(ready);
  int highest = 0;
  for (int i = 0; i < 120; ++i) {
    world.Second();
    for (const Assessment& a : world.engine.assessments()) {
      ASSERT_TRUE(a.score.has_value());
      EXPECT_FALSE(a.episode_opened);
      highest = std::max<int>(highest, *a.score);
    }
  }
  RecordProperty("highest_calm_score", highest);
  EXPECT_LT(highest, 45);

  db.demand = 1000;
  int borrowed_after = 0, opened_after = 0;
  for (int second = 1; second <= 30; ++second) {
    const Plan& plan = world.Second();
    EXPECT_LE(test::SumOfAllocations(plan), 1500);
    if (borrowed_after == 0 && Count(world.Of(db).cpu_borrowed) > 0) borrowed_after = second;
    if (opened_after == 0 && world.Of(db).episode_opened) opened_after = second;
  }
  RecordProperty("seconds_until_borrowed", borrowed_after);
  RecordProperty("seconds_until_episode", opened_after);
  EXPECT_GT(borrowed_after, 0);
  EXPECT_LE(borrowed_after, 5);
  EXPECT_GT(opened_after, 0);
  EXPECT_LE(opened_after, 20);
  EXPECT_EQ(world.Of(db).state, State::kDeviating);
  EXPECT_GE(*world.Of(db).score, world.Of(db).threshold);
  EXPECT_GT(Count(world.Of(db).cpu_allocation), 850);
  ASSERT_GT(world.Of(db).top_count, 0);
  EXPECT_EQ(Info(world.Of(db).top[0].feature).family, Family::kCpu);
  EXPECT_GT(world.Of(db).top[0].sigmas, 5);

  // The lender wakes: its own comes back with the next plan at the latest.
  web.demand = 480;
  world.Run(2);
  EXPECT_LE(Count(world.Of(web).cpu_lent), 20);
  web.demand = 20;

  db.demand = 20;
  world.Run(60);
  EXPECT_EQ(Count(world.Of(db).cpu_borrowed), 0);
  EXPECT_EQ(world.Of(db).state, State::kNormal);
}

}  // namespace
}  // namespace whorl
