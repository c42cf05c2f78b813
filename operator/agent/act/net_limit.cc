#include "operator/agent/act/net_limit.h"

#include <algorithm>
#include <charconv>

namespace whorl::agent {
namespace {

constexpr std::string_view kOutPrefix = "net.out@";
constexpr std::string_view kInPrefix = "net.in@";
constexpr std::string_view kUnit = "bit";
constexpr std::size_t kLongestName = 15;  // IFNAMSIZ with its final 0

Error Bad(std::string_view text, const std::string& why) {
  return Error{Code::kInvalid, "'" + std::string(text.substr(0, 40)) + "' " + why};
}

}  // namespace

std::string ToText(const NetLimit& limit) {
  switch (limit.kind) {
    case NetLimit::Kind::kNone: return "none";
    case NetLimit::Kind::kDrop: return "drop";
    case NetLimit::Kind::kRate: break;
  }
  return std::to_string(limit.bits_per_second) + std::string(kUnit);
}

Result<NetLimit> ParseNetLimit(std::string_view text) {
  if (text == "none") return NetLimit{};
  if (text == "drop") return NetLimit{NetLimit::Kind::kDrop, 0};
  const std::string_view digits = text.ends_with(kUnit) ? text.substr(0, text.size() - kUnit.size()) : "";
  NetLimit limit{NetLimit::Kind::kRate, 0};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), limit.bits_per_second);
  // A leading zero would make two texts of one limit.
  if (digits.empty() || digits.front() == '0' || error != std::errc{} || end != digits.data() + digits.size()) {
    return Fail(Bad(text, "must be none, drop, or whole bits a second such as 200000000bit"));
  }
  if (limit.bits_per_second < kLeastNetRate || limit.bits_per_second > kMostNetRate) {
    return Fail(Bad(text, "must lie between 1000bit and 1000000000000bit; to let nothing through say drop"));
  }
  if (limit.bits_per_second != WholeBytesRate(limit.bits_per_second)) {
    return Fail(Bad(text, "must be a multiple of 8 bits: the kernel counts bytes"));
  }
  return limit;
}

std::string NetKnobName(NetDirection direction, std::string_view tap) {
  return std::string(direction == NetDirection::kOut ? kOutPrefix : kInPrefix) + std::string(tap);
}

Result<NetKnob> ParseNetKnob(std::string_view name) {
  NetKnob knob;
  if (name.starts_with(kOutPrefix)) {
    knob.tap = name.substr(kOutPrefix.size());
  } else if (name.starts_with(kInPrefix)) {
    knob.direction = NetDirection::kIn;
    knob.tap = name.substr(kInPrefix.size());
  } else {
    return Fail(Bad(name, "must be net.out@ or net.in@ and the name of a tap"));
  }
  if (!IsTapName(knob.tap)) return Fail(Bad(name, "must end in the name of an interface"));
  return knob;
}

bool IsTapName(std::string_view name) {
  const auto usual = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.size() <= kLongestName && !name.starts_with('.') &&
         std::all_of(name.begin(), name.end(), usual);
}

}  // namespace whorl::agent
