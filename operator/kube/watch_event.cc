#include "operator/kube/watch_event.h"

#include <algorithm>
#include <array>
#include <utility>

#include "operator/kube/client.h"

namespace whorl::kube {

Result<WatchEvent> ParseWatchEvent(std::string_view line) {
  auto document = JsonDocument::Parse(line);
  if (!document) return Fail(document.error().In("watch event"));
  const auto root = document->root();
  const auto type = root.String({"type"});
  if (!type) return Fail(Code::kCorrupt, "watch event: " + type.error().message);
  const auto object = root.At({"object"});
  if (!object || !object->is_object()) return Fail(Code::kCorrupt, "watch event: object: missing or not an object");
  if (*type == "ERROR") {
    const auto status = object->Int({"code"});
    if (!status || *status < 400 || *status > 599) {
      return Fail(Code::kUnavailable,
                  "the server ended the watch with an error it does not explain: " + object->ToText().substr(0, 300));
    }
    return Fail(ErrorOf("WATCH", "event", Response{static_cast<int>(*status), object->ToText(), {}, {}}));
  }
  constexpr std::array<std::string_view, 4> kTypes{"ADDED", "MODIFIED", "DELETED", "BOOKMARK"};
  if (std::find(kTypes.begin(), kTypes.end(), *type) == kTypes.end()) {
    return Fail(Code::kCorrupt, "watch event: unknown type \"" + std::string(type->substr(0, 40)) + "\"");
  }
  std::string name(*type);
  return WatchEvent{std::move(name), std::move(*document)};
}

}  // namespace whorl::kube
