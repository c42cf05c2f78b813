#pragma once

#include <memory>

#include "tests/bench/eval/scorer.h"

namespace whorl::eval {

struct EngineScorerOptions {
  // The engine's own default policy unless said otherwise.
  double false_episodes_per_week = 1.0;
  bool adaptive_control = true;
};

// The shipping engine, one VM per series, ticked once per row at the row's time.
// A row whose time is not later than the one before is refused, as a node's
// repeated sample would be, and keeps the score of the row before.
std::unique_ptr<SeriesScorer> MakeEngineScorer(const EngineScorerOptions& options);

// Whether the engine can be told to run with, or without, adaptive control of its alarm rate.
bool CanSetAdaptiveControl(bool on);

}  // namespace whorl::eval
