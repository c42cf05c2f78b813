#pragma once

#include <chrono>

#include "core/base/clock.h"
#include "operator/agent/journal/journal.h"

namespace whorl::agent {

// The node's own clocks.
class SystemClock : public Clock {
 public:
  Time Now() const override { return std::chrono::time_point_cast<Millis>(std::chrono::system_clock::now()); }
  Millis Monotonic() const override { return BootTime(); }
};

}  // namespace whorl::agent
