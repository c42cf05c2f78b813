#include "core/partition/shares.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace whorl::partition {
namespace {

std::vector<std::uint32_t> Split(const std::vector<std::int64_t>& allocations, std::uint64_t total) {
  ShareSplitter splitter;
  std::vector<std::uint32_t> out;
  splitter.Split(allocations, total, out);
  return out;
}

TEST(ShareSplitter, ConservesTheWeightThePodsHadTogether) {
  const auto s = Split({250, 500, 750}, 306);
  EXPECT_EQ(std::accumulate(s.begin(), s.end(), 0u), 306u);
  EXPECT_EQ(s[0], 51u);
  EXPECT_EQ(s[1], 102u);
  EXPECT_EQ(s[2], 153u);
}

TEST(ShareSplitter, NobodyFallsBelowTheKernelsLeast) {
  const auto s = Split({1, 100'000}, 10);
  EXPECT_EQ(s[0], kLeastCgroupShares);
  EXPECT_EQ(s[0] + s[1], 10u);
}

TEST(ShareSplitter, NobodyIsNothing) { EXPECT_TRUE(Split({}, 0).empty()); }

}  // namespace
}  // namespace whorl::partition
