#include "core/guard/rung.h"

#include <algorithm>
#include <cmath>

namespace whorl::guard {
namespace {

using remedy::Rung;

struct Objection {
  std::string_view reason;
  std::string_view message;
};
using Check = std::optional<Objection> (*)(const RungSituation&);

MilliCores CapOf(const RungSituation& s) {
  const auto part = static_cast<std::int64_t>(std::lround(s.cap_fraction * static_cast<double>(Count(*s.base))));
  return std::max(MilliCores{std::max<std::int64_t>(part, 1)}, s.request);
}

std::int64_t CoresOf(const RungSituation& s) {
  return std::max<std::int64_t>(1, (Count(std::max(s.allocation, s.request)) + 999) / 1000);
}

std::optional<Objection> NotEnforced(const RungSituation& s) {
  if (s.enforced) return std::nullopt;
  return Objection{"NotEnforced", "the VM is not in mode enforce; nothing is done to it"};
}

std::optional<Objection> Paused(const RungSituation& s) {
  if (!s.paused) return std::nullopt;
  return Objection{"Paused", "the policy is paused; nothing new is begun"};
}

std::optional<Objection> LeadInDoubt(const RungSituation& s) {
  if (s.lead) return std::nullopt;
  return Objection{"LeadInDoubt", "the controller could not renew its lead; nothing new is begun"};
}

std::optional<Objection> DedicatedCpus(const RungSituation& s) {
  if (!s.dedicated_cpus) return std::nullopt;
  return Objection{"DedicatedCpus", "the VM has dedicated CPUs and is left as it is"};
}

std::optional<Objection> SampleTooOld(const RungSituation& s) {
  if (!s.blind) return std::nullopt;
  return Objection{"SampleTooOld", "no sample for 5 s; what it does now is not known"};
}

std::optional<Objection> GuestEvidenceOnly(const RungSituation& s) {
  if (!s.guest_only || s.rung <= Rung::kPropose) return std::nullopt;
  return Objection{"GuestEvidenceOnly", "only the guest itself says that it is unusual; that is never acted upon"};
}

std::optional<Objection> OnlyAVictim(const RungSituation& s) {
  if (!s.victim || !remedy::Harms(s.rung)) return std::nullopt;
  return Objection{"OnlyAVictim", "the VM waits for others and takes no more than usual itself"};
}

std::optional<Objection> NotPartitioned(const RungSituation& s) {
  const bool cpu = s.rung == Rung::kRaiseWeight || s.rung == Rung::kIsolate || (s.rung == Rung::kCap && s.caps.cpu);
  if (!cpu || s.base) return std::nullopt;
  return Objection{"NotPartitioned", "the CPU of its node is not partitioned, so it has no share to go by"};
}

std::optional<Objection> NothingToCap(const RungSituation& s) {
  if (s.rung != Rung::kCap || !s.caps.cpu || s.caps.network || s.caps.disk || CapOf(s) < s.most) return std::nullopt;
  return Objection{"NothingToCap", "its requests alone allow what it could use at all; a cap would limit nothing"};
}

std::optional<Objection> NoCoresToSpare(const RungSituation& s) {
  if (s.rung != Rung::kIsolate || CoresOf(s) < s.cores) return std::nullopt;
  return Objection{"NoCoresToSpare",
                   "the node has too few cores to keep some apart, or some are dedicated to other VMs"};
}

std::optional<Objection> NotMigratable(const RungSituation& s) {
  if (s.rung != Rung::kMigrate || s.can_migrate) return std::nullopt;
  return Objection{"NotMigratable", "KubeVirt does not call it live-migratable, or it is on its way already"};
}

std::optional<Objection> NotPausable(const RungSituation& s) {
  if (s.rung != Rung::kPause || s.can_pause) return std::nullopt;
  return Objection{"NotPausable", "it does not run, or somebody else has paused it"};
}

constexpr Check kChecks[] = {NotEnforced,       Paused,      LeadInDoubt,    DedicatedCpus, SampleTooOld,
                             GuestEvidenceOnly, OnlyAVictim, NotPartitioned, NothingToCap,  NoCoresToSpare,
                             NotMigratable,     NotPausable};

}  // namespace

RungRuling Rule(const RungSituation& situation) {
  for (const Check check : kChecks) {
    if (const auto objection = check(situation)) return {objection->reason, objection->message, 0};
  }
  RungRuling ruling;
  if (situation.rung == Rung::kCap && situation.caps.cpu) ruling.amount = Count(CapOf(situation));
  if (situation.rung == Rung::kIsolate) ruling.amount = CoresOf(situation);
  return ruling;
}

}  // namespace whorl::guard
