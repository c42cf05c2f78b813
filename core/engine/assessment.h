#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/time.h"
#include "core/base/units.h"
#include "core/engine/frame.h"
#include "core/score/nature.h"
#include "core/score/score.h"
#include "core/telemetry/features.h"

namespace whorl {

// As shown to users; see docs/reference/annotations.md.
enum class State : std::uint8_t { kLearning, kNormal, kDeviating, kBlind, kPaused };
constexpr std::string_view StateName(State state) {
  switch (state) {
    case State::kLearning: return "Learning";
    case State::kNormal: return "Normal";
    case State::kDeviating: return "Deviating";
    case State::kBlind: return "Blind";
    case State::kPaused: return "Paused";
  }
  return "Unknown";
}

// A feature's part in the score, largest first; `sigmas` is signed, robust
// standard deviations from the VM's own usual level.
struct Contribution {
  Feature feature{};
  float sigmas = 0;
  float share = 0;  // of the squared deviation, 0..1
  float value = 0;  // in the feature's unit
  float usual = 0;  // the baseline's centre, same unit
};
inline constexpr std::size_t kTopContributions = 3;

struct Learning {
  std::uint32_t samples = 0;  // accepted so far
  std::uint32_t samples_needed = 0;
  Seconds elapsed{};
  Seconds elapsed_needed{};
  std::uint8_t percent = 0;  // 0..100, the lesser of both
};

// One alarm from opening to closing.
struct Episode {
  std::uint64_t number = 0;  // counts up per VM
  Time opened{};
  std::optional<Time> closed;
  std::uint8_t peak_score = 0;
};

// A usual level that moved so slowly that no detector saw it, in the feature's
// own unit.
struct UsualMoved {
  Feature feature{};
  float from = 0;
  float to = 0;
  Time since{};
};

// Why the guard trimmed or refused the change wanted for a VM; empty = none.
// The reason is CamelCase and goes unchanged into a condition.
struct GuardNote {
  std::string_view reason;
  std::string_view message;
};

// Everything the engine believes about one VM after a tick. Plain values, no
// ownership: valid until the next Tick.
struct Assessment {
  VmHandle vm{};
  State state = State::kLearning;
  std::optional<std::uint8_t> score;             // 0..100, absent while Learning or Blind
  std::optional<double> p_value;                 // behind the score
  std::array<float, kDetectorCount> evidence{};  // -log10 p of each detector, 0 where it has nothing to say
  std::uint8_t threshold = 50;                   // an episode opens at or above it
  Time last_sample{};
  Learning learning;
  float news = 0;                  // evidence in a tick that is worth telling (News), else 0
  std::optional<Episode> episode;  // the open one, or the one closed in this tick
  bool episode_opened = false;     // in this tick
  bool episode_closed = false;
  bool baseline_ready = false;      // learning ended in this tick
  std::uint8_t regime = 1;          // 1 or 2: which of its two usual ways the VM lives in
  bool regime_changed = false;      // in this tick
  std::optional<UsualMoved> moved;  // since the baseline was learnt or last accepted
  bool moved_now = false;           // noticed in this tick
  Nature nature = Nature::kNone;    // of the deviation, while there is one
  bool guest_only = false;          // what is unusual was told only from inside the guest
  bool frozen = false;              // samples come, and nothing in them moves: Blind
  std::array<Contribution, kTopContributions> top{};
  std::uint8_t top_count = 0;
  std::optional<MilliCores> cpu_now;        // demand: last second's use
  std::optional<MilliCores> cpu_predicted;  // policy's quantile, margin not included
  std::optional<MilliCores> cpu_expected;   // the middle of it; a foreseen rise counts
  MilliCores cpu_base{};                    // base share, enforce only
  MilliCores cpu_floor_cut{};               // by how much its floor was lowered, because the floors do not fit
  MilliCores cpu_entitlement{};
  MilliCores cpu_lent{};
  MilliCores cpu_borrowed{};
  MilliCores cpu_allocation{};
  std::optional<Bytes> memory_resident;  // of the launcher, last sample
  std::optional<Bytes> guest_usable;     // what the guest said it could do without, its page cache included
  std::int64_t cpu_credits = 0;          // millicore-milliseconds lent more than borrowed
  // MiB; where memory is partitioned and the guest's balloon reports.
  std::optional<std::int64_t> memory_need;      // used of late, with the policy's margin
  std::int64_t memory_base = 0;                 // base share
  std::optional<std::int64_t> memory_entitled;  // what the balloon shall leave it
  GuardNote guard;
};

}  // namespace whorl
