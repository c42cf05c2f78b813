#include "crd/text.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>

namespace whorl::crd {
namespace {

// Edges of the ranges tenants see, in millicores.
constexpr std::array<std::int64_t, 7> kEdges{100, 250, 500, 1000, 2000, 4000, 8000};

// Length of the valid UTF-8 sequence at the front of `text`, 0 when there is none.
std::size_t SequenceLength(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  std::size_t length = 0;
  if (lead >= 0xC2 && lead <= 0xDF) length = 2;
  if (lead >= 0xE0 && lead <= 0xEF) length = 3;
  if (lead >= 0xF0 && lead <= 0xF4) length = 4;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte(1);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool beyond = (lead == 0xED && second > 0x9F) || (lead == 0xF4 && second > 0x8F);
  return overlong || beyond ? 0 : length;
}

// A run of exactly `text.size()` digits as a number.
std::optional<int> Digits(std::string_view text) {
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

// Rounded up, so that a forecast is never made to look smaller.
double TwoDigits(double x) {
  if (!(x > 0)) return 0;
  double step = 1;
  while (x / step >= 100) step *= 10;
  return std::ceil(x / step - 1e-9) * step;
}

}  // namespace

std::string Quantity(MilliCores cpu) { return fmt::format("{}m", Count(cpu)); }

std::string LimitText(std::optional<MilliCores> cpu) { return cpu ? Quantity(*cpu) : "none"; }

std::string RoughBytes(double bytes) {
  constexpr std::array<std::string_view, 6> kUnits{"", "Ki", "Mi", "Gi", "Ti", "Pi"};
  std::size_t unit = 0;
  double amount = TwoDigits(bytes);
  while (amount >= 1024 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    amount = TwoDigits(bytes);
    ++unit;
  }
  return fmt::format("{:.0f}{}", amount, kUnits[unit]);
}

std::string RoughCpu(double millicores) { return fmt::format("{:.0f}m", TwoDigits(millicores)); }

std::string TimeText(Time t) {
  using std::chrono::floor;
  const auto day = floor<std::chrono::days>(t);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{floor<Seconds>(t - day)};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count());
}

std::optional<Time> ParseTimeText(std::string_view text) {
  // 2026-01-02T03:04:05Z, as Kubernetes writes metav1.Time; fractions are dropped.
  if (text.size() < 20 || text.back() != 'Z' || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
      text[13] != ':' || text[16] != ':' || (text.size() > 20 && text[19] != '.')) {
    return std::nullopt;
  }
  const auto year = Digits(text.substr(0, 4));
  const auto month = Digits(text.substr(5, 2));
  const auto day = Digits(text.substr(8, 2));
  const auto hour = Digits(text.substr(11, 2));
  const auto minute = Digits(text.substr(14, 2));
  const auto second = Digits(text.substr(17, 2));
  if (!year || !month || !day || !hour || !minute || !second || *hour > 23 || *minute > 59 || *second > 59) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year{*year}, std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  return Time{std::chrono::sys_days{date}} + std::chrono::hours{*hour} + std::chrono::minutes{*minute} +
         Seconds{*second};
}

std::string AmountRange(MilliCores cpu) {
  const std::int64_t amount = Count(cpu);
  if (amount < kEdges.front()) return fmt::format("under {}m", kEdges.front());
  if (amount >= kEdges.back()) return fmt::format("{}m or more", kEdges.back());
  std::size_t above = 1;
  while (amount >= kEdges[above]) ++above;
  return fmt::format("{}m-{}m", kEdges[above - 1], kEdges[above]);
}

std::string Clip(std::string_view text, std::size_t max_characters) {
  std::string out;
  std::size_t characters = 0;
  std::size_t keep = 0;  // bytes of `out` that leave room for the dots
  while (!text.empty()) {
    if (characters + 3 == max_characters) keep = out.size();
    if (characters == max_characters) {
      if (max_characters < 3) return out;
      out.resize(keep);
      return out + "...";
    }
    const std::size_t length = SequenceLength(text);
    if (length == 0) {
      out += '?';
      text.remove_prefix(1);
    } else {
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
    ++characters;
  }
  return out;
}

std::string_view ModeName(Mode mode) {
  switch (mode) {
    case Mode::kOff: return "Off";
    case Mode::kObserve: return "Observe";
    case Mode::kRecommend: return "Recommend";
    case Mode::kEnforce: return "Enforce";
  }
  return "Off";
}

std::string_view ModeAnnotation(Mode mode) {
  switch (mode) {
    case Mode::kOff: return "off";
    case Mode::kObserve: return "observe";
    case Mode::kRecommend: return "recommend";
    case Mode::kEnforce: return "enforce";
  }
  return "off";
}

std::string_view PartitionKindName(PartitionKind kind) { return kind == PartitionKind::kHard ? "Hard" : "Soft"; }

std::string_view PauseName(Pause pause) {
  switch (pause) {
    case Pause::kNone: return "None";
    case Pause::kHold: return "Hold";
    case Pause::kHoldAndDrain: return "HoldAndDrain";
  }
  return "None";
}

}  // namespace whorl::crd
