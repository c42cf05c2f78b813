#include "operator/agent/act/cpu_files.h"

#include <gtest/gtest.h>

#include "tests/fake/fake_knob_tree.h"

namespace whorl::agent {
namespace {

TEST(CpuFiles, ReadsV1) {
  const fake::FakeKnobTree tree(
      {{"/pod", {{"cpu.shares", "109"}, {"cpu.cfs_quota_us", "-1"}, {"cpu.cfs_period_us", "100000"}}}});
  EXPECT_EQ(*CpuFiles(CgroupVersion::kV1).Read(tree, "/pod"), (CpuValues{109, -1, 100000}));
}

TEST(CpuFiles, ReadsV2OnTheScaleOfV1) {
  const fake::FakeKnobTree tree({{"/pod", {{"cpu.weight", "100"}, {"cpu.max", "50000 100000"}}}});
  const auto values = CpuFiles(CgroupVersion::kV2).Read(tree, "/pod");
  ASSERT_TRUE(values);
  EXPECT_EQ(WeightFromShares(*values->shares), 100u);
  EXPECT_EQ(values->quota_us, 50000);
  EXPECT_EQ(QuotaMillicores(*values), 500);
}

TEST(CpuFiles, AMaxIsAValueAndAnUnreadableFileAnError) {
  fake::FakeKnobTree tree({{"/pod", {{"cpu.weight", "1"}, {"cpu.max", "max 100000"}}},
                           {"/bad", {{"cpu.weight", "x"}, {"cpu.max", "max 100000"}}}});
  const CpuFiles files(CgroupVersion::kV2);
  const auto values = files.Read(tree, "/pod");
  ASSERT_TRUE(values);
  EXPECT_EQ(values->quota_us, -1);
  EXPECT_EQ(QuotaMillicores(*values), std::nullopt);
  EXPECT_FALSE(files.Read(tree, "/bad"));
  EXPECT_EQ(files.Read(tree, "/none").error().code, Code::kNotFound);
}

TEST(CpuFiles, KubeletsWeightsAndOursAreTheSame) {
  // shares: weight, by kubelet's formula.
  EXPECT_EQ(WeightFromShares(2), 1u);
  EXPECT_EQ(WeightFromShares(102), 4u);
  EXPECT_EQ(WeightFromShares(1024), 39u);
  EXPECT_EQ(WeightFromShares(262144), 10000u);
  for (std::uint32_t weight = 1; weight <= 10000; ++weight)
    ASSERT_EQ(WeightFromShares(SharesFromWeight(weight)), weight);
}

TEST(CpuFiles, WritesEachVersionsText) {
  const CpuFiles v1(CgroupVersion::kV1);
  const CpuFiles v2(CgroupVersion::kV2);
  EXPECT_EQ(v1.SharesText(512), "512");
  EXPECT_EQ(v2.SharesText(1024), "39");
  EXPECT_EQ(v1.QuotaText(QuotaMicros(500, 100000), 100000), "50000");
  EXPECT_EQ(v2.QuotaText(QuotaMicros(500, 50000), 50000), "25000 50000");
}

}  // namespace
}  // namespace whorl::agent
