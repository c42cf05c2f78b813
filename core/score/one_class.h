#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/base/result.h"
#include "core/score/forest.h"

namespace whorl {

// One-class support vector machine (Schölkopf et al., Neural Computation 13,
// 2001) with a Gaussian kernel, carried by a few landmarks instead of all its
// support vectors (Nyström: Williams & Seeger, NIPS 2000), so that a VM's
// machine is 400 bytes and costs the same for every VM. Plain data.
struct OneClass {
  static constexpr std::size_t kLandmarks = 24;
  std::array<CondensedPoint, kLandmarks> landmark{};
  std::array<float, kLandmarks> weight{};
  float gamma = 0;
  float offset = 0;  // of the decision function, > 0
  std::uint32_t trained_on = 0;

  bool ready() const { return trained_on != 0; }
  // 1 at the border of what it was trained on, less inside, more outside; > 0.
  float Outside(const CondensedPoint& point) const;
};

// Trains with dlib; the same points give the same machine, byte for byte. For
// the background: a millisecond for 128 points. kInvalid below kLeastPoints or
// when all points are alike.
inline constexpr std::size_t kLeastPoints = 64;
Result<OneClass> TrainOneClass(std::span<const CondensedPoint> points);

}  // namespace whorl
