#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "operator/agent/act/cpu_files.h"
#include "operator/agent/sense/domain_reader.h"
#include "operator/agent/sense/guest_channel.h"
#include "operator/agent/sense/pods_gauge.h"
#include "operator/agent/sense/syscalls.h"
#include "operator/agent/sense/vm_sensor.h"

namespace whorl::agent {

// One enrolled VM at one tick.
struct VmReading {
  std::string pod_uid;
  Time at{};
  Reading reading;
  CpuValues cpu;  // knobs as they stand; fields absent where unreadable
  std::uint64_t pod_inode = 0;
  // Of windows that ended, where they did; both until the next tick.
  const SketchCounts* sketch = nullptr;
  const GuestWindow* guest = nullptr;
};

// Samples all enrolled VMs of the node. Belongs to the sampling thread.
class Sampler {
 public:
  // `syscalls` and `domains` may be null: their features stay unmeasured.
  Sampler(const VmFinder& finder, const KnobTree& tree, SyscallSampler* syscalls, DomainReader* domains,
          const Clock& clock);

  // Samples exactly these pods; those whose QEMU cannot be found are left out
  // and looked for again soon. The result stays valid until the next call.
  const std::vector<VmReading>& Tick(const std::vector<std::string>& pods);

  // CPU used by all pods of the node but those of the last two ticks; nullopt
  // when one of them, or the sum, was not measured at both. What runs outside
  // pods is not in it: a node's allocatable has it taken off already.
  std::optional<std::int64_t> other_cpu_millicores() const { return other_millicores_; }
  // Why a pod is not, or not fully, measured; empty when it is.
  std::string Trouble(const std::string& pod_uid) const;

 private:
  struct Vm {
    VmSensor sensor;
    GuestChannel guest;
    std::optional<std::uint32_t> syscall_slot;
    int disks = 0;
  };
  void Find(const std::vector<std::string>& pods);
  void Forget(std::map<std::string, Vm>::iterator vm);
  void MeasureOthers(Millis now);

  const VmFinder& finder_;
  const KnobTree& tree_;
  const CpuFiles files_;
  SyscallSampler* const syscalls_;
  DomainReader* const domains_;
  const Clock& clock_;
  std::map<std::string, Vm> vms_;
  std::map<std::string, std::string> missing_;
  Millis look_again_{0};
  std::vector<VmReading> readings_;
  std::vector<char> scratch_;
  std::optional<PodsGauge> all_pods_;
  struct NodeUse {
    Millis at{0};
    std::uint64_t all_pods_micros = 0;
    std::map<std::string, double> pod_micros;
  };
  std::optional<NodeUse> before_;
  std::optional<std::int64_t> other_millicores_;
};

}  // namespace whorl::agent
