#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "operator/agent/sense/cgroup_layout.h"

namespace whorl::agent {

// A QEMU that runs inside a pod of this node.
struct VmPlace {
  int pid = 0;                    // in the agent's PID namespace
  std::uint64_t start_ticks = 0;  // with the pid names one process for good
  VmDirs dirs;
};

// Where the VMs of this node are. Thread-safe.
class VmDirectory {
 public:
  virtual ~VmDirectory() = default;
  // Every QEMU in a pod, as of now.
  virtual Result<std::vector<VmPlace>> Scan() const = 0;
  // Whether that very process still runs.
  virtual bool Runs(const VmPlace& place) const = 0;
};

// The QEMU of a pod in a scan's result, or null. While a guest restarts inside
// its pod two may live for a moment: the newer counts.
const VmPlace* FindVm(const std::vector<VmPlace>& places, std::string_view pod_uid);

// Finds VMs by their processes: a pod is known by the cgroup path of a QEMU,
// so nothing is guessed from the cgroup driver or the container runtime.
// Processes that vanish while being looked at are skipped.
class VmFinder : public VmDirectory {
 public:
  VmFinder(std::string proc_root, CgroupLayout layout);

  Result<std::vector<VmPlace>> Scan() const override;
  bool Runs(const VmPlace& place) const override;

  const CgroupLayout& layout() const { return layout_; }
  const std::string& proc_root() const { return proc_root_; }

 private:
  const std::string proc_root_;
  const CgroupLayout layout_;
};

}  // namespace whorl::agent
