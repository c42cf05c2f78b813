#pragma once

#include <algorithm>

#include "core/base/time.h"

namespace whorl::controller {

// A token bucket: how many writes the API server may still be asked for. Not
// thread-safe: it belongs to the publisher's loop.
class WriteBudget {
 public:
  WriteBudget(double per_second, double burst) : per_second_(per_second), burst_(burst), tokens_(burst) {}

  // `now` is monotonic.
  void Refill(Millis now) {
    if (!started_) {
      started_ = true;
      at_ = now;
    }
    tokens_ = std::min(burst_, tokens_ + per_second_ * static_cast<double>((now - at_).count()) / 1000.0);
    at_ = now;
  }
  bool Take() {
    if (tokens_ < 1.0) return false;
    tokens_ -= 1.0;
    return true;
  }
  // Writes somebody else made under the same budget; may run into debt.
  void Charge(double writes) { tokens_ -= writes; }

 private:
  const double per_second_;
  const double burst_;
  double tokens_;
  Millis at_{0};
  bool started_ = false;
};

}  // namespace whorl::controller
