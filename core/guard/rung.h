#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/units.h"
#include "core/remedy/course.h"

namespace whorl::guard {

// One rung of the remediation ladder about to be taken for one VM, and all that
// speaks against it.
struct RungSituation {
  remedy::Rung rung = remedy::Rung::kObserve;
  bool enforced = false;  // the VM is in mode enforce, by its policy too
  bool paused = false;    // by its policy
  bool lead = true;       // the controller's lead is not in doubt
  bool dedicated_cpus = false;
  bool blind = false;  // no fresh sample
  bool guest_only = false;
  bool victim = false;
  remedy::CapKnobs caps;           // of its nature
  std::optional<MilliCores> base;  // its base share; nullopt: not partitioned
  double cap_fraction = 1;
  MilliCores request{};
  MilliCores most{};         // it could use at all
  MilliCores allocation{};   // of the last plan
  std::int64_t cores = 0;    // of the node that may be kept apart; 0: none
  bool can_migrate = false;  // as KubeVirt says
  bool can_pause = false;    // it runs, and nobody else has paused it
};

// `amount`: of a cap the millicores, never below the request; of an isolation
// the cores; else 0. Reason and message go unchanged to the user.
struct RungRuling {
  std::string_view reason;
  std::string_view message;
  std::int64_t amount = 0;
  bool allowed() const { return reason.empty(); }
};

// The order of the checks is the policy: the first that speaks against it decides.
RungRuling Rule(const RungSituation& situation);

}  // namespace whorl::guard
