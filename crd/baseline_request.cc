#include "crd/baseline_request.h"

#include <fmt/format.h>

#include <algorithm>

#include "crd/text.h"

namespace whorl::crd {
namespace {

constexpr std::size_t kLongestMark = 40;
constexpr std::size_t kShownLength = 64;  // of a user's text in a message

bool IsMarkCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == ':' || c == '-';
}

}  // namespace

std::string_view BaselineVerbName(BaselineVerb verb) { return verb == BaselineVerb::kReset ? "reset" : "accept"; }

Result<BaselineRequest> ParseBaselineRequest(std::string_view value) {
  const auto at = value.find('@');
  const auto word = value.substr(0, at);
  const auto mark = at == std::string_view::npos ? std::string_view("-") : value.substr(at + 1);
  const bool marked =
      !mark.empty() && mark.size() <= kLongestMark && std::all_of(mark.begin(), mark.end(), IsMarkCharacter);
  for (const auto verb : {BaselineVerb::kReset, BaselineVerb::kAccept}) {
    if (marked && word == BaselineVerbName(verb)) return BaselineRequest{verb, std::string(value)};
  }
  std::string shown = Clip(value, kShownLength);
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '"') c = '?';
  }
  return Fail(
      Code::kInvalid,
      fmt::format("{} is \"{}\"; it must be reset or accept, in lower case, optionally followed by @ and a mark "
                  "of at most {} letters, digits, dots, colons and dashes",
                  kBaselineKey, shown, kLongestMark));
}

std::string BaselineRequestText(BaselineVerb verb, Time now) {
  return fmt::format("{}@{}", BaselineVerbName(verb), TimeText(now));
}

}  // namespace whorl::crd
