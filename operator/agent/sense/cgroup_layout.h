#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"
#include "operator/agent/sense/parse.h"

namespace whorl::agent {

// Through which hierarchy limits are set. A hybrid node counts as v1.
enum class CgroupVersion { kNone, kV1, kV2 };

// The directories of one VM, absolute; empty where the hierarchy is not mounted.
struct VmDirs {
  std::string pod_uid;
  std::string pod_cpu;           // limits: cpu.shares, or cpu.weight
  std::string pod_cpuacct;       // v1 only
  std::string pod_v2;            // PSI and cpu.stat, on hybrid nodes too
  std::string container_memory;  // of the compute container
  std::string container_v2;
  std::string leaf_memory;  // where QEMU itself sits (v1)
  std::string leaf_v2;
};

// Where the cgroup hierarchies of this node are mounted. Immutable.
class CgroupLayout {
 public:
  // Keeps the mounts at or below `root` (for example /sys/fs/cgroup).
  // kUnsupported when there is neither a v1 cpu controller nor a v2 tree.
  static Result<CgroupLayout> Detect(const std::vector<CgroupMount>& mounts, std::string_view root);

  CgroupVersion version() const { return version_; }
  const std::string& cpu() const { return cpu_.mount_point; }
  const std::string& v2() const { return v2_.mount_point; }
  const std::string& memory() const { return memory_.mount_point; }

  // Locates the pod of a process by its /proc/<pid>/cgroup, never by the name
  // of a driver. kNotFound when it is in no pod.
  Result<VmDirs> Locate(std::string_view proc_cgroup) const;

  // The directory of a process's cgroup in the hierarchy by which the BPF
  // programs tell VMs apart: memory on v1, else the v2 tree.
  Result<std::string> CountedDir(std::string_view proc_cgroup) const;

 private:
  CgroupVersion version_ = CgroupVersion::kNone;
  CgroupMount cpu_, cpuacct_, memory_, v2_;  // mount_point empty = not mounted
};

}  // namespace whorl::agent
