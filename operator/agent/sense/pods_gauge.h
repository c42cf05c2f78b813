#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "operator/agent/sense/cgroup_layout.h"
#include "operator/agent/sense/text_file.h"

namespace whorl::agent {

// The directory that holds all pods of a node, given the directory of one:
// everything up to the first level named kubepods. kNotFound for another path.
Result<std::string> AllPodsOf(std::string_view pod_dir);

// CPU used by all pods of the node together, enrolled or not. What runs beside
// pods (kubelet, system daemons) is not in it. Belongs to the sampling thread.
class PodsGauge {
 public:
  // Found from the directories of any one pod.
  static Result<PodsGauge> Open(const VmDirs& any_pod);
  // Cumulative microseconds.
  Result<std::uint64_t> UsageMicros() const;

 private:
  TextFile usage_;
  bool keyed_ = false;  // cpu.stat rather than cpuacct.usage
};

}  // namespace whorl::agent
