#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "tests/bench/eval/vocabulary.h"

namespace whorl::eval {

// The official score of the Numenta Anomaly Benchmark, standard profile (a true
// positive 1, a missed window -1, a false positive -0.11, a true negative
// nothing), as its version 1.1 computes it: the first detection in a window
// counts, by a sigmoid that falls from 1 at the window's left edge to 0 past its
// right; a false positive costs more the farther behind the last window it
// lies; the probationary rows count for nothing. Lavin and Ahmad, ICMLA 2015.

// One file as it is scored. Windows half open, in order, not overlapping.
struct NabFile {
  std::span<const float> evidence;  // larger = more anomalous; NaN is never a detection
  std::span<const Segment> windows;
  std::size_t probation = 0;  // rows
};

struct NabScore {
  // 100 (sum + w) / 2w: 0 for a detector that says nothing, 100 for the perfect one. NaN without windows.
  double standard = 0;
  double raw = 0;        // the sum over files
  double threshold = 0;  // detections are rows with evidence >= it
  std::size_t windows = 0;
};

// The score at the threshold that maximises the sum over all files: NAB's own
// rule chooses one threshold per detector and set of files, on the labels.
NabScore BestNabScore(std::span<const NabFile> files);
NabScore NabScoreAt(std::span<const NabFile> files, double threshold);

// Published scores of other detectors, raw and standard profile, by file.
struct NabPublished {
  // detector -> file as a Series is named (CATEGORY__FILE) -> raw score
  std::map<std::string, std::map<std::string, double>> raw;

  // Columns file, detector, raw_score_standard; others are ignored.
  static Result<NabPublished> Parse(Table table);

  struct Entry {
    std::string detector;
    double standard = 0;
  };
  // Normalised over the same files, best first. A detector that lacks one of
  // them is left out.
  std::vector<Entry> Over(std::span<const std::string> files, std::size_t windows) const;
};

}  // namespace whorl::eval
