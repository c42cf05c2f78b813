#include "core/fingerprint/tsne.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/fingerprint/lanes.h"
#include "core/fingerprint/point_columns.h"
#include "core/fingerprint/principal_axes.h"

namespace whorl {
namespace {

constexpr float kStartScale = 1e-4f;
constexpr int kBisections = 48;
constexpr float kEntropyTolerance = 1e-4f;
constexpr float kEarlyMomentum = 0.5f, kMomentum = 0.8f;
constexpr float kLeastGain = 0.01f;
// A point that leaps lands anywhere; what it wants in one step is cut to this.
constexpr float kLongestStep = 5.0f;
// Where the lanes past the last point stand: too far away to be felt.
constexpr float kNowhere = 1e9f;

const Int8 kLane{0, 1, 2, 3, 4, 5, 6, 7};

// How likely each pair is to be neighbours; all pairs together 1/2. Only j > i
// is kept: row i begins with the block i is in, and other lanes are 0.
class Affinities {
 public:
  Affinities(std::span<const float> rows, std::size_t dims, float perplexity);

  std::size_t size() const { return n_; }
  std::size_t blocks() const { return blocks_; }
  const Float8* Row(std::size_t i) const { return pair_.data() + start_[i]; }

 private:
  // exp(-sharpness (d^2 - nearest)) * share is how likely a point's neighbour is at distance d.
  struct Reach {
    float sharpness = 1, nearest = 0, share = 1;
  };
  Reach FindReach(std::size_t i, const std::vector<Float8>& squared, float entropy) const;

  std::size_t n_, blocks_;
  std::vector<std::size_t> start_;
  std::vector<Float8> pair_;
};

Affinities::Reach Affinities::FindReach(std::size_t i, const std::vector<Float8>& squared, float entropy) const {
  Reach reach;
  float nearest = 0, sum = 0;
  bool first = true;
  for (std::size_t j = 0; j < n_; ++j) {
    if (j == i) continue;
    const float d = squared[j / kLanes][j % kLanes];
    nearest = first ? d : std::min(nearest, d);
    first = false;
    sum += d;
  }
  reach.nearest = nearest;
  const float typical = sum / static_cast<float>(std::max<std::size_t>(n_ - 1, 1)) - nearest;
  reach.sharpness = typical > 1e-12f ? 1 / typical : 1;
  const Int8 self = kLane == BroadcastInt(static_cast<std::int32_t>(i % kLanes));
  const auto left = static_cast<std::int32_t>(n_ - (blocks_ - 1) * kLanes);
  const Int8 last = kLane < BroadcastInt(left);
  float low = 0, high = 0;  // high 0: not found yet
  for (int step = 0; step < kBisections; ++step) {
    Float8 weight{}, moment{};
    for (std::size_t b = 0; b < blocks_; ++b) {
      const Float8 d = squared[b] - Broadcast(nearest);
      Float8 w = Exp(Broadcast(-reach.sharpness) * d);
      if (b == i / kLanes) w = Select(self, Broadcast(0), w);
      if (b + 1 == blocks_) w = Select(last, w, Broadcast(0));
      weight += w;
      moment += w * d;
    }
    const float total = Sum(weight);
    reach.share = 1 / total;
    const float off = Log(total) + reach.sharpness * Sum(moment) / total - entropy;
    if (std::abs(off) < kEntropyTolerance) break;
    if (off > 0) {  // too many neighbours
      low = reach.sharpness;
      reach.sharpness = high > 0 ? 0.5f * (low + high) : 2 * low;
    } else {
      high = reach.sharpness;
      reach.sharpness = 0.5f * (low + high);
    }
  }
  return reach;
}

Affinities::Affinities(std::span<const float> rows, std::size_t dims, float perplexity)
    : n_(rows.size() / dims), blocks_((n_ + kLanes - 1) / kLanes), start_(n_) {
  const PointColumns points(rows, dims);
  std::vector<Reach> reach(blocks_ * kLanes);
  std::vector<Float8> squared(blocks_);
  const float most = std::max(static_cast<float>(n_ - 1) / 3, 1.0f);
  const float entropy = Log(std::clamp(perplexity, 1.0f, most));
  for (std::size_t i = 0; i < n_; ++i) {
    for (std::size_t b = 0; b < blocks_; ++b) squared[b] = points.Squared(rows.data() + i * dims, b);
    reach[i] = FindReach(i, squared, entropy);
  }
  std::vector<Float8> sharpness(blocks_), nearest(blocks_), share(blocks_);
  for (std::size_t j = 0; j < n_; ++j) {
    sharpness[j / kLanes][j % kLanes] = reach[j].sharpness;
    nearest[j / kLanes][j % kLanes] = reach[j].nearest;
    share[j / kLanes][j % kLanes] = reach[j].share;  // lanes past the last point keep 0
  }
  std::size_t size = 0;
  for (std::size_t i = 0; i < n_; ++i) {
    start_[i] = size;
    size += blocks_ - i / kLanes;
  }
  pair_.resize(size);
  const float half = 0.5f / static_cast<float>(n_);
  for (std::size_t i = 0; i < n_; ++i) {
    Float8* row = pair_.data() + start_[i];
    for (std::size_t b = i / kLanes; b < blocks_; ++b) {
      const Float8 d = points.Squared(rows.data() + i * dims, b);
      const Float8 mine = Exp(Broadcast(-reach[i].sharpness) * (d - Broadcast(reach[i].nearest)));
      const Float8 theirs = Exp(-sharpness[b] * (d - nearest[b]));
      Float8 p = Broadcast(half) * (mine * Broadcast(reach[i].share) + theirs * share[b]);
      if (b == i / kLanes) p = Select(kLane > BroadcastInt(static_cast<std::int32_t>(i % kLanes)), p, Broadcast(0));
      if (b + 1 == blocks_) p = Select(share[b] > Broadcast(0), p, Broadcast(0));
      row[b - i / kLanes] = p;
    }
  }
}

// One coordinate of all points, or what pulls on it.
using Line = std::vector<Float8>;

struct Forces {
  Line pull_x, pull_y;  // of neighbours, towards each other
  Line push_x, push_y;  // of all, away from each other, before division by `crowd`
  double crowd = 0;     // the sum that makes closeness on the map a probability

  explicit Forces(std::size_t blocks) : pull_x(blocks), pull_y(blocks), push_x(blocks), push_y(blocks) {}
  void Compute(const Affinities& affinities, const Line& x, const Line& y);
};

// Every pair is looked at once and felt by both. Sums run in the order of
// points, lanes apart; only a row's own sum crosses lanes, at its end.
void Forces::Compute(const Affinities& affinities, const Line& x, const Line& y) {
  const std::size_t n = affinities.size(), blocks = affinities.blocks();
  for (Line* line : {&pull_x, &pull_y, &push_x, &push_y}) std::fill(line->begin(), line->end(), Float8{});
  crowd = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t own = i / kLanes, lane = i % kLanes;
    const Float8 xi = Broadcast(x[own][lane]), yi = Broadcast(y[own][lane]);
    const Float8* p = affinities.Row(i);
    Float8 my_pull_x{}, my_pull_y{}, my_push_x{}, my_push_y{}, close{};
    const auto feel = [&](std::size_t b, Float8 neighbour, auto closeness) {
      const Float8 dx = xi - x[b], dy = yi - y[b];
      const Float8 q = closeness(Broadcast(1) / (Broadcast(1) + (dx * dx + dy * dy)));
      close += q;
      const Float8 pull = neighbour * q, push = q * q;
      const Float8 pull_dx = pull * dx, pull_dy = pull * dy, push_dx = push * dx, push_dy = push * dy;
      my_pull_x += pull_dx;
      my_pull_y += pull_dy;
      my_push_x += push_dx;
      my_push_y += push_dy;
      pull_x[b] -= pull_dx;
      pull_y[b] -= pull_dy;
      push_x[b] -= push_dx;
      push_y[b] -= push_dy;
    };
    const Int8 after = kLane > BroadcastInt(static_cast<std::int32_t>(lane));
    feel(own, p[0], [&](Float8 q) { return Select(after, q, Broadcast(0)); });
    for (std::size_t b = own + 1; b < blocks; ++b) feel(b, p[b - own], [](Float8 q) { return q; });
    pull_x[own][lane] += Sum(my_pull_x);
    pull_y[own][lane] += Sum(my_pull_y);
    push_x[own][lane] += Sum(my_push_x);
    push_y[own][lane] += Sum(my_push_y);
    crowd += 2 * static_cast<double>(Sum(close));
  }
}

// Gradient descent with momentum and a gain per coordinate that grows while its
// direction stays (Jacobs 1988), as in the original paper.
class Axis {
 public:
  Axis(std::size_t blocks, std::size_t n)
      : at(blocks, Broadcast(kNowhere)), step_(blocks), gain_(blocks, Broadcast(1)), n_(n) {}

  Line at;

  void Move(const Line& gradient, float rate, float momentum) {
    for (std::size_t b = 0; b < at.size(); ++b) {
      const Int8 turned = (gradient[b] > Broadcast(0)) == (step_[b] > Broadcast(0));
      gain_[b] = Max(Select(turned, gain_[b] * Broadcast(0.8f), gain_[b] + Broadcast(0.2f)), Broadcast(kLeastGain));
      step_[b] = Broadcast(momentum) * step_[b] - Broadcast(rate) * gain_[b] * gradient[b];
      step_[b] = Clamp(step_[b], Broadcast(-kLongestStep), Broadcast(kLongestStep));
      at[b] += step_[b];
    }
    KeepRestAway();
  }
  void Center() {
    Float8 sum{};
    for (std::size_t b = 0; b + 1 < at.size(); ++b) sum += at[b];
    float mean = Sum(sum);
    for (std::size_t i = (at.size() - 1) * kLanes; i < n_; ++i) mean += at[i / kLanes][i % kLanes];
    mean /= static_cast<float>(n_);
    for (Float8& v : at) v -= Broadcast(mean);
    KeepRestAway();
  }

 private:
  void KeepRestAway() {
    const auto left = static_cast<std::int32_t>(n_ - (at.size() - 1) * kLanes);
    at.back() = Select(kLane < BroadcastInt(left), at.back(), Broadcast(kNowhere));
  }
  Line step_, gain_;
  std::size_t n_;
};

float Divergence(const Affinities& affinities, const Line& x, const Line& y, double crowd) {
  const Float8 normal = Broadcast(static_cast<float>(1 / crowd));
  double sum = 0;
  for (std::size_t i = 0; i < affinities.size(); ++i) {
    const std::size_t own = i / kLanes;
    const Float8* row = affinities.Row(i);
    Float8 terms{};
    for (std::size_t b = own; b < affinities.blocks(); ++b) {
      const Float8 dx = Broadcast(x[own][i % kLanes]) - x[b], dy = Broadcast(y[own][i % kLanes]) - y[b];
      const Float8 q = Max(normal / (Broadcast(1) + (dx * dx + dy * dy)), Broadcast(1e-30f));
      const Float8 p = Max(row[b - own], Broadcast(1e-30f));
      terms += row[b - own] * (Log(p) - Log(q));
    }
    sum += 2 * static_cast<double>(Sum(terms));
  }
  return static_cast<float>(sum);
}

class Descent {
 public:
  Descent(std::span<const float> rows, std::size_t dims, const TsneOptions& options)
      : options_(options),
        n_(rows.size() / dims),
        affinities_(rows, dims, options.perplexity),
        forces_(affinities_.blocks()),
        x_(affinities_.blocks(), n_),
        y_(affinities_.blocks(), n_),
        gradient_(affinities_.blocks()),
        // Belkina et al., Nature Communications 10, 2019; the gradient below has the factor 4 in it.
        rate_(std::max(static_cast<float>(n_) / options.exaggeration / 4, 50.0f)) {}

  void Place(std::size_t i, MapPoint at) {
    x_.at[i / kLanes][i % kLanes] = at.x;
    y_.at[i / kLanes][i % kLanes] = at.y;
  }

  void FromScratch() {
    for (int it = 0; it < options_.iterations; ++it) {
      const bool early = it < options_.exaggerated;
      Step(early ? options_.exaggeration : 1, early ? kEarlyMomentum : kMomentum, {}, {});
      x_.Center();
      y_.Center();
    }
  }

  void Refine(std::span<const MapPoint> start, std::span<const float> hold) {
    for (int it = 0; it < options_.refinements; ++it) Step(1, it < 20 ? kEarlyMomentum : kMomentum, start, hold);
  }

  TsneMap Read() {
    TsneMap map;
    for (std::size_t i = 0; i < n_; ++i) {
      map.at.push_back({x_.at[i / kLanes][i % kLanes], y_.at[i / kLanes][i % kLanes]});
    }
    forces_.Compute(affinities_, x_.at, y_.at);
    map.divergence = Divergence(affinities_, x_.at, y_.at, forces_.crowd);
    return map;
  }

 private:
  void Step(float exaggeration, float momentum, std::span<const MapPoint> start, std::span<const float> hold) {
    forces_.Compute(affinities_, x_.at, y_.at);
    const Float8 pull = Broadcast(4 * exaggeration), push = Broadcast(static_cast<float>(4 / forces_.crowd));
    const float spring = options_.spring / static_cast<float>(n_);
    const auto along = [&](Axis& axis, const Line& towards, const Line& away, float MapPoint::* coordinate) {
      for (std::size_t b = 0; b < gradient_.size(); ++b) gradient_[b] = pull * towards[b] - push * away[b];
      for (std::size_t i = 0; i < hold.size(); ++i) {
        gradient_[i / kLanes][i % kLanes] +=
            spring * hold[i] * (axis.at[i / kLanes][i % kLanes] - start[i].*coordinate);
      }
      axis.Move(gradient_, rate_, momentum);
    };
    along(x_, forces_.pull_x, forces_.push_x, &MapPoint::x);
    along(y_, forces_.pull_y, forces_.push_y, &MapPoint::y);
  }

  const TsneOptions options_;
  const std::size_t n_;
  const Affinities affinities_;
  Forces forces_;
  Axis x_, y_;
  Line gradient_;
  const float rate_;
};

Status Check(std::span<const float> rows, std::size_t dims) {
  if (dims == 0 || rows.size() % dims != 0) {
    return Fail(Code::kInvalid, "t-SNE: " + std::to_string(rows.size()) + " values are not points of " +
                                    std::to_string(dims) + " dimensions each");
  }
  if (rows.size() / dims > kMostTsnePoints) {
    return Fail(Code::kInvalid, "t-SNE: " + std::to_string(rows.size() / dims) + " points, at most " +
                                    std::to_string(kMostTsnePoints) + " can be mapped; choose landmarks");
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!std::isfinite(rows[i])) {
      return Fail(Code::kInvalid, "t-SNE: value " + std::to_string(i % dims) + " of point " + std::to_string(i / dims) +
                                      " is not a finite number");
    }
  }
  return {};
}

}  // namespace

Result<TsneMap> Tsne(std::span<const float> rows, std::size_t dims, const TsneOptions& options) {
  if (auto good = Check(rows, dims); !good) return Fail(good.error());
  const std::size_t n = rows.size() / dims;
  if (n < 2) return TsneMap{std::vector<MapPoint>(n), 0};
  Descent descent(rows, dims, options);
  const auto axes = FindPrincipalAxes(rows, dims, 2);
  const float scale = axes.variance[0] > 0 ? kStartScale / std::sqrt(axes.variance[0]) : 0;
  std::vector<float> along(axes.count());
  for (std::size_t i = 0; i < n; ++i) {
    axes.Project(rows.subspan(i * dims, dims), along);
    descent.Place(i, {scale * along[0], along.size() > 1 ? scale * along[1] : 0});
  }
  descent.FromScratch();
  return descent.Read();
}

Result<TsneMap> RefineTsne(std::span<const float> rows, std::size_t dims, std::span<const MapPoint> start,
                           std::span<const float> hold, const TsneOptions& options) {
  if (auto good = Check(rows, dims); !good) return Fail(good.error());
  const std::size_t n = rows.size() / dims;
  if (start.size() != n || hold.size() != n) {
    return Fail(Code::kInvalid, "t-SNE: " + std::to_string(start.size()) + " positions and " +
                                    std::to_string(hold.size()) + " holds for " + std::to_string(n) + " points");
  }
  for (std::size_t i = 0; i < n; ++i) {
    if (!std::isfinite(start[i].x) || !std::isfinite(start[i].y) || !(hold[i] >= 0 && hold[i] <= 1)) {
      return Fail(Code::kInvalid, "t-SNE: start or hold of point " + std::to_string(i) + " cannot be used");
    }
  }
  if (n < 2) return TsneMap{{start.begin(), start.end()}, 0};
  Descent descent(rows, dims, options);
  for (std::size_t i = 0; i < n; ++i) descent.Place(i, start[i]);
  descent.Refine(start, hold);
  return descent.Read();
}

}  // namespace whorl
