#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/fingerprint/lanes.h"

namespace whorl {

// Points with one vector of eight per dimension, block after block, so that
// the distances to eight points are a sum over dimensions that never crosses
// lanes. Lanes past the last point hold 0.
class PointColumns {
 public:
  // `rows`: dims values a point.
  PointColumns(std::span<const float> rows, std::size_t dims)
      : dims_(dims), size_(rows.size() / dims), column_(blocks() * dims) {
    for (std::size_t i = 0; i < size_; ++i) {
      for (std::size_t d = 0; d < dims_; ++d) column_[(i / kLanes) * dims_ + d][i % kLanes] = rows[i * dims_ + d];
    }
  }

  std::size_t size() const { return size_; }
  std::size_t dims() const { return dims_; }
  std::size_t blocks() const { return (size_ + kLanes - 1) / kLanes; }

  // Squared distances of `point` (dims values) to the eight of block b, over
  // dimensions [from, to): whoever is far in the first need not be asked about the rest.
  Float8 Squared(const float* point, std::size_t b, std::size_t from, std::size_t to) const {
    const Float8* theirs = column_.data() + b * dims_;
    Float8 sum{};
    for (std::size_t d = from; d < to; ++d) {
      const Float8 off = theirs[d] - Broadcast(point[d]);
      sum += off * off;
    }
    return sum;
  }
  Float8 Squared(const float* point, std::size_t b) const { return Squared(point, b, 0, dims_); }

 private:
  std::size_t dims_, size_;
  std::vector<Float8> column_;
};

}  // namespace whorl
