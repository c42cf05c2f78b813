#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "crd/json_fields.h"

namespace whorl::plugin {

// "" where the object has no such text.
inline std::string Text(const nlohmann::json& object, const char* name) {
  const auto* text = crd::FindString(object, name);
  return text == nullptr ? std::string() : *text;
}

// Calls `read` with every item of a list; with none where it is no list.
template <typename Read>
void Each(const nlohmann::json& object, const char* name, const Read& read) {
  const auto* list = crd::FindMember(object, name);
  if (list == nullptr || !list->is_array()) return;
  for (const auto& item : *list) read(item);
}

}  // namespace whorl::plugin
