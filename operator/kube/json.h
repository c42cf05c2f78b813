#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/result.h"
#include "core/base/time.h"
#include "operator/kube/events.h"

// Small builders for the objects we write. Reading goes through json_view.h.
namespace whorl::kube {

using Json = nlohmann::json;

std::string Rfc3339(Time t);       // "2026-01-02T03:04:05Z", metav1.Time
std::string Rfc3339Micro(Time t);  // "2026-01-02T03:04:05.678000Z", metav1.MicroTime
Result<Time> ParseRfc3339(std::string_view text);

// An object to apply: apiVersion, kind and metadata.{name,namespace}.
Json ObjectHead(std::string_view api_version, std::string_view kind, std::string_view ns, std::string_view name);
Json ToJson(const ObjectRef& ref);
// An ownerReference to `owner` (which lives in the same namespace).
Json OwnerReference(const ObjectRef& owner, bool controller);
// A merge patch of metadata.annotations; nullopt removes the key.
Json AnnotationsPatch(std::initializer_list<std::pair<std::string_view, std::optional<std::string>>> annotations);

}  // namespace whorl::kube
