#include "crd/node_partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "crd/json_fields.h"
#include "crd/text.h"

namespace whorl::crd {
namespace {

constexpr std::size_t kMaxResources = 16;
constexpr std::size_t kMaxLoans = 512;
constexpr std::size_t kMaxVms = 512;
constexpr std::int64_t kLargestExact = 9'007'199'254'740'991;  // 2^53 - 1, what every JSON reader keeps

nlohmann::json ToJson(const NodeResource& resource) {
  nlohmann::json out{{"name", Clip(resource.name, 63)}};
  PutText(out, "allocatable", Clip(resource.allocatable, 32));
  PutText(out, "reserved", Clip(resource.reserved, 32));
  PutText(out, "others", Clip(resource.others, 32));
  PutText(out, "capacity", Clip(resource.capacity, 32));
  PutText(out, "entitled", Clip(resource.entitled, 32));
  PutText(out, "allocated", Clip(resource.allocated, 32));
  PutText(out, "lent", Clip(resource.lent, 32));
  PutText(out, "used", Clip(resource.used, 32));
  return out;
}

nlohmann::json ToJson(const OpenLoan& loan) {
  nlohmann::json out{{"number", std::clamp<std::int64_t>(loan.number, 0, kLargestExact)},
                     {"resource", Clip(loan.resource, 63)},
                     {"lender", Clip(loan.lender, 317)},
                     {"borrower", Clip(loan.borrower, 317)},
                     {"amount", Clip(loan.amount, 32)},
                     {"since", TimeText(loan.since)},
                     {"expiryTime", TimeText(loan.expiry)}};
  PutText(out, "reason", Clip(loan.reason, 256));
  PutText(out, "forecast", Clip(loan.forecast, 64));
  return out;
}

nlohmann::json ToJson(const NodeVirtualMachine& vm) {
  nlohmann::json out{{"namespace", vm.ns}, {"name", vm.name}};
  if (vm.mode) out["mode"] = ModeName(*vm.mode);
  PutText(out, "entitlement", Clip(vm.entitlement, 32));
  PutText(out, "allocation", Clip(vm.allocation, 32));
  if (vm.credits) out["credits"] = std::clamp(*vm.credits, -kLargestExact, kLargestExact);
  return out;
}

constexpr auto kWrite = [](const auto& item) { return ToJson(item); };

std::optional<NodePartitionRecord::Credit> ReadCredit(const nlohmann::json& item) {
  const auto* ns = FindString(item, "namespace");
  const auto* name = FindString(item, "name");
  const auto credits = FindInt(item, "credits");
  if (ns == nullptr || name == nullptr || !credits) return std::nullopt;
  return NodePartitionRecord::Credit{*ns, *name, *credits};
}

}  // namespace

nlohmann::json ToJson(const NodePartitionStatus& status) {
  nlohmann::json out{{"observedGeneration", status.observed_generation}, {"conditions", ToJson(status.conditions)}};
  PutText(out, "agentVersion", Clip(status.agent_version, 64));
  PutText(out, "controller", Clip(status.controller, 253));
  if (status.epoch && *status.epoch <= static_cast<std::uint64_t>(kLargestExact)) out["epoch"] = *status.epoch;
  PutList(out, "resources", status.resources, kMaxResources, kWrite);
  PutList(out, "openLoans", status.open_loans, kMaxLoans, kWrite);
  PutList(out, "virtualMachines", status.virtual_machines, kMaxVms, kWrite);
  return out;
}

Result<NodePartitionRecord> ParseNodePartition(const nlohmann::json& object) {
  NodePartitionRecord record;
  const auto* metadata = FindMember(object, "metadata");
  const auto* name = metadata != nullptr ? FindString(*metadata, "name") : nullptr;
  if (name == nullptr || name->empty()) return Fail(Code::kInvalid, "NodePartition without metadata.name");
  record.node = *name;
  record.conditions = ConditionsOf(object);
  const auto* status = FindMember(object, "status");
  if (status == nullptr) return record;
  if (const auto* epoch = FindMember(*status, "epoch")) {
    const auto number = WholeNumber(*epoch);
    if (!number || *number < 0) {
      return Fail(Code::kInvalid, fmt::format("NodePartition {}: status.epoch must be a whole number from 0", *name));
    }
    record.epoch = static_cast<std::uint64_t>(*number);
  }
  const auto* vms = FindMember(*status, "virtualMachines");
  if (vms != nullptr && vms->is_array()) {
    for (const auto& item : *vms) {
      if (auto credit = ReadCredit(item)) record.credits.push_back(std::move(*credit));
    }
  }
  return record;
}

}  // namespace whorl::crd
