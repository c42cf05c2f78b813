#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "core/engine/frame.h"
#include "core/engine/plan.h"
#include "operator/api/node.pb.h"

// Between the wire's messages and the engine's values. Pure; what is malformed
// on the wire is masked, never guessed.
namespace whorl::controller {

namespace api = whorl::node::v1;

// The engine's sample of one pod. Features beyond what the sender knows, and
// readings that are no finite number, are not valid.
VmSample ToSample(const api::VmSample& sample, VmHandle vm);

// Appends the sample to the frame, with its sketch and guest window where they
// are whole and within bounds; one that is not is left out as a whole.
// Allocates only while the frame's vectors grow.
void AddSample(const api::VmSample& sample, VmHandle vm, whorl::Frame& frame);

// Pod UID of an enrolled VM; nullptr when it has none any more.
using PodOf = std::function<const std::string*(VmHandle)>;

struct PlanHead {
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
  Seconds lease{30};
  std::uint32_t cores = 0;  // of the node; 0: not known, nothing is kept apart
};
// Directives and loans whose pod is unknown are left out. Whoever is isolated gets
// the node's last cores; the others of the plan keep off them.
api::Plan ToWire(const Plan& plan, const PlanHead& head, const PodOf& pod_of);

// The quota a pod's knobs amount to: nullopt inside = no quota; nothing at all
// when the agent did not read one.
struct ReadLimit {
  bool read = false;
  std::optional<MilliCores> limit;
};
ReadLimit LimitOf(const api::CpuKnobs& knobs);

}  // namespace whorl::controller
