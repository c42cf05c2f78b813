#include "operator/agent/sense/parse.h"

#include <gtest/gtest.h>

#include "tests/operator/agent/sense/recorded.h"

namespace whorl::agent {
namespace {

using test::kContainer;
using test::kPod;
using test::kPodUid;
using test::RecordedFile;
using test::Recording;
using test::Section;

TEST(Parse, ReadsRecordedCounters) {
  EXPECT_EQ(*ParseCounter(RecordedFile("cpuacct/world-node/kubepods/burstable/" + kPod, "cpuacct.usage")), 4972930780u);
  EXPECT_EQ(*ParseCounter(RecordedFile("memory/world-node/kubepods/burstable/" + kPod + "/" + kContainer,
                                       "memory.usage_in_bytes")),
            342908928u);
  EXPECT_EQ(*ParseInteger(RecordedFile("cpu/world-node/kubepods/burstable/" + kPod, "cpu.cfs_quota_us")), -1);
}

TEST(Parse, NeverTurnsAMalformedNumberIntoAValue) {
  for (const auto* text : {"", "\n", "max", "12a", " 12", "-1", "1 2", "18446744073709551616", "0x10", "1e3"}) {
    EXPECT_FALSE(ParseCounter(text)) << text;
  }
  EXPECT_EQ(*ParseCounter("18446744073709551615\n"), 18446744073709551615u);
}

TEST(Parse, FindsAKeyOfARecordedFile) {
  const auto stat = RecordedFile("unified/world-node/kubepods/burstable/" + kPod, "cpu.stat");
  EXPECT_EQ(*ParseKeyed(stat, "usage_usec"), 5002020u);
  EXPECT_EQ(*ParseKeyed(stat, "system_usec"), 2149918u);
  EXPECT_EQ(ParseKeyed(stat, "throttled_usec").error().code, Code::kNotFound);
  const auto memory = RecordedFile("memory/world-node/kubepods/burstable/" + kPod + "/" + kContainer, "memory.stat");
  EXPECT_EQ(*ParseKeyed(memory, "total_pgfault"), 75939u);
  EXPECT_EQ(*ParseKeyed(memory, "total_pgmajfault"), 5u);
  EXPECT_EQ(*ParseKeyed(RecordedFile("cpu/world-node/kubepods/burstable/" + kPod, "cpu.stat"), "throttled_time"), 0u);
}

TEST(Parse, AKeyWithoutItsValueIsAnError) {
  EXPECT_EQ(ParseKeyed("usage_usec\n", "usage_usec").error().code, Code::kInvalid);
  EXPECT_EQ(ParseKeyed("usage_usec x\n", "usage_usec").error().code, Code::kInvalid);
  EXPECT_EQ(ParseKeyed("usage_usecs 5\n", "usage_usec").error().code, Code::kNotFound);
}

TEST(Parse, TakesTheTotalOfTheSomeLineOfAPressureFile) {
  EXPECT_EQ(*ParsePressureTotal(RecordedFile("unified/world-node/kubepods/burstable/" + kPod, "cpu.pressure")),
            1011894u);
  EXPECT_EQ(*ParsePressureTotal(RecordedFile("unified/world-node/kubepods/burstable/" + kPod, "memory.pressure")), 0u);
  EXPECT_FALSE(ParsePressureTotal("full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n"));
  EXPECT_FALSE(ParsePressureTotal("some avg10=0.00 avg60=0.00 avg300=0.00\n"));
  EXPECT_FALSE(ParsePressureTotal(""));
}

TEST(Parse, ReadsSchedstat) {
  const auto stat = ParseSchedstat("3137036686 93072175 3295\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->run_ns, 3137036686u);
  EXPECT_EQ(stat->delay_ns, 93072175u);
  EXPECT_FALSE(ParseSchedstat("3137036686 93072175\n"));
  EXPECT_FALSE(ParseSchedstat(""));
}

TEST(Parse, SumsTapsFromTheGuestsPointOfView) {
  const std::string text =
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier "
      "compressed\n"
      "  eth0: 9999      99    0    9    0     0          0         0     9999      99    0    9    0     0       0    "
      "      0\n"
      "  tap0:  100       2    4    1    0     0          0         0     2000       7    5    3    0     0       0    "
      "      0\n"
      "tap1a2b:   10       1    2    0    0     0          0         0        5       1    0    0    0     0       0   "
      "       0\n";
  const auto taps = ParseTaps(text);
  ASSERT_TRUE(taps);
  EXPECT_EQ(taps->taps, 2);
  EXPECT_EQ(taps->guest_sent_bytes, 110u);
  EXPECT_EQ(taps->guest_received_bytes, 2005u);
  EXPECT_EQ(taps->packets, 11u);
  EXPECT_EQ(taps->drops, 4u);
  EXPECT_EQ(taps->errors, 11u);
}

TEST(Parse, RefaultsAreAnonymousAndFilesTogether) {
  EXPECT_EQ(*ParseRefaults("pgfault 9\nworkingset_refault_anon 3\nworkingset_refault_file 40\n", false), 43u);
  EXPECT_EQ(*ParseRefaults("workingset_refault 7\nworkingset_activate 2\n", false), 7u);
  const std::string v1 =
      "workingset_refault_file 1\ntotal_workingset_refault_anon 2\ntotal_workingset_refault_file 5\n";
  EXPECT_EQ(*ParseRefaults(v1, true), 7u);
  EXPECT_EQ(ParseRefaults("pgfault 9\n", false).error().code, Code::kNotFound);
  EXPECT_EQ(ParseRefaults("workingset_refault_anon x\n", false).error().code, Code::kInvalid);
}

TEST(Parse, ReadsTheRefaultsOfARecordedLauncher) {
  const auto refaults = ParseRefaults(Recording("cgroups.txt"), true);
  ASSERT_TRUE(refaults);
  EXPECT_GT(*refaults, 0u);
}

TEST(Parse, ReadsTheTapOfARealLauncher) {
  const auto taps = ParseTaps(Recording("net-dev.txt"));
  ASSERT_TRUE(taps) << taps.error().message;
  EXPECT_EQ(taps->taps, 1);
  EXPECT_GT(taps->guest_received_bytes, 0u);
}

TEST(Parse, APodWithoutATapSaysSo) {
  EXPECT_EQ(ParseTaps("Inter-|\n face |\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n").error().code, Code::kNotFound);
  EXPECT_EQ(ParseTaps("  tap0: 1 2 3\n").error().code, Code::kInvalid);
}

TEST(Parse, CpuMaxKnowsNoLimitFromAnUnreadableOne) {
  const auto none = ParseCpuMax("max 100000\n");
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->quota_us);
  EXPECT_EQ(none->period_us, 100000);
  EXPECT_EQ(*ParseCpuMax("50000 100000\n")->quota_us, 50000);
  for (const auto* text : {"", "max", "max 0", "maximum 100000", "0 100000", "-1 100000", "5 x"})
    EXPECT_FALSE(ParseCpuMax(text)) << text;
}

TEST(Parse, ReadsAllHierarchiesOfARecordedQemu) {
  const auto lines = ParseProcCgroup(Section(Recording("cgroups.txt"), "qemu: cat"));
  ASSERT_TRUE(lines);
  EXPECT_EQ(lines->size(), 10u);
  EXPECT_EQ(lines->front().controllers, "name=systemd");
  EXPECT_EQ(lines->back().controllers, "");
  const auto pod = FindPod(lines->back().path);
  ASSERT_TRUE(pod);
  EXPECT_EQ(pod->pod_uid, kPodUid);
  EXPECT_EQ(pod->pod, "/world-node/kubepods/burstable/" + kPod);
  EXPECT_EQ(pod->container, pod->pod + "/" + kContainer);
}

struct PathCase {
  const char* name;
  const char* path;
  const char* pod;
  const char* container;
};

class PodPaths : public testing::TestWithParam<PathCase> {};

TEST_P(PodPaths, AreFoundWhateverTheDriverAndRuntime) {
  const auto pod = FindPod(GetParam().path);
  ASSERT_TRUE(pod) << pod.error().message;
  EXPECT_EQ(pod->pod_uid, "b3a5b7ad-8c1f-4a52-9e6b-0c6c0d1f2e3a");
  EXPECT_EQ(pod->pod, GetParam().pod);
  EXPECT_EQ(pod->container, GetParam().container);
}

#define SYSTEMD \
  "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podb3a5b7ad_8c1f_4a52_9e6b_0c6c0d1f2e3a.slice"
#define CGROUPFS "/kubepods/burstable/podb3a5b7ad-8c1f-4a52-9e6b-0c6c0d1f2e3a"
INSTANTIATE_TEST_SUITE_P(
    Layouts, PodPaths,
    testing::Values(
        PathCase{"SystemdCrioRunc", SYSTEMD "/crio-91cf.scope", SYSTEMD, SYSTEMD "/crio-91cf.scope"},
        PathCase{"SystemdCrioCrun", SYSTEMD "/crio-91cf.scope/container", SYSTEMD, SYSTEMD "/crio-91cf.scope"},
        PathCase{"SystemdContainerd", SYSTEMD "/cri-containerd-91cf.scope", SYSTEMD,
                 SYSTEMD "/cri-containerd-91cf.scope"},
        PathCase{"SystemdGuaranteed",
                 "/kubepods.slice/kubepods-podb3a5b7ad_8c1f_4a52_9e6b_0c6c0d1f2e3a.slice/crio-1.scope",
                 "/kubepods.slice/kubepods-podb3a5b7ad_8c1f_4a52_9e6b_0c6c0d1f2e3a.slice",
                 "/kubepods.slice/kubepods-podb3a5b7ad_8c1f_4a52_9e6b_0c6c0d1f2e3a.slice/crio-1.scope"},
        PathCase{"CgroupfsContainerd", CGROUPFS "/91cf", CGROUPFS, CGROUPFS "/91cf"},
        PathCase{"CgroupfsCrioHousekeeping", CGROUPFS "/crio-91cf/housekeeping", CGROUPFS, CGROUPFS "/crio-91cf"},
        PathCase{"KubeletWithItsOwnRoot", "/world-node" CGROUPFS "/91cf", "/world-node" CGROUPFS,
                 "/world-node" CGROUPFS "/91cf"},
        PathCase{"NodeInsideAPod", "/kubepods/podffffffff-0000-0000-0000-000000000000/node" CGROUPFS "/91cf",
                 "/kubepods/podffffffff-0000-0000-0000-000000000000/node" CGROUPFS,
                 "/kubepods/podffffffff-0000-0000-0000-000000000000/node" CGROUPFS "/91cf"}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(Parse, AProcessOutsideAnyPodIsNotFound) {
  for (const auto* path :
       {"/", "/system.slice/libvirtd.service", "/kubepods/burstable", "/kubepods/podfoo/x",
        "/kubepods/burstable/podb3a5b7ad-8c1f-4a52-9e6b-0c6c0d1f2e3a", "/machine.slice/podman-1.scope"}) {
    EXPECT_EQ(FindPod(path).error().code, Code::kNotFound) << path;
  }
}

TEST(Parse, APathOutOfTheCgroupNamespaceIsRefusedNotGuessed) {
  const auto found = FindPod("/../../podb3a5b7ad-8c1f-4a52-9e6b-0c6c0d1f2e3a/91cf");
  EXPECT_EQ(found.error().code, Code::kUnsupported);
  EXPECT_NE(found.error().message.find("hostPID"), std::string::npos);
}

TEST(Parse, ReadsTheCgroupMountsOfAHybridNode) {
  const auto mounts = ParseCgroupMounts(
      "25 20 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
      "26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
      "27 25 0:24 /node\\0401 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "28 25 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  ASSERT_TRUE(mounts);
  ASSERT_EQ(mounts->size(), 3u);
  EXPECT_EQ((*mounts)[0].controllers, (std::vector<std::string>{"rw", "cpu", "cpuacct"}));
  EXPECT_EQ((*mounts)[1].root, "/node 1");
  EXPECT_TRUE((*mounts)[2].v2);
  EXPECT_FALSE(ParseCgroupMounts("garbage\n"));
}

TEST(Parse, KnowsVcpusAndQemusByName) {
  for (const auto* name : {"CPU 0/KVM\n", "CPU 12/TCG", "ALL CPUs/TCG"}) EXPECT_TRUE(IsVcpuThread(name)) << name;
  for (const auto* name : {"IO mon_iothread", "vnc_worker", "qemu-system-x86", "CPU 0", "kvm-pit/12"})
    EXPECT_FALSE(IsVcpuThread(name)) << name;
  for (const auto* name : {"qemu-system-x86\n", "qemu-system-aar", "qemu-kvm"}) EXPECT_TRUE(IsQemu(name)) << name;
  for (const auto* name : {"qemu-img", "virtqemud", "libvirtd", "xqemu-kvm"}) EXPECT_FALSE(IsQemu(name)) << name;
}

}  // namespace
}  // namespace whorl::agent
