#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "tests/bench/eval/random.h"
#include "tests/bench/eval/vocabulary.h"

namespace whorl::eval {

// Changes put into a copy of a recorded series, each 30 minutes long. Where
// they go and what they do is decided from the recording alone, never from a
// detector: `usual` and `deviation` below are the median and 1.4826 MAD of the
// day before the place.
enum class Change : std::uint8_t {
  kRunaway,     // every column at 5 x the larger of its value and its usual, at most what the unit allows
  kStall,       // every column frozen at 1 % of its usual
  kLevelShift,  // every column raised by 3 deviations
  kLostDaily,   // a copy whose every day rises from a third at night to the recorded height at the peak stays at a
                // third through the peak. The pattern is ours: hardly one of these VMs has a clear daily one
};
inline constexpr Change kChanges[] = {Change::kRunaway, Change::kStall, Change::kLevelShift, Change::kLostDaily};
std::string_view ChangeName(Change change);  // runaway, stall, level_shift, lost_daily
inline constexpr std::int64_t kChangeMs = 30 * 60'000;

struct Injected {
  Series changed;
  std::optional<Series> unchanged;  // what to compare with where it is not the recording: with the pattern not lost
  std::size_t begin = 0;
  std::size_t end = 0;  // rows, half open
};

// Tries random calm places from `earliest` on: no gap and nothing missing in
// the day before, and neither the 30 minutes nor those before them farther
// than 2 deviations from usual. nullopt when 1,000 tries found none where the change would be one:
//   runaway      the unit leaves less than a doubling, or the usual is zero
//   stall        the usual is zero, or near-zero is usual (5 % of the day before)
//   level shift  the column never moved, or the unit leaves less than 2.5 deviations
//   lost daily   in no column is what is lost at the peak 3 deviations of the recording
std::optional<Injected> Inject(const Series& series, Change change, std::size_t earliest, Random& random);

}  // namespace whorl::eval
