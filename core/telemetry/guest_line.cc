#include "core/telemetry/guest_line.h"

#include <charconv>
#include <optional>

namespace whorl {
namespace {

constexpr std::string_view kVersion = "whorl1";
constexpr std::string_view kName = "whorl";

// One space and a number without sign, zeros in front or anything else.
std::optional<std::uint32_t> TakeNumber(std::string_view& line) {
  if (line.size() < 2 || line[0] != ' ' || line[1] < '0' || line[1] > '9') return std::nullopt;
  line.remove_prefix(1);
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  const auto length = static_cast<std::size_t>(end - line.data());
  if (error != std::errc{} || (line[0] == '0' && length > 1)) return std::nullopt;
  line.remove_prefix(length);
  return number;
}

template <std::size_t N>
bool TakeCounts(std::string_view& line, std::array<std::uint32_t, N>& counts) {
  std::uint64_t sum = 0;
  for (auto& count : counts) {
    const auto number = TakeNumber(line);
    if (!number) return false;
    sum += count = *number;
  }
  return sum <= kMostCallsPerWindow;
}

void Append(std::string& line, std::uint32_t number) {
  char digits[12];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  line += ' ';
  line.append(digits, end);
}

}  // namespace

std::string FormatGuestLine(const GuestWindow& window) {
  std::string line(kVersion);
  Append(line, window.sequence);
  Append(line, window.millis);
  for (const auto calls : window.calls) Append(line, calls);
  for (const auto grams : window.sketch) Append(line, grams);
  line += '\n';
  return line;
}

Result<GuestWindow> ParseGuestLine(std::string_view line) {
  if (line.size() >= kLongestGuestLine) return Fail(Code::kInvalid, "a line is too long");
  if (!line.starts_with(kVersion)) {
    if (line.starts_with(kName)) return Fail(Code::kUnsupported, "lines are of another version than whorl1");
    return Fail(Code::kInvalid, "a line is not whorl-guest's");
  }
  line.remove_prefix(kVersion.size());
  const auto sequence = TakeNumber(line);
  const auto millis = sequence ? TakeNumber(line) : std::nullopt;
  if (!millis || *millis == 0 || *millis > kLongestGuestWindowMillis) {
    return Fail(Code::kInvalid, "a window has no possible length");
  }
  GuestWindow window;
  window.sequence = *sequence;
  window.millis = *millis;
  if (!TakeCounts(line, window.calls) || !TakeCounts(line, window.sketch)) {
    return Fail(Code::kInvalid, "a window's counts are no counts, too few or too large");
  }
  if (!line.empty()) return Fail(Code::kInvalid, "something follows a window's counts");
  return window;
}

}  // namespace whorl
