#pragma once

#include <cstdint>
#include <filesystem>
#include <ostream>
#include <span>
#include <string>

#include "core/base/result.h"
#include "tests/bench/eval/syscalls_traces.h"

namespace whorl::eval {

struct SyscallsOptions {
  std::filesystem::path train;  // what is learnt is taken from here,
  std::filesystem::path test;   // what is judged from here; may be the same file
  bool json = false;
};

// The share of attacks that score above what `rate` of the normal traces do;
// between two ranks, or among equal scores, on the line between the two points
// of the ROC curve. NaN without an attack or without a normal trace.
double DetectionAt(std::span<const float> score, std::span<const std::uint8_t> attack, double rate);

// Learns from the training traces of `train`, judges the test traces of `test`
// by core/fingerprint/sequence.h and by the baselines, and prints how well each
// tells attacks from normal traces: one record per family of attack (against all
// normal traces), then one for all ("*"). kInvalid when there is nothing to learn or to judge.
Status RunSyscalls(const SyscallsOptions& options, std::ostream& out, std::ostream& log);
Status EvaluateSyscalls(const CallTraces& train, const CallTraces& test, bool json, std::ostream& out);

}  // namespace whorl::eval
