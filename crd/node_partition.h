#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/base/units.h"
#include "core/engine/policy.h"
#include "crd/conditions.h"

// The status of a NodePartition; there is no spec. An empty string or nullopt
// is left out of the object.
namespace whorl::crd {

// Condition types.
inline constexpr std::string_view kNodeReady = "Ready";
inline constexpr std::string_view kAgentConnected = "AgentConnected";
inline constexpr std::string_view kFloorsFit = "FloorsFit";  // False: the floors of all VMs do not fit the capacity

// Of virtualMachines; only what is written can be summed up.
inline constexpr std::size_t kMostNodeVms = 512;
inline constexpr std::size_t kMostClosedLoans = 32;

struct NodeResource {
  std::string name = {};  // "cpu"
  std::string allocatable = {};
  std::string reserved = {};
  std::string others = {};
  std::string capacity = {};
  std::string entitled = {};
  std::string allocated = {};
  std::string lent = {};
  std::string used = {};

  bool operator==(const NodeResource&) const = default;
};

struct OpenLoan {
  std::int64_t number = 0;
  std::string resource = {};
  std::string lender = {};    // namespace/name
  std::string borrower = {};  // namespace/name
  std::string amount = {};
  std::string reason = {};   // NameOf(LoanReason)
  std::string message = {};  // in words
  std::string forecast = {};
  std::string lender_forecast = {};
  Time since{};
  Time expiry{};

  bool operator==(const OpenLoan&) const = default;
};

struct ClosedLoan {
  std::int64_t number = 0;
  std::string resource = {};
  std::string lender = {};
  std::string borrower = {};
  std::string amount = {};  // as it last stood
  std::string reason = {};
  std::string forecast = {};
  std::string lender_forecast = {};
  Time since{};
  Time end{};
  std::string outcome = {};                // NameOf(LoanOutcome)
  std::string message = {};                // in words
  std::optional<std::int64_t> moved = {};  // millicore-seconds; nullopt: only the controller before knew

  bool operator==(const ClosedLoan&) const = default;
};

struct NodeVirtualMachine {
  std::string ns = {};
  std::string name = {};
  std::string uid = {};
  std::optional<Mode> mode = {};
  std::string entitlement = {};
  std::string allocation = {};
  std::optional<std::int64_t> credits = {};  // millicore-seconds lent more than borrowed

  bool operator==(const NodeVirtualMachine&) const = default;
};

struct NodePartitionStatus {
  std::int64_t observed_generation = 0;
  std::string agent_version = {};
  std::string controller = {};
  std::optional<std::uint64_t> epoch = {};
  std::vector<NodeResource> resources = {};
  std::vector<OpenLoan> open_loans = {};
  std::vector<ClosedLoan> closed_loans = {};  // the latest first
  std::optional<std::int64_t> house_credits = {};
  std::vector<NodeVirtualMachine> virtual_machines = {};
  std::vector<Condition> conditions = {};

  bool operator==(const NodePartitionStatus&) const = default;
};

// The object under "status", cut to the schema's bounds.
nlohmann::json ToJson(const NodePartitionStatus& status);

// What a controller takes over from a stored NodePartition: the epoch to rise
// above, the books, the transition times. kInvalid when the object has no name
// or the epoch is no whole number; absent parts stay absent, loans that cannot
// be read are left out.
struct NodePartitionRecord {
  std::string node = {};
  std::string uid = {};
  std::optional<std::uint64_t> epoch = {};
  struct Credit {
    std::string ns = {};
    std::string name = {};
    std::string uid = {};
    std::int64_t credits = 0;
  };
  std::vector<Credit> credits = {};
  std::int64_t house_credits = 0;
  std::string trouble = {};  // which field makes the credits unusable; empty: none
  std::vector<OpenLoan> open_loans = {};
  std::vector<ClosedLoan> closed_loans = {};
  std::vector<Condition> conditions = {};
};
Result<NodePartitionRecord> ParseNodePartition(const nlohmann::json& object);

}  // namespace whorl::crd
