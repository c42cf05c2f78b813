#include "core/engine/remedies.h"

#include <algorithm>
#include <utility>

#include "core/engine/engine.h"
#include "core/guard/rung.h"

namespace whorl {
namespace {

using remedy::Rung;

// Of these more means that the VM itself does or holds more.
bool OwnDoing(Feature feature) {
  switch (feature) {
    case Feature::kCpuUsage:
    case Feature::kCpuSystem:
    case Feature::kVcpuRun:
    case Feature::kMemoryResident:
    case Feature::kDirtyRate:
    case Feature::kNetTransmitBytes:
    case Feature::kNetPackets:
    case Feature::kDiskReadBytes:
    case Feature::kDiskWriteBytes:
    case Feature::kDiskOperations:
    case Feature::kDiskFlushes: return true;
    default: return false;
  }
}

remedy::Sight SightOf(const VmSpec& spec, const Assessment& a, const Remedies::Moment& moment, bool standing_still) {
  const Mode mode = std::min(spec.mode, spec.policy.max_mode);
  remedy::Sight sight;
  sight.now = moment.now;
  sight.deviating = a.episode && !a.episode->closed;
  if (a.episode) sight.episode = a.episode->number;
  sight.nature = a.nature;
  sight.score = a.score.value_or(0);
  sight.threshold = a.threshold;
  sight.guest_only = a.guest_only;
  sight.victim = OnlyAVictim(a);
  sight.blind = moment.blind || standing_still;
  sight.may_act = mode == Mode::kEnforce;
  sight.may_propose = mode >= Mode::kRecommend;
  sight.hold = spec.policy.pause == Pause::kHold || !moment.full_authority;
  sight.drain = spec.policy.pause == Pause::kHoldAndDrain;
  return sight;
}

}  // namespace

bool OnlyAVictim(const Assessment& a) {
  switch (a.nature) {
    case Nature::kNone:
    case Nature::kCpuPressure:
    case Nature::kMemoryPressure:
    case Nature::kNetworkPressure:
    case Nature::kDiskPressure:
    case Nature::kStall: break;
    // Their rules ask for something of the VM's own that has grown.
    case Nature::kSyscallShift:
    case Nature::kRunaway:
    case Nature::kMinerLike:
    case Nature::kExfiltrationLike:
    case Nature::kLeak: return false;
  }
  for (std::size_t i = 0; i < a.top_count; ++i) {
    if (a.top[i].sigmas > 0 && OwnDoing(a.top[i].feature)) return false;
  }
  return true;
}

void Remedies::Begin(std::uint32_t slot) {
  if (slot >= ladders_.size()) {
    ladders_.resize(slot + 1);
    undone_.resize(slot + 1);
  }
  ladders_[slot] = remedy::Ladder{};
  undone_[slot] = Rung::kObserve;
}

void Remedies::Tick(std::uint32_t slot, const VmSpec& spec, const Assessment& a, const Moment& moment, Plan& plan) {
  remedy::Ladder& ladder = ladders_[slot];
  const bool alarm = a.episode && !a.episode->closed;
  if (!alarm && ladder.top() == Rung::kObserve) {
    undone_[slot] = Rung::kObserve;
    return;
  }
  const remedy::LadderPolicy& policy = spec.policy.remediation;
  const remedy::Sight sight = SightOf(spec, a, moment, ladder.hold(Rung::kPause).held);
  bool settled = false;
  const auto tell = [&](const remedy::Step& step) { plan.remedies.push_back({a.vm, step}); };
  if (const Rung rung = std::exchange(undone_[slot], Rung::kObserve); rung != Rung::kObserve) {
    if (const auto step = ladder.Undone(rung, sight)) {
      tell(*step);
      settled = true;
    }
  }
  while (const auto step = ladder.Settle(sight, policy)) {
    tell(*step);
    settled = true;
  }
  auto next = settled ? std::nullopt : ladder.Next(sight, policy);
  if (next && next->kind == remedy::StepKind::kUp) {
    guard::RungSituation situation;
    situation.rung = next->rung;
    situation.enforced = sight.may_act;
    situation.paused = sight.hold && moment.full_authority;
    situation.lead = moment.full_authority;
    situation.dedicated_cpus = spec.dedicated_cpus;
    situation.blind = sight.blind;
    situation.guest_only = sight.guest_only;
    situation.victim = sight.victim;
    situation.caps = remedy::CapKnobsOf(next->nature);
    situation.base = moment.base;
    situation.cap_fraction = policy.cap_fraction;
    situation.request = spec.cpu_request.value_or(MilliCores{});
    const MilliCores vcpus{std::int64_t{spec.vcpus} * 1000};
    situation.most = spec.cpu_limit ? std::min(*spec.cpu_limit, vcpus) : vcpus;
    situation.allocation = a.cpu_allocation;
    situation.cores = spec.node_cores;
    situation.can_migrate = spec.can_migrate;
    situation.can_pause = spec.can_pause;
    const guard::RungRuling ruling = guard::Rule(situation);
    if (ruling.allowed()) {
      next->amount = ruling.amount;
    } else {
      const bool news = ladder.Refuse(*next, policy, ruling.reason);
      next->kind = remedy::StepKind::kRefused;
      next->to = next->from;
      next->until.reset();
      next->refusal = ruling.reason;
      next->refusal_message = ruling.message;
      if (news) tell(*next);
      next.reset();
    }
  }
  if (next) {
    ladder.Take(*next);
    tell(*next);
  }
  Hold(slot, a.vm, spec, plan);
}

void Remedies::Hold(std::uint32_t slot, VmHandle vm, const VmSpec& spec, Plan& plan) const {
  const remedy::Ladder& ladder = ladders_[slot];
  if (!ladder.any()) return;
  const remedy::LadderPolicy& policy = spec.policy.remediation;
  Restraint r;
  r.vm = vm;
  r.cpu_cap = Cap(slot, spec);
  r.raised = Raised(slot);
  if (const auto& cap = ladder.hold(Rung::kCap); cap.held) {
    const remedy::CapKnobs knobs = remedy::CapKnobsOf(cap.nature);
    if (knobs.network) r.network_bits_per_second = policy.network_kilobits * 1000;
    if (knobs.disk) r.disk_bytes_per_second = policy.disk_kibibytes * 1024;
  }
  if (const auto& isolated = ladder.hold(Rung::kIsolate); isolated.held) {
    r.cores = static_cast<std::uint32_t>(std::clamp<std::int64_t>(isolated.amount, 1, 65'536));
  }
  r.quarantine = ladder.hold(Rung::kQuarantine).held;
  r.migrate = ladder.hold(Rung::kMigrate).held;
  r.pause = ladder.hold(Rung::kPause).held;
  plan.restraints.push_back(r);
}

std::optional<MilliCores> Remedies::Cap(std::uint32_t slot, const VmSpec& spec) const {
  const remedy::Hold& cap = ladders_[slot].hold(Rung::kCap);
  if (!cap.held || cap.amount <= 0) return std::nullopt;
  // The request may have risen since.
  MilliCores amount = std::max(MilliCores{cap.amount}, spec.cpu_request.value_or(MilliCores{}));
  if (spec.cpu_limit) amount = std::min(amount, *spec.cpu_limit);
  return amount;
}

bool Remedies::MayEarn(std::uint32_t slot, const Policy& policy) const {
  return policy.remediation.of(Rung::kBorrow).approval == remedy::Approval::kAuto ||
         ladders_[slot].hold(Rung::kBorrow).held;
}

}  // namespace whorl
