#pragma once

#include <cstdint>

namespace whorl::eval {

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): the same numbers from the
// same seed with every compiler, which the standard's distributions do not promise.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
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
