#pragma once

#include <array>
#include <cstdint>

#include "core/base/time.h"
#include "core/fingerprint/lanes.h"
#include "core/telemetry/features.h"

namespace whorl {

// What each hour of the week usually adds to a VM's centre, feature by feature,
// so that a pattern that comes back is expected and one that stays away is
// missed. An hour not seen yet borrows from the same hour of other days. A
// visit counts as one observation, however many samples it had: an hour that
// went wrong teaches what one hour can teach. Hours are UTC.
//
// Plain data of the VM that holds it; 14 KB, of which a tick touches the two
// vectors under way.
struct HourProfile {
  static constexpr std::size_t kHours = 168;

  // The hour under way: sums of y - centre, and of their weights.
  Features sum;
  Features weight;
  std::int32_t hour = -1;  // since 1970; -1: none
  // What is known, in scaled units, half precision; visits in whole hours.
  std::array<std::array<std::uint16_t, kFeatureCount>, kHours> mean{};
  std::array<std::uint8_t, kHours> visits{};

  // `away` = y - centre, cut by the caller; `gate` 0..1. True when an hour was
  // closed with it, and Expected may have changed.
  bool Learn(Time at, const Features& away, FeatureMask valid, float gate);
  // What this moment's hour adds; 0 where nothing is known.
  Features Expected(Time at) const;
  // An hour as somebody else knows it (history before Whorl): one visit.
  void Tell(std::size_t hour_of_week, const Features& usual);
  // Hours learnt from, at most 255 each.
  std::uint32_t seen() const;
};

}  // namespace whorl
