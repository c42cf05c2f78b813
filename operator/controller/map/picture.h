#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/fingerprint/behaviour_map.h"
#include "core/fingerprint/cohort.h"

namespace whorl::controller {

// A watched VM as people know it.
struct FleetName {
  std::string uid;
  std::string ns;
  std::string name;
  std::string node;
};

struct FleetEntry {
  FleetName who;
  Behaviour usual;  // nothing known: it counts as too young
};

// All watched VMs beside each other at one moment. Immutable once drawn.
struct FleetPicture {
  Time drawn_at{};
  BehaviourMap map;
  Cohorts cohorts;
  std::vector<FleetName> names;  // one per place of the map
  std::size_t too_young = 0;     // VMs of which too little is known to be compared
};

// Map and cohorts of these VMs, going on from `previous` (nullptr: none). Pure;
// seconds for thousands of VMs.
Result<FleetPicture> DrawPicture(const std::vector<FleetEntry>& fleet, const FleetPicture* previous, Time now);

}  // namespace whorl::controller
