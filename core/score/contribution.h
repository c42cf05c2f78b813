#pragma once

#include <array>
#include <cstdint>

#include "core/fingerprint/scaling.h"

namespace whorl {

// One feature's part in a VM's deviation.
struct FeaturePart {
  Feature feature{};
  float sigmas = 0;
  float share = 0;
};

// The recent, slightly smoothed view of a VM's features that explanations are
// drawn from, so that what is named does not flicker. Plain data.
struct Recent {
  Features y;               // log-scaled, moving mean
  std::uint64_t known = 0;  // bit set: y holds something

  void Push(const Features& scaled, FeatureMask valid);
  void Forget() { known = 0; }
};

inline constexpr std::size_t kPartCount = 3;
struct Explanation {
  std::array<FeaturePart, kPartCount> top{};  // largest first
  std::uint8_t count = 0;
  float cpu_excess = 0;  // 0..1: share of the squared deviation by CPU features above their usual level
};
// `season` and `schema` as in Scaling::Deviations.
Explanation Explain(const Recent& recent, const Scaling& scaling, const Features& season, const Schema& schema,
                    FeatureMask shown);

}  // namespace whorl
