#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/fingerprint/fleet_space.h"
#include "core/fingerprint/lanes.h"

namespace whorl {

// What is usual among VMs that behave alike. Plain data: handed to an engine as
// an input, so that a tick stays a function of what it was given.
struct CohortModel {
  std::uint32_t id = 0;  // stable from one run to the next, from 1; 0: no cohort
  std::uint32_t members = 0;
  FeatureMask known;  // features known of enough members
  // All in log units, 0 where not known.
  Features level;    // the middle of its members' usual levels
  Features spread;   // how far one member usually strays from its own level
  Features between;  // how far members' levels lie apart

  bool operator==(const CohortModel& other) const;

  // How far a sample (Scaling::LogScale) is from what the cohort knows: root
  // mean square over the features both have, each in units of its whole spread
  // among members and over time, cut at kFarthest. 0 when they share none. About
  // 20 ns. A statistic for a VM's own history to judge, not an alarm by itself:
  // some VMs always live at the edge.
  float Distance(const Features& y, FeatureMask valid) const;

  // What a young VM should believe about itself: own values and the cohort's,
  // weighed n / (n + n0), where n0 is how many samples of one VM tell as much as
  // being of this cohort does (spread^2 / between^2, within 4..400). A feature
  // the VM never saw (count 0) gets the cohort's, one the cohort does not know
  // keeps the VM's.
  struct Belief {
    Features level;
    Features spread_squared;
  };
  Belief Shrink(const Belief& own, const Features& count) const;

  static constexpr float kFarthest = 8;
};

struct CohortMember {
  std::uint32_t cohort = 0;  // 0: like nobody
  float distance = 0;        // of its usual behaviour from the cohort's middle, in the cohort's radii
};

// The cohorts of one fleet, and what the next run needs to call them the same.
struct Cohorts {
  std::vector<CohortModel> models;          // in order of id
  std::vector<CohortMember> members;        // one per VM, in the fleet's order
  float silhouette = 0;                     // -1..1: how clearly the cohorts part; 0 with one cohort
  std::map<std::string, std::uint32_t> of;  // VM id -> cohort id, 0 left out
  std::uint32_t next_id = 1;

  const CohortModel* Find(std::uint32_t id) const;
};

inline constexpr std::size_t kMostCohorts = 32;
inline constexpr std::size_t kLeastMembers = 4;  // fewer are no cohort, only neighbours

// Groups the fleet around medoids (Kaufman & Rousseeuw 1987), as many as part
// most clearly by their silhouette (Rousseeuw 1987), one when nothing parts.
// Found on `landmarks` (ascending indices into the fleet, at most
// kMostTsnePoints), all others join the nearest. A VM stays where `previous`
// (nullptr: none) had it unless another cohort is clearly nearer. `fleet` as in
// FindFleetSpace, `space` of it. Deterministic; about 0.5 s for 2,048 landmarks.
Cohorts FindCohorts(std::span<const FleetVm> fleet, const FleetSpace& space, std::span<const std::size_t> landmarks,
                    const Cohorts* previous);

}  // namespace whorl
