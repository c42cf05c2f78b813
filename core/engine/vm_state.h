#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/baseline/baseline.h"
#include "core/demand/demand.h"
#include "core/engine/outlook.h"
#include "core/engine/policy.h"
#include "core/fingerprint/cohort.h"
#include "core/fingerprint/windows.h"
#include "core/score/contribution.h"
#include "core/score/episode.h"
#include "core/score/nature.h"
#include "core/telemetry/rates.h"

namespace whorl {

// What a tick reads and writes for one VM, in one contiguous piece: with many
// VMs the price of a tick is the memory it moves (docs/explanation/engine.md).
struct alignas(64) VmState {
  Baseline baseline;
  Rates rates;
  Recent recent;
  Windows windows;
  CpuDemand demand;
  BucketUnderWay bucket;
  float rise = 0;  // millicores foreseen for the next minutes, above what they took; 0 = none
  EpisodeTracker episode;
  News news;
  NatureKeeper nature;
  // From the spec, so that a tick need not look it up elsewhere.
  LearningGoal goal;
  double quantile = 0.95;
  float most_cpu = 1000;  // millicores the VM can use at all
  float cpu_excess = 0;   // 0..1, part of the deviation that asks for CPU
  std::uint8_t threshold = 50;
  bool has_cohort = false;
  bool adaptive = true;
  Mode mode = Mode::kObserve;
  Pause pause = Pause::kNone;
};

// What a tick seldom reads of one VM.
struct VmMemory {
  LongMemory baseline;
  CohortModel cohort;  // id 0: none
  Outlook outlook;
};

// Owns the VmStates at stable addresses. Blocks grow from a few VMs, so that a
// small node stays small, to 2 MiB, which the kernel is asked to back with one
// page: a state spans four small ones, and a miss of the TLB for each costs as
// much as the arithmetic of a detector.
class VmStore {
 public:
  VmState& operator[](std::uint32_t slot) { return *states_[slot]; }
  const VmState& operator[](std::uint32_t slot) const { return *states_[slot]; }
  VmMemory& Memory(std::uint32_t slot) { return *memories_[slot]; }
  const VmMemory& Memory(std::uint32_t slot) const { return *memories_[slot]; }
  std::size_t size() const { return states_.size(); }
  // Appends a slot; its state is fresh.
  void Grow();

 private:
  struct Release {
    std::size_t alignment = alignof(VmState);
    void operator()(VmState* block) const;
  };
  std::vector<std::unique_ptr<VmState, Release>> blocks_;
  std::vector<VmState*> states_;
  std::vector<std::unique_ptr<VmMemory>> memories_;
  std::size_t left_ = 0;  // unused at the end of the last block
  VmState* next_ = nullptr;
};

}  // namespace whorl
