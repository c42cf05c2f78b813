#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/time.h"
#include "core/fingerprint/lanes.h"

namespace whorl {

// Rolling windows over one VM's scaled features at three scales, kept as
// exponentially weighted means: what a window of that length holds, without
// holding it. Where samples come less often than a scale is long, it spans two
// samples. Plain data of the VM that holds it; 960 bytes, of which a tick
// touches a fraction: longer scales are renewed less often.
struct Windows {
  static constexpr std::size_t kScales = 3;
  static constexpr std::array<Seconds, kScales> kLength{Seconds{30}, Seconds{300}, Seconds{3600}};
  // A scale is renewed at each so many-th sample once samples are a second apart.
  static constexpr std::array<std::uint32_t, kScales> kStride{2, 8, 32};

  std::array<Features, kScales> level;       // mean of y
  std::array<Features, kScales> dispersion;  // mean distance from it
  std::array<std::uint64_t, kScales> known{};

  // `y` as Scaling::Scale gives it, `sample` counts the VM's samples, `interval`
  // is their usual distance.
  void Push(const Features& y, FeatureMask valid, std::uint32_t sample, Millis interval);

  // Of one feature, in scaled units: by how much the shorter scale lies above the next longer one.
  float Trend(std::size_t scale, std::size_t f) const {
    return scale + 1 < kScales ? level[scale][f] - level[scale + 1][f] : 0.0f;
  }
  // Dispersion of the shorter scale over that of the next longer one: above 1
  // it has become more restless, near 0 it has gone still. 1 where unknown.
  float Burstiness(std::size_t scale, std::size_t f) const;
};

}  // namespace whorl
