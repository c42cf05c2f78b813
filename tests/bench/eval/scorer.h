#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "tests/bench/eval/metrics.h"
#include "tests/bench/eval/vocabulary.h"

namespace whorl::eval {

inline constexpr std::size_t kNamedColumns = 3;

// What the scorer said after one row, knowing nothing of later ones.
struct RowScore {
  float evidence = kMissing;  // -log10 of the p-value; kMissing while learning or blind
  float news = 0;             // the evidence where this row is worth telling (Assessment::news), else 0
  std::int16_t score = -1;    // 0..100 as users see it; -1 = none
  bool opened = false;        // an episode opened at this row
  bool closed = false;
  std::array<std::int16_t, kNamedColumns> top{-1, -1, -1};  // columns, most to blame first; -1 = none
};

struct Scored {
  std::vector<RowScore> rows;      // one per row of the series
  std::size_t columns_used = 0;    // of the series' columns, what the engine took
  std::uint64_t masked_cells = 0;  // readings the engine itself refused
  std::uint64_t refused_rows = 0;  // samples the engine refused: repeated, backwards
  std::size_t state_bytes = 0;     // kept for this VM between ticks
  double seconds = 0;              // of processor time spent in the scorer
};

// Scores whole series, strictly causally: row i's score depends on rows 0..i.
class SeriesScorer {
 public:
  virtual ~SeriesScorer() = default;
  virtual Result<Scored> Score(const Series& series) = 0;
  // The one configuration all sets are scored with, to be printed beside the result.
  virtual std::string Configuration() const = 0;
};

// The episodes of a scored series; one still open ends with it.
std::vector<Alarm> EpisodesOf(const Scored& scored);
// The evidence of the rows from `from` on.
std::vector<float> EvidenceOf(const Scored& scored, std::size_t from);

}  // namespace whorl::eval
