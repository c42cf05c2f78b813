#pragma once

#include <cstdint>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/base/units.h"
#include "core/remedy/ladder.h"

namespace whorl {

enum class Mode : std::uint8_t { kOff, kObserve, kRecommend, kEnforce };
enum class PartitionKind : std::uint8_t { kSoft, kHard };
enum class Pause : std::uint8_t { kNone, kHold, kHoldAndDrain };

// The numbers of one PartitionPolicy that the engine needs, already validated
// against the CRD's bounds. One policy per engine tick and VM.
struct CpuPolicy {
  PartitionKind partition = PartitionKind::kSoft;
  double floor_fraction = 0.1;     // of base share, 0..1; never below requests
  double ceiling_fraction = 4.0;   // of base share; never above the user's limit
  double lendable_fraction = 0.8;  // of entitlement above floor that may be lent, 0..1
  MilliCores step{1000};           // largest change of one allocation per tick
  Seconds quantum{10};             // length of a loan before it must be renewed
  double demand_quantile = 0.95;   // of the online tracker
  double margin = 0.15;            // on predicted demand
  double deviation_factor = 0.5;   // adjustment_factor of the bonus
  double max_bonus = 0.5;          // k: bonus <= k * base
  // A full bonus lasts this long on empty credits; what is boosted again and
  // again therefore fades.
  Seconds bonus_credit{600};
  MilliCores least_loan{20};  // smaller ones are not worth two writes on the node
  // Without a request a VM weighs as KubeVirt would have requested for it: a
  // tenth of a core per vCPU.
  MilliCores weight_per_vcpu{100};
  // When the agent takes a loan back by itself: the lender's use of what it has
  // left, or how long its vCPUs wait, for so long.
  double recall_use = 0.9;
  std::int32_t recall_delay_ms_per_s = 250;
  Millis recall_for{250};
  int flapping = 8;  // reversals a minute from which an allocation no longer rises
};

// Memory is lent by balloons, and only where it is asked for.
struct MemoryPolicy {
  bool partition = false;       // false: nobody's balloon is touched
  double floor_fraction = 0.5;  // of base share, 0..1; never below requests
  double margin = 0.25;         // on what the guest uses
};

struct Policy {
  Mode max_mode = Mode::kObserve;
  Pause pause = Pause::kNone;
  Seconds learning{3600};                // least time before the first score
  std::uint32_t learning_samples = 200;  // least accepted samples before the first score
  double false_episodes_per_week = 1.0;  // budget per VM; the score threshold follows from it
  bool adaptive_control = true;          // keep the long-run rate of alarms where it was stated
  MilliCores reserve{0};                 // kept out of the partition, per node
  CpuPolicy cpu;
  remedy::LadderPolicy remediation;
  MemoryPolicy memory;
};

// What contradicts itself or is no number is refused: kInvalid, with the name
// of the PartitionPolicy's field and what it must be.
Status Check(const Policy& policy);

}  // namespace whorl
