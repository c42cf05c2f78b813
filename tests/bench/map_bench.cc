// whorl-bench-map [VMS] [LANDMARKS]: what a behaviour map costs and what it is worth.
//
// A made-up fleet of 24 kinds of VM that differ by a factor of a few in some
// features, overlapping at their edges. Times are of this thread on a core.
// Exits 1 when two runs do not agree byte for byte.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "core/base/split_mix.h"
#include "core/fingerprint/behaviour_map.h"
#include "core/fingerprint/cohort.h"
#include "tests/bench/meter.h"

namespace {

using namespace whorl;

constexpr std::size_t kKinds = 24;

// The same fleet in every run.
struct Random {
  std::uint64_t state;
  float Next() { return static_cast<float>(static_cast<double>(SplitMix(state) >> 40) * 0x1p-24); }
  float Normal() {
    float sum = 0;
    for (int i = 0; i < 12; ++i) sum += Next();
    return sum - 6;
  }
};

// `apart`: how far kinds differ, in e-folds; VMs of one kind differ by 0.8.
std::vector<FleetVm> Fleet(std::size_t vms, float apart) {
  Random random{7};
  std::vector<Behaviour> kinds(kKinds);
  for (Behaviour& kind : kinds) {
    for (std::size_t f = 0; f < kFeatureCount; ++f) {
      kind.level[f] = 4 + apart * random.Normal();
      kind.spread[f] = 0.2f + 0.4f * random.Next();
    }
  }
  std::vector<FleetVm> fleet(vms);
  for (std::size_t i = 0; i < vms; ++i) {
    const Behaviour& kind = kinds[i % kKinds];
    fleet[i].id = "vm-" + std::to_string(1'000'000 + i);
    // Size, load and chatter move many features of a VM together.
    const float size = random.Normal(), load = random.Normal(), chatter = random.Normal();
    for (std::size_t f = 0; f < kFeatureCount; ++f) {
      const float shared = f % 3 == 0 ? size : f % 3 == 1 ? load : chatter;
      fleet[i].usual.level[f] = kind.level[f] + 0.6f * shared + 0.5f * random.Normal();
      fleet[i].usual.spread[f] = kind.spread[f] * (0.8f + 0.4f * random.Next());
      // A fifth of the fleet lacks what only some nodes can measure.
      if (i % 5 != 0 || f < kFeatureCount - 8) fleet[i].usual.known.Set(static_cast<Feature>(f));
    }
  }
  return fleet;
}

// A quarter of an hour later everybody has drifted a little and one in a hundred has changed.
std::vector<FleetVm> Later(std::vector<FleetVm> fleet) {
  Random random{99};
  const auto before = fleet;
  for (std::size_t i = 0; i < fleet.size(); ++i) {
    for (float& level : fleet[i].usual.level) level += 0.02f * random.Normal();
    if (i % 100 == 0) fleet[i].usual = before[(i + 1) % fleet.size()].usual;
  }
  return fleet;
}

std::uint64_t Hash(const BehaviourMap& map) {
  std::uint64_t h = 1469598103934665603u;
  for (const MapPlace& place : map.places) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(&place.at);
    for (std::size_t k = 0; k < sizeof place.at; ++k) h = (h ^ bytes[k]) * 1099511628211u;
  }
  return h;
}

// Of the ten landmarks nearest to a VM on the map, how many are of its kind.
double Purity(const std::vector<MapPoint>& at, const std::vector<std::size_t>& who,
              const std::vector<MapPoint>& landmark_at, const std::vector<std::size_t>& landmarks) {
  std::size_t same = 0, asked = 0;
  std::vector<std::pair<float, std::size_t>> near;
  for (std::size_t i = 0; i < at.size(); ++i) {
    near.clear();
    for (std::size_t j = 0; j < landmarks.size(); ++j) {
      if (landmarks[j] == who[i]) continue;
      const float x = at[i].x - landmark_at[j].x, y = at[i].y - landmark_at[j].y;
      near.emplace_back(x * x + y * y, landmarks[j]);
    }
    const std::size_t most = std::min<std::size_t>(10, near.size());
    std::partial_sort(near.begin(), near.begin() + static_cast<std::ptrdiff_t>(most), near.end());
    for (std::size_t k = 0; k < most; ++k) same += near[k].second % kKinds == who[i] % kKinds;
    asked += most;
  }
  return asked == 0 ? 0 : static_cast<double>(same) / static_cast<double>(asked);
}

struct Split {
  std::vector<std::size_t> landmarks, others;
  std::vector<MapPoint> landmark_at, other_at;
};
Split SplitOf(const BehaviourMap& map) {
  Split split;
  for (std::size_t i = 0; i < map.places.size(); ++i) {
    const bool landmark = map.places[i].landmark;
    (landmark ? split.landmarks : split.others).push_back(i);
    (landmark ? split.landmark_at : split.other_at).push_back(map.places[i].at);
  }
  return split;
}

// On a fleet whose kinds differ more: between overlapping ones there are no cohorts to find.
void FindAndKeepCohorts(std::size_t vms, const MapOptions& options) {
  const auto fleet = Fleet(vms, 1);
  const auto space = FindFleetSpace(fleet, nullptr);
  const auto landmarks = ChooseLandmarks(FleetPoints(*space, fleet), options.landmarks, {});
  auto start = CoreSeconds();
  const auto cohorts = FindCohorts(fleet, *space, landmarks, nullptr);
  std::printf("  cohorts, clearer kinds   %8.3f s   %zu of %zu kinds found, silhouette %.2f\n", SecondsSince(start),
              cohorts.models.size(), kKinds, static_cast<double>(cohorts.silhouette));
  const auto next = FindCohorts(Later(fleet), *space, landmarks, &cohorts);
  std::size_t moved = 0;
  for (std::size_t i = 0; i < vms; ++i) moved += i % 100 != 0 && cohorts.members[i].cohort != next.members[i].cohort;
  std::printf("  a quarter of an hour later %zu of %zu unchanged VMs are in another cohort\n", moved,
              vms - (vms + 99) / 100);
  if (cohorts.models.empty()) return;
  Random random{99};
  Features y;
  for (std::size_t f = 0; f < kFeatureCount; ++f) y.Set(f, 4 + random.Normal());
  FeatureMask all;
  for (std::size_t f = 0; f < kFeatureCount; ++f) all.Set(static_cast<Feature>(f));
  float sum = 0;
  constexpr int kRounds = 1'000'000;
  start = CoreSeconds();
  for (int i = 0; i < kRounds; ++i) {
    y.Set(static_cast<std::size_t>(i) % kFeatureCount, sum * 1e-9f);
    sum += cohorts.models[static_cast<std::size_t>(i) % cohorts.models.size()].Distance(y, all);
  }
  std::printf("  distance to the cohort   %8.1f ns   (checksum %.0f)\n", SecondsSince(start) / kRounds * 1e9,
              static_cast<double>(sum));
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, long otherwise) {
    return static_cast<std::size_t>(argc > i ? std::max(1L, std::strtol(argv[i], nullptr, 10)) : otherwise);
  };
  const std::size_t vms = number(1, 10'000);
  MapOptions options;
  options.landmarks = std::min(number(2, 2'000), kMostTsnePoints);
  const auto fleet = Fleet(vms, 0.5f);

  auto start = CoreSeconds();
  const auto map = DrawMap(fleet, nullptr, options);
  const double drawn = SecondsSince(start);
  if (!map) {
    std::fprintf(stderr, "%s\n", map.error().message.c_str());
    return 1;
  }
  const Split split = SplitOf(*map);
  const auto rows = FleetPoints(map->space, fleet);
  std::vector<float> landmark_rows;
  for (const std::size_t i : split.landmarks) {
    landmark_rows.insert(landmark_rows.end(), &rows[i * kFleetAxes], &rows[i * kFleetAxes] + kFleetAxes);
  }

  start = CoreSeconds();
  const auto tsne = Tsne(landmark_rows, kFleetAxes, options.tsne);
  const double mapped = SecondsSince(start);

  const MapPlacer placer(landmark_rows, split.landmark_at);
  start = CoreSeconds();
  std::vector<MapPoint> placed;
  for (std::size_t i = 0; i < vms; ++i) placed.push_back(placer.Place(&rows[i * kFleetAxes]));
  const double placing = SecondsSince(start);

  std::printf("fleet: %zu VMs of %zu kinds, %zu features (levels and spreads), %.1f %% of the variance on %zu axes\n",
              vms, kKinds, kFeatureCount, 100 * static_cast<double>(map->explained), kFleetAxes);
  std::printf("  t-SNE, %zu landmarks     %8.3f s   divergence %.3f\n", split.landmarks.size(), mapped,
              static_cast<double>(tsne->divergence));
  std::printf("  placing %zu VMs        %8.3f s   %.2f us each\n", vms, placing,
              placing / static_cast<double>(vms) * 1e6);
  std::printf("  the whole map            %8.3f s   (space, landmarks, t-SNE, placing)\n", drawn);
  std::printf("  neighbour purity         %8.3f landmarks, %.3f VMs placed among them, %.3f by chance\n",
              Purity(split.landmark_at, split.landmarks, split.landmark_at, split.landmarks),
              Purity(split.other_at, split.others, split.landmark_at, split.landmarks), 1.0 / kKinds);

  start = CoreSeconds();
  const auto next = DrawMap(Later(fleet), &*map, options);
  std::printf(
      "  the next map             %8.3f s   %.1f %% of the VMs changed; the others moved by %.2f %% of the radius%s\n",
      SecondsSince(start), 100 * static_cast<double>(next->changed), 100 * static_cast<double>(next->displacement),
      next->refused ? ", refused" : "");
  FindAndKeepCohorts(vms, options);

  const auto again = DrawMap(fleet, nullptr, options);
  const bool same = Hash(*map) == Hash(*again);
  std::printf("  hash %016llx, second run %s\n", static_cast<unsigned long long>(Hash(*map)),
              same ? "the same" : "DIFFERENT");
  return same ? 0 : 1;
}
