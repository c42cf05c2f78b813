#include "operator/kube/json.h"

#include <charconv>
#include <cstdio>

namespace whorl::kube {

namespace {

struct Civil {
  int year, month, day, hour, minute, second, millis;
};

Civil ToCivil(Time t) {
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss<Millis> clock(t - day);
  return {int(date.year()),
          static_cast<int>(unsigned(date.month())),
          static_cast<int>(unsigned(date.day())),
          static_cast<int>(clock.hours().count()),
          static_cast<int>(clock.minutes().count()),
          static_cast<int>(clock.seconds().count()),
          static_cast<int>(clock.subseconds().count())};
}

}  // namespace

std::string Rfc3339(Time t) {
  const auto c = ToCivil(t);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", c.year, c.month, c.day, c.hour, c.minute,
                c.second);
  return text;
}

std::string Rfc3339Micro(Time t) {
  const auto c = ToCivil(t);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03d000Z", c.year, c.month, c.day, c.hour, c.minute,
                c.second, c.millis);
  return text;
}

Result<Time> ParseRfc3339(std::string_view text) {
  const auto bad = [&] {
    return Fail(Code::kInvalid, "\"" + std::string(text.substr(0, 40)) + "\" is not a time like 2026-01-02T03:04:05Z");
  };
  // YYYY-MM-DDTHH:MM:SS[.fraction]Z; the API server always writes UTC.
  if (text.size() < 20 || text.back() != 'Z' || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
      text[13] != ':' || text[16] != ':') {
    return bad();
  }
  const auto number = [&](std::size_t at, std::size_t length, int& out) {
    const auto* begin = text.data() + at;
    const auto [end, error] = std::from_chars(begin, begin + length, out);
    return error == std::errc{} && end == begin + length && out >= 0;
  };
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, millis = 0;
  if (!number(0, 4, year) || !number(5, 2, month) || !number(8, 2, day) || !number(11, 2, hour) ||
      !number(14, 2, minute) || !number(17, 2, second)) {
    return bad();
  }
  if (text[19] == '.') {
    int scale = 100;
    for (const char c : text.substr(20, text.size() - 21)) {
      if (c < '0' || c > '9') return bad();
      millis += (c - '0') * scale;
      scale /= 10;
    }
  } else if (text.size() != 20) {
    return bad();
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return bad();
  return Time{std::chrono::sys_days(date)} + std::chrono::hours(hour) + std::chrono::minutes(minute) + Seconds(second) +
         Millis(millis);
}

Json ObjectHead(std::string_view api_version, std::string_view kind, std::string_view ns, std::string_view name) {
  Json head{{"apiVersion", api_version}, {"kind", kind}, {"metadata", {{"name", name}}}};
  if (!ns.empty()) head["metadata"]["namespace"] = ns;
  return head;
}

Json ToJson(const ObjectRef& ref) {
  Json out{{"apiVersion", ref.api_version}, {"kind", ref.kind}, {"name", ref.name}};
  if (!ref.ns.empty()) out["namespace"] = ref.ns;
  if (!ref.uid.empty()) out["uid"] = ref.uid;
  return out;
}

Json OwnerReference(const ObjectRef& owner, bool controller) {
  return {{"apiVersion", owner.api_version}, {"kind", owner.kind},         {"name", owner.name}, {"uid", owner.uid},
          {"controller", controller},        {"blockOwnerDeletion", false}};
}

Json AnnotationsPatch(std::initializer_list<std::pair<std::string_view, std::optional<std::string>>> annotations) {
  auto values = Json::object();
  for (const auto& [key, value] : annotations) values[std::string(key)] = value ? Json(*value) : Json(nullptr);
  return {{"metadata", {{"annotations", std::move(values)}}}};
}

}  // namespace whorl::kube
