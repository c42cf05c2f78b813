#pragma once

#include <compare>
#include <cstdint>

namespace whorl {

// Units are types, so that a millicore is never added to a byte.

// Thousandths of one CPU core; 1000 = one core fully used.
enum class MilliCores : std::int64_t {};
enum class Bytes : std::int64_t {};

constexpr std::int64_t Count(MilliCores v) { return static_cast<std::int64_t>(v); }
constexpr std::int64_t Count(Bytes v) { return static_cast<std::int64_t>(v); }

constexpr MilliCores operator+(MilliCores a, MilliCores b) { return MilliCores{Count(a) + Count(b)}; }
constexpr MilliCores operator-(MilliCores a, MilliCores b) { return MilliCores{Count(a) - Count(b)}; }
constexpr Bytes operator+(Bytes a, Bytes b) { return Bytes{Count(a) + Count(b)}; }
constexpr Bytes operator-(Bytes a, Bytes b) { return Bytes{Count(a) - Count(b)}; }

}  // namespace whorl
