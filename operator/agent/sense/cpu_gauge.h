#pragma once

#include <optional>
#include <vector>

#include "operator/agent/sense/finder.h"
#include "operator/agent/sense/text_file.h"

namespace whorl::agent {

// What one VM uses and waits for, cheap enough for several readings a second:
// open files, two to five preads. Belongs to one thread.
class CpuGauge {
 public:
  static Result<CpuGauge> Open(const VmPlace& place, const std::string& proc_root);

  struct Vcpus {
    std::uint64_t run_us = 0;
    std::uint64_t delay_us = 0;
  };

  Result<std::uint64_t> UsageMicros() const;  // of the whole pod
  Result<std::uint64_t> SystemMicros() const;
  // Summed over the vCPU threads known now. kNotFound: QEMU names no vCPU thread.
  Result<Vcpus> ReadVcpus() const;
  // Looks for threads that came (vCPU hotplug) or went. True when the set
  // changed: the sum is then another source than before.
  Result<bool> RefreshThreads();
  std::size_t vcpus() const { return vcpus_.size(); }
  bool kvm() const { return kvm_; }  // by the names of the vCPU threads

 private:
  struct Vcpu {
    int tid;
    TextFile schedstat;
  };
  CpuGauge() = default;

  TextFile usage_;   // cpu.stat of the v2 tree, or cpuacct.usage
  TextFile system_;  // v1 without a v2 tree: cpuacct.usage_sys
  bool keyed_ = false;
  bool kvm_ = false;
  std::string tasks_;
  std::vector<Vcpu> vcpus_;
};

}  // namespace whorl::agent
