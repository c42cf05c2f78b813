// The JSON lines that a guest sends to the host: one answer per command, and
// one line of progress a second while somebody listens. Plain values.
#ifndef WHORL_E2E_GUEST_REPORT_H_
#define WHORL_E2E_GUEST_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace whorl::guest {

struct Progress {
  std::string behaviour;
  int level = 0;
  std::uint64_t iterations = 0;  // since the behaviour began
  double rate = 0;               // iterations per second over the last second
  std::int64_t uptime_ms = 0;
};

std::string ProgressLine(const Progress& progress);
std::string AnswerLine(std::optional<std::int64_t> id, const Progress& progress);
std::string RefusalLine(std::optional<std::int64_t> id, std::string_view why);

}  // namespace whorl::guest

#endif  // WHORL_E2E_GUEST_REPORT_H_
