#include "operator/agent/sense/syscall_cost.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <thread>

#include "operator/agent/sense/text_file.h"
#include "operator/agent/sense/vm_sensor.h"

namespace whorl::agent {
namespace {

constexpr int kCalls = 100'000;
constexpr int kRounds = 15;
constexpr double kUncounted = -1;

// The cgroup this process sits in, as the BPF program sees it.
Result<std::uint64_t> OwnCgroup(const CgroupLayout& layout, const std::string& proc_root) {
  const auto text = ReadSmallFile(proc_root + "/self/cgroup");
  if (!text) return Fail(text.error());
  const auto dir = layout.CountedDir(*text);
  return dir ? InodeOf(*dir) : Fail(dir.error());
}

// Of this thread: on a busy machine others' turns must not count.
double CpuNanos() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

double NanosPerCall() {
  const double start = CpuNanos();
  for (int i = 0; i < kCalls; ++i) ::syscall(SYS_getppid);
  return (CpuNanos() - start) / kCalls;
}

// The least of a few rounds in a process of its own: what disturbs only adds.
Result<double> MeasureInChild(const char* name) {
  int ends[2];
  if (::pipe(ends) != 0) return Fail(ErrorFromErrno(errno, "pipe"));
  const Fd from(ends[0]);
  Fd to(ends[1]);
  // Born with the name: whose a thread is, is looked at once a window, at its first call.
  char own[16] = {};
  ::prctl(PR_GET_NAME, own, 0, 0, 0);
  ::prctl(PR_SET_NAME, name, 0, 0, 0);
  const pid_t child = ::fork();
  ::prctl(PR_SET_NAME, own, 0, 0, 0);
  if (child < 0) return Fail(ErrorFromErrno(errno, "fork"));
  if (child == 0) {
    ::prctl(PR_SET_NAME, name, 0, 0, 0);
    double least = NanosPerCall();
    for (int round = 1; round < kRounds; ++round) least = std::min(least, NanosPerCall());
    ::_exit(::write(to.get(), &least, sizeof least) == static_cast<ssize_t>(sizeof least) ? 0 : 1);
  }
  to = Fd();
  double least = kUncounted;
  const bool whole = ::read(from.get(), &least, sizeof least) == static_cast<ssize_t>(sizeof least);
  ::waitpid(child, nullptr, 0);
  if (!whole) return Fail(Code::kUnavailable, "the measuring process ended early");
  return least;
}

}  // namespace

Result<SyscallCost> MeasureSyscallCost(const CgroupLayout& layout, const std::string& proc_root) {
  const bool v2 = layout.version() == CgroupVersion::kV2;
  const auto own = OwnCgroup(layout, proc_root);
  if (!own) return Fail(own.error());
  SyscallCost cost;
  {
    auto trial = StartSyscallTrial({.cgroup_v2 = v2, .count_everybody = true});
    if (!trial) return Fail(trial.error());
    const auto start = std::chrono::steady_clock::now();
    const auto before = (*trial)->Everybody();
    std::this_thread::sleep_for(std::chrono::seconds{1});
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    cost.calls_per_second = static_cast<double>((*trial)->Everybody() - before) / took.count();
  }
  const auto bare = MeasureInChild("qemu-probe");
  if (!bare) return Fail(bare.error());
  cost.bare_ns = *bare;
  {
    auto trial = StartSyscallTrial({.cgroup_v2 = v2});
    if (!trial) return Fail(trial.error());
    const auto bystander = MeasureInChild("bystander");
    if (!bystander) return Fail(bystander.error());
    cost.bystander_ns = std::max(*bystander - cost.bare_ns, 0.0);
  }
  auto trial = StartSyscallTrial({.cgroup_v2 = v2, .watched = *own});
  if (!trial) return Fail(trial.error());
  const auto watched = MeasureInChild("qemu-probe");
  if (!watched) return Fail(watched.error());
  if ((*trial)->Watched() < std::uint64_t{kCalls} * kRounds) {
    return Fail(Code::kUnavailable, "the measuring process was not counted as a VM's");
  }
  cost.watched_ns = std::max(*watched - cost.bare_ns, 0.0);
  return cost;
}

}  // namespace whorl::agent
