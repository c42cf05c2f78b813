#pragma once

#include <chrono>

#include "core/base/time.h"

namespace whorl {

// Where programs get the time from; core/ itself is handed times and never asks.
// Implementations are thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall clock, for stamps people read and leases that cross processes of one node.
  virtual Time Now() const = 0;
  // Monotonic (CLOCK_BOOTTIME-like), for ages and deadlines; never goes back.
  virtual Millis Monotonic() const = 0;
};

}  // namespace whorl
