#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/baseline/hour_profile.h"
#include "core/fingerprint/covariance.h"
#include "core/fingerprint/innovation.h"
#include "core/fingerprint/scaling.h"
#include "core/fingerprint/sketch.h"
#include "core/fingerprint/whitening.h"
#include "core/score/forest.h"
#include "core/score/loda.h"
#include "core/score/one_class.h"
#include "core/score/score.h"
#include "core/telemetry/guest_window.h"

namespace whorl {

// When a baseline counts as learnt.
struct LearningGoal {
  std::uint32_t samples = 200;
  Seconds time{3600};
};

// Samples between two refreshes of a settled whitening.
inline constexpr std::uint32_t kRefreshEvery = 512;
// What need not be done each second is done at every eighth sample.
inline constexpr std::uint32_t kHeavyStride = 8;
// And a quarter of the forest is walked at every second one.
inline constexpr std::uint32_t kForestStride = 2;

// When a VM does what need not be done in every tick, so that many VMs do not
// do it in the same one.
struct Pace {
  std::uint32_t spread = 0;  // 0 .. kRefreshEvery - 1
  bool heavy = true;         // this is the one sample in kHeavyStride
  std::uint32_t turn = 0;    // counts ticks, from another beginning for each VM
};

// One sample, scaled, and what is known about the moment.
struct Sample {
  Time at{};
  Features y;  // Scaling::Scale
  FeatureMask valid;
  const SketchCounts* sketch = nullptr;  // of a window of the VMM's system calls that ended with this sample
  const GuestWindow* guest = nullptr;    // and of the guest's own; untrusted
  std::optional<float> cohort_distance;  // CohortModel::Distance, where the VM has a cohort
};
struct Circumstances {
  LearningGoal goal;
  const Schema* schema = &LiveSchema();
  Pace pace;
  bool flagged = false;  // inside an episode; its scores are not taken for usual
  float alarm = 0;       // evidence from which on there is one; below it an episode is calming down
  bool adaptive = true;  // keep the long-run rate of alarms by adaptive control
};

// How the VM's usual level has moved since it was learnt; slow enough to pass
// every detector, which is why it is looked at by itself.
struct Drift {
  Feature feature{};
  float from = 0;  // scaled units
  float to = 0;
  std::int64_t since_ms = 0;
};

// What is rarely touched: kept apart from what a tick reads, and saved with it.
struct LongMemory {
  HourProfile hours;
  SketchModel sketch;
  SketchModel guest;

  // A forgetting choice of accepted condensed vectors: what trees are grown and
  // one-class machines are trained from.
  static constexpr std::size_t kPoints = 128;
  std::array<CondensedPoint, kPoints> point{};
  std::uint32_t kept = 0;        // points that stand
  std::uint32_t offered = 0;     // samples that could have become one
  std::uint32_t trained_at = 0;  // `offered` when a training was last asked for
  std::uint32_t grown_at = 0;

  // The second regime: what an episode that does not end looks like, learnt
  // from its beginning, and where the VM was before.
  Scaling candidate;
  Scaling other;
  std::uint32_t candidate_samples = 0;
  float candidate_fit = 0;  // moving mean of squared deviations from the candidate, per feature
  float other_fit = 0;      // and from the other regime
  float change = 0;         // ln of the conformal martingale against "nothing has changed"
  std::int64_t candidate_since_ms = 0;
  bool has_other = false;
  std::uint8_t regime = 1;
  // Of an episode: where its stocks have stood since when, and how well all else fits.
  Features stood;
  std::int64_t stood_since_ms = 0;
  float flows_fit = 0;

  // The anchor: usual levels of the first whole day, and of the day under way.
  Features anchor;
  Features day_sum;
  float day_count = 0;
  std::int32_t day = -1;         // since 1970
  std::int32_t anchor_day = -1;  // -1: not dropped yet
  bool drift_told = false;
  Drift drift;
};

// All that is learnt about how one VM behaves: the part of its state that is
// saved and that follows it to another node. Plain data, aligned so that one
// VM's never shares a cache line with the next one's.
struct alignas(64) Baseline {
  Scaling scaling;
  Features season;  // what this hour is expected to add, from LongMemory::hours
  Innovation innovation;
  Features held;                                  // last deviation of each feature: libvirt's come every fifth second
  Features look;                                  // the one measured last, as it was
  std::array<std::uint8_t, kFeatureCount> age{};  // samples since it was measured
  Whitening whitening;
  Features slow;  // slow mean of the deviations
  Scorer scorer;
  Loda loda;
  OneClass one_class;
  Forest forest;
  // Usual value and spread of the four logarithms in the condensed vector.
  std::array<float, 4> log_mean{};
  std::array<float, 4> log_square{};
  float path = 0;  // mean path through the forest's quarters
  Covariance covariance;

  std::uint32_t samples = 0;       // learnt from so far
  std::uint32_t next_refresh = 0;  // of the whitening, in samples
  std::int64_t learnt_ms = 0;      // time covered by the samples, gaps not counted
  std::int64_t last_ms = 0;        // of the last sample learnt from
  float interval_ms = 0;           // usual time between samples
  std::uint16_t generous = 0;      // samples left that are believed in full (accepted by an administrator)
  bool learnt = false;             // stays true once the goal was met
  bool in_episode = false;         // at the last sample

  // Judges one sample against what is known, then learns from it. The evidence
  // is about the baseline before this sample.
  struct Outcome {
    Evidence evidence;
    bool judged = false;          // false: too little is known yet
    bool finished = false;        // learning ended with this sample
    bool regime_changed = false;  // the VM lives in another regime from now on
    bool drifted = false;         // LongMemory::drift has something new to tell
  };
  Outcome Observe(const Sample& sample, const Circumstances& now, LongMemory& memory);

  // What the VM does now is declared usual: the episode's behaviour becomes the
  // regime, and the anchor is dropped anew.
  void Accept(LongMemory& memory);
  // Another's knowledge as a beginning, as if seen `weight` times: only for
  // features this baseline has not seen more often itself.
  void Expect(const Features& center, const Features& spread_squared, FeatureMask known, float weight);

  // After Load: many baselines come at once when a controller starts.
  void Stagger(Pace pace);

  Millis interval() const { return Millis{static_cast<std::int64_t>(interval_ms + 0.5f)}; }

 private:
  Features Hold(const Features& z, FeatureMask valid, bool twice);
  CondensedPoint Condense(const Condensed& c, float innovation_now, float level, bool learn);
  void SettleStocks(const Sample& sample, const Features& z, const Schema& schema, LongMemory& memory);
  void FollowRegimes(const Sample& sample, const Circumstances& now, LongMemory& memory, Outcome& outcome);
  void FollowAnchor(Time at, const Schema& schema, LongMemory& memory, Outcome& outcome);
  float SettledGain() const;
};

// 0..100, the lesser of samples and time.
std::uint8_t Progress(const Baseline& baseline, const LearningGoal& goal);

// A versioned blob with a checksum; counters of the node are not in it. Load
// leaves both untouched when it fails: kCorrupt for a blob that is damaged or
// holds impossible numbers, kUnsupported for another version.
std::string Save(const Baseline& baseline, const LongMemory& memory);
Status Load(std::string_view blob, Baseline& baseline, LongMemory& memory);

}  // namespace whorl
