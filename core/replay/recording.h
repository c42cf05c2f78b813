#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/digest.h"
#include "core/base/result.h"
#include "core/engine/engine.h"

namespace whorl {

// What an engine answered, field by field: equal for equal answers, whichever
// compiler built the program.
void AddTo(Digest& digest, const Plan& plan);
void AddTo(Digest& digest, const Assessment& assessment);
// Of one tick, as one number.
std::uint64_t DigestOf(const Plan& plan, std::span<const Assessment> assessments);

// Writes down every call that changes an engine, in order, and a digest of each
// answer, so that the same hours can be lived through again byte for byte. A
// recording is read by a build whose inputs look the same (Replay checks); it is
// evidence and a bug report, not an archive. Not thread-safe.
class Recorder {
 public:
  // Takes whole records; called once per call recorded.
  using Sink = std::function<void(std::string_view)>;
  explicit Recorder(Sink sink);

  void Capacity(const std::optional<MilliCores>& capacity);
  void MemoryCapacity(const std::optional<std::int64_t>& mib);
  void Enrol(const VmSpec& spec);
  void Update(VmHandle vm, const VmSpec& spec);
  void Withdraw(VmHandle vm);
  void Ask();  // NextTraining
  void Adopt(VmHandle vm, const OneClass& machine);
  void Cohort(VmHandle vm, const CohortModel& cohort);
  void Reset(VmHandle vm);
  void Accept(VmHandle vm);
  void Load(VmHandle vm, std::string_view blob);
  void Bootstrap(VmHandle vm, const HistoryPrior& prior);
  void Ledger(const LedgerRecord& record);
  void Answer(VmHandle vm, std::string_view proposal, bool approve);
  void Remedy(VmHandle vm, const remedy::LadderRecord& record);
  void Undone(VmHandle vm, remedy::Rung rung);
  void Tick(Time now, const Frame& frame, Authority authority, std::uint64_t digest);

 private:
  void Put(std::uint8_t kind, std::string_view body);
  Sink sink_;
};

// An engine whose every change is told to a recorder, when there is one. The
// calls are the engine's.
class RecordedEngine {
 public:
  void RecordTo(Recorder* recorder) { recorder_ = recorder; }

  void SetCpuCapacity(std::optional<MilliCores> capacity);
  void SetMemoryCapacity(std::optional<std::int64_t> mib);
  Result<VmHandle> Enrol(const VmSpec& spec);
  Status Update(VmHandle vm, const VmSpec& spec);
  void Withdraw(VmHandle vm);
  const Plan& Tick(Time now, const Frame& frame, Authority authority);
  std::optional<Training> NextTraining();
  Status Adopt(VmHandle vm, const OneClass& machine);
  Status AdoptCohort(VmHandle vm, const CohortModel& cohort);
  Status ResetBaseline(VmHandle vm);
  Status AcceptBehaviour(VmHandle vm);
  Status LoadBaseline(VmHandle vm, std::string_view blob);
  Status BootstrapBaseline(VmHandle vm, const HistoryPrior& prior);
  Status RestoreLedger(const LedgerRecord& record);
  Status AnswerRemedy(VmHandle vm, std::string_view proposal, bool approve);
  Status RestoreRemedy(VmHandle vm, const remedy::LadderRecord& record);
  Status UndoneRemedy(VmHandle vm, remedy::Rung rung);
  // What changes nothing.
  const Engine& engine() const { return engine_; }

 private:
  Engine engine_;
  Recorder* recorder_ = nullptr;
  std::optional<MilliCores> capacity_;
  bool told_capacity_ = false;
  std::optional<std::int64_t> memory_;
  bool told_memory_ = false;
};

struct Replayed {
  std::uint64_t ticks = 0;
  std::uint64_t samples = 0;    // of VMs, over all ticks
  std::uint64_t loans = 0;      // open ones, summed over ticks
  std::uint64_t different = 0;  // ticks answered otherwise than when they were recorded
  std::uint64_t first = 0;      // the first of them, counted from 1
  Millis covered{0};            // from the first frame to the last
  bool torn = false;            // the last record is not whole: its writer was stopped
};

// What a recording says beside its ticks, told as it comes; either may be null.
struct Told {
  std::function<void(VmHandle vm, const VmSpec& spec)> vm;  // enrolled or updated
  std::function<void(std::optional<MilliCores>)> capacity;
};

// Lives through a recording with a fresh engine. `each`, when given, sees every
// tick's answers. kCorrupt for bytes that are no recording or are damaged, with
// the place; kUnsupported for one of a build whose inputs look different. A last
// record that is cut off is no damage.
Result<Replayed> Replay(std::string_view recording,
                        const std::function<void(Time now, const Engine& engine, const Plan& plan)>& each = nullptr,
                        const Told& told = {});

}  // namespace whorl
