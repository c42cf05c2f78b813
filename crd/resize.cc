#include "crd/resize.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "crd/json_fields.h"
#include "crd/text.h"

namespace whorl::crd {
namespace {

constexpr std::size_t kLongestMark = 40;
constexpr std::size_t kLongestQuantity = 20;
constexpr std::size_t kShownLength = 64;  // of a user's text in a message
constexpr std::size_t kMostViews = 2;
constexpr std::int32_t kMostSockets = 512;

bool IsMarkCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == ':' || c == '-';
}

std::optional<std::int32_t> Sockets(std::string_view text) {
  std::int32_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size() || n < 1 || n > kMostSockets) return std::nullopt;
  return n;
}

bool LooksLikeMemory(std::string_view text) {
  if (text.empty() || text.size() > kLongestQuantity || text.front() < '1' || text.front() > '9') return false;
  const auto unit = text.find_first_not_of("0123456789.");
  if (unit == std::string_view::npos) return true;
  for (const auto* known : {"Ki", "Mi", "Gi", "Ti", "k", "M", "G", "T"}) {
    if (text.substr(unit) == known) return true;
  }
  return false;
}

// False: not in the grammar.
bool ReadPart(std::string_view part, ResizeRequest& request) {
  constexpr std::string_view kSockets = "sockets=";
  constexpr std::string_view kMemory = "memory=";
  if (part.starts_with(kSockets) && !request.sockets) {
    request.sockets = Sockets(part.substr(kSockets.size()));
    return request.sockets.has_value();
  }
  if (part.starts_with(kMemory) && !request.memory && LooksLikeMemory(part.substr(kMemory.size()))) {
    request.memory = std::string(part.substr(kMemory.size()));
    return true;
  }
  return false;
}

nlohmann::json ToJson(const ResizeView& view) {
  nlohmann::json out{{"name", Clip(view.name, 63)}};
  PutText(out, "current", Clip(view.current, 32));
  PutText(out, "target", Clip(view.target, 32));
  PutText(out, "lower", Clip(view.lower, 32));
  PutText(out, "upper", Clip(view.upper, 32));
  PutText(out, "why", Clip(view.why, 512));
  return out;
}

nlohmann::json ToJson(const ResizeChange& change) {
  nlohmann::json out{{"state", change.state}, {"since", TimeText(change.since)}};
  PutText(out, "from", Clip(change.from, 64));
  PutText(out, "to", Clip(change.to, 64));
  PutText(out, "request", Clip(change.request, 128));
  PutText(out, "message", Clip(change.message, 1024));
  if (change.ended) out["ended"] = TimeText(*change.ended);
  return out;
}

nlohmann::json Times(const std::vector<Time>& times) {
  nlohmann::json out = nlohmann::json::array();
  const auto from = times.size() > kMostResizeTimes ? times.size() - kMostResizeTimes : 0;
  for (auto i = from; i < times.size(); ++i) out.push_back(TimeText(times[i]));
  return out;
}

std::vector<Time> TimesOf(const nlohmann::json& object, std::string_view name) {
  std::vector<Time> out;
  const auto* list = FindMember(object, name);
  if (list == nullptr || !list->is_array()) return out;
  for (const auto& item : *list) {
    const auto* text = item.get_ptr<const std::string*>();
    if (const auto time = text == nullptr ? std::nullopt : ParseTimeText(*text)) out.push_back(*time);
  }
  return out;
}

std::string TextOr(const nlohmann::json& object, std::string_view name) {
  const auto* text = FindString(object, name);
  return text == nullptr ? std::string() : *text;
}

}  // namespace

Result<ResizeRequest> ParseResizeRequest(std::string_view value) {
  const auto at = value.find('@');
  const auto mark = at == std::string_view::npos ? std::string_view("-") : value.substr(at + 1);
  const auto wish = value.substr(0, at);
  const auto comma = wish.find(',');
  ResizeRequest request;
  request.text = value;
  const bool marked =
      !mark.empty() && mark.size() <= kLongestMark && std::all_of(mark.begin(), mark.end(), IsMarkCharacter);
  const bool read = ReadPart(wish.substr(0, comma), request) &&
                    (comma == std::string_view::npos || ReadPart(wish.substr(comma + 1), request));
  if (marked && read) return request;
  std::string shown = Clip(value, kShownLength);
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '"') c = '?';
  }
  return Fail(Code::kInvalid,
              fmt::format("{} is \"{}\"; it must be sockets=N (1 to {}), memory=QUANTITY such as 4Gi, or both with a "
                          "comma between, optionally followed by @ and a mark of at most {} letters, digits, dots, "
                          "colons and dashes",
                          kResizeKey, shown, kMostSockets, kLongestMark));
}

std::string ResizeRequestText(const ResizeRequest& request, Time now) {
  std::string out;
  if (request.sockets) out = fmt::format("sockets={}", *request.sockets);
  if (request.memory) out += fmt::format("{}memory={}", out.empty() ? "" : ",", *request.memory);
  return out + "@" + TimeText(now);
}

nlohmann::json ToJson(const ResizeStatus& status) {
  nlohmann::json out{{"expectedMigrations", std::clamp(status.expected_migrations, 0, 1)},
                     {"conditions", ToJson(status.conditions)}};
  PutText(out, "mode", status.mode);
  PutList(out, "recommendation", status.recommendation, kMostViews, [](const ResizeView& v) { return ToJson(v); });
  if (status.change) out["change"] = ToJson(*status.change);
  if (!status.changes.empty()) out["changesLastDay"] = Times(status.changes);
  if (!status.migrations.empty()) out["migrationsLastDay"] = Times(status.migrations);
  return out;
}

ResizeStatus ResizeStatusOf(const nlohmann::json& object) {
  ResizeStatus out;
  const auto* status = FindMember(object, "status");
  const auto* resize = status == nullptr ? nullptr : FindMember(*status, "resize");
  if (resize == nullptr) return out;
  out.mode = TextOr(*resize, "mode");
  out.expected_migrations = static_cast<std::int32_t>(FindInt(*resize, "expectedMigrations").value_or(0));
  if (const auto* list = FindMember(*resize, "recommendation"); list != nullptr && list->is_array()) {
    for (const auto& item : *list) {
      out.recommendation.push_back({TextOr(item, "name"), TextOr(item, "current"), TextOr(item, "target"),
                                    TextOr(item, "lower"), TextOr(item, "upper"), TextOr(item, "why")});
    }
  }
  if (const auto* change = FindMember(*resize, "change")) {
    if (const auto since = ParseTimeText(TextOr(*change, "since"))) {
      out.change = ResizeChange{.state = TextOr(*change, "state"),
                                .from = TextOr(*change, "from"),
                                .to = TextOr(*change, "to"),
                                .request = TextOr(*change, "request"),
                                .since = *since,
                                .ended = ParseTimeText(TextOr(*change, "ended")),
                                .message = TextOr(*change, "message")};
    }
  }
  out.changes = TimesOf(*resize, "changesLastDay");
  out.migrations = TimesOf(*resize, "migrationsLastDay");
  // In the shape that ConditionsOf reads.
  out.conditions = ConditionsOf({{"status", *resize}});
  return out;
}

}  // namespace whorl::crd
