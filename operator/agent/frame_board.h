#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>

#include "core/base/time.h"
#include "operator/api/node.pb.h"

namespace whorl::agent {

// Where the sampling thread leaves its newest frame and streams pick it up. A
// slow reader gets the newest, never a queue. Thread-safe.
class FrameBoard {
 public:
  void Publish(std::shared_ptr<const node::v1::Frame> frame) {
    {
      const std::lock_guard lock(mu_);
      newest_ = std::move(frame);
    }
    changed_.notify_all();
  }

  // Waits for a frame newer than `seen`; null when `given_up` or after `most`.
  std::shared_ptr<const node::v1::Frame> Newer(std::uint64_t seen, Millis most, const std::function<bool()>& given_up) {
    std::unique_lock lock(mu_);
    changed_.wait_for(lock, most, [&] { return given_up() || (newest_ && newest_->sequence() > seen); });
    return newest_ && newest_->sequence() > seen && !given_up() ? newest_ : nullptr;
  }

  // Lets everybody who waits look again.
  void Wake() { changed_.notify_all(); }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  std::shared_ptr<const node::v1::Frame> newest_;  // guarded by mu_
};

}  // namespace whorl::agent
