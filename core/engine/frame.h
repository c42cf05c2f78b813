#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/time.h"
#include "core/base/units.h"
#include "core/telemetry/features.h"
#include "core/telemetry/guest_window.h"
#include "core/telemetry/sketch.h"

namespace whorl {

// A VM of this engine: dense, given out by Engine::Enrol, reused after
// Engine::Withdraw. Valid only inside one engine.
enum class VmHandle : std::uint32_t {};

// One VM's reading as the agent sent it: counters still cumulative, so that
// the engine can tell a late, repeated or backwards sample from a quiet VM.
struct VmSample {
  VmHandle vm{};
  Time sampled_at{};
  FeatureMask valid;
  // Raw readings: counters cumulative since the source began, gauges as they are.
  // Counters of time are in microseconds, all others in their own unit.
  std::array<double, kFeatureCount> raw{};
  // Limits in force on the node at the sample, as read back; nullopt = no limit or not read.
  std::optional<MilliCores> cpu_limit;
  // Places in Frame::sketches and Frame::guests; kNone where no window ended.
  static constexpr std::int32_t kNone = -1;
  std::int32_t sketch = kNone;
  std::int32_t guest = kNone;
};

// A loan the agent took back by the plan's own rule, without asking.
struct Recall {
  std::uint64_t loan = 0;  // Loan::id of the plan
  Time at{};
};

// What a node reported for one tick.
struct Frame {
  std::uint64_t sequence = 0;
  std::vector<VmSample> samples;
  std::vector<Recall> recalls;
  // Windows that ended with this tick, a part of the samples': beside them,
  // because a kilobyte each would make every sample dear.
  std::vector<SketchCounts> sketches;  // of the VMM's system calls
  std::vector<GuestWindow> guests;     // untrusted

  // Keeps the memory.
  void Clear() {
    samples.clear();
    recalls.clear();
    sketches.clear();
    guests.clear();
  }
};

}  // namespace whorl
