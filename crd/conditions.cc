#include "crd/conditions.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "crd/json_fields.h"
#include "crd/text.h"

namespace whorl::crd {
namespace {

constexpr std::size_t kMaxConditions = 16;

std::string_view StatusName(ConditionStatus status) {
  switch (status) {
    case ConditionStatus::kTrue: return "True";
    case ConditionStatus::kFalse: return "False";
    case ConditionStatus::kUnknown: return "Unknown";
  }
  return "Unknown";
}

std::optional<ConditionStatus> ParseStatus(std::string_view name) {
  if (name == "True") return ConditionStatus::kTrue;
  if (name == "False") return ConditionStatus::kFalse;
  if (name == "Unknown") return ConditionStatus::kUnknown;
  return std::nullopt;
}

std::optional<Condition> ReadCondition(const nlohmann::json& item) {
  const auto* type = FindString(item, "type");
  const auto* status = FindString(item, "status");
  const auto* reason = FindString(item, "reason");
  const auto* message = FindString(item, "message");
  const auto* changed = FindString(item, "lastTransitionTime");
  if (type == nullptr || status == nullptr || reason == nullptr || changed == nullptr) return std::nullopt;
  const auto known = ParseStatus(*status);
  const auto time = ParseTimeText(*changed);
  if (!known || !time) return std::nullopt;
  return Condition{.type = *type,
                   .status = *known,
                   .reason = *reason,
                   .message = message != nullptr ? *message : "",
                   .observed_generation = FindInt(item, "observedGeneration").value_or(0),
                   .last_transition = *time};
}

}  // namespace

void SetCondition(std::vector<Condition>& conditions, Condition fresh, Time now) {
  const auto at = std::lower_bound(conditions.begin(), conditions.end(), fresh.type,
                                   [](const Condition& c, const std::string& type) { return c.type < type; });
  fresh.last_transition = now;
  if (at == conditions.end() || at->type != fresh.type) {
    conditions.insert(at, std::move(fresh));
    return;
  }
  if (at->status == fresh.status) fresh.last_transition = at->last_transition;
  *at = std::move(fresh);
}

const Condition* FindCondition(const std::vector<Condition>& conditions, std::string_view type) {
  const auto at =
      std::find_if(conditions.begin(), conditions.end(), [&](const Condition& c) { return c.type == type; });
  return at == conditions.end() ? nullptr : &*at;
}

nlohmann::json ToJson(const std::vector<Condition>& conditions) {
  nlohmann::json out = nlohmann::json::array();
  for (const Condition& c : conditions) {
    if (out.size() == kMaxConditions) break;
    out.push_back({{"type", c.type},
                   {"status", StatusName(c.status)},
                   {"reason", c.reason},
                   {"message", Clip(c.message, 1024)},
                   {"observedGeneration", c.observed_generation},
                   {"lastTransitionTime", TimeText(c.last_transition)}});
  }
  return out;
}

std::vector<Condition> ConditionsOf(const nlohmann::json& object) {
  std::vector<Condition> conditions;
  const auto* status = FindMember(object, "status");
  const auto* list = status != nullptr ? FindMember(*status, "conditions") : nullptr;
  if (list == nullptr || !list->is_array()) return conditions;
  for (const auto& item : *list) {
    if (auto condition = ReadCondition(item)) conditions.push_back(std::move(*condition));
  }
  // The order SetCondition keeps; what an object carries may be in any.
  std::sort(conditions.begin(), conditions.end(),
            [](const Condition& a, const Condition& b) { return a.type < b.type; });
  return conditions;
}

}  // namespace whorl::crd
