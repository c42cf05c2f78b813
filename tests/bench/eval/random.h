#pragma once

#include <cstdint>

#include "core/base/split_mix.h"

namespace whorl::eval {

// The same numbers from the same seed with every compiler.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() { return SplitMix(state_); }
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }  // 0 <= u < 1
  // 0 <= i < n, n > 0.
  std::uint64_t Below(std::uint64_t n) { return static_cast<std::uint64_t>(Uniform() * static_cast<double>(n)); }

 private:
  std::uint64_t state_;
};

// A seed of its own for each name, so that adding a series changes no other's.
constexpr std::uint64_t SeedOf(std::uint64_t seed, const char* name) {
  for (; *name != '\0'; ++name) seed = (seed ^ static_cast<unsigned char>(*name)) * 0x100000001b3u;
  return seed;
}

}  // namespace whorl::eval
