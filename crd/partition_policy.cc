#include "crd/partition_policy.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "crd/json_fields.h"
#include "crd/text.h"

namespace whorl::crd {
namespace {

// The value at a dotted path. nullptr: some part is absent. An error: some part
// on the way is no object.
Result<const nlohmann::json*> At(const nlohmann::json& spec, std::string_view path) {
  const nlohmann::json* here = &spec;
  std::string_view rest = path;
  while (here != nullptr && !rest.empty()) {
    if (!here->is_object()) {
      const auto done = path.substr(0, path.size() - rest.size() - 1);
      return Fail(Code::kInvalid, fmt::format("spec.{} must be an object", done));
    }
    const auto dot = rest.find('.');
    here = FindMember(*here, rest.substr(0, dot));
    rest = dot == std::string_view::npos ? std::string_view{} : rest.substr(dot + 1);
  }
  return here;
}

// Reads the spec field by field and remembers the first thing wrong with it, so
// that the reader below stays a list.
class SpecReader {
 public:
  explicit SpecReader(const nlohmann::json& spec) : spec_(spec) {}

  std::optional<std::int64_t> OptionalNumber(std::string_view path) {
    const PolicyNumber* rule = nullptr;
    for (const auto& number : kPolicyNumbers) {
      if (number.path == path) rule = &number;
    }
    if (rule == nullptr) {
      Note(fmt::format("spec.{} is not in kPolicyNumbers", path), Code::kInternal);
      return std::nullopt;
    }
    const auto value = At(spec_, path);
    if (!value) {
      Note(value.error().message, value.error().code);
      return rule->standard;
    }
    if (*value == nullptr) return rule->standard;
    const auto number = WholeNumber(**value);
    if (!number || *number < rule->minimum || *number > rule->maximum) {
      Note(fmt::format("spec.{} is {}; it must be a whole number from {} to {}", path, Shown(**value), rule->minimum,
                       rule->maximum));
      return rule->standard;
    }
    return number;
  }

  // For paths whose rule has a standard value.
  std::int64_t Number(std::string_view path) { return OptionalNumber(path).value_or(0); }

  template <typename E, std::size_t N>
  E Word(std::string_view path, const std::pair<std::string_view, E> (&words)[N], E standard) {
    const auto value = At(spec_, path);
    if (!value) {
      Note(value.error().message, value.error().code);
      return standard;
    }
    if (*value == nullptr) return standard;
    const auto* text = (*value)->get_ptr<const std::string*>();
    std::string allowed;
    for (std::size_t i = 0; i < N; ++i) {
      if (text != nullptr && *text == words[i].first) return words[i].second;
      allowed += fmt::format("{}{}", i == 0 ? "" : i + 1 == N ? " or " : ", ", words[i].first);
    }
    Note(fmt::format("spec.{} is {}; it must be {}", path, Shown(**value), allowed));
    return standard;
  }

  void Note(std::string message, Code code = Code::kInvalid) {
    if (!error_) error_ = Error{code, std::move(message)};
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  static std::string Shown(const nlohmann::json& value) {
    return Clip(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), 64);
  }

  const nlohmann::json& spec_;
  std::optional<Error> error_;
};

constexpr std::pair<std::string_view, Mode> kModes[] = {
    {"Off", Mode::kOff}, {"Observe", Mode::kObserve}, {"Recommend", Mode::kRecommend}, {"Enforce", Mode::kEnforce}};
constexpr std::pair<std::string_view, Pause> kPauses[] = {
    {"None", Pause::kNone}, {"Hold", Pause::kHold}, {"HoldAndDrain", Pause::kHoldAndDrain}};
constexpr std::pair<std::string_view, PartitionKind> kPartitions[] = {{"Soft", PartitionKind::kSoft},
                                                                      {"Hard", PartitionKind::kHard}};

constexpr std::pair<std::string_view, remedy::Approval> kApprovals[] = {
    {"Auto", remedy::Approval::kAuto}, {"Ask", remedy::Approval::kAsk}, {"Never", remedy::Approval::kNever}};
constexpr std::pair<std::string_view, remedy::Approval> kProposing[] = {{"Auto", remedy::Approval::kAuto},
                                                                        {"Never", remedy::Approval::kNever}};

remedy::LadderPolicy ReadRemediation(SpecReader& spec) {
  using remedy::Rung;
  remedy::LadderPolicy policy;
  auto& propose = policy.rungs[remedy::Index(Rung::kPropose)];
  propose.approval = spec.Word("remediation.propose.mode", kProposing, propose.approval);
  for (std::size_t i = remedy::Index(Rung::kBorrow); i < remedy::kRungCount; ++i) {
    const std::string rung = "remediation." + std::string(remedy::RungName(static_cast<Rung>(i)));
    policy.rungs[i].approval = spec.Word(rung + ".mode", kApprovals, policy.rungs[i].approval);
    policy.rungs[i].ttl = Seconds{spec.Number(rung + ".ttlSeconds")};
  }
  policy.climb_after = Seconds{spec.Number("remediation.climbAfterSeconds")};
  policy.calm = Seconds{spec.Number("remediation.calmSeconds")};
  policy.proposal = Seconds{spec.Number("remediation.proposalSeconds")};
  policy.cap_fraction = static_cast<double>(spec.Number("remediation.cap.cpuPercent")) / 100.0;
  policy.network_kilobits = spec.Number("remediation.cap.networkKilobitsPerSecond");
  policy.disk_kibibytes = spec.Number("remediation.cap.diskKibibytesPerSecond");
  policy.raise_weight = static_cast<double>(spec.Number("remediation.raiseWeight.percent")) / 100.0;
  return policy;
}
// Memory has no soft kind: a balloon leaves a guest so much or it does not.
constexpr std::pair<std::string_view, bool> kMemoryPartitions[] = {{"None", false}, {"Hard", true}};

constexpr std::pair<std::string_view, HotplugMode> kHotplugModes[] = {
    {"Off", HotplugMode::kOff}, {"Recommend", HotplugMode::kRecommend}, {"Auto", HotplugMode::kAuto}};

HotplugPolicy ReadHotplug(SpecReader& spec) {
  HotplugPolicy hotplug;
  hotplug.mode = spec.Word("hotplug.mode", kHotplugModes, HotplugMode::kRecommend);
  hotplug.changes_per_vm_and_day = static_cast<int>(spec.Number("hotplug.changesPerVirtualMachineAndDay"));
  hotplug.at_once_per_node = static_cast<int>(spec.Number("hotplug.changesAtOncePerNode"));
  hotplug.at_once_per_cluster = static_cast<int>(spec.Number("hotplug.changesAtOncePerCluster"));
  return hotplug;
}

CpuPolicy ReadCpu(SpecReader& spec) {
  const auto fraction = [&](std::string_view path) { return static_cast<double>(spec.Number(path)) / 100.0; };
  CpuPolicy cpu;
  cpu.partition = spec.Word("resources.cpu.partition", kPartitions, PartitionKind::kSoft);
  cpu.floor_fraction = fraction("resources.cpu.floorPercent");
  cpu.ceiling_fraction = fraction("resources.cpu.ceilingPercent");
  cpu.lendable_fraction = fraction("resources.cpu.lendablePercent");
  cpu.step = MilliCores{spec.Number("resources.cpu.stepMillicores")};
  cpu.quantum = Seconds{spec.Number("resources.cpu.quantumSeconds")};
  cpu.demand_quantile = fraction("resources.cpu.demandQuantilePercent");
  cpu.margin = fraction("resources.cpu.marginPercent");
  cpu.deviation_factor = fraction("resources.cpu.deviationFactorPercent");
  cpu.max_bonus = fraction("resources.cpu.maxBonusPercent");
  cpu.bonus_credit = Seconds{spec.Number("resources.cpu.bonusCreditSeconds")};
  cpu.least_loan = MilliCores{spec.Number("resources.cpu.leastLoanMillicores")};
  cpu.weight_per_vcpu = MilliCores{spec.Number("resources.cpu.weightPerVcpuMillicores")};
  cpu.recall_use = fraction("resources.cpu.recallUsePercent");
  cpu.recall_delay_ms_per_s = static_cast<std::int32_t>(spec.Number("resources.cpu.recallDelayMillisPerSecond"));
  cpu.recall_for = Millis{spec.Number("resources.cpu.recallForMillis")};
  cpu.flapping = static_cast<int>(spec.Number("resources.cpu.flappingReversals"));
  return cpu;
}

}  // namespace

std::string_view HotplugModeName(HotplugMode mode) {
  for (const auto& [name, value] : kHotplugModes) {
    if (value == mode) return name;
  }
  return "Off";
}

Result<PartitionPolicy> ParsePartitionPolicy(const nlohmann::json& object) {
  PartitionPolicy policy;
  const auto* metadata = FindMember(object, "metadata");
  const auto* name = metadata != nullptr ? FindString(*metadata, "name") : nullptr;
  if (name == nullptr || name->empty()) return Fail(Code::kInvalid, "PartitionPolicy without metadata.name");
  policy.name = *name;
  if (const auto* uid = FindString(*metadata, "uid")) policy.uid = *uid;
  policy.generation = FindInt(*metadata, "generation").value_or(0);
  policy.conditions = ConditionsOf(object);

  static const nlohmann::json kEmpty = nlohmann::json::object();
  const auto* stored = FindMember(object, "spec");
  const std::string place = fmt::format("PartitionPolicy {}", *name);
  if (stored != nullptr && !stored->is_object()) return Fail(Error{Code::kInvalid, "spec must be an object"}.In(place));

  SpecReader spec(stored != nullptr ? *stored : kEmpty);
  policy.engine.max_mode = spec.Word("maxMode", kModes, Mode::kObserve);
  policy.engine.pause = spec.Word("pause", kPauses, Pause::kNone);
  policy.engine.learning = Seconds{spec.Number("learningSeconds")};
  policy.engine.learning_samples = static_cast<std::uint32_t>(spec.Number("learningSamples"));
  policy.engine.false_episodes_per_week = static_cast<double>(spec.Number("falseEpisodesPerWeek"));
  policy.engine.reserve = MilliCores{spec.Number("reserve.cpuMillicores")};
  policy.engine.cpu = ReadCpu(spec);
  policy.engine.remediation = ReadRemediation(spec);
  policy.hotplug = ReadHotplug(spec);
  policy.engine.memory.partition = spec.Word("resources.memory.partition", kMemoryPartitions, false);
  policy.engine.memory.floor_fraction = static_cast<double>(spec.Number("resources.memory.floorPercent")) / 100.0;
  policy.engine.memory.margin = static_cast<double>(spec.Number("resources.memory.marginPercent")) / 100.0;
  policy.memory_capacity_mib = spec.OptionalNumber("capacity.memoryMebibytes");
  policy.memory_reserve_mib = spec.Number("reserve.memoryMebibytes");
  if (const auto capacity = spec.OptionalNumber("capacity.cpuMillicores")) policy.cpu_capacity = MilliCores{*capacity};
  policy.lease = Seconds{spec.Number("leaseSeconds")};
  if (const auto checked = Check(policy.engine); !checked) spec.Note("spec." + checked.error().message);
  if (spec.error()) return Fail(spec.error()->In(place));
  return policy;
}

nlohmann::json ToJson(const PartitionPolicyStatus& status) {
  return {{"observedGeneration", status.observed_generation},
          {"virtualMachines", status.virtual_machines},
          {"conditions", ToJson(status.conditions)}};
}

}  // namespace whorl::crd
