#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/time.h"
#include "core/base/units.h"
#include "core/engine/frame.h"
#include "core/partition/loan.h"
#include "core/remedy/ladder.h"

namespace whorl {

// When the agent itself takes a loan back (checked at 4 Hz or faster): the
// lender used more than `use_above`, or its vCPUs waited more than
// `delay_above_ms_per_s`, for `for_at_least`.
struct RecallRule {
  MilliCores use_above{};
  std::int32_t delay_above_ms_per_s = 0;
  Millis for_at_least{};
};

// CPU that `lender` does not need now and `borrower` may use until `expires`.
struct Loan {
  std::uint64_t id = 0;  // unique within the engine's life; kept while the loan is renewed
  VmHandle lender{};
  VmHandle borrower{};
  MilliCores amount{};
  Time since{};
  Time expires{};
  LoanReason reason = LoanReason::kNeed;
  // The forecast it was opened on: what each was expected to need, margin included.
  MilliCores lender_need{};
  MilliCores borrower_need{};
  RecallRule recall;
};

// A loan that ended since the plan before. A party that was withdrawn may have
// given its handle away since: whoever needs names keeps them by the loan's id.
struct ClosedLoan {
  Loan loan;  // as it last stood, without its recall rule
  Time ended{};
  LoanOutcome outcome = LoanOutcome::kReturned;
  std::int64_t moved = 0;  // millicore-milliseconds lent in all
};

// What should hold for one VM's pod cgroup until the lease ends.
struct CpuDirective {
  VmHandle vm{};
  MilliCores entitlement{};         // before lending
  MilliCores allocation{};          // entitlement - lent + borrowed
  std::optional<MilliCores> quota;  // Hard partition only; == allocation after the guard
  std::uint32_t shares = 0;         // cgroup v1 scale, 2..262144; the agent converts for v2
};

// What the remediation ladder holds of one VM. Everything absent is as found.
struct Restraint {
  VmHandle vm{};
  std::optional<MilliCores> cpu_cap;                    // its directive's quota and allocation do not exceed it
  bool raised = false;                                  // its directive's weight is above its allocation's
  std::uint32_t cores = 0;                              // it runs on so many cores that others keep off; 0: anywhere
  std::optional<std::int64_t> network_bits_per_second;  // each direction
  std::optional<std::int64_t> disk_bytes_per_second;    // reading, and writing
  bool quarantine = false;                              // nothing passes over its network
  // The controller's to carry out, on the VirtualMachineInstance.
  bool migrate = false;
  bool pause = false;
};

// A step of the ladder in this tick.
struct RemedyStep {
  VmHandle vm{};
  remedy::Step step;
};

// What the balloon shall leave a guest until the lease ends; only VMs that lend.
struct MemoryDirective {
  VmHandle vm{};
  std::int64_t guest_mib = 0;  // > 0, below what the guest has with its balloon empty
};

// The whole node's plan of one tick. Sum of allocations <= capacity, always.
// `directives` holds only VMs in enforce mode; empty means: hold nothing.
struct Plan {
  std::uint64_t sequence = 0;  // of the frame it answers
  Time made_at{};
  MilliCores capacity{};
  std::vector<CpuDirective> directives;
  std::vector<MemoryDirective> memory;  // of VMs that are in `directives` too, by handle
  std::vector<Loan> loans;
  std::vector<ClosedLoan> closed;
  std::vector<Restraint> restraints;  // only VMs of which something is held
  std::vector<RemedyStep> remedies;
};

}  // namespace whorl
