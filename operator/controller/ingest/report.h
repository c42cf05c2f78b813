#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "core/base/units.h"
#include "core/engine/assessment.h"
#include "core/engine/outlook.h"
#include "core/engine/plan.h"
#include "crd/events.h"
#include "crd/node_partition.h"
#include "operator/controller/enrol/resolve.h"

namespace whorl::controller {

// Something that happened to one VM, or to a node's NodePartition, and is told once, as an Event. What moved
// a limit also becomes the fingerprint's last action.
struct Happening {
  Subject subject;
  crd::EventReason reason{};
  std::string note;
  Time at{};
  std::string distinct;  // tells it from a repeat: which alarm, which refusal
  std::string from;      // set for limits only
  std::string to;
  std::optional<Time> until;
  std::string request;  // of whorl.dev/baseline, when this answers one
  std::string rung;     // of the remediation ladder, when this is a step of it
};

// All open loans of one VM in one direction.
struct LoanSpan {
  MilliCores amount{0};
  Time since{};  // of the oldest
  Time until{};  // of the longest
  bool open() const { return Count(amount) > 0; }
};

// What is known of one VM after a tick.
struct VmReport {
  Resolution resolution;
  Assessment assessment;
  std::optional<MilliCores> limit;                            // quota on the pod as read back; see limit_read
  bool limit_read = false;                                    // false: limit says nothing
  std::optional<std::uint32_t> weight;                        // as read back
  std::array<std::optional<Prospect>, kResources> prospects;  // by Resource; unset until the first five minutes
  std::optional<Episode> episode;                             // the open alarm, else the last one
  LoanSpan lent;
  LoanSpan borrowed;
  std::uint32_t cohort = 0;     // those it resembles, as the map numbers them; 0: nobody, or not known
  std::string guest_telemetry;  // Fresh, Silent; empty: none ever came
  bool held = false;            // a limit or weight of ours is in force
  std::string blind_reason;     // Blind only: which input is missing
  std::string no_history;       // why learning began from nothing, although a source of history is set
  std::string refusal;          // why the agent would not do the last directive; empty = it did
  std::string refusal_message;
  std::optional<crd::RemedyView> remedy;  // nullopt: no engine has it, what was known before holds until its ends
  std::optional<RemedyAnswer> heard;      // the last answer, whatever came of it
};

struct LoanReport {
  std::uint64_t id = 0;
  std::string lender;    // namespace/name
  std::string borrower;  // namespace/name
  MilliCores amount{0};
  LoanReason reason = LoanReason::kNeed;
  MilliCores lender_need{0};  // the forecast it was opened on, margin included
  MilliCores borrower_need{0};
  Time since{};
  Time expires{};
};

// One node after a tick, or after losing sight of it. A plain value that the
// link hands to whoever writes and counts.
struct NodeReport {
  std::string node;
  Time at{};
  bool connected = false;
  std::string trouble;  // why not
  std::string agent_version;
  std::uint64_t epoch = 0;
  std::optional<MilliCores> allocatable;
  MilliCores reserved{0};
  MilliCores others{0};
  std::optional<MilliCores> capacity;
  std::optional<std::int64_t> memory_capacity_mib;  // for guests whose memory is divided
  std::string floors_trouble;                       // which VMs' floors were lowered and what to do; empty: all fit
  std::vector<VmReport> vms;                        // ordered by subject
  std::vector<LoanReport> loans;
  std::vector<crd::ClosedLoan> closed;  // the latest first, at most crd::kMostClosedLoans
};

}  // namespace whorl::controller
