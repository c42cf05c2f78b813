#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Looking into parsed objects without exceptions. Missing, null and "of another
// type" are told apart only by FindMember; the others answer "not there".
namespace whorl::crd {

// nullptr: no object, no such member, or null.
inline const nlohmann::json* FindMember(const nlohmann::json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  const auto at = object.find(name);
  return at == object.end() || at->is_null() ? nullptr : &*at;
}

inline const std::string* FindString(const nlohmann::json& object, std::string_view name) {
  const auto* member = FindMember(object, name);
  return member == nullptr ? nullptr : member->get_ptr<const std::string*>();
}

// A whole number that fits; 1.0 and "1" are none.
inline std::optional<std::int64_t> WholeNumber(const nlohmann::json& value) {
  if (const auto* natural = value.get_ptr<const std::uint64_t*>()) {
    if (*natural > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
    return static_cast<std::int64_t>(*natural);
  }
  if (const auto* whole = value.get_ptr<const std::int64_t*>()) return *whole;
  return std::nullopt;
}

inline std::optional<std::int64_t> FindInt(const nlohmann::json& object, std::string_view name) {
  const auto* member = FindMember(object, name);
  return member == nullptr ? std::nullopt : WholeNumber(*member);
}

// Status writers leave out what is not known.
inline void PutText(nlohmann::json& object, const char* name, const std::string& text) {
  if (!text.empty()) object[name] = text;
}

// The first `at_most` items, which is what the schema takes; no items, no member.
template <typename T, typename Write>
void PutList(nlohmann::json& object, const char* name, const std::vector<T>& items, std::size_t at_most, Write write) {
  if (items.empty()) return;
  nlohmann::json list = nlohmann::json::array();
  for (const T& item : items) {
    if (list.size() == at_most) break;
    list.push_back(write(item));
  }
  object[name] = std::move(list);
}

}  // namespace whorl::crd
