#pragma once

#include <memory>
#include <string>
#include <utility>

#include "operator/controller/enrol/assign.h"

// Short ways to write the objects tests begin with.
namespace whorl::controller::test {

inline std::shared_ptr<const crd::PartitionPolicy> MakePolicy(Mode max_mode = Mode::kEnforce,
                                                              PartitionKind kind = PartitionKind::kHard) {
  auto policy = std::make_shared<crd::PartitionPolicy>();
  policy->name = "default";
  policy->uid = "policy-uid";
  policy->generation = 1;
  policy->engine.max_mode = max_mode;
  policy->engine.learning = Seconds{30};
  policy->engine.learning_samples = 30;
  policy->engine.cpu.partition = kind;
  policy->lease = Seconds{30};
  return policy;
}

// VM `name` in namespace default, enrolled on node-1 with pod "<name>-pod".
inline Resolution MakeRow(const std::string& name, Mode mode,
                          std::shared_ptr<const crd::PartitionPolicy> policy = MakePolicy()) {
  Resolution row;
  row.subject = Subject{"kubevirt.io/v1", "VirtualMachine", "default", name, name + "-uid"};
  row.generation = 1;
  row.mode.mode = row.mode.requested = mode;
  row.policy = std::move(policy);
  Enrolment e;
  e.pod_uid = name + "-pod";
  e.pod_name = "virt-launcher-" + name;
  e.node = "node-1";
  e.vcpus = 1;
  e.request = MilliCores{100};
  row.enrolment = e;
  return row;
}

inline NodeAssignment MakeAssignment(std::vector<Resolution> rows) {
  NodeAssignment a;
  a.node = "node-1";
  a.agent_pod = "whorl-system/whorl-agent-1";
  a.agent_ip = "10.0.0.5";
  a.allocatable = MilliCores{2000};
  a.cap = MilliCores{1200};
  a.vms = std::move(rows);
  return a;
}

}  // namespace whorl::controller::test
