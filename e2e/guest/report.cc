#include "e2e/guest/report.h"

#include <cstdio>

namespace whorl::guest {
namespace {

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}

std::string Fields(const Progress& progress) {
  char rate[32];
  std::snprintf(rate, sizeof rate, "%.1f", progress.rate);
  return "\"behaviour\":" + Quoted(progress.behaviour) + ",\"level\":" + std::to_string(progress.level) +
         ",\"iterations\":" + std::to_string(progress.iterations) + ",\"rate\":" + rate +
         ",\"uptimeMs\":" + std::to_string(progress.uptime_ms);
}

std::string Reply(std::optional<std::int64_t> id) {
  return "\"reply\":" + (id ? std::to_string(*id) : std::string("null"));
}

}  // namespace

std::string ProgressLine(const Progress& progress) { return "{\"progress\":true," + Fields(progress) + "}\n"; }

std::string AnswerLine(std::optional<std::int64_t> id, const Progress& progress) {
  return "{" + Reply(id) + ",\"ok\":true," + Fields(progress) + "}\n";
}

std::string RefusalLine(std::optional<std::int64_t> id, std::string_view why) {
  return "{" + Reply(id) + ",\"ok\":false,\"error\":" + Quoted(why.substr(0, 400)) + "}\n";
}

}  // namespace whorl::guest
