#pragma once

#include <cstdint>

#include "core/fingerprint/lanes.h"
#include "core/telemetry/features.h"
#include "core/telemetry/schema.h"

namespace whorl {

// Beyond this many robust deviations a feature says "far away" and no more.
inline constexpr float kClip = 50.0f;

// Robust scaling of one VM's features: y by the schema, then deviations from a
// recursive centre in units of a recursive spread, both updated with deviations
// cut at three spreads, so that one wild second moves neither. A recursive
// estimate moves by 2/(n+1) while it is young, which weighs early samples (a
// guest still booting) least, and by `settled` once that is less.
// Plain data of the VM that holds it.
struct Scaling {
  Features center;
  Features spread_squared;
  Features count;  // samples of each feature so far, weighted by the gate

  // Scaled values; lanes of features that are not valid are 0.
  static Features Scale(const FeatureVector& x, const Schema& schema);
  static Features LogScale(const FeatureVector& x) { return Scale(x, LiveSchema()); }
  // (y - centre - season) / spread, clipped; 0 where not valid or never seen
  // before. `season`: what the hour of the week is expected to add.
  Features Deviations(const Features& y, FeatureMask valid, const Features& season, const Schema& schema) const;
  Features Deviations(const Features& y, FeatureMask valid) const {
    return Deviations(y, valid, Features{}, LiveSchema());
  }
  // Moves centre and spread towards y - season; returns each feature's gain (0
  // where not valid). `gate` 0..1: how much of the sample is believed.
  Features Learn(const Features& y, FeatureMask valid, const Features& season, float gate, float settled,
                 const Schema& schema);
  // Of one feature, for people: never below its noise floor.
  float Spread(std::size_t f, const Schema& schema) const;
  float Spread(std::size_t f) const { return Spread(f, LiveSchema()); }
};

// Of the live schema: see Schema.
float ScaleOrigin(Feature f);
float SpreadFloor(Feature f);
// Back from log units to the feature's own.
float Unscale(Feature f, float y);

}  // namespace whorl
