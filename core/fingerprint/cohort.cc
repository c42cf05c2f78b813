#include "core/fingerprint/cohort.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "core/fingerprint/point_columns.h"

namespace whorl {
namespace {

constexpr float kLeastSilhouette = 0.2f;  // below it there is no structure worth a name
constexpr float kStaySilhouette = 0.03f;  // by which another number of cohorts must be better than last time's
constexpr float kStayNearer = 0.8f;       // another cohort must be nearer by this factor to win a VM over
constexpr float kAlone = 3;               // in radii of the nearest cohort: farther away is like nobody
constexpr int kMostRounds = 30;
constexpr float kLeastN0 = 4, kMostN0 = 400;
// Samples of one VM that tell as much about its spread as being of the cohort.
constexpr float kSpreadN0 = 60;

// All distances between the landmarks.
class Distances {
 public:
  explicit Distances(std::span<const float> rows) : n_(rows.size() / kFleetAxes), row_(n_ * n_) {
    const PointColumns columns(rows, kFleetAxes);
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t b = 0; b < columns.blocks(); ++b) {
        const Float8 d = Sqrt(columns.Squared(rows.data() + i * kFleetAxes, b));
        for (std::size_t lane = 0; lane < kLanes && b * kLanes + lane < n_; ++lane) {
          row_[i * n_ + b * kLanes + lane] = d[lane];
        }
      }
    }
  }
  std::size_t size() const { return n_; }
  const float* From(std::size_t i) const { return row_.data() + i * n_; }
  float largest() const { return row_.empty() ? 0 : *std::max_element(row_.begin(), row_.end()); }

 private:
  std::size_t n_;
  std::vector<float> row_;
};

// Medoids, and for each point the index of its own among them.
struct Partition {
  std::vector<std::size_t> medoids;
  std::vector<std::size_t> of;
};

// The point that, made a medoid too, brings all points nearest to a medoid.
std::size_t NextMedoid(const Distances& distance, const std::vector<float>& nearest) {
  std::size_t best = 0;
  double best_gain = -1;
  for (std::size_t c = 0; c < distance.size(); ++c) {
    const float* d = distance.From(c);
    double gain = 0;
    for (std::size_t j = 0; j < distance.size(); ++j) gain += static_cast<double>(std::max(nearest[j] - d[j], 0.0f));
    if (gain > best_gain) {
      best_gain = gain;
      best = c;
    }
  }
  return best;
}

void Assign(const Distances& distance, Partition& partition) {
  partition.of.assign(distance.size(), 0);
  for (std::size_t j = 0; j < distance.size(); ++j) {
    for (std::size_t m = 1; m < partition.medoids.size(); ++m) {
      if (distance.From(partition.medoids[m])[j] < distance.From(partition.medoids[partition.of[j]])[j]) {
        partition.of[j] = m;
      }
    }
  }
}

// Each medoid becomes the point with the least distance to all of its own,
// until nothing changes.
void Settle(const Distances& distance, Partition& partition) {
  for (int round = 0; round < kMostRounds; ++round) {
    Assign(distance, partition);
    std::vector<std::vector<std::size_t>> own(partition.medoids.size());
    for (std::size_t j = 0; j < distance.size(); ++j) own[partition.of[j]].push_back(j);
    auto moved = partition.medoids;
    for (std::size_t m = 0; m < own.size(); ++m) {
      double best = std::numeric_limits<double>::max();
      for (const std::size_t i : own[m]) {
        double sum = 0;
        for (const std::size_t j : own[m]) sum += static_cast<double>(distance.From(i)[j]);
        if (sum < best) {
          best = sum;
          moved[m] = i;
        }
      }
    }
    if (moved == partition.medoids) return;
    partition.medoids = std::move(moved);
  }
  Assign(distance, partition);
}

// Medoids with too few of their own are dropped; who was theirs joins the next.
void DropSmall(const Distances& distance, Partition& partition) {
  std::vector<std::size_t> count(partition.medoids.size());
  for (const std::size_t m : partition.of) ++count[m];
  std::vector<std::size_t> left;
  for (std::size_t m = 0; m < count.size(); ++m) {
    if (count[m] >= kLeastMembers) left.push_back(partition.medoids[m]);
  }
  if (left.empty() || left.size() == count.size()) return;
  partition.medoids = std::move(left);
  Assign(distance, partition);
}

// Mean over all points of (b - a) / max(a, b): a the mean distance to one's
// own, b to the nearest other cohort.
float Silhouette(const Distances& distance, const Partition& partition) {
  const std::size_t k = partition.medoids.size(), n = distance.size();
  if (k < 2) return 0;
  std::vector<double> count(k);
  for (const std::size_t m : partition.of) count[m] += 1;
  double total = 0;
  std::vector<double> sum(k);
  for (std::size_t i = 0; i < n; ++i) {
    std::fill(sum.begin(), sum.end(), 0.0);
    const float* d = distance.From(i);
    for (std::size_t j = 0; j < n; ++j) sum[partition.of[j]] += static_cast<double>(d[j]);
    const std::size_t own = partition.of[i];
    if (count[own] < 2) continue;
    const double a = sum[own] / (count[own] - 1);
    double b = std::numeric_limits<double>::max();
    for (std::size_t m = 0; m < k; ++m) {
      if (m != own && count[m] > 0) b = std::min(b, sum[m] / count[m]);
    }
    if (std::max(a, b) > 0) total += (b - a) / std::max(a, b);
  }
  return static_cast<float>(total / static_cast<double>(n));
}

struct Choice {
  Partition partition;
  float silhouette = 0;
};

// `usual_count`: how many cohorts there were last time, 0 = unknown.
Choice BestPartition(const Distances& distance, std::size_t usual_count) {
  Choice best;
  std::vector<float> nearest(distance.size(), distance.largest());
  std::vector<std::size_t> seeds;
  const std::size_t most = std::min(kMostCohorts, std::max<std::size_t>(distance.size() / kLeastMembers, 1));
  float best_merit = 0;
  while (seeds.size() < most) {
    seeds.push_back(NextMedoid(distance, nearest));
    const float* d = distance.From(seeds.back());
    for (std::size_t j = 0; j < nearest.size(); ++j) nearest[j] = std::min(nearest[j], d[j]);
    Partition partition{seeds, {}};
    Settle(distance, partition);
    DropSmall(distance, partition);
    const float silhouette = Silhouette(distance, partition);
    const float merit = silhouette + (partition.medoids.size() == usual_count ? kStaySilhouette : 0);
    const bool first = seeds.size() == 1;
    if (!first && (silhouette < kLeastSilhouette || merit <= best_merit)) continue;
    best_merit = first ? 0 : merit;
    best = {std::move(partition), silhouette};
  }
  return best;
}

float Median(std::vector<float>& values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Everything about the members of one cohort, by medians: one odd member moves nothing.
CohortModel Model(std::span<const FleetVm> fleet, const std::vector<std::size_t>& members) {
  CohortModel model;
  model.members = static_cast<std::uint32_t>(members.size());
  std::vector<float> levels, spreads, off;
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    const auto feature = static_cast<Feature>(f);
    levels.clear();
    spreads.clear();
    off.clear();
    for (const std::size_t i : members) {
      if (!fleet[i].usual.known.Has(feature)) continue;
      levels.push_back(fleet[i].usual.level[f]);
      spreads.push_back(fleet[i].usual.spread[f]);
    }
    if (levels.size() < kLeastMembers) continue;
    const float level = Median(levels);
    for (const float l : levels) off.push_back(std::abs(l - level));
    model.known.Set(feature);
    model.level.Set(f, level);
    model.spread.Set(f, Median(spreads));
    model.between.Set(f, 1.4826f * Median(off));
  }
  return model;
}

class Grouping {
 public:
  Grouping(std::span<const FleetVm> fleet, const FleetSpace& space, std::span<const std::size_t> landmarks,
           const Cohorts* previous)
      : fleet_(fleet), rows_(FleetPoints(space, fleet)), landmarks_(landmarks), previous_(previous) {}

  Cohorts Find() {
    out_.members.resize(fleet_.size());
    if (previous_) out_.next_id = previous_->next_id;
    if (landmarks_.size() < kLeastMembers) return std::move(out_);
    ChooseMedoids();
    Measure();
    NameCohorts();
    AssignAll();
    WriteModels();
    return std::move(out_);
  }

 private:
  std::uint32_t FormerId(std::size_t vm) const {
    if (!previous_) return 0;
    const auto it = previous_->of.find(fleet_[vm].id);
    return it == previous_->of.end() ? 0 : it->second;
  }
  float DistanceTo(std::size_t vm, std::size_t m) const {
    float sum = 0;
    for (std::size_t k = 0; k < kFleetAxes; ++k) {
      const float off = rows_[vm * kFleetAxes + k] - rows_[medoids_[m] * kFleetAxes + k];
      sum += off * off;
    }
    return std::sqrt(sum);
  }
  std::size_t Nearest(std::size_t vm) const {
    std::size_t best = 0;
    for (std::size_t m = 1; m < medoids_.size(); ++m) {
      if (DistanceTo(vm, m) < DistanceTo(vm, best)) best = m;
    }
    return best;
  }

  void ChooseMedoids() {
    std::vector<float> rows;
    for (const std::size_t vm : landmarks_) {
      rows.insert(rows.end(), &rows_[vm * kFleetAxes], &rows_[vm * kFleetAxes] + kFleetAxes);
    }
    const Distances distance(rows);
    const auto choice = BestPartition(distance, previous_ ? previous_->models.size() : 0);
    out_.silhouette = choice.silhouette;
    for (const std::size_t m : choice.partition.medoids) medoids_.push_back(landmarks_[m]);
    std::sort(medoids_.begin(), medoids_.end());
  }

  // A cohort's radius is the median distance of those nearest to it. In
  // standardised units, so a cohort of doubles still has some size.
  void Measure() {
    std::vector<std::vector<float>> own(medoids_.size());
    for (std::size_t vm = 0; vm < fleet_.size(); ++vm) {
      const std::size_t m = Nearest(vm);
      own[m].push_back(DistanceTo(vm, m));
    }
    for (auto& distances : own) radius_.push_back(std::max(Median(distances), 0.5f));
  }

  // A cohort inherits the name of the former one it shares most VMs with.
  void NameCohorts() {
    std::map<std::pair<std::size_t, std::uint32_t>, std::size_t> shared;
    for (std::size_t vm = 0; vm < fleet_.size(); ++vm) {
      if (const auto former = FormerId(vm)) ++shared[{Nearest(vm), former}];
    }
    struct Claim {
      std::size_t vms, cohort;
      std::uint32_t id;
    };
    std::vector<Claim> claims;
    for (const auto& [pair, vms] : shared) claims.push_back({vms, pair.first, pair.second});
    std::sort(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) {
      if (a.vms != b.vms) return a.vms > b.vms;
      return a.id != b.id ? a.id < b.id : a.cohort < b.cohort;
    });
    id_.assign(medoids_.size(), 0);
    std::set<std::uint32_t> taken;
    for (const Claim& claim : claims) {
      if (id_[claim.cohort] != 0 || !taken.insert(claim.id).second) continue;
      id_[claim.cohort] = claim.id;
    }
    for (auto& id : id_) {
      if (id == 0) id = out_.next_id++;
    }
  }

  void AssignAll() {
    for (std::size_t vm = 0; vm < fleet_.size(); ++vm) {
      std::size_t m = Nearest(vm);
      const auto former = FormerId(vm);
      for (std::size_t other = 0; former != 0 && other < medoids_.size(); ++other) {
        if (id_[other] == former && DistanceTo(vm, m) > kStayNearer * DistanceTo(vm, other)) m = other;
      }
      CohortMember& member = out_.members[vm];
      member.distance = DistanceTo(vm, m) / radius_[m];
      if (member.distance > kAlone) continue;
      member.cohort = id_[m];
      out_.of.emplace(fleet_[vm].id, id_[m]);
    }
  }

  void WriteModels() {
    std::map<std::uint32_t, std::vector<std::size_t>> by_id;
    for (std::size_t vm = 0; vm < fleet_.size(); ++vm) {
      if (out_.members[vm].cohort != 0) by_id[out_.members[vm].cohort].push_back(vm);
    }
    for (const auto& [id, members] : by_id) {
      if (members.size() < kLeastMembers) {
        for (const std::size_t vm : members) {
          out_.members[vm].cohort = 0;
          out_.of.erase(fleet_[vm].id);
        }
        continue;
      }
      out_.models.push_back(Model(fleet_, members));
      out_.models.back().id = id;
    }
  }

  std::span<const FleetVm> fleet_;
  const std::vector<float> rows_;  // the fleet's points
  std::span<const std::size_t> landmarks_;
  const Cohorts* previous_;
  std::vector<std::size_t> medoids_;  // indices into the fleet
  std::vector<float> radius_;         // by medoid, like id_
  std::vector<std::uint32_t> id_;
  Cohorts out_;
};

}  // namespace

bool CohortModel::operator==(const CohortModel& other) const {
  if (id != other.id || members != other.members || known.bits() != other.known.bits()) return false;
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    if (level[f] != other.level[f] || spread[f] != other.spread[f] || between[f] != other.between[f]) return false;
  }
  return true;
}

float CohortModel::Distance(const Features& y, FeatureMask valid) const {
  const auto shared = valid.bits() & known.bits();
  Float8 sum{}, count{};
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Int8 lanes = LaneMask(shared, g);
    const Float8 off = y.group[g] - level.group[g];
    const Float8 variance = spread.group[g] * spread.group[g] + between.group[g] * between.group[g];
    const Float8 squared = Min(off * off / Max(variance, Broadcast(1e-6f)), Broadcast(kFarthest * kFarthest));
    sum += Select(lanes, squared, Broadcast(0));
    count += Select(lanes, Broadcast(1), Broadcast(0));
  }
  const float features = Sum(count);
  return features > 0 ? std::sqrt(Sum(sum) / features) : 0;
}

CohortModel::Belief CohortModel::Shrink(const Belief& own, const Features& count) const {
  Belief out;
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Int8 lanes = LaneMask(known.bits(), g);
    const Float8 within = spread.group[g] * spread.group[g];
    const Float8 between_squared = Max(between.group[g] * between.group[g], Broadcast(1e-6f));
    const Float8 n = count.group[g];
    const Float8 n0 = Clamp(within / between_squared, Broadcast(kLeastN0), Broadcast(kMostN0));
    const Float8 level_part = n / (n + n0), spread_part = n / (n + Broadcast(kSpreadN0));
    const Float8 level_mix = level.group[g] + level_part * (own.level.group[g] - level.group[g]);
    const Float8 spread_mix = within + spread_part * (own.spread_squared.group[g] - within);
    out.level.group[g] = Select(lanes, level_mix, own.level.group[g]);
    out.spread_squared.group[g] = Select(lanes, spread_mix, own.spread_squared.group[g]);
  }
  return out;
}

const CohortModel* Cohorts::Find(std::uint32_t id) const {
  const auto it = std::lower_bound(models.begin(), models.end(), id,
                                   [](const CohortModel& m, std::uint32_t wanted) { return m.id < wanted; });
  return it != models.end() && it->id == id ? &*it : nullptr;
}

Cohorts FindCohorts(std::span<const FleetVm> fleet, const FleetSpace& space, std::span<const std::size_t> landmarks,
                    const Cohorts* previous) {
  return Grouping(fleet, space, landmarks, previous).Find();
}

}  // namespace whorl
