#include "core/score/calibration.h"

#include <algorithm>
#include <cmath>

#include "core/fingerprint/lanes.h"
#include "core/fingerprint/scaling.h"

namespace whorl {
namespace {

constexpr float kTailPart = 0.1f;
constexpr float kLeastPeaks = 8.0f;
// Rescale long before a float's 24 bits lose single samples.
constexpr float kLargestIncrement = 1e4f;

struct Grid {
  float log_lowest;
  float bins_per_log;
};
Grid GridOf(const Calibration::Shape& shape) {
  const float lowest = Log(shape.lowest);
  return {lowest, static_cast<float>(Calibration::kBins) / (Log(shape.highest) - lowest)};
}
// Fractional bin, 0 .. kBins.
float Position(float value, const Calibration::Shape& shape, const Grid& grid) {
  if (!(value > shape.lowest)) return 0;
  return std::min((Log(value) - grid.log_lowest) * grid.bins_per_log, static_cast<float>(Calibration::kBins));
}

}  // namespace

float Calibration::Evidence(float value, const Shape& shape) const {
  if (total_ <= 0) return 0;
  const Grid grid = GridOf(shape);
  const float position = Position(value, shape, grid);
  const float n = total_ / increment_;
  const auto bin = std::min(static_cast<std::size_t>(position), kBins - 1);

  // From the top down until the tail holds enough values to be fitted.
  const float enough = std::min(std::max(kTailPart * n, kLeastPeaks), 0.5f * n) * increment_;
  const float ratio = std::exp((Log(shape.highest) - Log(shape.lowest)) / static_cast<float>(kBins));
  float edge = shape.highest;
  float above = 0;   // values in the bins passed
  float moment = 0;  // and their sum, each at its bin's middle
  std::size_t i = kBins;
  while (i > 0 && above < enough) {
    --i;
    const float lower = edge / ratio;
    above += bins_[i];
    moment += bins_[i] * 0.5f * (lower + edge);
    edge = lower;
  }
  if (position >= static_cast<float>(i) && value > edge) {
    const float k = above / increment_;
    const float scale = std::max(moment / above - edge, shape.least_scale);
    const float excess = (value - edge) / scale;
    const float within = -Log10((1 + k) / (n + 1));
    const float fall = shape.tail == Tail::kExponential ? excess * 0.4342944819f
                                                        : std::max(k, 1.0f) * Log10(1 + excess / std::max(k, 1.0f));
    return std::clamp(within + fall, 0.0f, kMostEvidence);
  }
  while (i > bin + 1) above += bins_[--i];
  if (i == bin + 1) above += bins_[bin] * (static_cast<float>(bin + 1) - position);
  return std::clamp(-Log10((1 + above / increment_) / (n + 1)), 0.0f, kMostEvidence);
}

void Calibration::Learn(float value, const Shape& shape, float weight) {
  const float position = Position(value, shape, GridOf(shape));
  const auto bin = std::min(static_cast<std::size_t>(position), kBins - 1);
  increment_ *= 1.0f + kForgetting * weight;
  bins_[bin] += increment_ * weight;
  total_ += increment_ * weight;
  if (increment_ > kLargestIncrement) {
    for (float& b : bins_) b /= increment_;
    total_ /= increment_;
    increment_ = 1;
  }
}

}  // namespace whorl
