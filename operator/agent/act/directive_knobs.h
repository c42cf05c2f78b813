#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "operator/agent/act/cpu_files.h"
#include "operator/agent/act/knob_tree.h"
#include "operator/agent/act/limit_writer.h"
#include "operator/agent/act/pod_parts.h"
#include "operator/api/node.pb.h"

namespace whorl::agent {

// The pod a directive speaks of, as it stands.
struct DirectedPod {
  std::string dir;
  CpuValues found;                      // before anything of ours
  const JournalEntry* entry = nullptr;  // what is held, or null
  bool has_domain = false;              // its disks are limited by libvirt
};

// The knobs a directive asks for beyond CPU weight and quota, those that are
// set at once. What cannot be had or must not be is refused in `outcome`, knob
// by knob with a reason; the others stand. Network: each tap by itself has the
// whole rate, because a VM with several networks has no say between them here.
std::vector<WantedKnob> KnobsOf(const node::v1::Directive& directive, const DirectedPod& pod, const PodParts& parts,
                                const KnobTree& tree, CgroupVersion version, node::v1::Outcome& outcome);

// Bounds of a network rate, in bits per second.
inline constexpr std::uint64_t kLeastBits = 1000;
inline constexpr std::uint64_t kMostBits = 1'000'000'000'000;

}  // namespace whorl::agent
