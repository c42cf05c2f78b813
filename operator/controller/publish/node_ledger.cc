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

void KeepBooks(const crd::NodePartitionRecord& stored, crd::NodePartitionStatus& out) {
  out.epoch = stored.epoch;
  out.open_loans = stored.open_loans;
  out.closed_loans = stored.closed_loans;
  if (!stored.trouble.empty()) return;  // whoever takes over has nothing to lose
  out.house_credits = stored.house_credits;
  for (const auto& credit : stored.credits) {
    auto row = std::find_if(out.virtual_machines.begin(), out.virtual_machines.end(),
                            [&](const auto& vm) { return vm.ns == credit.ns && vm.name == credit.name; });
    if (row == out.virtual_machines.end()) {
      out.virtual_machines.push_back({.ns = credit.ns, .name = credit.name, .uid = credit.uid});
      row = out.virtual_machines.end() - 1;
    }
    // Another VM of that name: what the former one was owed is the house's.
    if (row->uid == credit.uid) {
      row->credits = credit.credits;
    } else {
      *out.house_credits += credit.credits;
    }
  }
}

void WriteBooks(const NodeReport& node, crd::NodePartitionStatus& out) {
  for (const auto& loan : node.loans) {
    out.open_loans.push_back({.number = static_cast<std::int64_t>(loan.id),
                              .resource = "cpu",
                              .lender = loan.lender,
                              .borrower = loan.borrower,
                              .amount = crd::Quantity(loan.amount),
                              .reason = std::string(NameOf(loan.reason)),
                              .message = std::string(SentenceOf(loan.reason)),
                              .forecast = crd::Quantity(loan.borrower_need),
                              .lender_forecast = crd::Quantity(loan.lender_need),
                              .since = loan.since,
                              .expiry = loan.expires});
  }
  out.closed_loans = node.closed;
  // Whole millicore-seconds; the house takes what rounding leaves.
  std::int64_t house = 0;
  for (std::size_t i = 0; i < std::min(node.vms.size(), crd::kMostNodeVms); ++i) {
    const auto& vm = node.vms[i];
    const std::int64_t credits = vm.assessment.cpu_credits / 1000;
    if (credits == 0 && vm.resolution.mode.mode != Mode::kEnforce) continue;
    out.virtual_machines[i].credits = credits;
    house -= credits;
  }
  out.house_credits = house;
}

}  // namespace

crd::NodePartitionStatus ToNodePartition(const NodeReport& node, const std::string& controller,
                                         std::vector<crd::Condition> conditions, Time now,
                                         const crd::NodePartitionRecord* stored) {
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
    row.uid = vm.resolution.subject.uid;
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
  for (const auto& loan : node.loans) lent = lent + loan.amount;
  if (node.epoch > 0) {
    WriteBooks(node, out);
  } else if (stored != nullptr) {
    KeepBooks(*stored, out);
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
      node.floors_trouble.empty()
          ? Make(crd::kFloorsFit, true, "Fits", "the floors of all VMs in enforce mode fit the capacity")
          : Make(crd::kFloorsFit, false, "FloorsAboveCapacity", node.floors_trouble);
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
