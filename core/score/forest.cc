#include "core/score/forest.h"

#include <algorithm>
#include <cmath>

#include "core/base/split_mix.h"

namespace whorl {
namespace {

constexpr float kSixteenths = 16.0f;

// The same trees for the same points.
std::uint32_t Below(std::uint64_t& state, std::uint32_t bound) {
  return static_cast<std::uint32_t>((SplitMix(state) >> 32) * bound >> 32);
}

// Mean path length of an unsuccessful search among n points: the paper's c(n).
float MeanPath(std::size_t n) {
  if (n <= 1) return 0;
  if (n == 2) return 1;
  const auto m = static_cast<float>(n - 1);
  return 2 * (Log(m) + 0.5772156649f) - 2 * m / static_cast<float>(n);
}
constexpr float kUsualPath = 7.3270f;  // c(32)

class Grower {
 public:
  Grower(Forest::Tree& tree, std::span<CondensedPoint> points, std::uint64_t& random)
      : tree_(tree), points_(points), random_(random) {}

  void Node(std::size_t node, std::size_t depth, std::size_t begin, std::size_t end) {
    if (depth == Forest::kDepth) return Leaf(node, depth, end - begin);
    std::uint8_t input = 0, low = 0, high = 0;
    if (end - begin <= 1 || !Choose(begin, end, input, low, high)) return Settle(node, depth, end - begin);
    const auto threshold = static_cast<std::uint8_t>(low + Below(random_, static_cast<std::uint32_t>(high - low)));
    tree_.input[node] = input;
    tree_.threshold[node] = threshold;
    const auto first = points_.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto middle = std::partition(first, points_.begin() + static_cast<std::ptrdiff_t>(end),
                                       [&](const CondensedPoint& p) { return p.at[input] <= threshold; });
    const auto cut = static_cast<std::size_t>(middle - points_.begin());
    Node(2 * node + 1, depth + 1, begin, cut);
    Node(2 * node + 2, depth + 1, cut, end);
  }

 private:
  // An input in which the points differ: a few tries, then none.
  bool Choose(std::size_t begin, std::size_t end, std::uint8_t& input, std::uint8_t& low, std::uint8_t& high) {
    for (int tries = 0; tries < 8; ++tries) {
      input = static_cast<std::uint8_t>(Below(random_, kCondensedInputs));
      low = 255;
      high = 0;
      for (std::size_t i = begin; i < end; ++i) {
        low = std::min(low, points_[i].at[input]);
        high = std::max(high, points_[i].at[input]);
      }
      if (high > low) return true;
    }
    return false;
  }
  // Isolated before the tree is at its end: all leaves below are this one.
  void Settle(std::size_t node, std::size_t depth, std::size_t points) {
    const float path = static_cast<float>(depth) + MeanPath(points);
    std::size_t first = node, last = node;
    for (std::size_t d = depth; d < Forest::kDepth; ++d) {
      for (std::size_t i = first; i <= last; ++i) {
        tree_.input[i] = 0;
        tree_.threshold[i] = 255;
      }
      first = 2 * first + 1;
      last = 2 * last + 2;
    }
    for (std::size_t i = first; i <= last; ++i) Put(i, path);
  }
  void Leaf(std::size_t node, std::size_t depth, std::size_t points) {
    Put(node, static_cast<float>(depth) + MeanPath(points));
  }
  void Put(std::size_t node, float path) {
    tree_.path[node - Forest::kInner] = static_cast<std::uint8_t>(std::lround(std::min(path, 15.9f) * kSixteenths));
  }

  Forest::Tree& tree_;
  std::span<CondensedPoint> points_;
  std::uint64_t& random_;
};

}  // namespace

void CondensedPoint::Set(std::size_t i, float value) {
  const int step = _mm_cvtss_si32(_mm_set_ss(std::clamp(value * kSteps, -128.0f, 127.0f)));
  at[i] = static_cast<std::uint8_t>(step + 128);
}

// All of a tree's questions are answered at once; what is left of the walk is
// to follow the answers.
float Forest::Walk(const CondensedPoint& point, std::uint32_t which) const {
  const auto load = [](const std::array<std::uint8_t, 16>& from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from.data()));
  };
  constexpr std::size_t kWalked = kTrees / kQuarters;
  const Tree* quarter = Quarter(which);
  const __m128i inputs = load(point.at);
  std::uint32_t sum = 0;
  for (std::size_t t = 0; t < kWalked; ++t) {
    const __m128i value = _mm_shuffle_epi8(inputs, load(quarter[t].input));
    // Unsigned value <= threshold, hence the other bits go right.
    const __m128i left = _mm_cmpeq_epi8(_mm_min_epu8(value, load(quarter[t].threshold)), value);
    const auto right = ~static_cast<std::uint32_t>(_mm_movemask_epi8(left));
    std::uint32_t node = 0;
    for (std::size_t d = 0; d < kDepth; ++d) node = 2 * node + 1 + (right >> node & 1u);
    sum += quarter[t].path[node - kInner];
  }
  return static_cast<float>(sum) / (kSixteenths * static_cast<float>(kWalked));
}

float Forest::Anomaly(float path) { return Exp(-0.6931471806f * path / kUsualPath); }

void Forest::Grow(std::span<const CondensedPoint> points, std::uint64_t seed) {
  if (points.size() < kSample) return;
  std::uint64_t random = seed;
  std::array<CondensedPoint, kSample> chosen;
  for (CondensedPoint& p : chosen) p = points[Below(random, static_cast<std::uint32_t>(points.size()))];
  Tree& tree = trees[next % kQuarters * (kTrees / kQuarters) + next / kQuarters];
  Grower(tree, chosen, random).Node(0, 0, 0, kSample);
  grown = static_cast<std::uint8_t>(std::min<std::size_t>(grown + 1u, kTrees));
  next = static_cast<std::uint8_t>((next + 1u) % kTrees);
}

}  // namespace whorl
