#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/fingerprint/lanes.h"
#include "core/telemetry/sketch.h"

namespace whorl {

// The system calls a VM usually makes, as the kernel-side sketch tells them: a
// forgetting mean of the shares of 256 hashed 3-grams. Plain data of the VM
// that holds it, 528 bytes; judging and learning allocate nothing.
class SketchModel {
 public:
  // A window of fewer calls is too small a sample of anything: not judged, not learnt.
  static constexpr std::uint32_t kLeastCalls = 32;
  // The first windows weigh alike, later ones this much.
  static constexpr float kForgetting = 0.01f;

  // How far a window lies from usual, 0..1, grows with unusualness: the squared
  // Hellinger distance 1 - sum sqrt(window share * usual share). It is bounded,
  // so that no single new 3-gram can outweigh everything else, and its noise
  // hardly depends on which 3-grams are frequent (variance of sqrt(count) is
  // the same at every rate). A window of few calls is drawn towards what is
  // usual, as if kPrior calls had been seen there, or quiet seconds would look
  // unusual merely for being small. Nothing before the first window was learnt.
  std::optional<float> Judge(const SketchCounts& window) const;
  // `weight` 1, less while suspicious, 0 in an episode: no effect.
  void Learn(const SketchCounts& window, float weight);

  // Windows learnt.
  std::uint32_t windows() const { return windows_; }
  float Usual(std::size_t bucket) const;  // share, 0..1

  // For the checkpoint's check of plausibility; the whole is copied as bytes.
  bool Plausible() const;

 private:
  alignas(32) std::array<std::uint16_t, kSketchBuckets> usual_{};  // share, times kScale, half precision
  std::uint32_t windows_ = 0;
  float learnt_ = 0;  // sum of weights, up to 1 / kForgetting
};

}  // namespace whorl
