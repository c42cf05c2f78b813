#include "core/fingerprint/sketch.h"

#include <algorithm>
#include <cmath>

namespace whorl {
namespace {

// Calls' worth of usual behaviour that every window is taken to hold besides.
constexpr float kPrior = 64.0f;
// A part spread over all buckets, so that what was never seen is not impossible.
constexpr float kSpread = 0.02f;
// Shares are stored times this: the smallest normal half then is a share of 1.5e-8.
constexpr float kScale = 4096.0f;

// Sums of 32 bits per window; more than one window can hold (2^32 calls) is no window.
std::uint64_t Calls(const SketchCounts& window) {
  std::uint64_t calls = 0;
  for (const std::uint32_t count : window) calls += count;
  return calls;
}

Float8 CountsAt(const SketchCounts& window, std::size_t i) {
  Float8 counts;
  for (std::size_t lane = 0; lane < kLanes; ++lane) counts[lane] = static_cast<float>(window[i + lane]);
  return counts;
}

}  // namespace

std::optional<float> SketchModel::Judge(const SketchCounts& window) const {
  const std::uint64_t calls = Calls(window);
  if (calls < kLeastCalls || windows_ == 0) return std::nullopt;
  const Float8 scale = Broadcast((1 - kSpread) / kScale);
  const Float8 floor = Broadcast(kSpread / static_cast<float>(kSketchBuckets));
  const Float8 prior = Broadcast(kPrior);
  const Float8 per_call = Broadcast(1 / (static_cast<float>(calls) + kPrior));
  Float8 overlap{};
  for (std::size_t i = 0; i < kSketchBuckets; i += kLanes) {
    const Float8 usual = FromHalf(usual_.data() + i) * scale + floor;
    const Float8 share = (CountsAt(window, i) + prior * usual) * per_call;
    overlap += Sqrt(share * usual);
  }
  return std::clamp(1 - Sum(overlap), 0.0f, 1.0f);
}

void SketchModel::Learn(const SketchCounts& window, float weight) {
  const std::uint64_t calls = Calls(window);
  if (calls < kLeastCalls || !(weight > 0)) return;
  weight = std::min(weight, 1.0f);
  learnt_ = std::min(learnt_ + weight, 1 / kForgetting);
  const Float8 gain = Broadcast(weight / learnt_);
  const Float8 scale = Broadcast(kScale / static_cast<float>(calls));
  for (std::size_t i = 0; i < kSketchBuckets; i += kLanes) {
    const Float8 usual = FromHalf(usual_.data() + i);
    const Float8 moved = usual + gain * (CountsAt(window, i) * scale - usual);
    for (std::size_t lane = 0; lane < kLanes; ++lane) usual_[i + lane] = HalfOf(moved[lane]);
  }
  ++windows_;
}

float SketchModel::Usual(std::size_t bucket) const {
  return FromHalf(usual_.data() + bucket / kLanes * kLanes)[bucket % kLanes] / kScale;
}

bool SketchModel::Plausible() const {
  float sum = 0;
  for (std::size_t b = 0; b < kSketchBuckets; ++b) {
    const float share = Usual(b);
    if (!(share >= 0 && share <= 1.01f)) return false;
    sum += share;
  }
  if (windows_ == 0) return sum == 0 && learnt_ == 0;
  return std::abs(sum - 1) < 0.05f && learnt_ > 0 && learnt_ <= 1 / kForgetting;
}

}  // namespace whorl
