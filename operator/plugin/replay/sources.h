#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/engine/policy.h"
#include "core/replay/node_record.h"
#include "core/replay/recording.h"

namespace whorl::plugin {

// A recording of whorl-controller that was lived through again.
struct Relived {
  std::string path;
  Replayed replayed;
  double seconds = 0;  // that it took
  double times_real_time() const {
    return seconds > 0 ? static_cast<double>(replayed.covered.count()) / 1000 / seconds : 0;
  }
};

// What one source says of VMs, and what had to be assumed to read it so.
struct History {
  std::vector<whatif::Track> tracks;
  std::vector<std::string> assumed;  // whole sentences, each once
  std::vector<std::string> noticed;  // likewise: what was left out or masked
  std::optional<Relived> relived;
  std::optional<Policy> policy;  // under which a recording was made
};

// FILE.csv or FILE.csv.zst (operator/trace/vm_traces.h) and FILE.whorlrec.
// kInvalid for another ending, else the reader's error; messages begin with the path.
Result<History> ReadSource(const std::string& path, const Clock& clock,
                           const std::function<void(const std::string&)>& progress);

}  // namespace whorl::plugin
