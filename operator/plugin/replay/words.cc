#include "operator/plugin/replay/words.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>

namespace whorl::plugin {

std::string Percent(double part) {
  const double percent = 100 * part;
  if (percent == 0) return "0 %";
  if (percent < 0.01) return "< 0.01 %";
  return percent < 10 ? fmt::format("{:.2f} %", percent) : fmt::format("{:.0f} %", percent);
}
std::string Cores(double cores) { return fmt::format("{:.{}f}", cores, std::abs(cores) < 10 ? 2 : 1); }

std::string Work(double core_hours) {
  return core_hours < 0.1 ? fmt::format("{:.1f} core-s", core_hours * 3600) : fmt::format("{:.2f} core-h", core_hours);
}

std::string Duration(double hours) {
  if (hours < 1.0 / 30) return fmt::format("{:.0f} s", hours * 3600);
  if (hours < 2) return fmt::format("{:.0f} min", hours * 60);
  if (hours < 48) return fmt::format("{:.1f} h", hours);
  return fmt::format("{:.1f} days", hours / 24);
}

std::string When(Time at) {
  constexpr std::int64_t kDay = 86'400;
  const std::int64_t seconds = ToUnixMillis(at) / 1000;
  if (seconds < 365 * kDay) {
    return fmt::format("day {} {:02}:{:02}", seconds / kDay + 1, seconds % kDay / 3600, seconds % 3600 / 60);
  }
  return fmt::format("{:%Y-%m-%d %H:%M}", std::chrono::time_point_cast<std::chrono::seconds>(at));
}

std::string Sameness(const Relived& one) {
  const Replayed& replayed = one.replayed;
  if (replayed.different > 0) {
    return fmt::format(
        "{}: {} of {} decisions came out otherwise than they were recorded, the first is tick {}; was it recorded by "
        "this "
        "version?",
        one.path, replayed.different, replayed.ticks, replayed.first);
  }
  return fmt::format(
      "{}: all {} decisions came out byte for byte as they were recorded{}.", one.path, replayed.ticks,
      one.seconds > 0 ? fmt::format(", {:.0f} times faster than they happened", one.times_real_time()) : "");
}

}  // namespace whorl::plugin
