#pragma once

#include <array>
#include <cstdint>

#include "core/base/time.h"
#include "core/score/calibration.h"

namespace whorl {

// The detectors: each a number that grows as the VM leaves its usual ways.
enum class Detector : std::uint8_t {
  kMahalanobis,  // whitened distance
  kResidual,     // what the leading components do not explain
  kInnovation,   // an unusual step from one sample to the next
  kForest,       // isolation forest on the condensed vector
  kLevel,        // whitened distance of the slow mean
  kOneClass,     // one-class support vector machine on the condensed vector
  kLoda,         // surprise of sparse random projections
  kSketch,       // the order of system calls
  kCohort,       // distance from those it usually resembles
  kGuest,        // the order of the guest's own system calls, as the guest tells them
  kSudden,       // whitened distance over a few ticks only
  kQuiet,        // how far below their usual all features are, over a few ticks
};
inline constexpr std::size_t kDetectorCount = 12;
inline constexpr std::size_t kPadded = 16;  // whole vectors
constexpr std::uint32_t Bit(Detector d) { return 1u << static_cast<unsigned>(d); }

// One tick's statistics; those not measured in it keep what they said last.
struct Signs {
  std::array<float, kDetectorCount> value{};
  std::uint32_t measured = 0;

  void Put(Detector d, float v) {
    value[static_cast<std::size_t>(d)] = v;
    measured |= Bit(d);
  }
};

// How one tick and the ones before it look against the VM's own history.
struct Evidence {
  float fused = 0;                               // detectors together, uncalibrated
  float lasting = 0;                             // the same without what is only sudden or told by one witness
  float calibrated = 0;                          // -log10 p; behind the score
  std::array<float, kDetectorCount> detector{};  // -log10 p of each
  bool guest_only = false;                       // without the guest's own word there would be little
};

// From statistics to a score, of one VM. Each statistic is followed by a moving
// mean (what lasts counts, and a mean over some ticks orders anomalies far
// better than single ticks do), turned into a conformal p-value against its own
// history, and fused; the fused evidence is calibrated last, against its own
// history again, and the long-run rate of alarms is kept by adaptive conformal
// control (Gibbs & Candès, NeurIPS 2021). Plain data.
struct Scorer {
  std::array<Calibration, kDetectorCount> detector;
  Calibration fused;
  std::array<float, kDetectorCount> smooth{};
  std::array<float, kDetectorCount> last{};    // raw values of the two ticks before,
  std::array<float, kDetectorCount> before{};  // for ticks so short that one alone says nothing
  std::array<float, kDetectorCount> evidence{};
  std::array<std::uint16_t, kDetectorCount> seen{};  // values so far, up to kOld
  float temper = 1;  // evidence is multiplied with it: above 1 when alarms are rarer than stated
  float fused_now = 0;
  float calibrated_now = 0;
  std::uint16_t episode = 0;                // ticks of the one under way
  std::array<float, kPadded> log_smooth{};  // of the last Judge, for the Learn after it

  // Enough history for evidence to mean something.
  bool ready() const { return fused.samples() >= 10; }
  // `interval` of the samples: ticks shorter than kShortTick are cleaned of
  // single wild ones by a running median of three.
  Evidence Judge(const Signs& signs, Millis interval);
  // The detector's history begins anew: what it measures has become another thing.
  void Forget(Detector d);
  // After Judge. `weight`: of the detectors' histories, less while suspicious.
  // The fused evidence enters its own history whatever is suspected, or it would
  // promise rates it does not keep; of an episode (`flagged`) only the first
  // tick does. `adapt`: the long-run rate is controlled.
  void Learn(const Signs& signs, float weight, bool flagged, bool adapt, Millis interval);

 private:
  float Clean(std::size_t d, float raw, bool short_tick) const;
  void LogsOfSmooth(float lowest);
};

inline constexpr Millis kShortTick{10'000};

// A tick this unlikely is suspicious (p < 0.004).
inline constexpr float kSuspicious = 2.4f;

// score = 100 * min(1, evidence / 6): p = 1e-3 is 50, p = 1e-6 is 100.
std::uint8_t ScoreOf(float evidence);
double PValueOf(float evidence);

// The threshold on the score that keeps a policy's budget of false episodes. An
// episode takes at least kOpenAfter exceeding ticks, so at p per tick there are
// at most p / kOpenAfter episodes per tick however the exceedances cluster.
std::uint8_t ThresholdFor(double false_episodes_per_week, Millis interval);

}  // namespace whorl
