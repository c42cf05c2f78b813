#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/base/result.h"
#include "operator/agent/sense/cgroup_layout.h"

namespace whorl::agent {

// What counting system calls costs on this machine, measured here and now.
struct SyscallCost {
  double bare_ns = 0;           // one getppid() with nothing attached
  double bystander_ns = 0;      // added to a call of a process nobody watches
  double watched_ns = 0;        // added to a call of a watched QEMU, counted and sketched
  double calls_per_second = 0;  // of the whole machine, at the moment
  // Part of one core that counting takes at that rate while it is attached: every
  // call pays as a bystander's.
  double core() const { return calls_per_second * bystander_ns * 1e-9; }
};

// Takes about three seconds and one core. Measures in a process of its own that
// is named as a QEMU is, so that it is counted as one. kUnsupported or
// kUnauthorized as LoadSyscallSource.
Result<SyscallCost> MeasureSyscallCost(const CgroupLayout& layout, const std::string& proc_root);

// The counter attached for as long as this lives.
struct TrialOptions {
  bool cgroup_v2 = false;
  bool count_everybody = false;
  std::uint64_t watched = 0;  // cgroup id; 0: none
};
class SyscallTrial {
 public:
  virtual ~SyscallTrial() = default;
  virtual std::uint64_t Watched() = 0;    // calls counted for the cgroup
  virtual std::uint64_t Everybody() = 0;  // calls of the machine, where asked for
};
Result<std::unique_ptr<SyscallTrial>> StartSyscallTrial(const TrialOptions& options);

}  // namespace whorl::agent
