#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/base/result.h"

namespace whorl {

struct MapPoint {
  float x = 0;
  float y = 0;
  bool operator==(const MapPoint&) const = default;
};

// Exact t-SNE holds one number for every pair of points: 8 MB at this many.
inline constexpr std::size_t kMostTsnePoints = 2048;

struct TsneOptions {
  float perplexity = 30;    // neighbours a point counts as its own; at most a third of the points
  int iterations = 500;     // of a map from scratch
  int exaggerated = 100;    // of these, the first so many draw neighbours together more strongly
  float exaggeration = 12;  // by this factor
  int refinements = 150;    // of a map that goes on from an earlier one
  float spring = 2;         // of a point that is held, in units of the force of an average neighbour pair
};

struct TsneMap {
  std::vector<MapPoint> at;  // in the order of the points
  float divergence = 0;      // Kullback-Leibler, in nats: what the plane cannot show
};

// t-SNE (van der Maaten & Hinton, JMLR 9, 2008) of the points in `rows`, dims
// values each: a plane in which who is near in all dimensions is near. Starts
// from the two principal axes at a scale of 1e-4, so it needs no chance: the
// same points give the same bytes, from every compiler. One thread, no state.
// kInvalid: a value that is not finite, rows of unequal length, too many points.
Result<TsneMap> Tsne(std::span<const float> rows, std::size_t dims, const TsneOptions& options = {});

// The same, going on from `start`, one position per point. hold[i] in 0..1 says
// how strongly point i is held where it started.
Result<TsneMap> RefineTsne(std::span<const float> rows, std::size_t dims, std::span<const MapPoint> start,
                           std::span<const float> hold, const TsneOptions& options = {});

}  // namespace whorl
