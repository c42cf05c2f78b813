#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "operator/agent/act/balloon_course.h"

namespace whorl::agent {

struct BalloonStatus {
  BalloonPhase phase = BalloonPhase::kSettling;
  // Of BalloonStep, or NotReached: libvirt does not say how the guest is, or
  // ForeignWriter: somebody else moved it, and it is moved no more until it is forgotten.
  std::string reason;
  std::string message;
  std::uint64_t target_kib = 0;
  std::uint64_t size_kib = 0;              // what the guest has now
  std::optional<std::uint64_t> found_kib;  // before anything of ours; absent until it is known
  std::optional<std::uint64_t> asked_kib;  // of the guest, last
};

// Brings the balloons of many guests to where plans want them, each on its course.
// Taking memory can block, so nobody who must not wait does it himself.
//
// How the Holder uses it. A directive with a memory target becomes Aim(pod, dir, KiB);
// the receipt and each frame say status(pod). For every step the mover calls
// `hands.hold(pod, "1044480")` on its own thread; the Holder takes its lock, looks
// whether that pod is still to be moved (kRefused when it is not: Forget does not wait
// for a step under way), and calls LimitWriter::Hold(entry, {{"balloon", text}}, ...)
// under Journal::Lock(), as for every other knob. So what the journal has as found is
// the size before the first step (a course begins only once the size has stood still),
// the values in between are ours, and the lease, the restorer and LimitWriter::Release
// undo a balloon like any knob. What comes back as an error is shown as NotWritten and
// tried again; kConflict (a foreign value, let go by LimitWriter) ends the course.
//
// Before a hotplug of memory. KubeVirt copies libvirt's current memory to
// status.memory.guestCurrent of the VMI, and its next hotplug raises the pod's request
// and limit by `new guest - guestCurrent`: while we hold X, it would ask for X too
// much and never take it back. So: DeflateFully(pod), wait until status(pod) says
// kDeflated, Forget and Release; and because KubeVirt notices only after one to two
// minutes, whoever patches spec.template.spec.domain.memory.guest must also wait until
// guestCurrent says the guest's size again. Where a hotplug was before, the domain's
// <memory> is maxGuest, so the size found is what counts here, never that.
//
// Thread-safe. Beat is for one thread.
class BalloonMover {
 public:
  struct Hands {
    std::function<Result<GuestMemory>(const std::string& dir)> look;  // DomainKnobs::MemoryStats
    std::function<Status(const std::string& pod_uid, const std::string& text)> hold;
  };
  BalloonMover(BalloonCourse::Options options, Hands hands, const Clock& clock);

  // `dir`: the pod's cgroup. Another dir under the same uid is another life: its course begins anew.
  void Aim(const std::string& pod_uid, const std::string& dir, std::uint64_t target_kib);
  // Nothing to do, and kDeflated at once, for a pod that is on no course.
  void DeflateFully(const std::string& pod_uid);
  // Moves it no further; the balloon stays as it is.
  void Forget(const std::string& pod_uid);
  // nullopt: on no course.
  std::optional<BalloonStatus> status(const std::string& pod_uid) const;
  // Whether nothing of ours is in the guest's balloon.
  bool Deflated(const std::string& pod_uid) const;

  // Looks at each guest and makes at most one step with each. Blocks as long as
  // `hands` do. Call about four times a second.
  void Beat();

 private:
  struct Guest {
    std::string dir;
    BalloonCourse course;
    BalloonStatus status;
    bool over = false;         // a foreign hand
    std::uint64_t wishes = 0;  // changes with each: a step decided before says nothing of it
  };
  void BeatOne(const std::string& pod_uid);

  const BalloonCourse::Options options_;
  const Hands hands_;
  const Clock& clock_;
  mutable std::mutex mu_;
  std::map<std::string, std::shared_ptr<Guest>> guests_;  // by pod uid; guarded by mu_, contents too
};

// Beats until it is destroyed.
class BalloonThread {
 public:
  explicit BalloonThread(BalloonMover& mover, Millis beat = Millis{250});

 private:
  std::jthread thread_;
};

}  // namespace whorl::agent
