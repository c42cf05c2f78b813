#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/telemetry/sketch.h"

namespace whorl {

// Classes of system calls, in the order in which `whorl-guest` sends them. The
// same numbers as enum whorl_syscall_class of operator/bpf/syscalls.h.
enum class CallClass : std::uint8_t { kOther, kDevice, kWait, kIo, kMemory, kProcess, kFile, kNetwork };
inline constexpr std::size_t kCallClassCount = 8;
inline constexpr std::array<std::string_view, kCallClassCount> kCallClassNames{"other",  "device",  "wait", "io",
                                                                               "memory", "process", "file", "network"};

// System calls inside a guest over one window, as the guest's own `whorl-guest`
// tells them. Untrusted: a guest may say what it likes. Never one of the
// features, and never a reason to give a VM more.
struct GuestWindow {
  std::uint32_t sequence = 0;  // rises with every window; starts anew with the program
  std::uint32_t millis = 0;    // length of the window, never 0
  std::array<std::uint32_t, kCallClassCount> calls{};
  SketchCounts sketch{};
};

// A window that claims more than this is not believed at all.
inline constexpr std::uint32_t kLongestGuestWindowMillis = 60'000;
inline constexpr std::uint32_t kMostCallsPerWindow = 1'000'000'000;

}  // namespace whorl
