#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/telemetry/guest_window.h"

namespace whorl {

// How a window travels from a guest to its node: one line of decimal numbers
// with single spaces,
//   whorl1 <sequence> <millis> <8 class counts> <256 sketch counts>\n
// so that a reader needs no grammar to be safe.
inline constexpr std::size_t kLongestGuestLine = 4096;  // with its newline; no window needs as much

std::string FormatGuestLine(const GuestWindow& window);

// A line without its newline, from a guest that may send anything. kUnsupported
// for another version, kInvalid for everything else; messages quote nothing of
// what was sent.
Result<GuestWindow> ParseGuestLine(std::string_view line);

}  // namespace whorl
