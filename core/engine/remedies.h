#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/engine/assessment.h"
#include "core/engine/plan.h"
#include "core/engine/policy.h"
#include "core/remedy/ladder.h"

namespace whorl {

struct VmSpec;

// The ladders of a node's VMs, by slot: shows each what the engine knows of its
// VM, has the guard judge what it wants, and keeps what it holds. No allocation
// in a tick in which nothing happens.
class Remedies {
 public:
  // A fresh ladder for a VM that was enrolled in this slot.
  void Begin(std::uint32_t slot);

  struct Moment {
    Time now{};
    bool blind = false;
    bool full_authority = true;
    std::optional<MilliCores> base;  // of the last plan; nullopt: it had none
  };
  // One tick of one VM: its steps and what it holds are appended to the plan.
  void Tick(std::uint32_t slot, const VmSpec& spec, const Assessment& a, const Moment& moment, Plan& plan);

  remedy::Ladder& of(std::uint32_t slot) { return ladders_[slot]; }
  const remedy::Ladder& of(std::uint32_t slot) const { return ladders_[slot]; }
  // The most CPU the VM may have while it is capped; never below its request.
  std::optional<MilliCores> Cap(std::uint32_t slot, const VmSpec& spec) const;
  bool Harmed(std::uint32_t slot) const { return ladders_[slot].top() >= remedy::Rung::kCap; }
  bool Raised(std::uint32_t slot) const { return ladders_[slot].hold(remedy::Rung::kRaiseWeight).held; }
  // The policy lets a deviation earn a bonus at once, or the rung is held.
  bool MayEarn(std::uint32_t slot, const Policy& policy) const;
  // What was taken does not stand any more: somebody else undid it, or it could
  // not be done. Told in the next plan.
  void Undone(std::uint32_t slot, remedy::Rung rung) { undone_[slot] = rung; }

 private:
  void Hold(std::uint32_t slot, VmHandle vm, const VmSpec& spec, Plan& plan) const;

  std::vector<remedy::Ladder> ladders_;
  std::vector<remedy::Rung> undone_;  // kObserve: nothing
};

// The VM waits for others and nothing of its own has grown: told from its nature
// and from the features that deviate most.
bool OnlyAVictim(const Assessment& a);

}  // namespace whorl
