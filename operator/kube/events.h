#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "core/base/result.h"
#include "operator/kube/client.h"
#include "operator/kube/waiting_clock.h"

namespace whorl::kube {

struct ObjectRef {
  std::string api_version = {};  // "kubevirt.io/v1"
  std::string kind = {};         // "VirtualMachine"
  std::string ns = {};
  std::string name = {};
  std::string uid = {};  // kubectl describe matches on it

  auto operator<=>(const ObjectRef&) const = default;
};

enum class EventType { kNormal, kWarning };

struct Event {
  ObjectRef regarding = {};               // the object people describe
  std::optional<ObjectRef> related = {};  // the whorl object, if any
  EventType type = EventType::kNormal;
  std::string reason = {};  // CamelCase, fixed at compile time
  std::string action = {};  // what was done or attempted: "Scored", "RaisedLimit"
  std::string note = {};    // cut to 1 kB at a character boundary
  // What else tells it from a repeat: a note once written cannot be changed, so
  // an Event that must be read anew (another alarm, another wrong value) differs here.
  std::string distinct = {};
};

struct EventRecorderOptions {
  std::string controller = "whorl.dev/controller";  // reportingController
  std::string instance;                             // reportingInstance: the pod's name
  std::size_t queue_capacity = 1024;
  double burst = 25;  // per object
  Seconds refill{300};
  Seconds series_quiet{360};       // after so long without a repeat a series ends
  Seconds series_heartbeat{1800};  // a running series is patched this often
  Seconds flush_timeout{5};        // at Stop
  std::function<void(const Error&)> on_trouble;
};

struct EventCounters {
  std::uint64_t created = 0;
  std::uint64_t patched = 0;
  std::uint64_t series = 0;        // repeats folded into a series
  std::uint64_t rate_limited = 0;  // refused by the object's bucket
  std::uint64_t dropped = 0;       // queue full
  std::uint64_t failed = 0;        // the server would not take it
};

// Writes events.k8s.io/v1 Events. Record never blocks on the server: a bounded
// queue and a thread of its own do that. A repeat (same type, reason, action,
// regarding and related) within series_quiet becomes the count of a series: one
// patch at the second, then one per heartbeat and one at the end. Thread-safe.
class EventRecorder {
 public:
  // Both must outlive it.
  EventRecorder(Client& client, WaitingClock& clock, EventRecorderOptions options);
  ~EventRecorder();  // Stop()

  void Start();
  void Record(Event event);
  // Writes what is queued and closes series, within flush_timeout, then ends.
  void Stop();

  EventCounters counters() const;
  // Handles everything queued and due now, on the caller's thread; what the
  // thread does in a loop. Only for use without Start (tests, one-shot tools).
  void Drain();

 private:
  struct SeriesKey {
    ObjectRef regarding;
    ObjectRef related;
    EventType type;
    std::string reason;
    std::string action;
    std::string distinct;
    auto operator<=>(const SeriesKey&) const = default;
  };
  struct Series {
    std::string event_name;
    std::string event_ns;
    int count = 1;
    int written_count = 1;
    Time last_seen{};
    Millis last_seen_at{0};     // monotonic
    Millis last_written_at{0};  // monotonic
  };
  struct Bucket {
    double tokens = 0;
    Millis at{0};
  };
  struct Queued {
    Event event;
    Time seen{};
    Millis seen_at{0};
    std::string name;  // the same at every try, so that a lost answer makes no second Event
  };

  void Run(const std::stop_token& stop);
  bool Handle(const Queued& queued);  // false: the server is overloaded or away, try again later
  void SweepSeries(bool closing);
  Status CreateEvent(const Queued& queued, const std::string& ns);
  void WriteSeries(Series& series);
  bool TakeToken(const ObjectRef& object, Millis now);
  void ReturnToken(const ObjectRef& object);
  void BackOff(const Error& error);
  void Trouble(const Error& error);

  Client& client_;
  WaitingClock& clock_;
  const EventRecorderOptions options_;
  std::map<SeriesKey, Series> series_;   // recorder's thread only
  std::map<ObjectRef, Bucket> buckets_;  // recorder's thread only
  Millis back_off_until_{0};             // recorder's thread only: after a 429 or 5xx
  std::optional<Millis> flush_until_;    // recorder's thread only: set while ending

  mutable std::mutex mu_;
  std::condition_variable_any ready_;
  std::deque<Queued> queue_;    // under mu_
  std::uint64_t sequence_ = 0;  // under mu_
  EventCounters counters_;      // under mu_
  std::jthread thread_;
};

}  // namespace whorl::kube
