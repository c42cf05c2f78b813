#pragma once

#include "core/fingerprint/lanes.h"

namespace whorl {

// Recursive covariance of the scaled deviations, lower triangle in rows padded
// to whole lanes: 960 floats. Pairs learn only when both features are valid.
// Plain data of the VM that holds it.
struct Covariance {
  static constexpr std::size_t kVectors = kLanes * (kGroups * (kGroups + 1) / 2);
  Float8 row[kVectors]{};

  // First vector of feature f's row: f / 8 + 1 vectors long.
  static constexpr std::size_t RowStart(std::size_t f) {
    const std::size_t block = f / kLanes;
    return kLanes * (block * (block + 1) / 2) + (f % kLanes) * (block + 1);
  }
  // `root_gain` = square root of each feature's gain: a pair moves by the product.
  void Learn(const Features& z, const Features& root_gain);
  float At(std::size_t i, std::size_t j) const;
};

// Deviations enter the covariance cut at this many spreads: one wild second
// must not teach the model that anything goes.
inline constexpr float kLearnClip = 5.0f;

}  // namespace whorl
