#include "core/fingerprint/lanes.h"

#include <gtest/gtest.h>

#include <cmath>

namespace whorl {
namespace {

TEST(Lanes, LogarithmAndExponentialAgreeWithTheLibrary) {
  for (float x = 1e-6f; x < 1e12f; x *= 1.37f) {
    const float expected = std::log(x);
    EXPECT_NEAR(Log(x), expected, 4e-7f * std::max(1.0f, std::abs(expected))) << x;
    EXPECT_EQ(Log(Broadcast(x))[3], Log(x)) << "the vector and the scalar must agree bit for bit at " << x;
  }
  for (float x = -70; x < 70; x += 0.37f) {
    EXPECT_NEAR(Exp(x) / std::exp(x), 1, 1e-6) << x;
    EXPECT_EQ(Exp(Broadcast(x))[5], Exp(x)) << "the vector and the scalar must agree bit for bit at " << x;
  }
}

TEST(Lanes, MaskAndSelectGoByFeature) {
  const std::uint64_t bits = 1u << 9 | 1u << 15 | std::uint64_t{1} << 36;
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    const Float8 picked = Select(LaneMask(bits, f / kLanes), Broadcast(1), Broadcast(0));
    EXPECT_EQ(picked[f % kLanes], (bits >> f) & 1u ? 1 : 0) << f;
  }
}

TEST(Lanes, HalfPrecisionKeepsThreeDigits) {
  for (const float x : {0.0f, 1.0f, -0.3333f, 3.1622f, 0.001234f}) {
    const std::uint16_t half[kLanes] = {HalfOf(x)};
    EXPECT_NEAR(FromHalf(half)[0], x, std::abs(x) * 1e-3f);
  }
}

TEST(Lanes, SumAndLargest) {
  const Float8 x{1, 2, 3, 4, 5, 6, 7, -8};
  EXPECT_EQ(Sum(x), 20);
  EXPECT_EQ(Largest(x), 7);
  EXPECT_EQ(Largest(Abs(x)), 8);
}

}  // namespace
}  // namespace whorl
