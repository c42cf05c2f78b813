#pragma once

#include <array>
#include <cstdint>

#include "core/fingerprint/lanes.h"

namespace whorl {

// LODA (Pevny, Machine Learning 102, 2016): histograms of sparse random
// projections of the deviations. Weak one by one, it sees in any direction and
// costs next to nothing. Plain data of the VM that holds it: 416 bytes.
struct Loda {
  static constexpr std::size_t kProjections = 24;
  static constexpr std::size_t kBins = 16;

  std::array<std::array<std::uint8_t, kBins>, kProjections> bin{};
  std::array<std::uint8_t, kProjections + 8> total{};  // sums of a row / 16, to spare a tick the summing

  // Bin of every projection for these deviations.
  using Place = std::array<std::uint8_t, kProjections>;
  static Place Find(const Features& z);
  // Mean over projections of -ln(share of the bin), > 0.
  float Surprise(const Place& place) const;
  // Counts halve when one is full, so that old ones fade.
  void Learn(const Place& place);
};

}  // namespace whorl
