#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/base/clock.h"
#include "operator/controller/ingest/baseline_bank.h"
#include "operator/controller/map/picture.h"

namespace whorl::controller {

// Draws the fleet's picture now and then, from the baselines in the bank, on a
// thread of its own that yields to everything else. Thread-safe.
class MapKeeper {
 public:
  struct Options {
    Millis first{120'000};  // after the start, and between two tries until there is something to draw
    Millis every{900'000};
  };
  // Called on the keeper's thread after each picture, with how long it took.
  using OnDrawn = std::function<void(const FleetPicture&, std::chrono::microseconds took)>;

  // `bank` and `clock` must outlive it.
  MapKeeper(const BaselineBank& bank, const Clock& clock, OnDrawn on_drawn, Options options);
  MapKeeper(const BaselineBank& bank, const Clock& clock, OnDrawn on_drawn);
  ~MapKeeper();

  void Start();
  void Stop();
  // The VMs watched now; none on a replica that does not lead, which then has no picture.
  void SetFleet(std::vector<FleetName> fleet);
  // Null before the first one.
  std::shared_ptr<const FleetPicture> Current() const;

  // One picture; what the thread does in a loop. False when there was nothing to draw.
  bool DrawOnce();

 private:
  void Run(std::stop_token stop);

  const BaselineBank& bank_;
  const Clock& clock_;
  const OnDrawn on_drawn_;
  const Options options_;

  mutable std::mutex mu_;
  std::condition_variable_any wake_;
  std::vector<FleetName> fleet_;                 // under mu_
  std::shared_ptr<const FleetPicture> picture_;  // under mu_
  std::jthread thread_;
};

}  // namespace whorl::controller
