#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/baseline/baseline.h"
#include "core/baseline/bootstrap.h"
#include "core/engine/assessment.h"
#include "core/engine/frame.h"
#include "core/engine/outlook.h"
#include "core/engine/plan.h"
#include "core/engine/policy.h"
#include "core/fingerprint/cohort.h"
#include "core/remedy/ladder.h"
#include "core/score/one_class.h"
#include "core/telemetry/rates.h"
#include "core/telemetry/schema.h"

namespace whorl {

// What the API server says of one enrolled VM.
struct VmSpec {
  std::string id;              // stable across migrations: the VM's uid; breaks ties
  Mode mode = Mode::kObserve;  // already narrowed by policy and namespace
  Policy policy;
  std::int32_t vcpus = 1;                 // > 0
  std::optional<MilliCores> cpu_request;  // of the pod; nullopt = none
  std::optional<MilliCores> cpu_limit;    // set by the user; nullopt = none
  std::uint32_t cpu_shares_found = 2;     // pod cgroup before us, v1 scale
  bool dedicated_cpus = false;            // never partitioned
  std::int32_t priority_class = 0;        // of the pod; where floors do not fit, the lower give way first
  // What a rung of the remediation ladder must know before it is taken.
  std::uint32_t node_cores = 0;        // of which some may be kept for one VM; 0: none may
  bool can_migrate = false;            // KubeVirt calls it live-migratable, and it is not on its way
  bool can_pause = false;              // it runs, and nobody but us has paused it
  std::int64_t guest_mib = 0;          // what the guest has with its balloon empty; 0 = not known
  std::int64_t guest_request_mib = 0;  // what of it was requested: never ballooned away
};

// How much the controller may do in this tick. kRenewOnly: past its leader
// lease's renew deadline; open loans may be renewed and returned, none opened.
enum class Authority : std::uint8_t { kFull, kRenewOnly };

// Work that a tick does not do: what a one-class machine should be trained from.
struct Training {
  VmHandle vm{};
  std::uint32_t count = 0;
  std::array<CondensedPoint, LongMemory::kPoints> point{};

  std::span<const CondensedPoint> points() const { return {point.data(), count}; }
};

// What a node's ledger must not forget with its process. Plans and assessments
// have all of it: Assessment::cpu_credits, and the ids of loans.
struct LedgerRecord {
  struct Balance {
    std::string vm;            // VmSpec::id
    std::int64_t credits = 0;  // millicore-milliseconds lent more than borrowed
  };
  std::vector<Balance> balances;
  std::int64_t house = 0;       // of those that left; with the balances it sums to zero
  std::uint64_t next_loan = 1;  // no loan gets a smaller id
};

// The arithmetic of one node: telemetry in, plan and assessments out. Pure and
// deterministic: the same calls in the same order give the same plans, byte
// for byte; no I/O, no clock, no threads, no allocation in a steady Tick.
// Not thread-safe: it belongs to the loop that ticks it.
class Engine {
 public:
  // `schema`: how readings are to be taken; it must outlive the engine.
  explicit Engine(const Schema& schema = LiveSchema());
  ~Engine();
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;

  // CPU that may be partitioned among VMs in enforce mode, after reserve and
  // everything not enrolled. nullopt: unknown, nothing is planned.
  void SetCpuCapacity(std::optional<MilliCores> capacity);
  // MiB for the guests of VMs in enforce mode whose policy partitions memory.
  void SetMemoryCapacity(std::optional<std::int64_t> mib);

  // kInvalid when the spec or its policy contradicts itself (vcpus <= 0, limit < request, empty or duplicate id,
  // Check).
  Result<VmHandle> Enrol(const VmSpec& spec);
  // New mode, policy, requests or limits; learning is kept. kNotFound for a stale handle.
  Status Update(VmHandle vm, const VmSpec& spec);
  // Forgets the VM; its loans close with the next plan.
  void Withdraw(VmHandle vm);

  // Learns, scores, predicts, partitions. The reference stays valid until the
  // next call. VMs without a fresh sample for 5 s become Blind and hold no loan.
  const Plan& Tick(Time now, const Frame& frame, Authority authority = Authority::kFull);

  // One per enrolled VM, ordered by handle, as of the last Tick.
  std::span<const Assessment> assessments() const;
  const Assessment* Find(VmHandle vm) const;

  // How the VM's need is expected to go on, from means over five minutes; nullopt
  // for a stale handle and before the first of them.
  std::optional<Prospect> Foretold(VmHandle vm, Resource resource) const;

  // Readings taken and readings that never became a number, since the engine began.
  const SampleCounts& sample_counts() const;

  // A VM whose one-class machine is due, and what to train it from; nullopt when
  // none is. Train in the background (TrainOneClass) and bring the machine back:
  // it is an input like a frame, and replay brings it back at the same tick.
  std::optional<Training> NextTraining();
  Status Adopt(VmHandle vm, const OneClass& machine);
  // Whom the VM resembles; id 0 takes it away. A young baseline shrinks towards it.
  Status AdoptCohort(VmHandle vm, const CohortModel& cohort);
  // How the VM usually behaves, as the behaviour map compares it.
  Result<Behaviour> BehaviourOf(VmHandle vm) const;

  // An administrator's word: learn anew, or what it does now is usual; an open
  // episode ends, and for the next kAcceptSamples samples none opens and all of
  // them teach in full. kNotFound for a stale handle.
  static constexpr std::uint16_t kAcceptSamples = 300;
  Status ResetBaseline(VmHandle vm);
  Status AcceptBehaviour(VmHandle vm);

  // Which rungs of the remediation ladder are held and what is asked; nullptr for
  // a stale handle.
  const remedy::Ladder* LadderOf(VmHandle vm) const;
  // A person's word on exactly this proposal. kNotFound for a stale handle,
  // kRefused when no proposal of that id is open.
  Status AnswerRemedy(VmHandle vm, std::string_view proposal, bool approve);
  // What whoever led before us held and asked; also after a migration to this node.
  Status RestoreRemedy(VmHandle vm, const remedy::LadderRecord& record);
  // What was taken does not stand: somebody else undid it, or it cannot be done.
  Status UndoneRemedy(VmHandle vm, remedy::Rung rung);

  // The VM's learnt baseline as a versioned, checksummed blob, and back again.
  // kCorrupt or kUnsupported leave the VM's learning as it was.
  Result<std::string> SaveBaseline(VmHandle vm) const;
  Status LoadBaseline(VmHandle vm, std::string_view blob);

  // Takes over the books of whoever led before: balances of VMs that are not
  // enrolled go to the house, open loans of this engine end as handed over. Enrol
  // first. kCorrupt, with the reason, and nothing changed: the sum is not zero, a
  // VM stands twice, or more was lent than a node can lend.
  Status RestoreLedger(const LedgerRecord& record);

  // Takes what somebody else's history says of the VM as a prior of its
  // baseline. Learning stays visible and is shortened. kConflict when the VM
  // has learnt by itself already: a history that comes late is not needed.
  Status BootstrapBaseline(VmHandle vm, const HistoryPrior& prior);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace whorl
