#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operator/controller/enrol/resolve.h"

namespace whorl::controller {

// What one node's link has to do: whom to dial and what to watch there.
struct NodeAssignment {
  std::string node;
  std::string agent_pod;  // namespace/name; empty when no agent runs there
  std::string agent_ip;
  std::optional<MilliCores> allocatable;
  // Bytes; of memory, the same as for CPU below. Launchers' overhead counts as others'.
  std::optional<std::int64_t> allocatable_memory, memory_cap;
  std::int64_t memory_reserve = 0, other_memory = 0;
  MilliCores other_requests{0};   // of every pod that is not in enforce mode
  MilliCores reserve{0};          // the largest any policy on this node asks for
  std::optional<MilliCores> cap;  // the smallest any policy on this node sets
  Seconds lease{30};              // the shortest of the policies on this node
  std::vector<Resolution> vms;    // each with its enrolment, ordered by subject
};

// Nothing an agent or an engine would be told differs.
bool SameOrders(const NodeAssignment& a, const NodeAssignment& b);

// One row per node that has an agent or somebody to watch. Pure.
std::map<std::string, NodeAssignment> Assign(const ClusterView& view, const std::vector<Resolution>& rows);

}  // namespace whorl::controller
