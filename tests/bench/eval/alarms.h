#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <ostream>

#include "core/base/result.h"
#include "tests/bench/eval/scorer.h"

namespace whorl::eval {

struct AlarmsOptions {
  std::filesystem::path data;  // laid out as ../shared/data/vm_demand
  bool json = false;
};

// A scorer with, or without, adaptive control of the alarm rate; null when it cannot be had.
using ScorerFor = std::function<std::unique_ptr<SeriesScorer>(bool adaptive_control)>;

// Counts how often p falls below nominal rates on VMs nobody labelled, after
// each one's learning phase, and how many changes put into copies of the same
// series (see injections.h) the very same setting finds.
Status RunAlarms(const AlarmsOptions& options, const ScorerFor& scorer_for, double budget_per_week, std::ostream& out,
                 std::ostream& log);

}  // namespace whorl::eval
