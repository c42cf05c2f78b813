#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/fingerprint/covariance.h"
#include "core/fingerprint/scaling.h"
#include "core/fingerprint/whitening.h"
#include "core/score/score.h"

namespace whorl {

// When a baseline counts as learnt.
struct LearningGoal {
  std::uint32_t samples = 200;
  Seconds time{3600};
};

// Samples between two refreshes of a settled whitening.
inline constexpr std::uint32_t kRefreshEvery = 512;
// A settled covariance learns from one sample in this many.
inline constexpr std::uint32_t kCovarianceStride = 4;

// When a VM does what need not be done in every tick, so that many VMs do not
// do it in the same one.
struct Pace {
  std::uint32_t spread = 0;  // 0 .. kRefreshEvery - 1
  bool covariance = true;    // this is the one sample in kCovarianceStride
};

// All that is learnt about how one VM behaves: the part of its state that is
// saved and that follows it to another node. Plain data, about 9 KB, aligned so
// that one VM's never shares a cache line with the next one's.
struct alignas(64) Baseline {
  Scaling scaling;
  Covariance covariance;
  Whitening whitening;
  Scorer scorer;

  std::uint32_t samples = 0;       // learnt from so far
  std::uint32_t next_refresh = 0;  // of the whitening, in samples
  std::int64_t learnt_ms = 0;      // time covered by the samples, gaps not counted
  std::int64_t last_ms = 0;        // of the last sample learnt from
  float interval_ms = 0;           // usual time between samples
  bool learnt = false;             // stays true once the goal was met

  // Judges one sample against what is known, then learns from it. The evidence
  // is about the baseline before this sample.
  struct Outcome {
    Evidence evidence;
    bool judged = false;    // false: too little is known yet
    bool finished = false;  // learning ended with this sample
  };
  // `flagged`: the VM is inside an episode; its scores are not taken for usual.
  Outcome Observe(Time at, const Features& y, FeatureMask valid, const LearningGoal& goal, bool flagged, Pace pace);

  // After Load: many baselines come at once when a controller starts.
  void Stagger(Pace pace);

  Millis interval() const { return Millis{static_cast<std::int64_t>(interval_ms + 0.5f)}; }
};

// 0..100, the lesser of samples and time.
std::uint8_t Progress(const Baseline& baseline, const LearningGoal& goal);

// A versioned blob with a checksum; counters of the node are not in it. Load
// leaves `baseline` untouched when it fails: kCorrupt for a blob that is
// damaged or holds impossible numbers, kUnsupported for another version.
std::string Save(const Baseline& baseline);
Status Load(std::string_view blob, Baseline& baseline);

}  // namespace whorl
