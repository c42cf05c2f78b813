#pragma once

#include <cstdint>

#include "core/fingerprint/lanes.h"
#include "core/telemetry/features.h"

namespace whorl {

// How far one recursive estimate moves towards a new sample: by 2/(n+1) while
// it is young, which weighs early samples (a guest still booting) least, and by
// kForgetting once it is settled.
inline constexpr float kForgetting = 0.002f;
// What is suspicious teaches a tenth.
inline constexpr float kSuspiciousGate = 0.1f;

// Beyond this many robust deviations a feature says "far away" and no more.
inline constexpr float kClip = 15.0f;

// Robust log scaling of one VM's features: y = ln(1 + x/x0), then deviations
// from a recursive centre in units of a recursive spread, both updated with
// deviations cut at three spreads, so that one wild second moves neither.
// Plain data of the VM that holds it.
struct Scaling {
  Features center;
  Features spread_squared;
  Features count;  // samples of each feature so far, weighted by the gate

  // Log-scaled values; lanes of features that are not valid are 0.
  static Features LogScale(const FeatureVector& x);
  // (y - centre) / spread, clipped; 0 where not valid or never seen before.
  Features Deviations(const Features& y, FeatureMask valid) const;
  // Moves centre and spread towards y; returns each feature's gain (0 where not valid).
  Features Learn(const Features& y, FeatureMask valid, float gate);
  // Of one feature, for people: never below its noise floor.
  float Spread(std::size_t f) const;
};

// The unit's noise level: below x0 the scale is nearly linear, so that 3
// against 1 packets a second is not a threefold change.
float ScaleOrigin(Feature f);
// Smallest spread in log units; smaller differences are called usual.
float SpreadFloor(Feature f);
// Back from log units to the feature's own.
float Unscale(Feature f, float y);

}  // namespace whorl
