#pragma once

#include <cstdint>

#include "core/base/time.h"

namespace whorl {

// An episode opens after this many scored ticks in a row at or above the
// threshold and closes after this many below 60 % of it.
inline constexpr int kOpenAfter = 3;
inline constexpr int kCloseAfter = 10;
inline constexpr double kCalmPart = 0.6;

// Turns a VM's scores into alarms with a beginning and an end. Plain data of
// the VM that holds it.
struct EpisodeTracker {
  enum class Change : std::uint8_t { kNone, kOpened, kClosed };

  std::uint64_t number = 0;  // of the current or last episode
  Time opened{};
  Time closed{};
  std::uint8_t peak = 0;
  bool open = false;
  std::uint8_t above = 0;
  std::uint8_t calm = 0;

  Change Observe(Time at, std::uint8_t score, std::uint8_t threshold);
  // Ends an open episode without a score, e.g. when the VM is withdrawn from scoring.
  Change Abandon(Time at);
};

// What is worth telling again while something goes on: evidence that exceeds by
// a third what was told before, where what was told fades over some hundred
// ticks. Needs no threshold. Plain data of the VM that holds it.
struct News {
  float told = 0;

  // The evidence in a tick that brings news, else 0.
  float Observe(float evidence);
};

}  // namespace whorl
