#include "core/score/loda.h"

#include <algorithm>

#include "core/base/split_mix.h"

namespace whorl {
namespace {

// The square root of 40: Pevny's choice of how many features a projection has.
constexpr std::size_t kPerProjection = 6;
// Projections of standardised deviations have variance one; what lies beyond
// this many deviations falls into the outermost bins.
constexpr float kReach = 6.0f;
constexpr float kEmpty = 0.5f;

struct Projection {
  std::array<std::uint8_t, kPerProjection> feature{};
  std::array<float, kPerProjection> weight{};
};

// Fixed for all VMs and all time: histograms mean nothing without them.
constexpr std::array<Projection, Loda::kProjections> Projections() {
  std::array<Projection, Loda::kProjections> all{};
  std::uint64_t state = 0x10da;
  const auto next = [&state] { return SplitMix(state); };
  for (Projection& p : all) {
    for (std::size_t i = 0; i < kPerProjection; ++i) {
      p.feature[i] = static_cast<std::uint8_t>(next() % kFeatureCount);
      // A sum of four uniform numbers is near enough to the normal weights of the paper.
      double sum = 0;
      for (int k = 0; k < 4; ++k) sum += static_cast<double>(next() >> 11) * 0x1p-53 - 0.5;
      p.weight[i] = static_cast<float>(sum * 1.7320508 / 2.449489743);
    }
  }
  return all;
}
constexpr auto kAllProjections = Projections();

}  // namespace

Loda::Place Loda::Find(const Features& z) {
  std::array<float, kFeatureCount> flat;
  __builtin_memcpy(flat.data(), z.group, sizeof flat);
  Place place;
  for (std::size_t p = 0; p < kProjections; ++p) {
    const Projection& projection = kAllProjections[p];
    float sum = 0;
    for (std::size_t i = 0; i < kPerProjection; ++i) sum += projection.weight[i] * flat[projection.feature[i]];
    const float at = (sum + kReach) * (static_cast<float>(kBins) / (2 * kReach));
    place[p] = static_cast<std::uint8_t>(std::clamp(at, 0.0f, static_cast<float>(kBins) - 1));
  }
  return place;
}

float Loda::Surprise(const Place& place) const {
  std::array<float, kProjections> share;
  for (std::size_t p = 0; p < kProjections; ++p) {
    const float all = static_cast<float>(total[p]) * 16.0f + kEmpty * kBins;
    share[p] = (static_cast<float>(bin[p][place[p]]) + kEmpty) / all;
  }
  Float8 sum{};
  for (std::size_t p = 0; p < kProjections; p += kLanes) {
    Float8 part;
    __builtin_memcpy(&part, share.data() + p, sizeof part);
    sum -= Log(part);
  }
  return std::max(Sum(sum) / static_cast<float>(kProjections), 1e-3f);
}

void Loda::Learn(const Place& place) {
  for (std::size_t p = 0; p < kProjections; ++p) {
    auto& row = bin[p];
    if (row[place[p]] == 255) {
      for (std::uint8_t& count : row) count = static_cast<std::uint8_t>(count / 2);
    }
    ++row[place[p]];
    std::uint32_t sum = 0;
    for (const std::uint8_t count : row) sum += count;
    total[p] = static_cast<std::uint8_t>(std::min(sum / 16, 255u));
  }
}

}  // namespace whorl
