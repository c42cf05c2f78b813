#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"

namespace whorl::crd {

enum class ConditionStatus : std::uint8_t { kTrue, kFalse, kUnknown };

// One metav1.Condition. `reason` is CamelCase and never empty.
struct Condition {
  std::string type = {};
  ConditionStatus status = ConditionStatus::kUnknown;
  std::string reason = {};
  std::string message = {};
  std::int64_t observed_generation = 0;
  Time last_transition{};

  bool operator==(const Condition&) const = default;
};

// Puts `fresh` in the place of the condition of its type, or adds it; the list
// stays ordered by type. last_transition moves to `now` only when the status
// is another one.
void SetCondition(std::vector<Condition>& conditions, Condition fresh, Time now);
const Condition* FindCondition(const std::vector<Condition>& conditions, std::string_view type);

nlohmann::json ToJson(const std::vector<Condition>& conditions);

// The conditions an object carries, so that a restarted controller keeps their
// transition times. Entries it cannot read are left out.
std::vector<Condition> ConditionsOf(const nlohmann::json& object);

}  // namespace whorl::crd
