#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "operator/agent/act/recall_watch.h"
#include "operator/agent/frame_board.h"
#include "operator/agent/metrics.h"
#include "operator/agent/sense/sampler.h"

namespace whorl::agent {

// CPU time and memory of this process.
struct OwnCost {
  std::uint64_t cpu_micros = 0;
  std::uint64_t resident_bytes = 0;
};
OwnCost MeasureOwnCost();

// The two loops of the agent: `sampler`, which makes a frame per tick, and
// `keeper`, which recalls, expires and watches for foreign writers. Started by
// the constructor, joined by the destructor.
class Loops {
 public:
  Loops(Sampler& sampler, Holder& holder, RecallWatch& recall, FrameBoard& board, const Clock& clock);
  ~Loops();
  Loops(const Loops&) = delete;
  Loops& operator=(const Loops&) = delete;

  // Thread-safe. Takes effect with the next tick.
  void set_interval(Millis interval) { interval_ms_ = interval.count(); }
  AgentFigures Figures() const;

 private:
  void Sample(const std::stop_token& stop);
  void Keep(const std::stop_token& stop);
  // False when asked to stop.
  bool SleepUntil(std::chrono::steady_clock::time_point when, const std::stop_token& stop);

  Sampler& sampler_;
  Holder& holder_;
  RecallWatch& recall_;
  FrameBoard& board_;
  const Clock& clock_;
  std::atomic<std::int64_t> interval_ms_{1000};
  std::atomic<std::uint64_t> frames_{0};
  std::atomic<std::uint64_t> vms_{0};
  std::atomic<std::uint64_t> sample_micros_{0};
  std::mutex mu_;
  std::condition_variable_any asleep_;
  std::jthread sample_thread_;
  std::jthread keep_thread_;
};

}  // namespace whorl::agent
