#include "operator/agent/sense/finder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "operator/agent/sense/cpu_gauge.h"
#include "operator/agent/sense/vm_sensor.h"
#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUid = "b3a5b7ad-8c1f-4a52-9e6b-0c6c0d1f2e3a";

// A /proc and a cgroup v2 tree of plain files.
class NodeOnDisk : public testing::Test {
 protected:
  void File(const std::string& path, const std::string& text) {
    const auto full = fs::path(dir_.path()) / path;
    fs::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  void Process(int pid, const std::string& comm, const std::string& cgroup, const std::string& state = "S",
               int start = 500) {
    const auto proc = "proc/" + std::to_string(pid);
    File(proc + "/comm", comm + "\n");
    File(proc + "/cgroup", "0::" + cgroup + "\n");
    File(proc + "/stat", std::to_string(pid) + " (" + comm + ") " + state + " 1 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 5 0 " +
                             std::to_string(start) + " 1000 10\n");
  }
  void Thread(int pid, int tid, const std::string& comm, const std::string& schedstat) {
    const auto task = "proc/" + std::to_string(pid) + "/task/" + std::to_string(tid);
    File(task + "/comm", comm + "\n");
    File(task + "/schedstat", schedstat);
  }
  void Pod() {
    const auto pod = std::string("cg/kubepods/pod") + kUid;
    File(pod + "/cpu.stat", "usage_usec 5000\nuser_usec 3000\nsystem_usec 2000\nthrottled_usec 7\n");
    File(pod + "/cpu.pressure", "some avg10=0 avg60=0 avg300=0 total=11\nfull avg10=0 avg60=0 avg300=0 total=3\n");
    File(pod + "/memory.pressure", "some avg10=0 avg60=0 avg300=0 total=12\n");
    File(pod + "/io.pressure", "some avg10=0 avg60=0 avg300=0 total=13\n");
    File(pod + "/c1/memory.current", "4096\n");
    File(pod + "/c1/memory.stat",
         "anon 1\nworkingset_refault_anon 1\nworkingset_refault_file 8\npgfault 20\npgmajfault 2\n");
    Process(42, "qemu-system-x86", std::string("/kubepods/pod") + kUid + "/c1");
    Thread(42, 42, "qemu-system-x86", "1 1 1\n");
    Thread(42, 43, "CPU 0/KVM", "9000000 4000 1\n");
    Thread(42, 44, "CPU 1/KVM", "1000000 6000 1\n");
    File("proc/42/net/dev",
         "  tap0:  100       2    0    1    0     0          0         0     2000       7    0    3    0     0       0 "
         "         0\n");
  }
  VmFinder Finder() {
    const auto root = dir_.path() + "/cg";
    fs::create_directories(dir_.path() + "/proc");
    return VmFinder(
        dir_.path() + "/proc",
        *CgroupLayout::Detect(*ParseCgroupMounts("1 0 0:1 / " + root + " rw - cgroup2 cgroup2 rw\n"), root));
  }
  fake::TempDir dir_;
};

TEST_F(NodeOnDisk, FindsOnlyQemusInsidePods) {
  Pod();
  Process(50, "virt-launcher", std::string("/kubepods/pod") + kUid + "/c1");
  Process(51, "qemu-system-x86", "/system.slice/libvirtd.service");
  const auto places = Finder().Scan();
  ASSERT_TRUE(places);
  ASSERT_EQ(places->size(), 1u);
  EXPECT_EQ((*places)[0].pid, 42);
  EXPECT_EQ((*places)[0].start_ticks, 500u);
  EXPECT_EQ((*places)[0].dirs.pod_uid, kUid);
}

TEST_F(NodeOnDisk, AnotherProcessUnderTheSamePidIsNotTheSameVm) {
  Pod();
  const auto finder = Finder();
  const auto place = finder.Scan()->front();
  EXPECT_TRUE(finder.Runs(place));
  Process(42, "qemu-system-x86", std::string("/kubepods/pod") + kUid + "/c1", "S", 501);
  EXPECT_FALSE(finder.Runs(place));
  Process(42, "qemu-system-x86", std::string("/kubepods/pod") + kUid + "/c1", "Z", 500);
  EXPECT_FALSE(finder.Runs(place)) << "a zombie runs no guest";
}

TEST_F(NodeOnDisk, OfTwoQemusInOnePodTheNewerCounts) {
  Pod();
  Process(60, "qemu-system-x86", std::string("/kubepods/pod") + kUid + "/c1", "S", 900);
  const auto places = *Finder().Scan();
  EXPECT_EQ(FindVm(places, kUid)->pid, 60);
  EXPECT_EQ(FindVm(places, "other"), nullptr);
}

TEST_F(NodeOnDisk, ASensorReadsEverythingTheFilesSay) {
  Pod();
  const auto finder = Finder();
  auto sensor = VmSensor::Open(finder.Scan()->front(), finder.proc_root());
  ASSERT_TRUE(sensor) << sensor.error().message;
  std::vector<char> scratch(4096);
  Reading reading;
  ASSERT_TRUE(sensor->Sample(scratch, reading));
  EXPECT_EQ(sensor->trouble(), "");
  EXPECT_EQ(reading.Get(Feature::kCpuUsage), 5000);
  EXPECT_EQ(reading.Get(Feature::kCpuSystem), 2000);
  EXPECT_EQ(reading.Get(Feature::kCpuThrottled), 7);
  EXPECT_EQ(reading.Get(Feature::kVcpuRun), 10000);
  EXPECT_EQ(reading.Get(Feature::kVcpuDelay), 10);
  EXPECT_EQ(reading.Get(Feature::kCpuPressure), 11);
  EXPECT_EQ(reading.Get(Feature::kMemoryPressure), 12);
  EXPECT_EQ(reading.Get(Feature::kIoPressure), 13);
  EXPECT_EQ(reading.Get(Feature::kMemoryResident), 4096);
  EXPECT_EQ(reading.Get(Feature::kMemoryMajorFaults), 2);
  EXPECT_EQ(reading.Get(Feature::kMemoryRefaults), 9);
  EXPECT_EQ(reading.Get(Feature::kNetReceiveBytes), 2000);
  EXPECT_EQ(reading.Get(Feature::kNetTransmitBytes), 100);
  EXPECT_EQ(reading.valid.count(), 17);
}

TEST_F(NodeOnDisk, AMalformedSourceLosesOnlyItsOwnFeature) {
  Pod();
  const auto finder = Finder();
  auto sensor = VmSensor::Open(finder.Scan()->front(), finder.proc_root());
  ASSERT_TRUE(sensor);
  File(std::string("cg/kubepods/pod") + kUid + "/c1/memory.current", "max\n");
  std::vector<char> scratch(4096);
  Reading reading;
  ASSERT_TRUE(sensor->Sample(scratch, reading));
  EXPECT_FALSE(reading.valid.Has(Feature::kMemoryResident));
  EXPECT_EQ(reading.valid.count(), 16);
  EXPECT_NE(sensor->trouble().find("memory usage"), std::string::npos);
}

TEST_F(NodeOnDisk, APluggedVcpuClearsOneReadingAndThenCounts) {
  Pod();
  const auto finder = Finder();
  auto gauge = CpuGauge::Open(finder.Scan()->front(), finder.proc_root());
  ASSERT_TRUE(gauge);
  EXPECT_EQ(gauge->vcpus(), 2u);
  Thread(42, 45, "CPU 2/KVM", "5000000 1000 1\n");
  EXPECT_TRUE(*gauge->RefreshThreads());
  EXPECT_FALSE(*gauge->RefreshThreads());
  EXPECT_EQ(gauge->ReadVcpus()->run_us, 15000u);
}

TEST_F(NodeOnDisk, AQemuWithoutNamedThreadsMeasuresNoVcpu) {
  Pod();
  fs::remove_all(dir_.path() + "/proc/42/task/43");
  fs::remove_all(dir_.path() + "/proc/42/task/44");
  const auto finder = Finder();
  const auto gauge = CpuGauge::Open(finder.Scan()->front(), finder.proc_root());
  ASSERT_TRUE(gauge);
  EXPECT_EQ(gauge->ReadVcpus().error().code, Code::kNotFound);
}

TEST_F(NodeOnDisk, AQemuThatHasEndedIsGone) {
  Pod();
  const auto finder = Finder();
  auto sensor = VmSensor::Open(finder.Scan()->front(), finder.proc_root());
  ASSERT_TRUE(sensor);
  Process(42, "qemu-system-x86", std::string("/kubepods/pod") + kUid + "/c1", "Z");
  std::vector<char> scratch(4096);
  Reading reading;
  EXPECT_EQ(sensor->Sample(scratch, reading).error().code, Code::kGone);
}

}  // namespace
}  // namespace whorl::agent
