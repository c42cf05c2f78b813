#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace whorl::agent {

// Readers of the kernel's text files. Pure; text in, value or error out. A
// value that is missing, malformed or too large for its type is an error,
// never 0.

// A file that holds one unsigned number: cpuacct.usage, memory.current.
Result<std::uint64_t> ParseCounter(std::string_view text);

// A file that holds one signed number: cpu.cfs_quota_us.
Result<std::int64_t> ParseInteger(std::string_view text);

// The value of `key` in a file of "key value" lines: cpu.stat, memory.stat.
// kNotFound when no line has the key.
Result<std::uint64_t> ParseKeyed(std::string_view text, std::string_view key);

// Pages that came back soon after they had been reclaimed, by memory.stat:
// anonymous and of files together where the kernel counts them apart (5.9).
// `totals`: v1, children included. kNotFound when it counts none.
Result<std::uint64_t> ParseRefaults(std::string_view text, bool totals);

// "some ... total=N" of a PSI file, microseconds.
Result<std::uint64_t> ParsePressureTotal(std::string_view text);

// /proc/<pid>/task/<tid>/schedstat.
struct Schedstat {
  std::uint64_t run_ns = 0;
  std::uint64_t delay_ns = 0;
};
Result<Schedstat> ParseSchedstat(std::string_view text);

// The sum over all tap devices of a /proc/<pid>/net/dev, in the guest's view:
// what the host transmits on the tap is what the guest receives.
struct TapCounters {
  int taps = 0;
  std::uint64_t guest_received_bytes = 0;
  std::uint64_t guest_sent_bytes = 0;
  std::uint64_t packets = 0;
  std::uint64_t drops = 0;
  std::uint64_t errors = 0;
};
// kNotFound when no device is a tap (a guest without a NIC, or passt).
Result<TapCounters> ParseTaps(std::string_view text);

// cgroup v2 cpu.max. quota_us is nullopt for "max".
struct CpuMax {
  std::optional<std::int64_t> quota_us;
  std::int64_t period_us = 0;
};
Result<CpuMax> ParseCpuMax(std::string_view text);

// One line of /proc/<pid>/cgroup. controllers is empty for cgroup v2.
struct CgroupMembership {
  std::string controllers;
  std::string path;
};
Result<std::vector<CgroupMembership>> ParseProcCgroup(std::string_view text);

// Where in a cgroup path the pod and its container stand.
struct PodPath {
  std::string pod_uid;    // with dashes, as the API server writes it
  std::string pod;        // path of the pod's cgroup
  std::string container;  // path of the container's cgroup, a child of the pod's
};
// Understands cgroupfs (pod<uid>) and systemd (…-pod<uid_>.slice) names, any
// kubelet cgroup root and any level below the container (crun's "container",
// virt-handler's "housekeeping"). kNotFound when the path leads through no pod.
Result<PodPath> FindPod(std::string_view path);

// A cgroup file system of /proc/self/mountinfo.
struct CgroupMount {
  std::string root;         // directory of the hierarchy that is mounted
  std::string mount_point;  // where
  bool v2 = false;
  std::vector<std::string> controllers;  // v1 only
};
Result<std::vector<CgroupMount>> ParseCgroupMounts(std::string_view mountinfo);

// A vCPU thread of QEMU by its name: "CPU 0/KVM", "CPU 1/TCG", "ALL CPUs/TCG".
bool IsVcpuThread(std::string_view comm);

// When a process began, clock ticks since boot, by its /proc/<pid>/stat: with the
// pid it names one process for good.
Result<std::uint64_t> ParseStartTicks(std::string_view stat);

// A QEMU by its (truncated) process name: qemu-system-*, qemu-kvm.
bool IsQemu(std::string_view comm);

}  // namespace whorl::agent
