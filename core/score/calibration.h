#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

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
  // Evidence is cut here; no history supports more, and the order of what lies
  // below is worth keeping.
  static constexpr float kMostEvidence = 30.0f;

  enum class Tail { kPredictive, kExponential };

  // Bins are equally wide in the logarithm between `lowest` and `highest`;
  // values outside fall into the first or the last.
  struct Shape {
    float lowest;
    float log_lowest;
    float log_step;     // ln(highest / lowest) / kBins
    float least_scale;  // no tail is believed to be thinner than this, as a part of where it begins
    float forgetting;   // per value learnt
    // Early values were taken against a model that hardly knew the VM: while
    // young, weights rise with this power of a value's number.
    float youth;
    float tail_part;   // of the values, the largest, that the tail is fitted to
    float most_peaks;  // the tail stays as heavy as if no more values than these spoke for it
    Tail tail;
  };

  // Where a value lies on the shape's grid, 0 .. kBins, given its logarithm.
  static float Position(float log_value, const Shape& shape);
  // Evidence = base + factor * ln(argument), cut to 0 .. kMostEvidence: in two
  // steps, so that several detectors share one vector logarithm.
  struct Terms {
    float base = 0;
    float factor = 0;
    float argument = 1;
    float Evidence(float log_argument) const;
  };
  // Of `value` against the history; nothing while the history is empty.
  Terms Weigh(float value, float position, const Shape& shape) const;
  // The value, or where this history begins to doubt it if that is less: what is
  // learnt from one wild value moves the tail by no more than it knows already.
  float Cut(float value, const Shape& shape) const;
  // Adds the value at this position, accepted as usual; `weight` <= 1.
  void Learn(float position, const Shape& shape, float weight);

  // All at once, for a single statistic.
  float Evidence(float value, const Shape& shape) const;
  // Values in the history, older ones counting less.
  float samples() const { return increment_ > 0 ? total_ / increment_ : 0; }

  // For the checkpoint's check of plausibility; the whole is copied as bytes.
  const std::array<float, kBins>& bins() const { return bins_; }
  float total() const { return total_; }
  float increment() const { return increment_; }

 private:
  // The fit of the largest values, renewed every few samples.
  struct Peaks {
    float edge = 0;    // the tail begins here
    float count = 0;   // values above it
    float scale = 1;   // their mean excess
    float within = 0;  // evidence at the edge
  };
  void Fit(const Shape& shape);

  alignas(32) std::array<float, kBins> bins_{};
  Peaks peaks_;
  std::uint32_t learnt_ = 0;
  float total_ = 0;
  // What one sample weighs now. It grows instead of all bins shrinking, so that
  // learning touches one bin.
  float increment_ = 1;
};

}  // namespace whorl
