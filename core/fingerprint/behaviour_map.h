#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/fingerprint/fleet_space.h"
#include "core/fingerprint/point_columns.h"
#include "core/fingerprint/tsne.h"

namespace whorl {

// Where one VM stands on the map of its fleet.
struct MapPlace {
  std::string id;
  MapPoint at;
  bool landmark = false;  // it shapes the map; the others are placed among landmarks
  int missing = 0;        // features not known of it, taken for the fleet's mean
  // Since the previous map; absent: it was not on it.
  std::optional<float> change;        // of its behaviour, in radii of the fleet
  std::optional<float> displacement;  // on the map, in radii of the map
};

// A picture of a fleet for people: VMs that behave alike stand near each other.
// Its coordinates mean nothing else and are no detector's input. Plain values;
// also what the next map needs of this one.
struct BehaviourMap {
  std::vector<MapPlace> places;  // in order of ids
  float divergence = 0;          // of t-SNE, in nats
  float explained = 0;           // part of the fleet's variance the map was drawn from, 0..1
  float radius = 0;              // root mean square distance of the landmarks from the middle
  float displacement = 0;        // mean of the landmarks whose behaviour did not change, in radii
  float changed = 1;             // part of the fleet that is new, gone or behaves otherwise, 0..1
  bool from_scratch = true;
  bool refused = false;  // the map wanted to move without a cause: VMs stand where they stood

  FleetSpace space;
  std::vector<FleetVm> fleet;  // as it was; same order as places
};

struct MapOptions {
  TsneOptions tsne = {};
  std::size_t landmarks = kMostTsnePoints;  // at most kMostTsnePoints
  float unchanged = 0.05f;         // a VM's behaviour, in radii of the fleet, up to which it counts as the same
  float most_displacement = 0.1f;  // mean of unchanged landmarks, in radii of the map ...
  float little_changed = 0.1f;     // ... that is refused while less than this part of the fleet changed
};

// Draws the map of `fleet` (ordered by id), going on from `previous` (nullptr:
// none): who did not change is held near its place, and the whole is turned,
// mirrored and scaled onto the previous map (Procrustes). Deterministic, one
// thread; about 0.6 s for 2,048 VMs, off the hot path. Fails like FindFleetSpace.
Result<BehaviourMap> DrawMap(std::vector<FleetVm> fleet, const BehaviourMap* previous, const MapOptions& options = {});

// Up to `most` of the points in `rows` (kFleetAxes values each), far from each
// other and more where there are more (k-means++ seeding: Arthur & Vassilvitskii,
// SODA 2007, with a fixed seed). `keep`: points taken first, unless they crowd.
// Ascending indices.
std::vector<std::size_t> ChooseLandmarks(std::span<const float> rows, std::size_t most,
                                         std::span<const std::size_t> keep);

// Places a point among landmarks: the mean of its ten nearest ones' places, the
// nearer the weightier, moved to where their pull, as t-SNE counts it, is in
// balance. About 5 us among 2,000. Const: any thread.
class MapPlacer {
 public:
  static constexpr std::size_t kNeighbours = 10;
  // One place per landmark; at least one.
  MapPlacer(std::span<const float> landmark_rows, std::vector<MapPoint> at);
  MapPoint Place(const float* point) const;  // kFleetAxes values

 private:
  PointColumns landmarks_;
  std::vector<MapPoint> at_;
};

}  // namespace whorl
