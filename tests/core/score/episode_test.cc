#include "core/score/episode.h"

#include <gtest/gtest.h>

namespace whorl {
namespace {

using Change = EpisodeTracker::Change;

class EpisodeTest : public testing::Test {
 protected:
  Change Score(std::uint8_t score) { return tracker.Observe(FromUnixMillis(1000 * ++second), score, 80); }
  EpisodeTracker tracker;
  int second = 0;
};

TEST_F(EpisodeTest, OpensAfterThreeTicksAboveTheThreshold) {
  EXPECT_EQ(Score(85), Change::kNone);
  EXPECT_EQ(Score(90), Change::kNone);
  EXPECT_EQ(Score(80), Change::kOpened);
  EXPECT_EQ(tracker.number, 1u);
  EXPECT_EQ(tracker.peak, 90);
  EXPECT_EQ(ToUnixMillis(tracker.opened), 3000);
}

TEST_F(EpisodeTest, ASpikeIsNoEpisode) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Score(95), Change::kNone);
    EXPECT_EQ(Score(95), Change::kNone);
    EXPECT_EQ(Score(79), Change::kNone);
  }
}

TEST_F(EpisodeTest, ClosesOnlyAfterCalm) {
  for (int i = 0; i < 3; ++i) Score(90);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(Score(60), Change::kNone);  // below the threshold, not calm
  for (int i = 0; i < 9; ++i) EXPECT_EQ(Score(10), Change::kNone);
  EXPECT_EQ(Score(55), Change::kNone);
  for (int i = 0; i < 9; ++i) EXPECT_EQ(Score(10), Change::kNone);
  EXPECT_EQ(Score(10), Change::kClosed);
  EXPECT_EQ(ToUnixMillis(tracker.closed), 1000 * second);
  EXPECT_FALSE(tracker.open);
}

TEST_F(EpisodeTest, TheNextEpisodeHasItsOwnPeakAndNumber) {
  for (int i = 0; i < 3; ++i) Score(99);
  tracker.Abandon(FromUnixMillis(99'000));
  for (int i = 0; i < 3; ++i) Score(82);
  EXPECT_EQ(tracker.number, 2u);
  EXPECT_EQ(tracker.peak, 82);
}

TEST_F(EpisodeTest, AbandoningNothingChangesNothing) { EXPECT_EQ(tracker.Abandon(FromUnixMillis(1)), Change::kNone); }

}  // namespace
}  // namespace whorl
