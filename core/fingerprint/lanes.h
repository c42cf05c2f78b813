#pragma once

#include <immintrin.h>

#include <bit>
#include <cstddef>
#include <cstdint>

#include "core/telemetry/features.h"

namespace whorl {

// Eight floats worked on at once; the 40 features are five of them. Written
// as vector types so that lanes, and with them the order of every sum, are the
// same in every build (a compiler may not reorder float sums by itself).
using Float8 = float __attribute__((vector_size(32)));
using Int8 = std::int32_t __attribute__((vector_size(32)));
inline constexpr std::size_t kLanes = 8;
inline constexpr std::size_t kGroups = kFeatureCount / kLanes;
static_assert(kGroups * kLanes == kFeatureCount);

inline Float8 Broadcast(float x) { return Float8{x, x, x, x, x, x, x, x}; }
inline Int8 BroadcastInt(std::int32_t x) { return Int8{x, x, x, x, x, x, x, x}; }
inline Float8 Min(Float8 a, Float8 b) { return a < b ? a : b; }
inline Float8 Max(Float8 a, Float8 b) { return a > b ? a : b; }
inline Float8 Clamp(Float8 x, Float8 lo, Float8 hi) { return Min(Max(x, lo), hi); }
inline Float8 Abs(Float8 x) { return std::bit_cast<Float8>(std::bit_cast<Int8>(x) & BroadcastInt(0x7fffffff)); }

inline Float8 Sqrt(Float8 x) { return _mm256_sqrt_ps(x); }

// IEEE half precision in memory, single in registers; rounds to nearest.
inline Float8 FromHalf(const std::uint16_t* from) {
  __m128i bits;
  __builtin_memcpy(&bits, from, sizeof bits);
  return _mm256_cvtph_ps(bits);
}
inline void ToHalf(Float8 x, std::uint16_t* to) {
  const __m128i bits = _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
  __builtin_memcpy(to, &bits, sizeof bits);
}
inline std::uint16_t HalfOf(float x) {
  return static_cast<std::uint16_t>(_mm_cvtsi128_si32(_mm256_cvtps_ph(_mm256_set1_ps(x), _MM_FROUND_TO_NEAREST_INT)));
}

// Pairwise, always in this order.
inline float Sum(Float8 x) {
  const float a = x[0] + x[4], b = x[1] + x[5], c = x[2] + x[6], d = x[3] + x[7];
  return (a + c) + (b + d);
}
inline float Largest(Float8 x) {
  float most = x[0];
  for (std::size_t i = 1; i < kLanes; ++i) most = x[i] > most ? x[i] : most;
  return most;
}

// Whether any lane of a is below b's.
inline bool AnyBelow(Float8 a, Float8 b) { return _mm256_movemask_ps(std::bit_cast<Float8>(a < b)) != 0; }

// One value per feature.
struct Features {
  Float8 group[kGroups]{};
  float operator[](std::size_t f) const { return group[f / kLanes][f % kLanes]; }
  void Set(std::size_t f, float value) { group[f / kLanes][f % kLanes] = value; }
};

// All-ones lanes where the bit of the feature is set.
inline Int8 LaneMask(std::uint64_t bits, std::size_t g) {
  const Int8 shift{0, 1, 2, 3, 4, 5, 6, 7};
  const auto group = static_cast<std::int32_t>((bits >> (g * kLanes)) & 0xffu);
  return ((BroadcastInt(group) >> shift) & BroadcastInt(1)) != BroadcastInt(0);
}
inline Float8 Select(Int8 mask, Float8 yes, Float8 no) {
  return std::bit_cast<Float8>((mask & std::bit_cast<Int8>(yes)) | (~mask & std::bit_cast<Int8>(no)));
}

namespace detail {
// Natural logarithm for normal positive x, relative error below 2e-7 (the
// polynomial of Cephes' logf). Ours, because libm picks its code at run time.
template <typename F, typename I, typename ToI, typename ToF, typename Convert>
inline F LogOf(F x, F one, I bias, I low, ToI to_int, ToF to_float, Convert convert) {
  const I shifted = to_int(x) - bias;
  const F e = convert(shifted >> 23);
  const F f = to_float((shifted & low) + bias) - one;
  F p = 7.0376836292e-2f * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  const F square = f * f;
  F tail = p * f * square;
  tail = tail - 2.12194440e-4f * e;
  tail = tail - 0.5f * square;
  return (f + tail) + 0.693359375f * e;
}
}  // namespace detail

inline Float8 Log(Float8 x) {
  return detail::LogOf(
      x, Broadcast(1), BroadcastInt(0x3f3504f3), BroadcastInt(0x7fffff),
      [](Float8 v) { return std::bit_cast<Int8>(v); }, [](Int8 v) { return std::bit_cast<Float8>(v); },
      [](Int8 v) { return __builtin_convertvector(v, Float8); });
}
inline float Log(float x) {
  return detail::LogOf(
      x, 1.0f, std::int32_t{0x3f3504f3}, std::int32_t{0x7fffff}, [](float v) { return std::bit_cast<std::int32_t>(v); },
      [](std::int32_t v) { return std::bit_cast<float>(v); }, [](std::int32_t v) { return static_cast<float>(v); });
}

// e^x for |x| < 80, relative error below 2e-7 (Cephes' expf).
inline float Exp(float x) {
  x = x > 80 ? 80 : x < -80 ? -80 : x;
  const auto n = static_cast<std::int32_t>(x * 1.44269504f + (x < 0 ? -0.5f : 0.5f));
  const auto whole = static_cast<float>(n);
  const float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  float p = 1.9875691500e-4f * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return (p * r * r + r + 1) * std::bit_cast<float>((n + 127) << 23);
}
// The same polynomial in eight lanes, bit for bit.
inline Float8 Exp(Float8 x) {
  x = Clamp(x, Broadcast(-80), Broadcast(80));
  const Float8 half = x < Broadcast(0) ? Broadcast(-0.5f) : Broadcast(0.5f);
  const Int8 n = __builtin_convertvector(x * 1.44269504f + half, Int8);
  const Float8 whole = __builtin_convertvector(n, Float8);
  const Float8 r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  Float8 p = 1.9875691500e-4f * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return (p * r * r + r + 1.0f) * std::bit_cast<Float8>((n + 127) << 23);
}
inline float Log10(float x) { return Log(x) * 0.4342944819f; }

}  // namespace whorl
