#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/base/clock.h"
#include "operator/agent/act/balloon_mover.h"
#include "operator/agent/act/domain_text.h"
#include "operator/agent/act/limit_writer.h"
#include "operator/api/node.pb.h"

namespace whorl::agent {

// What a plan wants of a pod's libvirt domain.
struct DomainWish {
  std::optional<std::uint64_t> guest_kib;
  std::optional<DiskLimits> disks;  // each disk by itself

  bool any() const { return guest_kib || disks; }
};

// Holds the knobs of libvirt domains, which may take long or hang: whoever wants
// something only says so, and a thread of its own does it. These knobs have a
// journal of their own, so that a libvirt that hangs keeps no cgroup waiting.
class DomainHands {
 public:
  struct Options {
    std::string cgroup_root;
    BalloonCourse::Options balloon;
    std::function<void(const std::string&)> say = [](const std::string&) {};
  };
  // How a pod's domain is asked, by the pod's cgroup.
  struct Domains {
    KnobTree& knobs;
    std::function<Result<std::vector<std::string>>(const std::string& dir)> disks;
    std::function<Result<GuestMemory>(const std::string& dir)> look;
  };
  DomainHands(Options options, Domains domains, Journal journal, const Clock& clock);

  // Puts back what an earlier agent left. Blocks; before the thread begins.
  std::vector<std::string> RevertJournal();

  // Thread-safe, never wait. A wish stands until `expires`, until another one, or
  // until Drop; then everything returns to what was found. `dir` is absolute.
  void Want(const std::string& pod_uid, const std::string& dir, std::uint64_t inode, const DomainWish& wish,
            Millis expires);
  void Drop(const std::string& pod_uid);
  // What became of the wishes so far, as outcomes of knobs.
  void Tell(const std::string& pod_uid, node::v1::Outcome& outcome) const;

  // One round over all pods; blocks as long as their libvirts do. For one thread,
  // about four times a second.
  void Beat();
  // Everything back as found. Blocks; once nobody beats any more.
  std::vector<std::string> RestoreAll();

  // Between two attempts at what failed.
  static constexpr Millis kRetry{10'000};

 private:
  struct Pod {
    std::string dir;
    std::uint64_t inode = 0;
    DomainWish wish;
    Millis expires{0};
    bool dropped = false;
    // Below: the thread's.
    std::optional<JournalEntry> entry;
    std::optional<DiskLimits> disks_held;
    Millis disks_again{0};
  };
  struct Wanted {
    std::string dir;
    std::uint64_t inode = 0;
    DomainWish wish;
    Millis expires{0};
    bool over = false;
  };
  Wanted Of(const std::string& uid) const;
  // The place stays where it is until the thread, which alone removes pods, removes it.
  Pod& PodOf(const std::string& uid);
  JournalEntry EntryOf(const std::string& uid, const Pod& pod, const Wanted& wanted) const;
  Status Hold(const std::string& uid, const std::vector<WantedKnob>& knobs);
  void Release(Pod& pod, std::string_view prefix);
  void LimitDisks(const std::string& uid, Pod& pod, const Wanted& wanted);
  void Serve(const std::string& uid, Pod& pod);
  bool Restore(const std::string& uid, Pod& pod, std::vector<std::string>& said);
  void Note(const std::string& uid, const std::string& knob, const Status& held, const std::string& text);

  const Options options_;
  const Domains domains_;
  const Journal journal_;
  const Clock& clock_;
  LimitWriter writer_;
  BalloonMover mover_;

  mutable std::mutex mu_;  // wishes and outcomes; never held over a call to libvirt
  std::map<std::string, Pod> pods_;
  std::map<std::string, std::map<std::string, node::v1::KnobOutcome>> outcomes_;  // by pod, of disks
};

// Beats until it is stopped or destroyed.
class DomainThread {
 public:
  explicit DomainThread(DomainHands& hands, Millis beat = Millis{250});
  // Waits for the round under way.
  void Stop();

 private:
  std::mutex mu_;
  std::condition_variable_any asleep_;
  std::jthread thread_;
};

}  // namespace whorl::agent
