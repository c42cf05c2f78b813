#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/engine/policy.h"
#include "crd/conditions.h"

namespace whorl::crd {

enum class HotplugMode : std::uint8_t { kOff, kRecommend, kAuto };
std::string_view HotplugModeName(HotplugMode mode);  // "Off", "Recommend", "Auto"

// The cluster loop: whether, and within which budget of live migrations.
struct HotplugPolicy {
  HotplugMode mode = HotplugMode::kRecommend;
  int changes_per_vm_and_day = 2;
  int at_once_per_node = 1;
  int at_once_per_cluster = 2;
};

// A PartitionPolicy as the controller uses it: the engine's numbers, and what
// only the controller needs. Immutable value, made from one stored object.
struct PartitionPolicy {
  std::string name = {};
  std::string uid = {};
  std::int64_t generation = 0;
  Policy engine;
  std::optional<MilliCores> cpu_capacity = {};           // upper bound per node; nullopt = none
  std::optional<std::int64_t> memory_capacity_mib = {};  // likewise
  std::int64_t memory_reserve_mib = 0;
  Seconds lease{30};
  HotplugPolicy hotplug = {};
  std::vector<Condition> conditions = {};  // of its status, as stored
};

// Every whole number of the spec with its bounds. The YAML says the same; a
// test holds them together.
struct PolicyNumber {
  std::string_view path;  // under spec, dots between names
  std::int64_t minimum;
  std::int64_t maximum;
  std::optional<std::int64_t> standard = {};  // taken when absent; nullopt = stays absent
};
inline constexpr std::array<PolicyNumber, 43> kPolicyNumbers{{
    {"capacity.cpuMillicores", 100, 1'000'000'000, std::nullopt},
    {"capacity.memoryMebibytes", 16, 1'000'000'000, std::nullopt},
    {"falseEpisodesPerWeek", 1, 168, 1},
    {"hotplug.changesAtOncePerCluster", 1, 5, 2},
    {"hotplug.changesAtOncePerNode", 1, 2, 1},
    {"hotplug.changesPerVirtualMachineAndDay", 1, 6, 2},
    {"learningSamples", 30, 604'800, 200},
    {"learningSeconds", 10, 2'592'000, 3600},
    {"leaseSeconds", 5, 300, 30},
    {"remediation.borrow.ttlSeconds", 10, 86'400, 1800},
    {"remediation.calmSeconds", 0, 3600, 30},
    {"remediation.cap.cpuPercent", 1, 100, 50},
    {"remediation.cap.diskKibibytesPerSecond", 64, 1'000'000'000, 10'240},
    {"remediation.cap.networkKilobitsPerSecond", 8, 1'000'000'000, 10'000},
    {"remediation.cap.ttlSeconds", 10, 86'400, 900},
    {"remediation.climbAfterSeconds", 10, 86'400, 60},
    {"remediation.isolate.ttlSeconds", 10, 86'400, 900},
    {"remediation.migrate.ttlSeconds", 600, 604'800, 21'600},
    {"remediation.pause.ttlSeconds", 10, 86'400, 300},
    {"remediation.proposalSeconds", 60, 604'800, 3600},
    {"remediation.quarantine.ttlSeconds", 10, 86'400, 600},
    {"remediation.raiseWeight.percent", 100, 1000, 150},
    {"remediation.raiseWeight.ttlSeconds", 10, 86'400, 1800},
    {"reserve.cpuMillicores", 0, 1'000'000'000, 0},
    {"reserve.memoryMebibytes", 0, 1'000'000'000, 0},
    {"resources.cpu.bonusCreditSeconds", 1, 86'400, 600},
    {"resources.cpu.ceilingPercent", 100, 10'000, 400},
    {"resources.cpu.demandQuantilePercent", 50, 99, 95},
    {"resources.cpu.deviationFactorPercent", 0, 100, 50},
    {"resources.cpu.flappingReversals", 2, 1000, 8},
    {"resources.cpu.floorPercent", 0, 100, 10},
    {"resources.cpu.leastLoanMillicores", 10, 1'000'000'000, 20},
    {"resources.cpu.lendablePercent", 0, 100, 80},
    {"resources.cpu.marginPercent", 0, 300, 15},
    {"resources.cpu.maxBonusPercent", 0, 400, 50},
    {"resources.cpu.quantumSeconds", 1, 3600, 10},
    {"resources.cpu.recallDelayMillisPerSecond", 10, 1000, 250},
    {"resources.cpu.recallForMillis", 250, 750, 250},
    {"resources.cpu.recallUsePercent", 50, 100, 90},
    {"resources.cpu.stepMillicores", 10, 1'000'000'000, 1000},
    {"resources.cpu.weightPerVcpuMillicores", 1, 1'000'000, 100},
    {"resources.memory.floorPercent", 0, 100, 50},
    {"resources.memory.marginPercent", 0, 300, 25},
}};

// Reads a stored object. What the API server would have defaulted is defaulted
// here too; what it would have refused is kInvalid, with the field, the value
// and what it must be. Unknown fields are ignored.
Result<PartitionPolicy> ParsePartitionPolicy(const nlohmann::json& object);

struct PartitionPolicyStatus {
  std::int64_t observed_generation = 0;
  std::int32_t virtual_machines = 0;
  std::vector<Condition> conditions = {};  // kAccepted

  bool operator==(const PartitionPolicyStatus&) const = default;
};
inline constexpr std::string_view kAccepted = "Accepted";

nlohmann::json ToJson(const PartitionPolicyStatus& status);  // the object under "status"

}  // namespace whorl::crd
