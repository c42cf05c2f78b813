#pragma once

#include "core/base/clock.h"

namespace whorl::fake {

// A clock that stands still until it is told otherwise. Not thread-safe.
class ManualClock : public Clock {
 public:
  Time Now() const override { return now_; }
  Millis Monotonic() const override { return monotonic_; }
  void Advance(Millis by) {
    now_ += by;
    monotonic_ += by;
  }
  // Somebody sets the wall clock; the monotonic one does not follow.
  void SetWall(Time now) { now_ = now; }

 private:
  Time now_ = FromUnixMillis(1'700'000'000'000);
  Millis monotonic_{1'000'000};
};

}  // namespace whorl::fake
