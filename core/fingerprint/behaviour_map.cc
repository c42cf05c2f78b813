#include "core/fingerprint/behaviour_map.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "core/base/split_mix.h"

namespace whorl {
namespace {

// A VM that changed by this much more than "unchanged" is not held at all.
constexpr float kFreeAfter = 0.25f;
// Fewer held landmarks than this cannot say how a map is turned.
constexpr std::size_t kLeastAnchors = 3;
constexpr int kBalance = 4;  // more change little
// Of the landmarks that may stay, the most crowded eighth makes room.
constexpr std::size_t kStaying = 7, kOf = 8;

class Chance {
 public:
  // 0 <= x < 1
  double Next() { return static_cast<double>(SplitMix(state_) >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_ = 0x77686f726cu;
};

float Distance(MapPoint a, MapPoint b) {
  const float x = a.x - b.x, y = a.y - b.y;
  return std::sqrt(x * x + y * y);
}

float Distance(const FleetPoint& a, const FleetPoint& b) {
  float sum = 0;
  for (std::size_t k = 0; k < a.size(); ++k) sum += (a[k] - b[k]) * (a[k] - b[k]);
  return std::sqrt(sum);
}

// The distances of all points to the nearest point taken so far.
class Coverage {
 public:
  explicit Coverage(std::span<const float> rows)
      : rows_(rows), columns_(rows, kFleetAxes), nearest_(columns_.blocks(), Broadcast(1e30f)) {
    for (std::size_t i = columns_.size(); i < columns_.blocks() * kLanes; ++i) nearest_[i / kLanes][i % kLanes] = 0;
  }
  void Take(std::size_t i) {
    for (std::size_t b = 0; b < nearest_.size(); ++b) {
      nearest_[b] = Min(nearest_[b], columns_.Squared(rows_.data() + i * kFleetAxes, b));
    }
    nearest_[i / kLanes][i % kLanes] = 0;
  }
  // A point not taken, likelier the farther it is from those taken; nullopt when all others are doubles.
  std::optional<std::size_t> Draw(double chance) const {
    double total = 0;
    for (const Float8& v : nearest_) total += static_cast<double>(Sum(v));
    if (total <= 0) return std::nullopt;
    double left = chance * total;
    std::optional<std::size_t> last;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const float d = nearest_[i / kLanes][i % kLanes];
      if (d <= 0) continue;
      last = i;
      left -= static_cast<double>(d);
      if (left < 0) break;
    }
    return last;
  }

 private:
  std::span<const float> rows_;
  PointColumns columns_;
  std::vector<Float8> nearest_;
};

// Of `keep`, the part that crowds least, in order.
std::vector<std::size_t> LeastCrowded(std::span<const float> rows, std::span<const std::size_t> keep,
                                      std::size_t most) {
  std::vector<float> own;
  for (const std::size_t i : keep) own.insert(own.end(), &rows[i * kFleetAxes], &rows[i * kFleetAxes] + kFleetAxes);
  const PointColumns columns(own, kFleetAxes);
  std::vector<std::pair<float, std::size_t>> room;  // distance to the nearest other one, index
  for (std::size_t k = 0; k < keep.size(); ++k) {
    float nearest = std::numeric_limits<float>::max();
    for (std::size_t b = 0; b < columns.blocks(); ++b) {
      const Float8 d = columns.Squared(&own[k * kFleetAxes], b);
      for (std::size_t lane = 0; lane < kLanes && b * kLanes + lane < keep.size(); ++lane) {
        if (b * kLanes + lane != k) nearest = std::min(nearest, d[lane]);
      }
    }
    room.emplace_back(nearest, keep[k]);
  }
  std::sort(room.begin(), room.end(),
            [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
  room.resize(std::min(room.size(), most));
  std::vector<std::size_t> kept;
  for (const auto& [distance, i] : room) kept.push_back(i);
  std::sort(kept.begin(), kept.end());
  return kept;
}

float Radius(std::span<const MapPoint> at) {
  if (at.empty()) return 0;
  double x = 0, y = 0, squares = 0;
  for (const MapPoint& p : at) {
    x += static_cast<double>(p.x);
    y += static_cast<double>(p.y);
    squares += static_cast<double>(p.x * p.x + p.y * p.y);
  }
  const auto n = static_cast<double>(at.size());
  return static_cast<float>(std::sqrt(std::max(squares / n - (x * x + y * y) / (n * n), 0.0)));
}

// Turns, mirrors, scales and shifts `at` so that it comes nearest to `onto`,
// each point counting by its weight (Schönemann 1966; in the plane a turn is
// one complex number, and a mirrored turn another).
void Procrustes(std::span<MapPoint> at, std::span<const MapPoint> onto, std::span<const float> weight) {
  double sum = 0, ax = 0, ay = 0, bx = 0, by = 0;
  std::size_t anchors = 0;
  for (std::size_t i = 0; i < at.size(); ++i) {
    const auto w = static_cast<double>(weight[i]);
    anchors += w > 0;
    sum += w;
    ax += w * static_cast<double>(at[i].x);
    ay += w * static_cast<double>(at[i].y);
    bx += w * static_cast<double>(onto[i].x);
    by += w * static_cast<double>(onto[i].y);
  }
  if (anchors < kLeastAnchors) return;
  ax /= sum;
  ay /= sum;
  bx /= sum;
  by /= sum;
  double size = 0, turn_re = 0, turn_im = 0, mirror_re = 0, mirror_im = 0;
  for (std::size_t i = 0; i < at.size(); ++i) {
    const auto w = static_cast<double>(weight[i]);
    const double x = static_cast<double>(at[i].x) - ax, y = static_cast<double>(at[i].y) - ay;
    const double u = static_cast<double>(onto[i].x) - bx, v = static_cast<double>(onto[i].y) - by;
    size += w * (x * x + y * y);
    turn_re += w * (u * x + v * y);  // (u + iv) times the conjugate of (x + iy)
    turn_im += w * (v * x - u * y);
    mirror_re += w * (u * x - v * y);  // (u + iv) times (x + iy)
    mirror_im += w * (v * x + u * y);
  }
  if (size <= 0) return;
  const bool mirrored = mirror_re * mirror_re + mirror_im * mirror_im > turn_re * turn_re + turn_im * turn_im;
  const double re = (mirrored ? mirror_re : turn_re) / size, im = (mirrored ? mirror_im : turn_im) / size;
  if (re == 0 && im == 0) return;
  for (MapPoint& p : at) {
    const double x = static_cast<double>(p.x) - ax;
    const double y = mirrored ? ay - static_cast<double>(p.y) : static_cast<double>(p.y) - ay;
    p.x = static_cast<float>(re * x - im * y + bx);
    p.y = static_cast<float>(im * x + re * y + by);
  }
}

// What the previous map says of one VM of the new fleet.
struct Before {
  const MapPlace* place = nullptr;  // nullptr: it was not on it
  float change = 0;                 // of its behaviour, in radii of the fleet
};

class Drawing {
 public:
  Drawing(std::vector<FleetVm> fleet, const BehaviourMap* previous, const MapOptions& options)
      : options_(options), previous_(previous) {
    map_.fleet = std::move(fleet);
  }

  Result<BehaviourMap> Draw() {
    auto space = FindFleetSpace(map_.fleet, previous_ ? &previous_->space : nullptr);
    if (!space) return Fail(space.error());
    map_.space = std::move(*space);
    map_.explained = map_.space.explained;
    rows_ = FleetPoints(map_.space, map_.fleet);
    LookBack();
    PickLandmarks();
    if (auto drawn = DrawLandmarks(); !drawn) return Fail(drawn.error());
    if (previous_) AlignOrRefuse();
    map_.radius = Radius(at_);
    WritePlaces();
    return std::move(map_);
  }

 private:
  std::size_t size() const { return map_.fleet.size(); }
  const float* Row(std::size_t vm) const { return rows_.data() + vm * kFleetAxes; }

  void LookBack() {
    before_.resize(size());
    if (!previous_) return;
    const float unit = std::max(map_.space.radius, 1.0f);
    std::size_t met = 0, changed = 0;
    for (std::size_t i = 0, old = 0; i < size(); ++i) {
      while (old < previous_->fleet.size() && previous_->fleet[old].id < map_.fleet[i].id) ++old;
      if (old == previous_->fleet.size() || previous_->fleet[old].id != map_.fleet[i].id) continue;
      FleetPoint now;
      std::copy_n(Row(i), kFleetAxes, now.begin());
      before_[i] = {&previous_->places[old], Distance(now, map_.space.At(previous_->fleet[old].usual)) / unit};
      ++met;
      changed += before_[i].change > options_.unchanged;
    }
    const std::size_t together = size() + previous_->fleet.size() - met;
    map_.changed = together == 0 ? 0 : static_cast<float>(together - met + changed) / static_cast<float>(together);
  }

  void PickLandmarks() {
    std::vector<std::size_t> keep;
    for (std::size_t i = 0; i < size(); ++i) {
      if (before_[i].place && before_[i].place->landmark) keep.push_back(i);
    }
    landmarks_ = ChooseLandmarks(rows_, std::min(options_.landmarks, kMostTsnePoints), keep);
    for (const std::size_t vm : landmarks_) landmark_rows_.insert(landmark_rows_.end(), Row(vm), Row(vm) + kFleetAxes);
  }

  // How strongly a landmark is held where it stood.
  float Hold(std::size_t vm) const {
    if (!before_[vm].place) return 0;
    return 1 - std::clamp((before_[vm].change - options_.unchanged) / kFreeAfter, 0.0f, 1.0f);
  }

  Status DrawLandmarks() {
    std::size_t known = 0;
    for (const std::size_t vm : landmarks_) {
      hold_.push_back(Hold(vm));
      start_.push_back(before_[vm].place ? before_[vm].place->at : MapPoint{});
      known += before_[vm].place != nullptr;
    }
    // A map of which most is new is better drawn anew and then turned into place.
    map_.from_scratch = !previous_ || 2 * known < landmarks_.size() || known < kLeastAnchors;
    if (!map_.from_scratch) PlaceNewcomers();
    auto drawn = map_.from_scratch ? Tsne(landmark_rows_, kFleetAxes, options_.tsne)
                                   : RefineTsne(landmark_rows_, kFleetAxes, start_, hold_, options_.tsne);
    if (!drawn) return Fail(drawn.error());
    at_ = std::move(drawn->at);
    map_.divergence = drawn->divergence;
    return {};
  }

  // Landmarks that were not on the previous map start among those that were.
  void PlaceNewcomers() {
    std::vector<float> rows;
    std::vector<MapPoint> at;
    for (std::size_t k = 0; k < landmarks_.size(); ++k) {
      if (!before_[landmarks_[k]].place) continue;
      rows.insert(rows.end(), Row(landmarks_[k]), Row(landmarks_[k]) + kFleetAxes);
      at.push_back(start_[k]);
    }
    const MapPlacer placer(rows, std::move(at));
    for (std::size_t k = 0; k < landmarks_.size(); ++k) {
      if (!before_[landmarks_[k]].place) start_[k] = placer.Place(Row(landmarks_[k]));
    }
  }

  void AlignOrRefuse() {
    Procrustes(at_, start_, hold_);
    const float radius = std::max(Radius(at_), 1e-6f);
    double moved = 0;
    std::size_t count = 0;
    for (std::size_t k = 0; k < landmarks_.size(); ++k) {
      if (hold_[k] < 1) continue;
      moved += static_cast<double>(Distance(at_[k], start_[k]) / radius);
      ++count;
    }
    map_.displacement = count > 0 ? static_cast<float>(moved / static_cast<double>(count)) : 0;
    map_.refused =
        !map_.from_scratch && map_.displacement > options_.most_displacement && map_.changed < options_.little_changed;
    if (map_.refused) at_ = start_;
  }

  void WritePlaces() {
    std::optional<MapPlacer> placer;
    if (landmarks_.size() < size()) placer.emplace(landmark_rows_, at_);
    const float radius = std::max(map_.radius, 1e-6f);
    for (std::size_t i = 0, k = 0; i < size(); ++i) {
      MapPlace place;
      place.id = map_.fleet[i].id;
      place.missing = map_.fleet[i].usual.missing();
      place.landmark = k < landmarks_.size() && landmarks_[k] == i;
      place.at = place.landmark ? at_[k++] : placer->Place(Row(i));
      if (before_[i].place) {
        place.change = before_[i].change;
        place.displacement = Distance(place.at, before_[i].place->at) / radius;
      }
      map_.places.push_back(std::move(place));
    }
  }

  const MapOptions& options_;
  const BehaviourMap* previous_;
  BehaviourMap map_;
  std::vector<float> rows_;             // of the fleet
  std::vector<Before> before_;          // of the fleet
  std::vector<std::size_t> landmarks_;  // indices into the fleet
  std::vector<float> landmark_rows_, hold_;
  std::vector<MapPoint> start_, at_;  // of the landmarks
};

}  // namespace

Result<BehaviourMap> DrawMap(std::vector<FleetVm> fleet, const BehaviourMap* previous, const MapOptions& options) {
  return Drawing(std::move(fleet), previous, options).Draw();
}

std::vector<std::size_t> ChooseLandmarks(std::span<const float> rows, std::size_t most,
                                         std::span<const std::size_t> keep) {
  const std::size_t n = rows.size() / kFleetAxes;
  std::vector<std::size_t> chosen;
  if (n <= most) {
    for (std::size_t i = 0; i < n; ++i) chosen.push_back(i);
    return chosen;
  }
  if (most == 0) return chosen;
  chosen = LeastCrowded(rows, keep, most * kStaying / kOf);
  Coverage coverage(rows);
  for (const std::size_t i : chosen) coverage.Take(i);
  Chance chance;
  while (chosen.size() < most) {
    const auto next = coverage.Draw(chance.Next());
    if (!next) break;
    coverage.Take(*next);
    chosen.push_back(*next);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

MapPlacer::MapPlacer(std::span<const float> landmark_rows, std::vector<MapPoint> at)
    : landmarks_(landmark_rows, kFleetAxes), at_(std::move(at)) {
  assert(!at_.empty() && at_.size() == landmarks_.size());
}

MapPoint MapPlacer::Place(const float* point) const {
  struct Near {
    float squared = std::numeric_limits<float>::max();
    std::size_t landmark = 0;
  };
  std::array<Near, kNeighbours> near;  // nearest first; equally near: the earlier landmark first
  std::size_t found = 0;
  constexpr std::size_t kFirst = kFleetAxes / 2;
  for (std::size_t b = 0; b < landmarks_.blocks(); ++b) {
    const Float8 worst = Broadcast(near.back().squared);
    Float8 d = landmarks_.Squared(point, b, 0, kFirst);
    // The first axes carry most: who is too far by them alone need not be looked at.
    if (!AnyBelow(d, worst)) continue;
    d += landmarks_.Squared(point, b, kFirst, kFleetAxes);
    if (!AnyBelow(d, worst)) continue;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const std::size_t landmark = b * kLanes + lane;
      if (landmark >= at_.size() || d[lane] >= near.back().squared) continue;
      std::size_t to = std::min(found, kNeighbours - 1);
      for (; to > 0 && near[to - 1].squared > d[lane]; --to) near[to] = near[to - 1];
      near[to] = {d[lane], landmark};
      found = std::min(found + 1, kNeighbours);
    }
  }
  // Nobody is so near that the others do not count at all.
  const float softening = 0.01f * near[found - 1].squared + 1e-12f;
  std::array<float, kNeighbours> weight{};
  for (std::size_t k = 0; k < found; ++k) weight[k] = 1 / (near[k].squared + softening);
  const auto mean = [&](auto share) {
    float total = 0, x = 0, y = 0;
    for (std::size_t k = 0; k < found; ++k) {
      const MapPoint& p = at_[near[k].landmark];
      const float w = weight[k] * share(p);
      total += w;
      x += w * p.x;
      y += w * p.y;
    }
    return MapPoint{x / total, y / total};
  };
  // Neighbours in two places have their mean in neither. It moves to where
  // their pull, as t-SNE counts it, is in balance.
  MapPoint at = mean([](const MapPoint&) { return 1.0f; });
  for (int step = 0; step < kBalance; ++step) {
    at = mean([from = at](const MapPoint& p) {
      const float x = p.x - from.x, y = p.y - from.y;
      return 1 / (1 + x * x + y * y);
    });
  }
  return at;
}

}  // namespace whorl
