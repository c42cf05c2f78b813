#include "operator/kube/waiting_clock.h"

#include <condition_variable>
#include <ctime>
#include <mutex>

namespace whorl::kube {

namespace {

Millis Read(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return Millis{static_cast<std::int64_t>(t.tv_sec) * 1000 + t.tv_nsec / 1'000'000};
}

}  // namespace

Time SystemClock::Now() const { return Time{Read(CLOCK_REALTIME)}; }
Millis SystemClock::Monotonic() const { return Read(CLOCK_BOOTTIME); }

bool SystemClock::WaitFor(Millis duration, std::stop_token stop) {
  std::mutex mu;
  std::condition_variable_any waiting;
  std::unique_lock lock(mu);
  waiting.wait_for(lock, stop, duration, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace whorl::kube
