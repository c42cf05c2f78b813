#include "core/demand/gru.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "core/fingerprint/lanes.h"

namespace whorl {
namespace {

constexpr std::uint32_t kMagic = 0x57475255;  // WGRU
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kShape = kGruInputs << 16 | kGruHidden << 8 | kGruOutputs;
constexpr std::uint32_t kShipped[] = {
#include "core/demand/gru_weights.inc"
};

std::uint32_t Checksum(std::span<const std::uint32_t> words) {  // FNV-1a
  std::uint32_t hash = 0x811c9dc5u;
  for (const std::uint32_t word : words)
    for (int byte = 0; byte < 4; ++byte) hash = (hash ^ (word >> 8 * byte & 0xffu)) * 0x01000193u;
  return hash;
}

Float8 Load(const float* from) {
  Float8 x;
  std::memcpy(&x, from, sizeof x);
  return x;
}
Float8 Sigmoid(Float8 x) { return 1.0f / (1.0f + Exp(-x)); }
Float8 Tanh(Float8 x) { return 2.0f * Sigmoid(2.0f * x) - 1.0f; }

}  // namespace

GruSteps StepGru(const GruWeights& weights, const GruInput& input, GruState& state) {
  constexpr std::size_t kBlocks = kGruHidden / kLanes;
  Float8 gate[3 * kBlocks], own[kBlocks]{};
  for (std::size_t b = 0; b < 3 * kBlocks; ++b) gate[b] = Load(&weights.gate_bias[b * kLanes]);
  for (std::size_t i = 0; i < kGruInputs; ++i)
    for (std::size_t b = 0; b < 3 * kBlocks; ++b) gate[b] += input[i] * Load(&weights.gate[i * kGruGates + b * kLanes]);
  for (std::size_t j = 0; j < kGruHidden; ++j) {
    const float* row = &weights.gate[(kGruInputs + j) * kGruGates];
    for (std::size_t b = 0; b < 2 * kBlocks; ++b) gate[b] += state[j] * Load(row + b * kLanes);
    for (std::size_t b = 0; b < kBlocks; ++b) own[b] += state[j] * Load(row + (2 * kBlocks + b) * kLanes);
  }
  for (std::size_t b = 0; b < kBlocks; ++b) {
    const Float8 keep = Sigmoid(gate[b]), reset = Sigmoid(gate[kBlocks + b]);
    const Float8 fresh = Tanh(gate[2 * kBlocks + b] + reset * own[b]);
    const Float8 next = fresh + keep * (Load(&state[b * kLanes]) - fresh);
    std::memcpy(&state[b * kLanes], &next, sizeof next);
  }
  Float8 out = Load(weights.head_bias.data());
  for (std::size_t j = 0; j < kGruHidden; ++j) out += state[j] * Load(&weights.head[j * kGruOutputs]);
  for (std::size_t i = 0; i < kGruInputs; ++i) out += input[i] * Load(&weights.head[(kGruHidden + i) * kGruOutputs]);
  const Float8 soft = Log(1.0f + Exp(Clamp(out, Broadcast(-30), Broadcast(30))));
  GruSteps steps;
  for (std::size_t h = 0; h < 2; ++h) {
    steps[4 * h] = out[4 * h];
    for (std::size_t q = 1; q < 4; ++q) steps[4 * h + q] = steps[4 * h + q - 1] + soft[4 * h + q];
  }
  return steps;
}

std::string WriteGru(const GruWeights& weights) {
  std::vector<std::uint32_t> words{kMagic, kVersion, kShape};
  words.resize(3 + kGruSize);
  std::memcpy(words.data() + 3, weights.gate.data(), sizeof weights);
  words.push_back(Checksum(words));
  std::string text;
  char word[16];
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::snprintf(word, sizeof word, "0x%08x%s", words[i], i + 1 == words.size() ? "\n" : i % 12 == 11 ? ",\n" : ",");
    text += word;
  }
  return text;
}

Result<GruWeights> ReadGru(std::span<const std::uint32_t> words) {
  if (words.size() < 4 || words[0] != kMagic) return Fail(Code::kCorrupt, "these are not weights of the demand model");
  if (words[1] != kVersion || words[2] != kShape) {
    return Fail(Code::kUnsupported, "weights of version " + std::to_string(words[1]) +
                                        " or of another shape; this build reads version " + std::to_string(kVersion) +
                                        ": train them anew with whorl-eval train-demand");
  }
  if (words.size() != 4 + kGruSize || words.back() != Checksum(words.first(words.size() - 1)))
    return Fail(Code::kCorrupt, "the weights' checksum is wrong");
  GruWeights weights;
  std::memcpy(weights.gate.data(), words.data() + 3, sizeof weights);
  for (std::size_t i = 0; i < kGruSize; ++i) {
    if (!std::isfinite(std::bit_cast<float>(words[3 + i]))) return Fail(Code::kCorrupt, "a weight is not a number");
  }
  return weights;
}

Result<GruWeights> ReadGru(std::string_view text) {
  std::vector<std::uint32_t> words;
  while (!text.empty()) {
    const std::size_t length = std::min(text.find(','), text.size());
    std::string_view word = text.substr(0, length);
    while (!word.empty() && (word.front() == '\n' || word.front() == ' ')) word.remove_prefix(1);
    while (!word.empty() && (word.back() == '\n' || word.back() == ' ')) word.remove_suffix(1);
    std::uint32_t number = 0;
    if (!word.starts_with("0x")) return Fail(Code::kCorrupt, "these are not weights of the demand model");
    const auto read = std::from_chars(word.data() + 2, word.data() + word.size(), number, 16);
    if (read.ec != std::errc{} || read.ptr != word.data() + word.size() || words.size() > 4 + kGruSize)
      return Fail(Code::kCorrupt, "these are not weights of the demand model");
    words.push_back(number);
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  return ReadGru(std::span<const std::uint32_t>(words));
}

const GruWeights* ShippedGru() {
  static const Result<GruWeights> shipped = ReadGru(std::span<const std::uint32_t>(kShipped));
  return shipped ? &*shipped : nullptr;
}

}  // namespace whorl
