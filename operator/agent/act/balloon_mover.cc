#include "operator/agent/act/balloon_mover.h"

#include <pthread.h>

#include <condition_variable>
#include <stop_token>
#include <utility>
#include <vector>

namespace whorl::agent {

BalloonMover::BalloonMover(BalloonCourse::Options options, Hands hands, const Clock& clock)
    : options_(options), hands_(std::move(hands)), clock_(clock) {}

void BalloonMover::Aim(const std::string& pod_uid, const std::string& dir, std::uint64_t target_kib) {
  const std::lock_guard lock(mu_);
  auto& guest = guests_[pod_uid];
  if (!guest || guest->dir != dir) guest = std::make_shared<Guest>(Guest{dir, BalloonCourse(options_), {}, false, 0});
  const bool leaves = guest->status.phase == BalloonPhase::kDeflating || guest->status.phase == BalloonPhase::kDeflated;
  if (leaves || guest->status.target_kib != target_kib) ++guest->wishes;
  if (leaves) guest->status.phase = BalloonPhase::kMoving;
  guest->course.Aim(target_kib);
  guest->status.target_kib = target_kib;
}

void BalloonMover::DeflateFully(const std::string& pod_uid) {
  const std::lock_guard lock(mu_);
  if (const auto guest = guests_.find(pod_uid); guest != guests_.end()) {
    auto& status = guest->second->status;
    if (status.phase == BalloonPhase::kDeflated) return;
    ++guest->second->wishes;
    guest->second->course.DeflateFully();
    status.phase = BalloonPhase::kDeflating;
  }
}

void BalloonMover::Forget(const std::string& pod_uid) {
  const std::lock_guard lock(mu_);
  guests_.erase(pod_uid);
}

std::optional<BalloonStatus> BalloonMover::status(const std::string& pod_uid) const {
  const std::lock_guard lock(mu_);
  const auto guest = guests_.find(pod_uid);
  return guest == guests_.end() ? std::nullopt : std::optional(guest->second->status);
}

bool BalloonMover::Deflated(const std::string& pod_uid) const {
  const auto now = status(pod_uid);
  return !now || now->phase == BalloonPhase::kDeflated;
}

void BalloonMover::Beat() {
  std::vector<std::string> pods;
  {
    const std::lock_guard lock(mu_);
    for (const auto& [uid, guest] : guests_) pods.push_back(uid);
  }
  for (const auto& uid : pods) BeatOne(uid);
}

void BalloonMover::BeatOne(const std::string& pod_uid) {
  std::unique_lock lock(mu_);
  const auto found = guests_.find(pod_uid);
  if (found == guests_.end() || found->second->over) return;
  const auto guest = found->second;  // lives on when it is forgotten meanwhile
  const std::string dir = guest->dir;
  lock.unlock();
  const auto seen = hands_.look(dir);
  lock.lock();
  if (!seen) {
    // Nothing is known of it: nothing is asked of it.
    guest->status.phase = BalloonPhase::kHeld;
    guest->status.reason = "NotReached";
    guest->status.message = seen.error().message;
    return;
  }
  const auto wishes = guest->wishes;
  const auto step = guest->course.NextStep(clock_.Monotonic(), clock_.Now(), *seen);
  if (step.write_kib) {
    const auto text = std::to_string(*step.write_kib);
    lock.unlock();
    const auto held = hands_.hold(pod_uid, text);
    lock.lock();
    if (held) {
      guest->course.Wrote(*step.write_kib);
    } else if (held.error().code == Code::kConflict) {
      guest->over = true;
      guest->status.phase = BalloonPhase::kHeld;
      guest->status.reason = "ForeignWriter";
      guest->status.message = held.error().message;
      return;
    } else {
      guest->course.NotWritten(clock_.Monotonic(), held.error().message);
    }
  }
  auto& status = guest->status;
  status.size_kib = seen->size_kib.value_or(0);
  status.found_kib = guest->course.found_kib();
  status.asked_kib = guest->course.asked_kib();
  if (wishes != guest->wishes) return;
  status.phase = step.phase;
  status.reason = step.reason;
  status.message = step.message;
}

BalloonThread::BalloonThread(BalloonMover& mover, Millis beat)
    : thread_([&mover, beat](const std::stop_token& stop) {
        std::mutex mu;
        std::condition_variable_any wake;
        std::unique_lock lock(mu);
        while (!stop.stop_requested()) {
          mover.Beat();
          wake.wait_for(lock, stop, beat, [] { return false; });
        }
      }) {
  ::pthread_setname_np(thread_.native_handle(), "balloon");
}

}  // namespace whorl::agent
