#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/base/time.h"
#include "core/fingerprint/whitening.h"
#include "core/score/calibration.h"

namespace whorl {

// The detectors: each a number that grows as the VM leaves its usual ways.
enum class Detector : std::uint8_t { kMahalanobis, kResidual, kLargest };
inline constexpr std::size_t kDetectorCount = 3;

// What one tick says and what the last few together say.
struct Evidence {
  float tick = 0;        // -log10 p of this sample alone, detectors fused
  float smooth = 0;      // moving mean of it
  float run = 0;         // what has piled up while ticks kept being unusual
  float calibrated = 0;  // -log10 p of both together; behind the score
  // Where the statistics lie in their histories, for Learn.
  std::array<float, kDetectorCount> position{};
  float mean_position = 0;
  float run_position = 0;
};

// From condensed vector to score, of one VM: a conformal p-value per detector,
// fused, followed over time in two ways, each calibrated last against its own
// history: a moving mean for what is far away, and a sum that grows while ticks
// keep being unusual, for a VM whose usual seconds include short bursts and
// that now stays where they only went for a moment. Plain data.
struct Scorer {
  std::array<Calibration, kDetectorCount> detector;
  Calibration mean;
  Calibration runs;
  float smooth = 0;
  float run = 0;
  bool started = false;

  // Enough history for evidence to mean something.
  bool ready() const { return detector[0].samples() >= 10; }
  Evidence Judge(const Condensed& condensed);
  // After Judge, and only with what was accepted as usual: `weight` 1, less
  // while suspicious, 0 during an episode.
  void Learn(const Evidence& evidence, float weight);
};

// A tick this unlikely is suspicious: it teaches a tenth (p < 0.004).
inline constexpr float kSuspicious = 2.4f;

// score = 100 * min(1, evidence / 6): p = 1e-3 is 50, p = 1e-6 is 100.
std::uint8_t ScoreOf(float evidence);
double PValueOf(float evidence);

// The threshold on the score that keeps a policy's budget of false episodes. An
// episode takes at least kOpenAfter exceeding ticks, so at p per tick there are
// at most p / kOpenAfter episodes per tick however the exceedances cluster.
std::uint8_t ThresholdFor(double false_episodes_per_week, Millis interval);

}  // namespace whorl
