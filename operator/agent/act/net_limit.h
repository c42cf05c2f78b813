#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace whorl::agent {

// As the VM sees it.
enum class NetDirection {
  kOut,  // what the VM sends: the kernel receives it on the tap
  kIn,   // what the VM receives: the kernel sends it on the tap
};

// What one direction of a tap is held to: frames with their Ethernet headers,
// as the interface's own byte counters count them.
struct NetLimit {
  enum class Kind { kNone, kRate, kDrop };
  Kind kind = Kind::kNone;
  std::uint64_t bits_per_second = 0;  // of kRate only

  friend bool operator==(const NetLimit&, const NetLimit&) = default;
};

inline constexpr std::uint64_t kLeastNetRate = 1000;              // 1 kbit/s
inline constexpr std::uint64_t kMostNetRate = 1'000'000'000'000;  // 1 Tbit/s

// The kernel counts whole bytes a second, so a rate is a multiple of 8 bit/s.
// Rounds down to one; the caller keeps the result within the bounds above.
constexpr std::uint64_t WholeBytesRate(std::uint64_t bits_per_second) { return bits_per_second / 8 * 8; }

// "none", "drop" or "200000000bit". ParseNetLimit takes nothing that ToText
// does not give; kInvalid says what would do.
std::string ToText(const NetLimit& limit);
Result<NetLimit> ParseNetLimit(std::string_view text);

// A knob's name taken apart: net.out@tap0. kInvalid for other names, and for
// interfaces with anything but letters, digits, '.', '_' and '-', or a '.' first.
struct NetKnob {
  NetDirection direction = NetDirection::kOut;
  std::string tap;
};
std::string NetKnobName(NetDirection direction, std::string_view tap);
Result<NetKnob> ParseNetKnob(std::string_view name);
bool IsTapName(std::string_view name);

}  // namespace whorl::agent
