#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace whorl {

// The last `N` values of one measure of one VM. No allocation, 4N + 8 bytes.
// Not thread-safe: it belongs to the state of the VM that holds it.
template <std::size_t N>
class Window {
 public:
  void Push(float value) {
    values_[next_] = value;
    next_ = (next_ + 1) % N;
    size_ = std::min<std::uint32_t>(size_ + 1, N);
  }
  void Clear() { size_ = next_ = 0; }
  std::size_t size() const { return size_; }
  bool full() const { return size_ == N; }

  // Undefined values are never looked at: both return 0 for an empty window,
  // so ask size() first.
  float Max() const {
    float most = 0;
    for (std::size_t i = 0; i < size_; ++i) most = i == 0 ? values_[i] : std::max(most, values_[i]);
    return most;
  }
  // The k-th largest, k = 0 is the maximum.
  float NthLargest(std::size_t k) const {
    if (size_ == 0) return 0;
    std::array<float, N> sorted = values_;
    k = std::min<std::size_t>(k, size_ - 1);
    const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(size_);
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(k), end, std::greater<>{});
    return sorted[k];
  }

 private:
  std::array<float, N> values_{};
  std::uint32_t next_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace whorl
