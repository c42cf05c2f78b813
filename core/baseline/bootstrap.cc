#include "core/baseline/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "core/fingerprint/scaling.h"

namespace whorl {
namespace {

constexpr std::int64_t kHourMs = 3'600'000;
// Of a normal distribution, in median distances.
constexpr float kSigmasPerMedian = 1.4826f;
constexpr std::int64_t kGapSteps = 3;
// Clocks of two machines may differ by this much.
constexpr Millis kFuture{300'000};

// The lower median; `values` is reordered. 0 when there is none.
template <typename T>
T Median(std::vector<T>& values) {
  if (values.empty()) return T{};
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// In order of time, each time once, without what is no number.
std::vector<HistoryPoint> Clean(std::span<const HistoryPoint> points, Time now, HistoryCounts& counts) {
  std::vector<HistoryPoint> out;
  out.reserve(points.size());
  for (HistoryPoint point : points) {
    if (point.at > now + kFuture) {
      ++counts.from_future;
      continue;
    }
    for (std::size_t f = 0; f < kFeatureCount; ++f) {
      const auto feature = static_cast<Feature>(f);
      if (!point.x.valid.Has(feature)) continue;
      const float value = point.x.value[f];
      if (std::isfinite(value) && value >= 0) continue;
      point.x.valid.Clear(feature);
      ++counts.not_a_number;
    }
    if (point.x.valid.count() == 0) {
      ++counts.empty;
      continue;
    }
    if (!out.empty() && point.at < out.back().at) ++counts.out_of_order;
    out.push_back(point);
  }
  // By time, then as they came, so that of equal times the first is kept. (Not
  // std::stable_sort: libstdc++'s needs what clang calls deprecated.)
  std::vector<std::size_t> order(out.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return out[a].at != out[b].at ? out[a].at < out[b].at : a < b; });
  std::vector<HistoryPoint> sorted;
  sorted.reserve(out.size());
  for (const std::size_t i : order) {
    if (!sorted.empty() && sorted.back().at == out[i].at) {
      ++counts.repeated;
    } else {
      sorted.push_back(out[i]);
    }
  }
  counts.used = static_cast<std::uint32_t>(sorted.size());
  return sorted;
}

Millis UsualStep(const std::vector<HistoryPoint>& points) {
  std::vector<std::int64_t> steps;
  for (std::size_t i = 1; i < points.size(); ++i) steps.push_back((points[i].at - points[i - 1].at).count());
  return Millis{Median(steps)};
}

float LogScaled(std::size_t f, float value) { return Log(1.0f + value / ScaleOrigin(static_cast<Feature>(f))); }

// Median level and how many different hours speak for it.
void LearnLevel(const std::vector<HistoryPoint>& points, std::size_t f, HistoryPrior& prior) {
  const auto feature = static_cast<Feature>(f);
  std::vector<float> values;
  std::int64_t hour = -1;
  std::uint32_t hours = 0;
  for (const auto& point : points) {
    if (!point.x.valid.Has(feature)) continue;
    values.push_back(LogScaled(f, point.x.value[f]));
    const std::int64_t at = (ToUnixMillis(point.at) - 1) / kHourMs;  // a point stands for the step before it
    if (at != hour) ++hours;
    hour = at;
  }
  prior.feature[f].hours = static_cast<float>(hours);
  if (prior.feature[f].hours < kLeastHistoryHours) return;
  prior.feature[f].level = Median(values);
  prior.known.Set(feature);
}

Features Deviations(const HistoryPoint& point, const HistoryPrior& prior) {
  Features d;
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    if (!point.x.valid.Has(static_cast<Feature>(f))) continue;
    d.Set(f, LogScaled(f, point.x.value[f]) - prior.feature[f].level);
  }
  return d;
}

FeatureMask Both(FeatureMask a, FeatureMask b) { return FeatureMask{a.bits() & b.bits()}; }

void LearnSpreads(const std::vector<HistoryPoint>& points, HistoryPrior& prior) {
  std::vector<std::vector<float>> distances(kFeatureCount);
  for (const auto& point : points) {
    const Features d = Deviations(point, prior);
    std::array<float, kCourses> expected{};
    for (std::size_t c = 0; c < kCourses; ++c) {
      const auto e = prior.week.Expected(point.at, static_cast<Course>(c));
      // The profile has seen this very point; with few visits it would explain
      // it by itself.
      expected[c] = e.mean * e.confidence;
    }
    for (std::size_t f = 0; f < kFeatureCount; ++f) {
      if (!Both(point.x.valid, prior.known).Has(static_cast<Feature>(f))) continue;
      const float with = prior.week.Along(static_cast<Feature>(f));
      const float usual = with * expected[static_cast<std::size_t>(CourseOf(static_cast<Feature>(f)))];
      distances[f].push_back(std::fabs(d[f] - usual));
    }
  }
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    if (!prior.known.Has(static_cast<Feature>(f))) continue;
    prior.feature[f].spread = std::max(kSigmasPerMedian * Median(distances[f]), SpreadFloor(static_cast<Feature>(f)));
  }
}

}  // namespace

Result<HistoryPrior> LearnFromHistory(std::span<const HistoryPoint> points, Time now) {
  HistoryPrior prior;
  const auto clean = Clean(points, now, prior.counts);
  for (std::size_t f = 0; f < kFeatureCount; ++f) LearnLevel(clean, f, prior);
  if (prior.known.count() == 0) {
    float most = 0;
    for (const auto& level : prior.feature) most = std::max(most, level.hours);
    return Fail(Code::kNotFound, "the history is too short to start from: " + std::to_string(static_cast<int>(most)) +
                                     " different hours of the best known feature, at least " +
                                     std::to_string(static_cast<int>(kLeastHistoryHours)) + " are needed");
  }
  prior.from = clean.front().at;
  prior.to = clean.back().at;
  prior.step = UsualStep(clean);
  Time before = clean.front().at;
  for (const auto& point : clean) {
    if (point.at - before > kGapSteps * prior.step) ++prior.counts.gaps;
    before = point.at;
    prior.week.Learn(point.at - Millis{1}, Deviations(point, prior), Both(point.x.valid, prior.known), 1.0f);
  }
  LearnSpreads(clean, prior);
  return prior;
}

}  // namespace whorl
