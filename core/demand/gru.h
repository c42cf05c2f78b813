#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace whorl {

inline constexpr std::size_t kGruInputs = 16, kGruHidden = 16, kGruOutputs = 8;
inline constexpr std::size_t kGruGates = 3 * kGruHidden;  // update, reset, candidate

// The quantiles told: P50, P90, P95, P99.
inline constexpr std::array<float, 4> kGruShares{0.5f, 0.9f, 0.95f, 0.99f};

// One gated recurrent unit (Cho et al., EMNLP 2014) shared by all VMs and
// resources, and a linear head on hidden state and input. Plain data.
struct GruWeights {
  static constexpr std::size_t kRows = kGruInputs + kGruHidden;
  std::array<float, kRows * kGruGates> gate{};  // row-major by input, then hidden
  std::array<float, kGruGates> gate_bias{};
  std::array<float, kRows * kGruOutputs> head{};  // row-major by hidden, then input
  std::array<float, kGruOutputs> head_bias{};
  bool operator==(const GruWeights&) const = default;
};
inline constexpr std::size_t kGruSize = sizeof(GruWeights) / sizeof(float);

using GruInput = std::array<float, kGruInputs>;
using GruState = std::array<float, kGruHidden>;
// Of both slow horizons, each P50, P90, P95, P99 as a step from the last value in scales; ascending.
using GruSteps = std::array<float, kGruOutputs>;
GruSteps StepGru(const GruWeights& weights, const GruInput& input, GruState& state);

// As text: comma-separated 32-bit words (magic, version, shape, the floats'
// bits, a checksum), so that the same file is compiled in and read at run time.
std::string WriteGru(const GruWeights& weights);
// kCorrupt: not such a text, a broken checksum or a weight that is no number; kUnsupported: another version or shape.
Result<GruWeights> ReadGru(std::string_view text);
Result<GruWeights> ReadGru(std::span<const std::uint32_t> words);
// What is compiled in; null when it cannot be used, then the mixture goes on without.
const GruWeights* ShippedGru();

// One VM's history as the network sees it, a row per bucket of five minutes.
struct GruSequence {
  std::vector<GruInput> input;
  std::vector<float> log_value;
  std::vector<float> scale;
};
struct GruTraining {
  std::uint64_t seed = 1;
  std::size_t steps = 6000;  // minibatches
  std::function<void(std::size_t step, double loss)> progress;
};
// Adam on the pinball loss of both horizons through 48 buckets at a time;
// gradients clipped at length 1. The same sequences, start and seed give the
// same bytes. kInvalid: no sequence is long enough.
Result<GruWeights> TrainGru(const GruWeights* start, std::span<const GruSequence> sequences,
                            const GruTraining& training);
// Mean pinball loss in scales over the last `share` of each sequence.
double GruLoss(const GruWeights& weights, std::span<const GruSequence> sequences, double share);
// A few more steps from `current` on all but the last fifth of each window;
// kRefused, and `current` stays, unless that fifth is foretold better.
Result<GruWeights> FineTune(const GruWeights& current, std::span<const GruSequence> windows, std::uint64_t seed);

}  // namespace whorl
