#pragma once

#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "tests/bench/eval/scorer.h"

namespace whorl::eval {

struct AnomalyOptions {
  std::filesystem::path data;       // laid out as ../shared/data/anomaly
  std::vector<std::string> sets;    // of smd, asd, nab
  std::filesystem::path reference;  // nab_published_scores.csv; empty = beside data, if there
  bool json = false;
};

// Scores every series and prints how well, to `out`; progress goes to `log`.
Status RunAnomaly(const AnomalyOptions& options, SeriesScorer& scorer, std::ostream& out, std::ostream& log);

}  // namespace whorl::eval
