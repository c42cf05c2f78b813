#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/base/time.h"

namespace whorl::crd {

// Set by people or by `kubectl whorl`, on a VirtualMachine: done once, then
// taken away by the controller and kept in status.lastBaselineRequest.
inline constexpr std::string_view kBaselineKey = "whorl.dev/baseline";

enum class BaselineVerb : std::uint8_t {
  kReset,   // forget what is usual and learn it anew
  kAccept,  // what the VM does now is usual
};
std::string_view BaselineVerbName(BaselineVerb verb);  // "reset", "accept"

struct BaselineRequest {
  BaselineVerb verb = BaselineVerb::kReset;
  std::string text;  // as written: two that differ are two requests

  bool operator==(const BaselineRequest&) const = default;
};

// The closed grammar: reset or accept, in lower case, and after an @ at most 40
// letters, digits, dots, colons and dashes that tell one request from the next;
// `kubectl whorl` puts the time there. kInvalid says what was found and what is
// allowed.
Result<BaselineRequest> ParseBaselineRequest(std::string_view value);

// "reset@2026-01-02T03:04:05Z".
std::string BaselineRequestText(BaselineVerb verb, Time now);

}  // namespace whorl::crd
