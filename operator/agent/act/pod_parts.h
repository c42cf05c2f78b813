#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"

namespace whorl::agent {

// What the knobs of a pod are named after. `dir` is the pod's CPU cgroup.
// Implementations are thread-safe.
class PodParts {
 public:
  virtual ~PodParts() = default;
  // Taps in the pod's network namespace. kNotFound: it has none.
  virtual Result<std::vector<std::string>> Taps(const std::string& dir) const = 0;
  // Block devices the pod uses, as "8:0", for io.max. kUnsupported: this node has
  // none, as on cgroup v1.
  virtual Result<std::vector<std::string>> Devices(const std::string& dir) const = 0;
};

}  // namespace whorl::agent
