#include "operator/agent/sense/pods_gauge.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

TEST(PodsGauge, FindsTheLevelAboveAllPodsUnderEitherDriver) {
  EXPECT_EQ(*AllPodsOf("/sys/fs/cgroup/cpu/kubepods/burstable/pod460bd230"), "/sys/fs/cgroup/cpu/kubepods");
  EXPECT_EQ(*AllPodsOf("/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod460b.slice"),
            "/sys/fs/cgroup/kubepods.slice");
  EXPECT_EQ(*AllPodsOf("/sys/fs/cgroup/cpu/world/kubepods/pod460bd230"), "/sys/fs/cgroup/cpu/world/kubepods");
  EXPECT_FALSE(AllPodsOf("/sys/fs/cgroup/cpu/system.slice/sshd"));
}

TEST(PodsGauge, CountsAllPodsAndNothingBesideThem) {
  fake::TempDir dir;
  const std::string pod = dir.path() + "/kubepods/burstable/pod460bd230";
  std::filesystem::create_directories(pod);
  std::ofstream(dir.path() + "/cpu.stat") << "usage_usec 999999999\n";
  std::ofstream(dir.path() + "/kubepods/cpu.stat") << "usage_usec 1234\nuser_usec 1000\nsystem_usec 234\n";
  VmDirs dirs;
  dirs.pod_v2 = pod;
  const auto gauge = PodsGauge::Open(dirs);
  ASSERT_TRUE(gauge) << gauge.error().message;
  EXPECT_EQ(*gauge->UsageMicros(), 1234u);
}

TEST(PodsGauge, AnUnreadableCounterIsAnErrorNotZero) {
  fake::TempDir dir;
  std::filesystem::create_directories(dir.path() + "/kubepods/pod460bd230");
  std::ofstream(dir.path() + "/kubepods/cpuacct.usage") << "not a number\n";
  VmDirs dirs;
  dirs.pod_cpuacct = dir.path() + "/kubepods/pod460bd230";
  const auto gauge = PodsGauge::Open(dirs);
  ASSERT_TRUE(gauge) << gauge.error().message;
  EXPECT_FALSE(gauge->UsageMicros());
}

}  // namespace
}  // namespace whorl::agent
