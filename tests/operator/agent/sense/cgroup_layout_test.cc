#include "operator/agent/sense/cgroup_layout.h"

#include <gtest/gtest.h>

#include "tests/operator/agent/sense/recorded.h"

namespace whorl::agent {
namespace {

using test::kContainer;
using test::kPod;
using test::kPodUid;

constexpr const char* kHybrid =
    "1 0 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    "2 0 0:2 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n"
    "3 0 0:3 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "4 0 0:4 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
constexpr const char* kUnified = "4 0 0:4 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";

CgroupLayout Layout(const char* mountinfo, const char* root = "/sys/fs/cgroup") {
  return *CgroupLayout::Detect(*ParseCgroupMounts(mountinfo), root);
}

TEST(CgroupLayout, LocatesARecordedVmOnAHybridNode) {
  const auto layout = Layout(kHybrid);
  EXPECT_EQ(layout.version(), CgroupVersion::kV1);
  const auto dirs = layout.Locate(test::Section(test::Recording("cgroups.txt"), "qemu: cat"));
  ASSERT_TRUE(dirs) << dirs.error().message;
  EXPECT_EQ(dirs->pod_uid, kPodUid);
  const auto pod = "/world-node/kubepods/burstable/" + kPod;
  EXPECT_EQ(dirs->pod_cpu, "/sys/fs/cgroup/cpu" + pod);
  EXPECT_EQ(dirs->pod_cpuacct, "/sys/fs/cgroup/cpuacct" + pod);
  EXPECT_EQ(dirs->pod_v2, "/sys/fs/cgroup/unified" + pod);
  EXPECT_EQ(dirs->container_memory, "/sys/fs/cgroup/memory" + pod + "/" + kContainer);
  EXPECT_EQ(dirs->leaf_memory, dirs->container_memory);
}

TEST(CgroupLayout, LimitsGoThroughTheV2TreeWhereItIsTheOnlyOne) {
  const auto layout = Layout(kUnified);
  EXPECT_EQ(layout.version(), CgroupVersion::kV2);
  const auto dirs = layout.Locate(
      "0::/kubepods.slice/kubepods-pod0b06b37c_f99d_4b1a_bce6_7eb7d03f9b85.slice/crio-1.scope/container\n");
  ASSERT_TRUE(dirs);
  EXPECT_EQ(dirs->pod_cpu, "/sys/fs/cgroup/kubepods.slice/kubepods-pod0b06b37c_f99d_4b1a_bce6_7eb7d03f9b85.slice");
  EXPECT_EQ(dirs->container_v2, dirs->pod_cpu + "/crio-1.scope");
  EXPECT_EQ(dirs->leaf_v2, dirs->container_v2 + "/container");
  EXPECT_EQ(dirs->container_memory, "");
}

TEST(CgroupLayout, AThreadedHousekeepingChildIsNotWhereTheVcpusAre) {
  const auto dirs = Layout(kUnified).Locate("0::/kubepods/pod0b06b37c-f99d-4b1a-bce6-7eb7d03f9b85/c1/housekeeping\n");
  ASSERT_TRUE(dirs);
  EXPECT_EQ(dirs->leaf_v2, dirs->container_v2);
}

TEST(CgroupLayout, AMountThatShowsOnlyAPartOfTheTreeIsStrippedOfIt) {
  const auto layout = Layout("4 0 0:4 /world-node /host/cgroup rw - cgroup2 cgroup2 rw\n", "/host/cgroup");
  const auto dirs = layout.Locate("0::/world-node/kubepods/pod0b06b37c-f99d-4b1a-bce6-7eb7d03f9b85/c1\n");
  ASSERT_TRUE(dirs);
  EXPECT_EQ(dirs->pod_cpu, "/host/cgroup/kubepods/pod0b06b37c-f99d-4b1a-bce6-7eb7d03f9b85");
  const auto elsewhere = layout.Locate("0::/other/kubepods/pod0b06b37c-f99d-4b1a-bce6-7eb7d03f9b85/c1\n");
  ASSERT_TRUE(elsewhere);
  EXPECT_EQ(elsewhere->pod_cpu, "");
}

TEST(CgroupLayout, WithoutMountsItSaysWhatToDo) {
  const auto layout = CgroupLayout::Detect(*ParseCgroupMounts(kHybrid), "/host/sys/fs/cgroup");
  ASSERT_FALSE(layout);
  EXPECT_EQ(layout.error().code, Code::kUnsupported);
  EXPECT_NE(layout.error().message.find("--cgroup-root"), std::string::npos);
}

}  // namespace
}  // namespace whorl::agent
