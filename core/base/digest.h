#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

namespace whorl {

// FNV-1a, 64 bits. Of values one by one, for padding between fields is nobody's
// business.
struct Digest {
  std::uint64_t state = 0xcbf29ce484222325u;

  constexpr void Byte(unsigned char c) { state = (state ^ c) * 0x100000001b3u; }
  constexpr void Add(std::string_view bytes) {
    for (const char c : bytes) Byte(static_cast<unsigned char>(c));
  }
  constexpr void Add(std::uint64_t value) {
    for (int i = 0; i < 8; ++i) Byte(static_cast<unsigned char>(value >> (8 * i)));
  }
  constexpr void Add(std::int64_t value) { Add(static_cast<std::uint64_t>(value)); }
  constexpr void Add(double value) { Add(std::bit_cast<std::uint64_t>(value)); }
  constexpr void Add(float value) { Add(std::uint64_t{std::bit_cast<std::uint32_t>(value)}); }
};

}  // namespace whorl
