#include "operator/controller/map/picture.h"

#include <map>
#include <utility>

namespace whorl::controller {

Result<FleetPicture> DrawPicture(const std::vector<FleetEntry>& fleet, const FleetPicture* previous, Time now) {
  FleetPicture picture;
  picture.drawn_at = now;
  std::map<std::string, const FleetEntry*> known;  // in order of ids
  for (const FleetEntry& entry : fleet) {
    if (entry.usual.known.count() >= kLeastKnown) known[entry.who.uid] = &entry;
  }
  picture.too_young = fleet.size() - known.size();
  std::vector<FleetVm> vms;
  for (const auto& [uid, entry] : known) {
    vms.push_back({uid, entry->usual});
    picture.names.push_back(entry->who);
  }
  auto map = DrawMap(std::move(vms), previous ? &previous->map : nullptr);
  if (!map) return Fail(map.error());
  picture.map = std::move(*map);
  std::vector<std::size_t> landmarks;
  for (std::size_t i = 0; i < picture.map.places.size(); ++i) {
    if (picture.map.places[i].landmark) landmarks.push_back(i);
  }
  picture.cohorts =
      FindCohorts(picture.map.fleet, picture.map.space, landmarks, previous ? &previous->cohorts : nullptr);
  return picture;
}

}  // namespace whorl::controller
