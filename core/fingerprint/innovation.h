#pragma once

#include <cstdint>

#include "core/fingerprint/lanes.h"

namespace whorl {

// How far the step from one sample to the next was unlike the VM's usual steps:
// each deviation against what the one before it lets expect (a first-order
// autoregression per feature, Box & Jenkins 1970, ch. 3.2), in units of what
// usually remains. It sees a change while the level is still within what the
// VM has been at. Plain data of the VM that holds it.
struct Innovation {
  Features previous;        // deviations of the sample before
  Features carry;           // lag-one autocovariance; deviations have variance one, so it is the correlation too
  std::uint64_t known = 0;  // bit set: `previous` holds the feature

  // Root of the sum over features of squared innovations; features that were
  // not measured now, or not before, take no part.
  float Distance(const Features& z, FeatureMask valid) const;
  // After Distance. `gains` per feature as Scaling::Learn returns them.
  void Learn(const Features& z, FeatureMask valid, const Features& gains);
};

}  // namespace whorl
