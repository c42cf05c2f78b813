#include "crd/node_partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/engine/plan.h"
#include "crd/json_fields.h"
#include "crd/text.h"

namespace whorl::crd {
namespace {

constexpr std::size_t kMaxResources = 16;
constexpr std::size_t kMaxLoans = 512;
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

// What open and closed loans share.
template <typename Loan>
nlohmann::json LoanJson(const Loan& loan) {
  nlohmann::json out{{"number", std::clamp<std::int64_t>(loan.number, 0, kLargestExact)},
                     {"resource", Clip(loan.resource, 63)},
                     {"lender", Clip(loan.lender, 317)},
                     {"borrower", Clip(loan.borrower, 317)},
                     {"amount", Clip(loan.amount, 32)},
                     {"since", TimeText(loan.since)}};
  PutText(out, "reason", loan.reason);
  PutText(out, "message", Clip(loan.message, 256));
  PutText(out, "forecast", Clip(loan.forecast, 64));
  PutText(out, "lenderForecast", Clip(loan.lender_forecast, 64));
  return out;
}

nlohmann::json ToJson(const OpenLoan& loan) {
  auto out = LoanJson(loan);
  out["expiryTime"] = TimeText(loan.expiry);
  return out;
}

nlohmann::json ToJson(const ClosedLoan& loan) {
  auto out = LoanJson(loan);
  out["endTime"] = TimeText(loan.end);
  out["outcome"] = loan.outcome;
  if (loan.moved) out["moved"] = std::clamp<std::int64_t>(*loan.moved, 0, kLargestExact);
  return out;
}

nlohmann::json ToJson(const NodeVirtualMachine& vm) {
  nlohmann::json out{{"namespace", vm.ns}, {"name", vm.name}};
  PutText(out, "uid", Clip(vm.uid, 64));
  if (vm.mode) out["mode"] = ModeName(*vm.mode);
  PutText(out, "entitlement", Clip(vm.entitlement, 32));
  PutText(out, "allocation", Clip(vm.allocation, 32));
  if (vm.credits) out["credits"] = std::clamp(*vm.credits, -kLargestExact, kLargestExact);
  return out;
}

constexpr auto kWrite = [](const auto& item) { return ToJson(item); };

std::optional<std::int64_t> Exact(std::optional<std::int64_t> number) {
  return number && *number >= -kLargestExact && *number <= kLargestExact ? number : std::nullopt;
}

// Of a VM with credits; without, or with ones of which nothing can be made, nothing.
std::optional<NodePartitionRecord::Credit> ReadCredit(const nlohmann::json& vm, std::string& trouble) {
  const auto* member = FindMember(vm, "credits");
  if (member == nullptr) return std::nullopt;
  const auto* ns = FindString(vm, "namespace");
  const auto* name = FindString(vm, "name");
  const auto* uid = FindString(vm, "uid");
  const auto credits = Exact(WholeNumber(*member));
  if (ns == nullptr || name == nullptr || uid == nullptr || uid->empty() || !credits) {
    trouble =
        fmt::format("status.virtualMachines: the credits of {} {}", name ? *name : std::string("a VM without a name"),
                    credits ? "have no namespace, name and uid beside them" : "are no whole number below 2^53");
    return std::nullopt;
  }
  return NodePartitionRecord::Credit{*ns, *name, *uid, *credits};
}

template <typename Enum>
bool IsOneOf(const std::string& word, Enum last) {
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    if (word == NameOf(static_cast<Enum>(i))) return true;
  }
  return false;
}

// False: it is no loan that could be written back.
template <typename Loan>
bool ReadLoan(const nlohmann::json& item, const char* until, Time& end, Loan& loan) {
  const auto text = [&item](const char* name) {
    const auto* found = FindString(item, name);
    return found == nullptr ? std::string() : *found;
  };
  const auto number = FindInt(item, "number");
  const auto since = ParseTimeText(text("since"));
  const auto to = ParseTimeText(text(until));
  loan.lender = text("lender");
  loan.borrower = text("borrower");
  loan.resource = text("resource");
  if (!Exact(number) || *number < 0 || !since || !to || loan.lender.empty() || loan.borrower.empty() ||
      loan.resource.empty() || loan.lender == loan.borrower) {
    return false;
  }
  loan.number = *number;
  loan.since = *since;
  end = *to;
  loan.amount = text("amount");
  loan.message = text("message");
  loan.forecast = text("forecast");
  loan.lender_forecast = text("lenderForecast");
  loan.reason = text("reason");
  if (!IsOneOf(loan.reason, LoanReason::kCredits)) loan.reason.clear();
  return true;
}

void ReadLoans(const nlohmann::json& status, NodePartitionRecord& record) {
  const auto* open = FindMember(status, "openLoans");
  if (open != nullptr && open->is_array()) {
    for (const auto& item : *open) {
      OpenLoan loan;
      if (ReadLoan(item, "expiryTime", loan.expiry, loan)) record.open_loans.push_back(std::move(loan));
    }
  }
  const auto* closed = FindMember(status, "closedLoans");
  if (closed == nullptr || !closed->is_array()) return;
  for (const auto& item : *closed) {
    ClosedLoan loan;
    const auto* outcome = FindString(item, "outcome");
    if (outcome == nullptr || !IsOneOf(*outcome, LoanOutcome::kHandedOver)) continue;
    if (!ReadLoan(item, "endTime", loan.end, loan)) continue;
    loan.outcome = *outcome;
    loan.moved = FindInt(item, "moved");
    record.closed_loans.push_back(std::move(loan));
  }
}

}  // namespace

nlohmann::json ToJson(const NodePartitionStatus& status) {
  nlohmann::json out{{"observedGeneration", status.observed_generation}, {"conditions", ToJson(status.conditions)}};
  PutText(out, "agentVersion", Clip(status.agent_version, 64));
  PutText(out, "controller", Clip(status.controller, 253));
  if (status.epoch && *status.epoch <= static_cast<std::uint64_t>(kLargestExact)) out["epoch"] = *status.epoch;
  PutList(out, "resources", status.resources, kMaxResources, kWrite);
  PutList(out, "openLoans", status.open_loans, kMaxLoans, kWrite);
  PutList(out, "closedLoans", status.closed_loans, kMostClosedLoans, kWrite);
  if (status.house_credits) out["houseCredits"] = std::clamp(*status.house_credits, -kLargestExact, kLargestExact);
  PutList(out, "virtualMachines", status.virtual_machines, kMostNodeVms, kWrite);
  return out;
}

Result<NodePartitionRecord> ParseNodePartition(const nlohmann::json& object) {
  NodePartitionRecord record;
  const auto* metadata = FindMember(object, "metadata");
  const auto* name = metadata != nullptr ? FindString(*metadata, "name") : nullptr;
  if (name == nullptr || name->empty()) return Fail(Code::kInvalid, "NodePartition without metadata.name");
  record.node = *name;
  if (const auto* uid = FindString(*metadata, "uid")) record.uid = *uid;
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
      if (auto credit = ReadCredit(item, record.trouble)) record.credits.push_back(std::move(*credit));
    }
  }
  if (const auto* house = FindMember(*status, "houseCredits")) {
    const auto number = Exact(WholeNumber(*house));
    if (!number) record.trouble = "status.houseCredits is no whole number below 2^53";
    record.house_credits = number.value_or(0);
  }
  ReadLoans(*status, record);
  return record;
}

}  // namespace whorl::crd
