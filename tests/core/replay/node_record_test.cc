#include "core/replay/node_record.h"

#include <gtest/gtest.h>

#include <cmath>

namespace whorl::whatif {
namespace {

Track TrackOf(std::string vm, std::vector<std::pair<int, float>> minutes_and_cores, std::string node = "n") {
  Track track;
  track.vm = std::move(vm);
  track.node = std::move(node);
  track.size = 4;
  for (const auto& [minute, cores] : minutes_and_cores) {
    track.samples.push_back({FromUnixMillis(std::int64_t{minute} * 60'000), cores});
  }
  return track;
}

TEST(LayOut, PutsTheVmsOfANodeOnOneGrid) {
  const auto nodes = LayOut(
      {TrackOf("b", {{5, 2}, {10, 3}}), TrackOf("a", {{0, 1}, {5, 1}, {10, 1}}), TrackOf("c", {{0, 1}, {5, 1}}, "m")},
      {});
  ASSERT_EQ(nodes.size(), 2u);
  EXPECT_EQ(nodes[0].name, "m");
  const Node& node = nodes[1];
  EXPECT_EQ(node.step, Millis{300'000});
  ASSERT_EQ(node.vms.size(), 2u);
  EXPECT_EQ(node.vms[0].name, "a");
  EXPECT_EQ(node.periods(), 3u);
  EXPECT_EQ(node.vms[1].here, (std::vector<std::uint8_t>{0, 1, 1}));
  EXPECT_EQ(node.odd.appeared, 1u);
  EXPECT_EQ(node.odd.vanished, 0u);
}

TEST(LayOut, MasksAShortGapAndTakesALongOneForAbsence) {
  const auto nodes = LayOut({TrackOf("a", {{0, 1}, {5, 1}, {20, 1}, {25, 1}, {200, 1}, {205, 1}})}, {});
  const Node& node = nodes.at(0);
  EXPECT_EQ(node.odd.gaps, 2u);
  EXPECT_EQ(node.odd.masked, 2u);  // minutes 10 and 15
  EXPECT_TRUE(std::isnan(node.vms[0].used[2]));
  EXPECT_EQ(node.vms[0].here[2], 1);
  EXPECT_EQ(node.vms[0].here[20], 0);  // minute 100
  EXPECT_EQ(node.vms[0].here[40], 1);
}

TEST(LayOut, DropsWhatComesFromAClockThatWasSetBack) {
  const auto nodes = LayOut({TrackOf("a", {{0, 1}, {5, 1}, {10, 1}, {0, 9}, {5, 9}, {15, 2}})}, {});
  EXPECT_EQ(nodes.at(0).odd.clock_steps, 2u);
  EXPECT_FLOAT_EQ(nodes[0].vms[0].used[0], 1);
  EXPECT_FLOAT_EQ(nodes[0].vms[0].used[3], 2);
}

TEST(LayOut, AveragesSamplesOfOnePeriodAndCutsWhatAVmCannotUse) {
  const auto nodes =
      LayOut({TrackOf("a", {{0, 1}, {5, 2}, {6, 4}, {10, 40}, {15, -1}, {20, 1}})}, {.step = Millis{300'000}});
  const Node& node = nodes.at(0);
  EXPECT_FLOAT_EQ(node.vms[0].used[1], 3);
  EXPECT_EQ(node.odd.repeated, 1u);
  EXPECT_FLOAT_EQ(node.vms[0].used[2], 4);
  EXPECT_EQ(node.odd.above_size, 1u);
  EXPECT_TRUE(std::isnan(node.vms[0].used[3]));
}

TEST(LayOut, FillsNodesInOrderWhenNobodySaidWhereAVmRan) {
  std::vector<Track> tracks;
  for (const char* vm : {"a", "b", "c"}) tracks.push_back(TrackOf(vm, {{0, 1}, {5, 1}}, ""));
  const auto nodes = LayOut(std::move(tracks), {.vms_per_node = 2});
  ASSERT_EQ(nodes.size(), 2u);
  EXPECT_EQ(nodes[0].name, "node-01");
  EXPECT_EQ(nodes[0].vms.size(), 2u);
}

TEST(LayOut, LeavesOutVmsOfWhichNothingWasMeasured) {
  const auto nodes =
      LayOut({TrackOf("a", {{0, std::nanf("")}, {5, std::nanf("")}}), TrackOf("b", {{0, 1}, {5, 1}})}, {});
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_EQ(nodes[0].odd.left_out_vms, 1u);
  EXPECT_EQ(nodes[0].vms.size(), 1u);
  EXPECT_TRUE(LayOut({}, {}).empty());
}

TEST(LayOut, TakesTheNodesCapacityFromTheSourceUnlessTold) {
  auto track = TrackOf("a", {{0, 1}, {5, 1}});
  EXPECT_FALSE(LayOut({track}, {}).at(0).capacity);
  track.node_capacity = 16;
  EXPECT_EQ(LayOut({track}, {}).at(0).capacity, 16);
  EXPECT_EQ(LayOut({track}, {.capacity = 8}).at(0).capacity, 8);
}

TEST(LayOut, ContinuesAVmInAnotherFile) {
  const auto nodes = LayOut({TrackOf("a", {{10, 2}, {15, 2}}), TrackOf("a", {{0, 1}, {5, 1}})}, {});
  EXPECT_EQ(nodes.at(0).periods(), 4u);
  EXPECT_FLOAT_EQ(nodes[0].vms[0].used[0], 1);
  EXPECT_EQ(nodes[0].odd.clock_steps, 0u);
}

TEST(LayOut, CountsWhatWasAtItsOwnersLimit) {
  auto track = TrackOf("a", {{0, 1}, {5, 2}, {10, 2}});
  track.limit = 2;
  EXPECT_EQ(LayOut({track}, {}).at(0).odd.at_limit, 2u);
}

}  // namespace
}  // namespace whorl::whatif
