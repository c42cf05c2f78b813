#include "core/score/one_class.h"

#include <algorithm>

namespace whorl {
namespace {

// e^x for x in -80..0 (Cephes' expf), eight at once.
Float8 ExpOf(Float8 x) {
  x = Clamp(x, Broadcast(-80), Broadcast(0));
  const Int8 n = __builtin_convertvector(x * 1.44269504f - 0.5f, Int8);
  const Float8 whole = __builtin_convertvector(n, Float8);
  const Float8 r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  Float8 p = 1.9875691500e-4f * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return (p * r * r + r + 1.0f) * std::bit_cast<Float8>((n + 127) << 23);
}

}  // namespace

float OneClass::Outside(const CondensedPoint& point) const {
  std::array<float, kLandmarks> exponent{};
  for (std::size_t l = 0; l < kLandmarks; ++l) {
    std::int32_t square = 0;
    for (std::size_t i = 0; i < point.at.size(); ++i) {
      const std::int32_t d = std::int32_t{point.at[i]} - landmark[l].at[i];
      square += d * d;
    }
    exponent[l] = -gamma * static_cast<float>(square) / (CondensedPoint::kSteps * CondensedPoint::kSteps);
  }
  Float8 sum{};
  for (std::size_t l = 0; l < kLandmarks; l += kLanes) {
    Float8 x, w;
    __builtin_memcpy(&x, exponent.data() + l, sizeof x);
    __builtin_memcpy(&w, weight.data() + l, sizeof w);
    sum += w * ExpOf(x);
  }
  return std::max(2.0f - Sum(sum) / offset, 0.05f);
}

}  // namespace whorl
