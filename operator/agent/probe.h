#pragma once

#include <optional>
#include <string>
#include <vector>

#include "operator/agent/act/domain_knobs.h"
#include "operator/agent/sense/finder.h"
#include "operator/agent/sense/syscall_cost.h"
#include "operator/api/node.pb.h"

namespace whorl::agent {

// What this node can sense and set, each with the reason when it cannot.
struct ProbeOptions {
  std::string cgroup_root = "/sys/fs/cgroup";
  std::string proc_root = "/proc";
  std::string state_dir = "/run/whorl";
  // Why system calls cannot be counted, "" when they can, where that is known
  // already; else the program is loaded to find out.
  std::optional<std::string> syscalls;
  // The agent's own, where it has them; else they are made for the probe.
  const DomainKnobs* domains = nullptr;
  // Also measures what counting them costs: a few seconds of one core.
  bool measure_cost = false;
};

struct ProbedVm {
  VmPlace place;
  std::size_t vcpus = 0;
  int taps = 0;
  std::string libvirt;  // path of the socket inside the pod, or what is missing
  bool has_libvirt = false;
  std::string network;  // limits of its taps as they stand, or why there are none
  bool has_tap = false;
  std::string cpu;  // knobs as they stand
};

struct ProbeReport {
  CgroupVersion version = CgroupVersion::kNone;
  std::vector<node::v1::Capability> capabilities;
  std::vector<ProbedVm> vms;
  std::optional<SyscallCost> cost;
  bool can_sense = false;
  bool can_set = false;
};

ProbeReport Probe(const ProbeOptions& options);

// The report as people read it; the exit code of `whorl-agent probe`: 0 can
// sense and set, 2 can only sense, 3 cannot sense.
std::string Render(const ProbeReport& report);
int ExitCode(const ProbeReport& report);

// The reader's cgroup namespace must be the node's, or no path of another
// process means anything. Joins it; call before any thread starts.
Status JoinHostCgroupNamespace(const std::string& proc_root);

Result<CgroupLayout> DetectLayout(const ProbeOptions& options);

}  // namespace whorl::agent
