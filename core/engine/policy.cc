#include "core/engine/policy.h"

#include <string>
#include <string_view>

namespace whorl {
namespace {

Status Refuse(std::string_view field, std::string_view must, std::string_view resource = "cpu") {
  return Fail(Code::kInvalid,
              "resources." + std::string(resource) + "." + std::string(field) + " must be " + std::string(must));
}

Status RefuseRemedy(std::string_view field, std::string_view must) {
  return Fail(Code::kInvalid, "remediation." + std::string(field) + " must be " + std::string(must));
}

Status Check(const remedy::LadderPolicy& policy) {
  using remedy::Approval;
  using remedy::Rung;
  const auto within = [](double value, double low, double high) { return value >= low && value <= high; };
  const Approval propose = policy.of(Rung::kPropose).approval;
  if (propose == Approval::kAsk) return RefuseRemedy("propose.mode", "Auto or Never, because proposing is asking");
  for (std::size_t i = remedy::Index(Rung::kBorrow); i < remedy::kRungCount; ++i) {
    const auto name = std::string(remedy::RungName(static_cast<Rung>(i)));
    if (policy.rungs[i].ttl < Seconds{1}) return RefuseRemedy(name + ".ttlSeconds", "at least 1");
    if (propose == Approval::kNever && policy.rungs[i].approval == Approval::kAsk)
      return RefuseRemedy(name + ".mode", "Auto or Never while propose.mode is Never, because nothing is asked then");
  }
  if (policy.climb_after < Seconds{1}) return RefuseRemedy("climbAfterSeconds", "at least 1");
  if (policy.calm < Seconds{0}) return RefuseRemedy("calmSeconds", "at least 0");
  if (policy.proposal < Seconds{1}) return RefuseRemedy("proposalSeconds", "at least 1");
  if (!within(policy.cap_fraction, 0.01, 1)) return RefuseRemedy("cap.cpuPercent", "from 1 to 100");
  if (!within(policy.raise_weight, 1, 10)) return RefuseRemedy("raiseWeight.percent", "from 100 to 1000");
  if (policy.network_kilobits < 1) return RefuseRemedy("cap.networkKilobitsPerSecond", "at least 1");
  if (policy.disk_kibibytes < 1) return RefuseRemedy("cap.diskKibibytesPerSecond", "at least 1");
  return {};
}

}  // namespace

Status Check(const Policy& policy) {
  const CpuPolicy& cpu = policy.cpu;
  // Written so that what is not a number is refused as well.
  const auto within = [](double value, double low, double high) { return value >= low && value <= high; };
  if (!within(cpu.floor_fraction, 0, 1)) return Refuse("floorPercent", "from 0 to 100");
  if (!within(cpu.ceiling_fraction, 1, 1000)) return Refuse("ceilingPercent", "at least 100");
  if (!within(cpu.lendable_fraction, 0, 1)) return Refuse("lendablePercent", "from 0 to 100");
  if (!within(cpu.demand_quantile, 0.01, 0.999)) return Refuse("demandQuantilePercent", "from 50 to 99");
  if (!within(cpu.margin, 0, 100)) return Refuse("marginPercent", "at least 0");
  if (!within(cpu.deviation_factor, 0, 1)) return Refuse("deviationFactorPercent", "from 0 to 100");
  if (!within(cpu.max_bonus, 0, 1000)) return Refuse("maxBonusPercent", "at least 0");
  // Percents arrive as fractions: half of one is rounding.
  if (cpu.max_bonus + 1 > cpu.ceiling_fraction + 0.005) {
    return Refuse("maxBonusPercent",
                  "no more than ceilingPercent minus 100, because a bonus cannot lift a VM above its ceiling");
  }
  if (cpu.quantum < Seconds{1}) return Refuse("quantumSeconds", "at least 1");
  if (Count(cpu.step) < 1) return Refuse("stepMillicores", "at least 1");
  if (Count(cpu.least_loan) < 1) return Refuse("leastLoanMillicores", "at least 1");
  if (cpu.least_loan > cpu.step) {
    return Refuse("leastLoanMillicores", "no more than stepMillicores, because nobody rises by more in one second");
  }
  if (cpu.bonus_credit < Seconds{1}) return Refuse("bonusCreditSeconds", "at least 1");
  if (Count(cpu.weight_per_vcpu) < 1) return Refuse("weightPerVcpuMillicores", "at least 1");
  if (!within(cpu.recall_use, 0.01, 1)) return Refuse("recallUsePercent", "from 1 to 100");
  if (cpu.recall_delay_ms_per_s < 1) return Refuse("recallDelayMillisPerSecond", "at least 1");
  if (cpu.recall_for < Millis{250}) return Refuse("recallForMillis", "at least 250, one look of the agent");
  if (cpu.flapping < 1) return Refuse("flappingReversals", "at least 1");
  if (!within(policy.memory.floor_fraction, 0, 1)) return Refuse("floorPercent", "from 0 to 100", "memory");
  if (!within(policy.memory.margin, 0, 100)) return Refuse("marginPercent", "at least 0", "memory");
  return Check(policy.remediation);
}

}  // namespace whorl
