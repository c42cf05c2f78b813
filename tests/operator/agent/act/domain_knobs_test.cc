#include "operator/agent/act/domain_knobs.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr Millis kPatience{150};

void Write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

// A libvirt socket in the file system of a QEMU's pod that takes connections and never answers.
class SilentSocket {
 public:
  explicit SilentSocket(const fs::path& path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    fs::create_directories(path.parent_path());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.string().copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0) << path;
    EXPECT_EQ(::listen(fd_, 4), 0);
  }
  ~SilentSocket() { ::close(fd_); }
  SilentSocket(const SilentSocket&) = delete;
  SilentSocket& operator=(const SilentSocket&) = delete;

 private:
  int fd_;
};

// Two pods of a node whose /proc and cgroups are folders of the test.
class DomainKnobsTest : public testing::Test {
 protected:
  DomainKnobsTest() {
    AddQemu("hangs", 4242);
    AddQemu("plain", 4343);
    fs::create_directories(Dir("empty"));
    Write(Dir("empty") + "/cgroup.procs", "");
  }
  void AddQemu(const std::string& pod, int pid) {
    const auto proc = fs::path(dir_.path()) / "proc" / std::to_string(pid);
    Write(proc / "comm", "qemu-system-x86\n");
    Write(proc / "stat", std::to_string(pid) + " (qemu) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0\n");
    fs::create_directories(proc / "root");
    Write(Dir(pod) + "/cgroup.procs", "");
    // Our own process stands for libvirtd: it is the other end of the socket.
    Write(Dir(pod) + "/c1/cgroup.procs", std::to_string(::getpid()) + "\n" + std::to_string(pid) + "\n");
  }
  std::string Dir(const std::string& pod) const { return dir_.path() + "/cgroup/pod-" + pod; }
  fs::path SocketOf(int pid) const {
    return fs::path(dir_.path()) / "proc" / std::to_string(pid) / "root/var/run/libvirt/virtqemud-sock";
  }

  fake::TempDir dir_;
  DomainKnobs::Options options_{dir_.path() + "/proc", kPatience, Millis{60000}};
};

TEST_F(DomainKnobsTest, AHangingLibvirtCostsItsOwnVmOnePatienceAndNobodyElseAnything) {
  const SilentSocket silent(SocketOf(4242));
  DomainKnobs knobs(options_);
  const auto start = Clock::now();
  const auto first = knobs.Read(Dir("hangs"), "balloon");
  EXPECT_GE(Clock::now() - start, kPatience);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, Code::kUnavailable);
  EXPECT_NE(first.error().message.find(Dir("hangs")), std::string::npos) << first.error().message;
  EXPECT_NE(first.error().message.find("kubectl logs"), std::string::npos) << "a remedy";

  const auto again = Clock::now();
  EXPECT_EQ(knobs.Write(Dir("hangs"), "balloon", "1024").error().code, Code::kUnavailable);
  EXPECT_EQ(knobs.Read(Dir("plain"), "balloon").error().code, Code::kUnavailable) << "it has no socket";
  EXPECT_LT(Clock::now() - again, kPatience) << "neither waits";
}

TEST_F(DomainKnobsTest, TheThreadIsUsedAgainOnceItIsBack) {
  DomainKnobs knobs(options_);
  {
    const SilentSocket silent(SocketOf(4242));
    EXPECT_EQ(knobs.Read(Dir("hangs"), "balloon").error().code, Code::kUnavailable);
  }  // the launcher ends, and with it the connection
  fs::remove(SocketOf(4242));
  for (const auto end = Clock::now() + Seconds{10};;) {
    const auto answer = knobs.Read(Dir("hangs"), "balloon");
    if (answer.error().message.find("no libvirt socket") != std::string::npos) break;
    ASSERT_LT(Clock::now(), end) << answer.error().message;
    std::this_thread::yield();
  }
}

TEST_F(DomainKnobsTest, WhatHangsForTooLongIsCutLoose) {
  const SilentSocket silent(SocketOf(4242));
  options_.cut_after = Millis{0};
  DomainKnobs knobs(options_);
  EXPECT_EQ(knobs.Read(Dir("hangs"), "balloon").error().code, Code::kUnavailable);
  fs::remove(SocketOf(4242));
  for (const auto end = Clock::now() + Seconds{10};;) {
    const auto answer = knobs.Read(Dir("hangs"), "balloon");
    if (answer.error().message.find("no libvirt socket") != std::string::npos) break;
    ASSERT_LT(Clock::now(), end) << answer.error().message;
    std::this_thread::yield();
  }
}

TEST_F(DomainKnobsTest, EndsAlthoughALibvirtHangs) {
  const SilentSocket silent(SocketOf(4242));
  const auto start = Clock::now();
  {
    DomainKnobs knobs(options_);
    EXPECT_FALSE(knobs.Read(Dir("hangs"), "balloon"));
  }
  EXPECT_LT(Clock::now() - start, Seconds{5});
}

TEST_F(DomainKnobsTest, APodWithoutAQemuHasNoSuchKnob) {
  DomainKnobs knobs(options_);
  EXPECT_EQ(knobs.Read(Dir("empty"), "balloon").error().code, Code::kNotFound);
  EXPECT_EQ(knobs.Read(Dir("never"), "disk@vda").error().code, Code::kNotFound);
  EXPECT_EQ(knobs.MemoryStats(Dir("empty")).error().message, "no QEMU runs in " + Dir("empty"));
}

TEST_F(DomainKnobsTest, ProcessesThatCannotBeSeenAreNotTakenForGone) {
  Write(Dir("empty") + "/c1/cgroup.procs", "0\n");
  DomainKnobs knobs(options_);
  const auto read = knobs.Read(Dir("empty"), "balloon");
  EXPECT_EQ(read.error().code, Code::kUnsupported);
  EXPECT_NE(read.error().message.find("hostPID"), std::string::npos);
}

TEST_F(DomainKnobsTest, WhatIsWrongIsRefusedBeforeAnybodyIsAsked) {
  const SilentSocket silent(SocketOf(4242));  // asking would take patience and say kUnavailable
  DomainKnobs knobs(options_);
  const auto dir = Dir("hangs");
  EXPECT_EQ(knobs.Write(dir, "balloon", "-4").error().code, Code::kInvalid);
  EXPECT_EQ(knobs.Write(dir, "balloon", "99999999999999999999").error().code, Code::kInvalid);
  EXPECT_EQ(knobs.Write(dir, "disk@vda", "read_bytes=1").error().code, Code::kInvalid);
  for (const auto* knob : {"disk@", "disk@../x", "disk@VDA", "memory.high", "", "balloons"}) {
    EXPECT_EQ(knobs.Read(dir, knob).error().code, Code::kNotFound) << knob;
    EXPECT_EQ(knobs.Write(dir, knob, "0").error().code, Code::kNotFound) << knob;
  }
}

TEST_F(DomainKnobsTest, OnePodsLivesAreToldApartByTheirCgroup) {
  DomainKnobs knobs(options_);
  EXPECT_TRUE(knobs.Inode(Dir("plain")));
  EXPECT_NE(*knobs.Inode(Dir("plain")), *knobs.Inode(Dir("hangs")));
  EXPECT_FALSE(knobs.Inode(Dir("never")));
  EXPECT_TRUE(DomainKnobs::Has("balloon"));
  EXPECT_TRUE(DomainKnobs::Has("disk@vda"));
  EXPECT_FALSE(DomainKnobs::Has("io.max@8:0"));
}

}  // namespace
}  // namespace whorl::agent
