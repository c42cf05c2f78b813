#include "operator/controller/enrol/assign.h"

#include <algorithm>
#include <unordered_set>

namespace whorl::controller {
namespace {

bool Finished(const Pod& pod) { return pod.phase == "Succeeded" || pod.phase == "Failed"; }

// During a rollout two agents can stand on one node: the ready one, then the younger.
bool Better(const Pod& candidate, const NodeAssignment& current, const Pod* chosen) {
  if (current.agent_ip.empty() || !chosen) return true;
  if (candidate.ready != chosen->ready) return candidate.ready;
  if (candidate.deleting != chosen->deleting) return !candidate.deleting;
  return candidate.created > chosen->created;
}

bool SamePolicy(const crd::PartitionPolicy& a, const crd::PartitionPolicy& b) {
  return &a == &b || (a.uid == b.uid && a.name == b.name && a.generation == b.generation);
}

}  // namespace

bool SameOrders(const NodeAssignment& a, const NodeAssignment& b) {
  return a.node == b.node && a.agent_pod == b.agent_pod && a.agent_ip == b.agent_ip && a.allocatable == b.allocatable &&
         a.allocatable_memory == b.allocatable_memory && a.memory_cap == b.memory_cap &&
         a.memory_reserve == b.memory_reserve && a.other_memory == b.other_memory &&
         a.other_requests == b.other_requests && a.reserve == b.reserve && a.cap == b.cap && a.lease == b.lease &&
         std::equal(a.vms.begin(), a.vms.end(), b.vms.begin(), b.vms.end(),
                    [](const Resolution& x, const Resolution& y) {
                      return x.subject == y.subject && x.mode.mode == y.mode.mode && x.enrolment == y.enrolment &&
                             x.baseline_request == y.baseline_request && x.answer == y.answer &&
                             SamePolicy(*x.policy, *y.policy);
                    });
}

std::map<std::string, NodeAssignment> Assign(const ClusterView& view, const std::vector<Resolution>& rows) {
  std::map<std::string, NodeAssignment> nodes;
  std::map<std::string, const Pod*> agents;
  for (const auto& pod : view.pods) {
    if (!pod->agent || pod->node.empty() || pod->ip.empty() || Finished(*pod)) continue;
    auto& row = nodes[pod->node];
    auto& chosen = agents[pod->node];
    if (!Better(*pod, row, chosen)) continue;
    chosen = pod.get();
    row.agent_pod = pod->ns + "/" + pod->name;
    row.agent_ip = pod->ip;
  }

  std::unordered_set<std::string_view> partitioned;  // pods whose share comes out of the partition
  std::map<std::string, bool> has_policy;
  for (const auto& resolution : rows) {
    if (!resolution.enrolment) continue;
    auto& row = nodes[resolution.enrolment->node];
    const crd::PartitionPolicy& policy = *resolution.policy;
    bool& any = has_policy[resolution.enrolment->node];
    row.lease = any ? std::min(row.lease, policy.lease) : policy.lease;
    any = true;
    row.reserve = MilliCores{std::max(Count(row.reserve), Count(policy.engine.reserve))};
    if (policy.cpu_capacity) {
      row.cap = MilliCores{std::min(Count(row.cap.value_or(*policy.cpu_capacity)), Count(*policy.cpu_capacity))};
    }
    row.memory_reserve = std::max(row.memory_reserve, policy.memory_reserve_mib << 20);
    if (policy.memory_capacity_mib) {
      row.memory_cap =
          std::min(row.memory_cap.value_or(*policy.memory_capacity_mib << 20), *policy.memory_capacity_mib << 20);
    }
    row.vms.push_back(resolution);
    if (resolution.mode.mode == Mode::kEnforce && !resolution.enrolment->dedicated_cpus) {
      partitioned.insert(resolution.enrolment->pod_uid);
      // Guests whose memory is not divided keep all of theirs.
      const auto& e = *resolution.enrolment;
      const bool divided = policy.engine.memory.partition && e.guest_bytes > 0;
      row.other_memory +=
          divided ? std::max<std::int64_t>(e.memory_request - e.guest_request_bytes, 0) : e.memory_request;
    }
  }
  for (const auto& pod : view.pods) {
    const auto row = nodes.find(pod->node);
    if (row == nodes.end() || Finished(*pod) || partitioned.contains(pod->uid)) continue;
    row->second.other_memory += pod->memory_request;
    row->second.other_requests = row->second.other_requests + pod->cpu_request.value_or(MilliCores{0});
  }
  for (const auto& node : view.nodes) {
    if (const auto row = nodes.find(node->name); row != nodes.end()) {
      row->second.allocatable = node->allocatable;
      row->second.allocatable_memory = node->allocatable_memory;
    }
  }
  for (auto& [name, row] : nodes) row.node = name;
  return nodes;
}

}  // namespace whorl::controller
