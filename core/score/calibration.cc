#include "core/score/calibration.h"

#include <algorithm>

#include "core/fingerprint/lanes.h"

namespace whorl {
namespace {

constexpr float kLeastPeaks = 8.0f;
// The fit follows the histogram at this distance once it is settled.
constexpr std::uint32_t kFitEvery = 16;
// Rescale long before a float's 24 bits lose single samples.
constexpr float kLargestIncrement = 1e4f;
// Mean excesses above the tail's edge: a twentieth of an exponential tail.
constexpr float kCutAt = 3.0f;
constexpr float kPerLn = 0.4342944819f;  // 1 / ln 10

std::size_t BinOf(float position) { return std::min(static_cast<std::size_t>(position), Calibration::kBins - 1); }

}  // namespace

void Calibration::Fit(const Shape& shape) {
  // From the top down until the tail holds enough values to be fitted.
  const float n = total_ / increment_;
  const float enough = std::min(std::max(shape.tail_part * n, kLeastPeaks), 0.5f * n) * increment_;
  const float ratio = Exp(-shape.log_step);
  float edge = Exp(shape.log_lowest + shape.log_step * static_cast<float>(kBins));
  float above = 0;   // values in the bins passed
  float moment = 0;  // and their sum, each at its bin's middle
  for (std::size_t i = kBins; i > 0 && above < enough;) {
    --i;
    const float lower = edge * ratio;
    above += bins_[i];
    moment += bins_[i] * 0.5f * (lower + edge);
    edge = lower;
  }
  peaks_.edge = edge;
  peaks_.count = above / increment_;
  peaks_.scale = std::max(moment / above - edge, shape.least_scale * edge);
  peaks_.within = -Log10((1 + peaks_.count) / (n + 1));
}

float Calibration::Position(float log_value, const Shape& shape) {
  return std::clamp((log_value - shape.log_lowest) / shape.log_step, 0.0f, static_cast<float>(kBins));
}

float Calibration::Terms::Evidence(float log_argument) const {
  return std::clamp(base + factor * log_argument, 0.0f, kMostEvidence);
}

Calibration::Terms Calibration::Weigh(float value, float position, const Shape& shape) const {
  if (total_ <= 0) return {};
  if (value > peaks_.edge) {
    const float excess = (value - peaks_.edge) / peaks_.scale;
    if (shape.tail == Tail::kExponential) return {peaks_.within + excess * kPerLn, 0, 1};
    const float k = std::clamp(peaks_.count, 1.0f, shape.most_peaks);
    return {peaks_.within, k * kPerLn, 1 + excess / k};
  }
  const std::size_t bin = BinOf(position);
  const Int8 lane{0, 1, 2, 3, 4, 5, 6, 7};
  Float8 sum{};
  for (std::size_t i = 0; i < kBins; i += kLanes) {
    Float8 part;
    __builtin_memcpy(&part, bins_.data() + i, sizeof part);
    sum +=
        Select(lane > BroadcastInt(static_cast<std::int32_t>(bin) - static_cast<std::int32_t>(i)), part, Broadcast(0));
  }
  const float above = Sum(sum) + bins_[bin] * (static_cast<float>(bin + 1) - position);
  return {0, -kPerLn, (increment_ + above) / (total_ + increment_)};
}

float Calibration::Evidence(float value, const Shape& shape) const {
  const Terms terms = Weigh(value, Position(Log(std::max(value, shape.lowest)), shape), shape);
  return terms.Evidence(Log(terms.argument));
}

float Calibration::Cut(float value, const Shape& shape) const {
  if (samples() < kLeastPeaks) return value;
  const float most = peaks_.edge + kCutAt * std::max(peaks_.scale, shape.least_scale * peaks_.edge);
  return std::min(value, most);
}

void Calibration::Learn(float position, const Shape& shape, float weight) {
  const float fading = std::max(shape.forgetting, shape.youth / static_cast<float>(learnt_ + 2));
  increment_ *= 1.0f + fading * weight;
  bins_[BinOf(position)] += increment_ * weight;
  total_ += increment_ * weight;
  if (increment_ > kLargestIncrement) {
    for (float& b : bins_) b /= increment_;
    total_ /= increment_;
    increment_ = 1;
  }
  ++learnt_;
  if (learnt_ < 4 * kFitEvery || learnt_ % kFitEvery == 0) Fit(shape);
}

}  // namespace whorl
