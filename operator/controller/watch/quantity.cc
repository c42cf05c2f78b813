#include "operator/controller/watch/quantity.h"

#include <cstdint>
#include <limits>
#include <string>

namespace whorl::controller {
namespace {

struct Scale {
  std::string_view suffix;
  std::int64_t nano;  // of one unit, in billionths of a core
};
constexpr Scale kScales[] = {
    {"n", 1},
    {"u", 1'000},
    {"m", 1'000'000},
    {"k", 1'000'000'000'000},
};
constexpr std::int64_t kCore = 1'000'000'000;
constexpr std::int64_t kMilli = 1'000'000;

}  // namespace

Result<MilliCores> ParseCpu(std::string_view text) {
  const auto bad = [&] {
    return Fail(Code::kInvalid,
                "\"" + std::string(text) + "\" is not an amount of CPU; write cores (2, 0.5) or millicores (250m)");
  };
  std::string_view digits = text;
  std::int64_t unit = kCore;
  for (const auto& scale : kScales) {
    if (digits.ends_with(scale.suffix)) {
      unit = scale.nano;
      digits.remove_suffix(scale.suffix.size());
      break;
    }
  }
  if (digits.empty()) return bad();
  // Whole and fractional digits in billionths of the unit would overflow for
  // "k"; so the fraction is scaled digit by digit.
  std::int64_t nano = 0;
  std::int64_t digit_value = unit;
  bool fraction = false;
  bool any = false;
  bool remainder = false;
  for (char c : digits) {
    if (c == '.' && !fraction) {
      fraction = true;
      continue;
    }
    if (c < '0' || c > '9') return bad();
    any = true;
    const std::int64_t d = c - '0';
    if (!fraction) {
      if (nano > (std::numeric_limits<std::int64_t>::max() - d * unit) / 10) return bad();
      nano = nano * 10 + d * unit;
    } else {
      digit_value /= 10;
      nano += d * digit_value;
      if (digit_value == 0 && d != 0) remainder = true;
    }
  }
  if (!any) return bad();
  const std::int64_t up = (nano % kMilli != 0 || remainder) ? 1 : 0;
  return MilliCores{nano / kMilli + up};
}

}  // namespace whorl::controller
