#pragma once

#include <cstdint>

#include "core/fingerprint/covariance.h"
#include "core/fingerprint/lanes.h"

namespace whorl {

// How many leading components the condensed vector keeps at most; they carry
// 90 % of the variance or all eight are taken.
inline constexpr std::uint32_t kMaxLeading = 8;

// A VM's deviations seen along the axes in which it usually varies. The leading
// components alone would throw anomalies away (they vary most when all is
// well), so what lies outside them and the full distance belong to it.
struct Condensed {
  std::uint32_t leading = 0;
  float whitened[kMaxLeading]{};  // leading components, variance 1
  float residual = 0;             // length of what the leading ones do not explain, each in its own deviations
  float mahalanobis = 0;          // distance with all components, ridge included
};

// Whitening by principal components with a ridge. Plain data of the VM that
// holds it; costs an eigendecomposition to refresh and 40x40 to apply.
struct alignas(64) Whitening {
  // part[f / 2][j][f % 2]: feature f's part in component j, divided by that
  // component's deviation, in units of scale[j]; two features beside each other
  // for one multiply-add. Bytes: this is most of what a tick reads of a VM, and
  // an axis that rests on some hundred samples is not known better than to the
  // 254th part of its largest entry.
  std::int8_t part[kFeatureCount / 2][kFeatureCount][2]{};
  Features scale;
  std::uint32_t leading = 0;  // 0: never refreshed

  bool ready() const { return leading != 0; }
  // From the covariance learnt from about `samples` samples: the fewer, the
  // more correlations are shrunk. False (and unchanged) when it cannot be decomposed.
  bool Refresh(const Covariance& covariance, float samples);
  Features Whiten(const Features& z) const;
  Condensed Apply(const Features& z) const;
};

}  // namespace whorl
