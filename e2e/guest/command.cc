#include "e2e/guest/command.h"

#include <charconv>

#include "e2e/guest/behaviour.h"

namespace whorl::guest {
namespace {

std::string_view NextWord(std::string_view& rest) {
  const auto begin = rest.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) {
    rest = {};
    return {};
  }
  rest.remove_prefix(begin);
  const auto word = rest.substr(0, rest.find_first_of(" \t\r"));
  rest.remove_prefix(word.size());
  return word;
}

std::optional<std::int64_t> Number(std::string_view text, std::int64_t lowest, std::int64_t highest) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < lowest || value > highest)
    return std::nullopt;
  return value;
}

// The number a setting is given, when there is such a setting and it may be that.
std::optional<std::int64_t> Setting(std::string_view name, std::string_view text) {
  struct Range {
    std::string_view name;
    std::int64_t lowest, highest;
  };
  static constexpr Range kSettings[] = {
      {"id", 0, INT64_MAX}, {"level", 1, 100}, {"seed", 0, INT64_MAX}, {"for", 0, 86400}, {"day", 0, 86400}};
  for (const auto& setting : kSettings) {
    if (setting.name == name) return Number(text, setting.lowest, setting.highest);
  }
  return std::nullopt;
}

Parsed Refused(std::optional<std::int64_t> id, std::string why) { return {std::nullopt, id, std::move(why)}; }

}  // namespace

Parsed ParseCommand(std::string_view line) {
  if (line.size() > kMaxLine) return Refused(std::nullopt, "line longer than " + std::to_string(kMaxLine) + " bytes");
  Command command;
  bool day_given = false;
  bool level_given = false;
  for (auto word = NextWord(line); !word.empty(); word = NextWord(line)) {
    const auto equals = word.find('=');
    if (equals == std::string_view::npos) {
      if (!command.verb.empty()) return Refused(command.id, "two verbs: " + command.verb + " and " + std::string(word));
      command.verb = word;
      continue;
    }
    const auto name = word.substr(0, equals);
    const auto text = word.substr(equals + 1);
    const auto value = Setting(name, text);
    if (!value) {
      return Refused(command.id, "cannot use " + std::string(word) +
                                     "; allowed: id=N level=1..100 seed=N for=0..86400 day=0..86400");
    }
    if (name == "id") {
      command.id = value;
    } else if (name == "level") {
      command.settings.level = static_cast<int>(*value);
      level_given = true;
    } else if (name == "seed") {
      command.settings.seed = static_cast<std::uint64_t>(*value);
    } else if (name == "for") {
      command.settings.seconds = static_cast<int>(*value);
    } else {
      command.settings.day = static_cast<int>(*value);
      day_given = true;
    }
  }
  if (command.verb.empty()) return Refused(command.id, "no verb; allowed: status or one of " + BehaviourNames());
  if (command.verb != "status") {
    const auto* usual = FindBehaviour(command.verb);
    if (usual == nullptr)
      return Refused(command.id, "unknown behaviour " + command.verb + "; allowed: " + BehaviourNames());
    if (!level_given) command.settings.level = usual->level;
    if (!day_given) command.settings.day = usual->day;
  }
  const auto id = command.id;
  return {std::move(command), id, {}};
}

}  // namespace whorl::guest
