#include "core/telemetry/sketch.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace whorl {
namespace {

TEST(Sketch, TheOrderOfTheCallsMatters) {
  EXPECT_NE(SketchBucket(0, 1, 2), SketchBucket(2, 1, 0));
  EXPECT_NE(SketchBucket(0, 1, 2), SketchBucket(1, 0, 2));
}

// The kernel side and every stored model rely on these.
TEST(Sketch, HashesAsEverBefore) {
  EXPECT_EQ(SketchBucket(0, 0, 0), 0u);
  EXPECT_EQ(SketchBucket(0, 0, 1), 158u);
  EXPECT_EQ(SketchBucket(16, 16, 16), 65u);
  EXPECT_EQ(SketchBucket(0, 1, 257), 68u);
}

TEST(Sketch, APairRollsOnCallByCall) {
  std::uint64_t pair = whorl_sketch_pair(3, 500);
  EXPECT_EQ(whorl_sketch_bucket(pair, 7), SketchBucket(3, 500, 7));
  pair = whorl_sketch_next(pair, 7);
  EXPECT_EQ(pair, whorl_sketch_pair(500, 7));
  EXPECT_EQ(whorl_sketch_bucket(pair, 9), SketchBucket(500, 7, 9));
}

TEST(Sketch, NumbersBeyondTheTableCountAsItsLast) {
  EXPECT_EQ(SketchBucket(5, 511, 7), SketchBucket(5, 1'000'000, 7));
  EXPECT_EQ(SketchBucket(~0ull, 1, 2), SketchBucket(511, 1, 2));
}

TEST(Sketch, SpreadsTheCallsOfAnOrdinaryProgramEvenly) {
  SketchCounts counts{};
  for (std::uint64_t a = 0; a < 64; ++a) {
    for (std::uint64_t b = 0; b < 64; ++b) {
      for (std::uint64_t c = 0; c < 64; ++c) counts[SketchBucket(a, b, c)]++;
    }
  }
  const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
  EXPECT_GT(*least, 1024 * 8 / 10);
  EXPECT_LT(*most, 1024 * 12 / 10);
}

}  // namespace
}  // namespace whorl
