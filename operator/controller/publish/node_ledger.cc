#include "operator/controller/publish/node_ledger.h"

#include <algorithm>
#include <utility>

#include "crd/text.h"

namespace whorl::controller {
namespace {

crd::Condition Make(std::string_view type, bool holds, std::string reason, std::string message) {
  crd::Condition c;
  c.type = std::string(type);
  c.status = holds ? crd::ConditionStatus::kTrue : crd::ConditionStatus::kFalse;
  c.reason = std::move(reason);
  c.message = std::move(message);
  return c;
}

}  // namespace

crd::NodePartitionStatus ToNodePartition(const NodeReport& node, const std::string& controller,
                                         std::vector<crd::Condition> conditions, Time now) {
  crd::NodePartitionStatus out;
  out.agent_version = node.agent_version;
  out.controller = controller;
  if (node.epoch > 0) out.epoch = node.epoch;

  MilliCores entitled{0}, allocated{0}, lent{0}, used{0};
  bool used_known = true;
  for (const auto& vm : node.vms) {
    crd::NodeVirtualMachine row;
    row.ns = vm.resolution.subject.ns;
    row.name = vm.resolution.subject.name;
    row.mode = vm.resolution.mode.mode;
    const auto& a = vm.assessment;
    if (vm.resolution.mode.mode == Mode::kEnforce && a.state != State::kBlind) {
      row.entitlement = crd::Quantity(a.cpu_entitlement);
      row.allocation = crd::Quantity(a.cpu_allocation);
      entitled = entitled + a.cpu_entitlement;
      allocated = allocated + a.cpu_allocation;
      if (a.cpu_now) {
        used = used + *a.cpu_now;
      } else {
        used_known = false;
      }
    }
    out.virtual_machines.push_back(std::move(row));
  }
  for (const auto& loan : node.loans) {
    crd::OpenLoan row;
    row.number = static_cast<std::int64_t>(loan.id);
    row.resource = "cpu";
    row.lender = loan.lender;
    row.borrower = loan.borrower;
    row.amount = crd::Quantity(loan.amount);
    row.reason = "the borrower is predicted to need more than it is entitled to, the lender less";
    if (loan.forecast) row.forecast = crd::Quantity(*loan.forecast);
    row.since = loan.since;
    row.expiry = loan.expires;
    lent = lent + loan.amount;
    out.open_loans.push_back(std::move(row));
  }
  crd::NodeResource cpu;
  cpu.name = "cpu";
  if (node.allocatable) cpu.allocatable = crd::Quantity(*node.allocatable);
  cpu.reserved = crd::Quantity(node.reserved);
  cpu.others = crd::Quantity(node.others);
  if (node.capacity) cpu.capacity = crd::Quantity(*node.capacity);
  cpu.entitled = crd::Quantity(entitled);
  cpu.allocated = crd::Quantity(allocated);
  cpu.lent = crd::Quantity(lent);
  if (used_known) cpu.used = crd::Quantity(used);
  out.resources.push_back(std::move(cpu));

  out.conditions = std::move(conditions);
  const auto connected = node.connected ? Make(crd::kAgentConnected, true, "Streaming", "a frame arrives each second")
                                        : Make(crd::kAgentConnected, false, "NotConnected", node.trouble);
  const auto floors =
      node.floors_fit ? Make(crd::kFloorsKept, true, "Fits", "the requests of all VMs in enforce mode fit the capacity")
                      : Make(crd::kFloorsKept, false, "RequestsAboveCapacity",
                             "the VMs in enforce mode request more CPU than may be partitioned; each gets a part in "
                             "proportion. Lower reserve, raise capacity, or move a VM away");
  crd::Condition ready = Make(crd::kNodeReady, true, "Streaming", "the node is watched and its books are in order");
  for (const auto* part : {&connected, &floors}) {
    if (part->status == crd::ConditionStatus::kTrue) continue;
    ready = Make(crd::kNodeReady, false, part->reason, part->message);
    break;
  }
  crd::SetCondition(out.conditions, connected, now);
  crd::SetCondition(out.conditions, floors, now);
  crd::SetCondition(out.conditions, ready, now);
  return out;
}

std::string LoansKey(const NodeReport& node) {
  std::vector<std::string> rows;
  rows.reserve(node.loans.size());
  for (const auto& loan : node.loans) rows.push_back(loan.lender + ">" + loan.borrower);
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  std::string key;
  for (const auto& row : rows) key += row + ";";
  return key;
}

}  // namespace whorl::controller
