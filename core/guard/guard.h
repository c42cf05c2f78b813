#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/units.h"

namespace whorl::guard {

// One change wanted for one VM, and all that speaks for or against it.
struct Situation {
  bool blind = false;  // no fresh sample
  bool dedicated_cpus = false;
  bool floor_scaled = false;  // the floors of the node do not fit
  MilliCores request{};
  std::optional<MilliCores> limit;     // the user's
  std::optional<MilliCores> previous;  // allocation of the last plan
  MilliCores step{};
  MilliCores room{};        // capacity that no other directive holds
  int reversals = 0;        // changes of direction in the last minute
  int flapping = 8;         // so many are too many
  MilliCores allocation{};  // wanted; checks may lower it
};

// Reason and message go unchanged to the user; the first one is what they read.
struct Ruling {
  std::string_view reason;
  std::string_view message;
  std::optional<MilliCores> allocation;  // nullopt: refused, the VM is left as found
};

// The order of the checks is the policy. A check may accept, trim downwards or
// refuse; nothing ever raises an allocation.
Ruling Rule(Situation situation);

// Counts how often a VM's allocation changes direction. Plain data.
class ReversalMeter {
 public:
  void Observe(std::int64_t now_ms, MilliCores allocation);
  int reversals() const { return current_ + previous_ / 2; }
  void Forget() { *this = ReversalMeter{}; }

 private:
  std::optional<MilliCores> last_;
  int direction_ = 0;
  int current_ = 0;   // in the running half minute
  int previous_ = 0;  // and the one before
  std::int64_t since_ms_ = 0;
};

}  // namespace whorl::guard
