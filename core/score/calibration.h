#pragma once

#include <array>
#include <cstddef>

namespace whorl {

// How one statistic usually comes out for one VM: a forgetting histogram of its
// own earlier values, each taken before its sample was learnt. Turns a value
// into evidence = -log10 of a conformal p-value. Plain data of the VM that holds it.
//
// Inside the history p = (1 + #values at or above) / (n + 1). That cannot fall
// below 1/(n+1), so the top tenth is fitted with an exponential tail. Its scale
// is itself only known from k values; integrating over that gives
// (1 + excess / (k * scale))^-k, a Pareto tail that becomes exponential as k
// grows: few samples can only ever give cautious answers.
class Calibration {
 public:
  static constexpr std::size_t kBins = 32;
  // Evidence is cut here; one tick can never say more.
  static constexpr float kMostEvidence = 8.0f;

  enum class Tail { kPredictive, kExponential };

  struct Shape {
    float lowest;       // values below fall into the first bin
    float highest;      // and above into the last
    float least_scale;  // no tail is believed to be thinner than this
    Tail tail = Tail::kPredictive;
  };

  // Evidence of `value` against the history; 0 while the history is empty.
  float Evidence(float value, const Shape& shape) const;
  // Adds a value that was accepted as usual; `weight` <= 1.
  void Learn(float value, const Shape& shape, float weight);
  // Values in the history, older ones counting less.
  float samples() const { return increment_ > 0 ? total_ / increment_ : 0; }

  // For the checkpoint's check of plausibility; the whole is copied as bytes.
  const std::array<float, kBins>& bins() const { return bins_; }
  float total() const { return total_; }
  float increment() const { return increment_; }

 private:
  std::array<float, kBins> bins_{};
  float total_ = 0;
  // What one sample weighs now. It grows instead of all bins shrinking, so that
  // learning touches one bin.
  float increment_ = 1;
};

}  // namespace whorl
