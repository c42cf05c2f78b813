#include "operator/controller/watch/quantity.h"

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

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
struct ByteScale {
  std::string_view suffix;
  std::int64_t bytes;
};
// Longer suffixes first, so that "Mi" is not read as "i".
constexpr ByteScale kByteScales[] = {
    {"Ki", 1LL << 10}, {"Mi", 1LL << 20}, {"Gi", 1LL << 30},    {"Ti", 1LL << 40},
    {"k", 1'000},      {"M", 1'000'000},  {"G", 1'000'000'000}, {"T", 1'000'000'000'000},
};
constexpr std::int64_t kMostBytes = 1LL << 60;
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

Result<Bytes> ParseBytes(std::string_view text) {
  const auto bad = [&] {
    return Fail(Code::kInvalid, "\"" + std::string(text) +
                                    "\" is not an amount of memory; write it with a unit (512Mi, 2Gi) or in bytes");
  };
  std::string_view digits = text;
  std::int64_t unit = 1;
  for (const auto& scale : kByteScales) {
    if (!digits.ends_with(scale.suffix)) continue;
    unit = scale.bytes;
    digits.remove_suffix(scale.suffix.size());
    break;
  }
  std::int64_t whole = 0;
  std::int64_t part = 0;  // of 10^places
  std::int64_t places = 1;
  bool fraction = false;
  bool any = false;
  for (const char c : digits) {
    if (c == '.' && !fraction) {
      fraction = true;
      continue;
    }
    if (c < '0' || c > '9') return bad();
    any = true;
    auto& number = fraction ? part : whole;
    if (number > kMostBytes / 10 || (fraction && places > 100'000)) return bad();
    number = number * 10 + (c - '0');
    if (fraction) places *= 10;
  }
  if (!any || whole > kMostBytes / unit) return bad();
  // At most 10^6 times 2^40 fits.
  if (part * unit % places != 0) return bad();
  return Bytes{whole * unit + part * unit / places};
}

std::string BytesText(Bytes bytes) {
  const std::int64_t count = Count(bytes);
  for (const auto& [suffix, shift] : {std::pair{"Ti", 40}, {"Gi", 30}, {"Mi", 20}, {"Ki", 10}}) {
    if (count != 0 && count % (1LL << shift) == 0) return std::to_string(count >> shift) + suffix;
  }
  return std::to_string(count);
}

}  // namespace whorl::controller
