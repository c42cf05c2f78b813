#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/score/nature.h"

namespace whorl::remedy {

// What may be done about a VM that deviates, from nothing to everything. The
// order is the order of harm: the first four take nothing from the VM itself.
enum class Rung : std::uint8_t {
  kObserve,
  kPropose,      // say what would be done
  kBorrow,       // a bonus for the deviation, where CPU is contended
  kRaiseWeight,  // a larger part of contended CPU than its allocation, never above its need
  kCap,          // CPU quota, network rate, disk rate: what the nature takes too much of
  kIsolate,      // its vCPUs on cores of their own
  kQuarantine,   // nothing passes over its network
  kMigrate,      // to another node
  kPause,        // its vCPUs stand still
};
inline constexpr std::size_t kRungCount = 9;
constexpr std::size_t Index(Rung rung) { return static_cast<std::size_t>(rung); }

// From here on a rung takes something from the VM it is meant for.
constexpr bool Harms(Rung rung) { return rung >= Rung::kCap; }

// As policies and people write it: "raiseWeight".
std::string_view RungName(Rung rung);
std::optional<Rung> ParseRung(std::string_view name);
// What it does, after "would ": "limit what it takes".
std::string_view RungSentence(Rung rung);

// How far beyond its threshold a score is, in parts of what is left up to 100.
enum class Severity : std::uint8_t {
  kCalm,     // below the threshold
  kAlarm,    // at or above it
  kStrong,   // half of the way to 100
  kExtreme,  // nine tenths of it
};
// Both 0..100.
Severity SeverityOf(std::uint8_t score, std::uint8_t threshold);
std::string_view SeverityName(Severity severity);

// What a cap bounds: what the nature takes too much of.
struct CapKnobs {
  bool cpu = false;
  bool network = false;
  bool disk = false;
  bool operator==(const CapKnobs&) const = default;
};
CapKnobs CapKnobsOf(Nature nature);

// Which rungs make sense for a nature, and from which severity on; nullopt: this
// one does not. Nothing above kPropose for what only the guest said, nothing
// that harms for a VM that is only a victim.
std::optional<Severity> LeastSeverity(Nature nature, Rung rung);
bool Sensible(Nature nature, Rung rung, Severity severity, bool guest_only, bool victim);
// Why the course of this nature goes as far as it does, for people.
std::string_view CourseReason(Nature nature);
Rung HighestOf(Nature nature);

}  // namespace whorl::remedy
