#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"
#include "operator/kube/json_view.h"

namespace whorl::kube {

// One line of a watch: {"type": "ADDED", "object": {...}}.
struct WatchEvent {
  std::string type;  // ADDED, MODIFIED, DELETED, BOOKMARK; others are kCorrupt
  JsonDocument document;

  JsonView object() const { return *document.root().At({"object"}); }
};

// An ERROR line is the Error of the Status object in it: kGone when the
// resourceVersion asked for is too old. Anything malformed is kCorrupt.
Result<WatchEvent> ParseWatchEvent(std::string_view line);

}  // namespace whorl::kube
