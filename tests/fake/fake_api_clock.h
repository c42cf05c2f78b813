#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include "operator/kube/waiting_clock.h"

namespace whorl::fake {

// A waiting clock on which waiting takes no time: WaitFor moves it forward,
// remembers how long was asked for and calls `on_wait`. Thread-safe but for
// setting on_wait.
class WaitingClock final : public kube::WaitingClock {
 public:
  // Called after each wait with its number, from 1.
  std::function<void(int count, Millis duration)> on_wait;

  Time Now() const override {
    std::scoped_lock lock(mu_);
    return now_;
  }
  Millis Monotonic() const override {
    std::scoped_lock lock(mu_);
    return monotonic_;
  }
  bool WaitFor(Millis duration, std::stop_token stop) override {
    int count = 0;
    {
      std::scoped_lock lock(mu_);
      now_ += duration;
      monotonic_ += duration;
      waits_.push_back(duration);
      count = static_cast<int>(waits_.size());
    }
    if (on_wait) on_wait(count, duration);
    return !stop.stop_requested();
  }

  void Advance(Millis by) {
    std::scoped_lock lock(mu_);
    now_ += by;
    monotonic_ += by;
  }
  // Somebody sets the wall clock; ages must not follow.
  void JumpWall(Millis by) {
    std::scoped_lock lock(mu_);
    now_ += by;
  }
  std::vector<Millis> waits() const {
    std::scoped_lock lock(mu_);
    return waits_;
  }

 private:
  mutable std::mutex mu_;
  Time now_ = FromUnixMillis(1'767'323'045'000);  // 2026-01-02T03:04:05Z
  Millis monotonic_{1'000'000};
  std::vector<Millis> waits_;
};

}  // namespace whorl::fake
