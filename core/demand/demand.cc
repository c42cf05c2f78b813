#include "core/demand/demand.h"

#include <algorithm>
#include <cmath>

namespace whorl {
namespace {

constexpr std::uint32_t kLeastSeen = 5;
constexpr float kMeanGain = 0.3f;
constexpr float kScaleGain = 0.05f;
constexpr float kLeastScale = 5.0f;      // millicores: jitter of an idle guest
constexpr float kOffsetStep = 0.25f;     // of the scale
constexpr float kHeldBack = 0.85f;       // of its limit in use: the limit may be what stops it
constexpr float kThrottledFrom = 20.0f;  // ms/s
constexpr float kGrowth = 1.5f;
constexpr float kPush = 50.0f;  // millicores, so that a tiny limit is left quickly

}  // namespace

void CpuDemand::Observe(const DemandSample& sample, double quantile) {
  // Time spent runnable but waiting is demand too. It counts at most as much as
  // running: an idle guest on a noisy host must not look busy.
  const float waited = std::min(sample.waited.value_or(0), sample.used);
  const float ceiling = std::max(sample.most, sample.used);
  const float demand = std::min(sample.used + waited, ceiling);
  most_ = sample.most;

  if (seen_ == 0) {
    mean_ = demand;
    scale_ = kLeastScale;
  } else {
    const auto tau = static_cast<float>(quantile);
    const float error = demand - Forecast();
    scale_ += kScaleGain * (std::min(std::abs(error), 20 * scale_) - scale_);
    const float step = kOffsetStep * std::max(scale_, kLeastScale);
    offset_ = std::max(0.0f, offset_ + (error > offset_ ? tau * step : -(1 - tau) * step));
    mean_ += kMeanGain * (demand - mean_);
  }
  last_ = demand;
  if (seen_ < kLeastSeen) ++seen_;

  // A limit that could not be read may still be what throttles.
  const bool at_limit = !sample.limit || sample.used >= kHeldBack * *sample.limit;
  const bool throttled = sample.throttled.value_or(0) >= kThrottledFrom;
  if (at_limit && throttled) {
    pressed_ = std::min(std::max(pressed_, demand) * kGrowth + kPush, ceiling);
  } else {
    pressed_ = pressed_ * 0.5f > demand ? pressed_ * 0.5f : 0;
  }
}

std::optional<float> CpuDemand::expected() const {
  if (seen_ < kLeastSeen) return std::nullopt;
  return std::max(Forecast(), pressed_);
}

std::optional<float> CpuDemand::predicted() const {
  if (seen_ < kLeastSeen) return std::nullopt;
  const float free = std::min(Forecast() + offset_, std::max(most_, last_));
  return std::max(free, pressed_);
}

}  // namespace whorl
