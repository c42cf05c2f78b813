#pragma once

#include <cstdint>

namespace whorl {

// SplitMix64 (Steele, Lea & Flood, OOPSLA 2014): steps `state` and gives its next
// number. The same numbers from the same start with every compiler, which the
// standard's distributions do not promise.
constexpr std::uint64_t SplitMix(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace whorl
