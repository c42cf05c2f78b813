#ifndef WHORL_CORE_TELEMETRY_SKETCH_H_
#define WHORL_CORE_TELEMETRY_SKETCH_H_

/* A sketch counts 3-grams of system calls: three consecutive calls of one
 * thread, by number, hashed to one of 256 counters. Bounded whatever a program
 * does, and what a program usually does fills few of them.
 *
 * Plain C where C++ is not needed: the BPF programs that count include it too,
 * and must hash exactly as the models that read the counters. */

#define WHORL_SKETCH_BUCKETS 256
#define WHORL_SKETCH_NUMBERS 512 /* numbers from here on count as the last one */

#ifdef __cplusplus
#define WHORL_SKETCH_FUNCTION constexpr
#else
#define WHORL_SKETCH_FUNCTION static inline __attribute__((always_inline))
#endif

/* One system call in 9 bits. */
WHORL_SKETCH_FUNCTION unsigned long long whorl_sketch_number(unsigned long long number) {
  return number < WHORL_SKETCH_NUMBERS ? number : WHORL_SKETCH_NUMBERS - 1;
}

/* The two calls before, `older` first, in 18 bits: what is kept of a thread. */
WHORL_SKETCH_FUNCTION unsigned long long whorl_sketch_pair(unsigned long long older, unsigned long long newer) {
  return older << 9 | newer;
}

/* What is kept after one more call. */
WHORL_SKETCH_FUNCTION unsigned long long whorl_sketch_next(unsigned long long pair, unsigned long long number) {
  return (pair << 9 | number) & 0x3ffff;
}

/* Multiply-shift (Dietzfelbinger et al., 1997): the top 8 bits of an odd
 * multiple. `pair` of whorl_sketch_pair, `number` of whorl_sketch_number. */
WHORL_SKETCH_FUNCTION unsigned long long whorl_sketch_bucket(unsigned long long pair, unsigned long long number) {
  return (pair << 9 | number) * 0x9e3779b97f4a7c15ull >> 56;
}

#undef WHORL_SKETCH_FUNCTION

#ifdef __cplusplus
#include <array>
#include <cstddef>
#include <cstdint>

namespace whorl {

inline constexpr std::size_t kSketchBuckets = WHORL_SKETCH_BUCKETS;

// Bucket, 0..255, of the 3-gram of system-call numbers a, b, c, oldest first.
constexpr std::uint32_t SketchBucket(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  const auto pair = whorl_sketch_pair(whorl_sketch_number(a), whorl_sketch_number(b));
  return static_cast<std::uint32_t>(whorl_sketch_bucket(pair, whorl_sketch_number(c)));
}

// 3-grams of one counting window, all threads together. A window's counts, not
// sums over windows.
using SketchCounts = std::array<std::uint32_t, kSketchBuckets>;

}  // namespace whorl
#endif

#endif /* WHORL_CORE_TELEMETRY_SKETCH_H_ */
