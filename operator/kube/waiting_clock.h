#pragma once

#include <stop_token>

#include "core/base/clock.h"

namespace whorl::kube {

// A clock that can also be waited on, so that back-off, renewals and retries
// are driven by a fake in tests. Implementations are thread-safe.
class WaitingClock : public Clock {
 public:
  // Waits for `duration` or until `stop` is requested, whichever is first; true
  // when the whole duration passed.
  virtual bool WaitFor(Millis duration, std::stop_token stop) = 0;
};

// The machine's clocks: CLOCK_REALTIME for stamps, CLOCK_BOOTTIME for ages.
class SystemClock final : public WaitingClock {
 public:
  Time Now() const override;
  Millis Monotonic() const override;
  bool WaitFor(Millis duration, std::stop_token stop) override;
};

}  // namespace whorl::kube
