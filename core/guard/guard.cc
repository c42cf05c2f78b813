#include "core/guard/guard.h"

#include <algorithm>
#include <cstdlib>

namespace whorl::guard {
namespace {

struct Finding {
  std::string_view reason;
  std::string_view message;
  std::optional<MilliCores> trimmed;  // nullopt: refuse
};
using Check = std::optional<Finding> (*)(const Situation&);

std::optional<Finding> DedicatedCpus(const Situation& s) {
  if (!s.dedicated_cpus) return std::nullopt;
  return Finding{"DedicatedCpus", "the VM has dedicated CPUs, which are never partitioned; left as found",
                 std::nullopt};
}

std::optional<Finding> SampleTooOld(const Situation& s) {
  if (!s.blind) return std::nullopt;
  return Finding{"SampleTooOld", "no sample for 5 s; its loans are closed and it holds its entitlement", s.allocation};
}

std::optional<Finding> AboveLimit(const Situation& s) {
  if (!s.limit || s.allocation <= *s.limit) return std::nullopt;
  return Finding{"AboveLimit", "the user's CPU limit is lower than what was wanted; set to the limit", *s.limit};
}

std::optional<Finding> StepTooLarge(const Situation& s) {
  if (!s.previous || s.allocation <= *s.previous + s.step) return std::nullopt;
  const MilliCores allowed = std::max(*s.previous + s.step, s.request);
  if (s.allocation <= allowed) return std::nullopt;
  return Finding{"StepTooLarge", "the policy's step is smaller than the rise wanted; rising in steps", allowed};
}

std::optional<Finding> Flapping(const Situation& s) {
  if (s.reversals < s.flapping || !s.previous || s.allocation <= *s.previous) return std::nullopt;
  const MilliCores allowed = std::max(*s.previous, s.request);
  if (s.allocation <= allowed) return std::nullopt;
  return Finding{"Flapping", "the allocation changed direction too often in the last minute; not rising for now",
                 allowed};
}

std::optional<Finding> AboveCapacity(const Situation& s) {
  if (s.allocation <= s.room) return std::nullopt;
  return Finding{"AboveCapacity", "the node's capacity is held by others; given what is left",
                 std::max(s.room, MilliCores{0})};
}

// Last of those that trim: what they left must still be enough.
std::optional<Finding> BelowRequest(const Situation& s) {
  if (s.allocation >= s.request) return std::nullopt;
  return Finding{"BelowRequest", "what is left is below the pod's CPU request; left as found", std::nullopt};
}

std::optional<Finding> FloorsExceedCapacity(const Situation& s) {
  if (!s.floor_scaled) return std::nullopt;
  return Finding{"FloorsExceedCapacity",
                 "the floors of this node's VMs do not fit its capacity; this floor was lowered", s.allocation};
}

constexpr Check kChecks[] = {DedicatedCpus, SampleTooOld,  AboveLimit,   StepTooLarge,
                             Flapping,      AboveCapacity, BelowRequest, FloorsExceedCapacity};

constexpr std::int64_t kHalfMinute = 30'000;

}  // namespace

Ruling Rule(Situation situation) {
  Ruling ruling;
  for (const Check check : kChecks) {
    const auto finding = check(situation);
    if (!finding) continue;
    if (ruling.reason.empty() || !finding->trimmed) {
      ruling.reason = finding->reason;
      ruling.message = finding->message;
    }
    if (!finding->trimmed) return ruling;
    situation.allocation = *finding->trimmed;
  }
  ruling.allocation = situation.allocation;
  return ruling;
}

void ReversalMeter::Observe(std::int64_t now_ms, MilliCores allocation) {
  if (now_ms - since_ms_ >= kHalfMinute) {
    previous_ = now_ms - since_ms_ >= 2 * kHalfMinute ? 0 : current_;
    current_ = 0;
    since_ms_ = now_ms;
  }
  if (last_) {
    const std::int64_t change = Count(allocation) - Count(*last_);
    // Jitter of a tenth is not a change of direction.
    if (std::abs(change) * 10 < Count(*last_)) return;
    const int direction = change > 0 ? 1 : change < 0 ? -1 : 0;
    if (direction != 0 && direction_ != 0 && direction != direction_) ++current_;
    if (direction != 0) direction_ = direction;
  }
  last_ = allocation;
}

}  // namespace whorl::guard
