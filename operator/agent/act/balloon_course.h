#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/time.h"
#include "operator/agent/act/guest_memory.h"

namespace whorl::agent {

enum class BalloonPhase {
  kSettling,    // before the first write: the size must stand still to be worth putting back
  kMoving,      // towards the target
  kArrived,     // at the target, and the guest there too
  kHeld,        // not further for now; `reason` says why
  kGivingBack,  // the guest is short: back up, whatever the target
  kDeflating,   // on the way to the size found, for good
  kDeflated,    // there: a hotplug may follow
};
std::string_view PhaseName(BalloonPhase phase);

// One decision. `reason` and `message` stand in kHeld and kGivingBack:
//   BelowUse       the target is below the guest's working set, or that is not known
//   GuestPressure  the guest swaps in, faults from its disk, has too little left or
//                  gives no more pages
//   NoBalloon      the domain has none
//   NotWritten     the last step was refused; the message says by whom
struct BalloonStep {
  std::optional<std::uint64_t> write_kib;  // the next value of the knob `balloon`, now
  BalloonPhase phase = BalloonPhase::kSettling;
  std::string_view reason;
  std::string message;
};

// One guest's way to another size, step by step. Pure: what it is told in, one
// decision out. Not thread-safe.
//
// The floor. A guest is never asked to go below its working set plus a margin:
//     size - unused, both of the moment at which the guest last reported.
// Not the size of now: what was taken since then came out of `unused`, and counting
// it twice would put the floor too low by just that. Statistics that are missing or
// older than `stale_after` are no zero: then nothing is taken (BelowUse).
//
// Between two reports (10 s apart under KubeVirt) a guest may need what was just
// taken: so a report that shows swapping in, major faults or too little left sends the
// balloon back up at once, and nothing is taken for `calm_for` after it.
class BalloonCourse {
 public:
  enum class Spare {
    kUnused,  // free pages alone: page cache counts as in use
    kUsable,  // what the guest's kernel could give up without swapping: page cache may go
  };
  struct Options {
    std::uint64_t down_bytes_per_second = 64ULL << 20;
    std::uint64_t up_bytes_per_second = 1ULL << 30;
    Spare spare = Spare::kUnused;
    // What stays free beyond the working set, the larger of both.
    std::uint64_t margin_bytes = 32ULL << 20;
    std::uint64_t margin_permille = 50;  // of the size found
    Seconds stale_after{45};
    std::uint64_t major_faults_per_second = 50;     // above: pressure
    std::uint64_t swapped_in_kib_per_second = 256;  // above: pressure
    Seconds calm_for{60};
    Millis settle{1000};
    // So long may a guest not move at all towards what it was asked for.
    Millis follow_within{15000};
    // A refused step is tried again after this.
    Millis retry_after{5000};
  };
  explicit BalloonCourse(Options options) : options_(options) {}

  // Where to go. KiB; rounded up to a page. Ends a deflation.
  void Aim(std::uint64_t target_kib);
  // Back to the size found, at once and without regard to anything else.
  void DeflateFully();

  // `now` is monotonic, `wall` the clock that statistics are stamped by. Call several
  // times a second: the time since the last call is what the rate is paid from.
  BalloonStep NextStep(Millis now, Time wall, const GuestMemory& seen);
  // What became of the step's write. Without either the step counts as not made.
  void Wrote(std::uint64_t kib);
  void NotWritten(Millis now, std::string why);

  std::optional<std::uint64_t> found_kib() const { return found_kib_; }  // before anything of ours
  std::optional<std::uint64_t> asked_kib() const { return asked_kib_; }  // of the guest, last
  std::uint64_t target_kib() const { return target_kib_; }

 private:
  // The guest's own figures of one report.
  struct Report {
    std::int64_t updated = 0;
    std::uint64_t size_kib = 0;
    std::optional<std::uint64_t> spare_kib;
    std::optional<std::uint64_t> major_faults;
    std::optional<std::uint64_t> swapped_in_kib;
  };
  void TakeReport(Millis now, const GuestMemory& seen);
  bool Settled(Millis now, std::uint64_t size_kib);
  std::string WhyPressed(const Report& before, const Report& after) const;
  std::uint64_t MarginKib() const;
  // nullopt: not known, and `why` says so.
  std::optional<std::uint64_t> FloorKib(Time wall, std::string& why) const;
  // How much of `way` the rate allows now; 0 while that is too little to be worth a write.
  std::uint64_t Allowance(std::uint64_t bytes_per_second, std::uint64_t way_kib) const;
  BalloonStep Raise(std::uint64_t to_kib, BalloonStep step) const;
  BalloonStep GiveBack() const;
  BalloonStep Lower(Millis now, Time wall, std::uint64_t size_kib);

  const Options options_;
  std::uint64_t target_kib_ = 0;
  bool aimed_ = false;
  bool deflating_ = false;
  std::optional<std::uint64_t> found_kib_;
  std::optional<std::uint64_t> asked_kib_;
  std::optional<Report> report_;
  std::optional<std::uint64_t> last_size_kib_;
  Millis still_since_{0};  // the size has not changed since
  std::optional<Millis> last_call_;
  Millis passed_{0};  // since the last write or refusal, as far as it counts
  std::optional<Millis> pressed_at_;
  std::string pressure_;
  std::optional<Millis> refused_at_;
  std::string refusal_;
};

}  // namespace whorl::agent
