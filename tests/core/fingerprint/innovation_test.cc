#include "core/fingerprint/innovation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace whorl {
namespace {

constexpr FeatureMask kEverything = FeatureMask::All();

Features All(float value) {
  Features v;
  for (std::size_t f = 0; f < kFeatureCount; ++f) v.Set(f, value);
  return v;
}

TEST(Innovation, AStepIsUnusualForAVmThatMovesSlowly) {
  Innovation innovation;
  std::mt19937 random(4);
  std::normal_distribution<float> noise;
  Features z;
  for (int i = 0; i < 3000; ++i) {  // each feature follows itself closely
    for (std::size_t f = 0; f < kFeatureCount; ++f) z.Set(f, 0.95f * z[f] + 0.31f * noise(random));
    innovation.Learn(z, kEverything, All(0.005f));
  }
  EXPECT_GT(innovation.carry[0], 0.7f);
  Features step = z;
  for (std::size_t f = 0; f < kFeatureCount; ++f) step.Set(f, z[f] + 2);  // still where it has been before
  EXPECT_GT(innovation.Distance(step, kEverything), 2 * std::sqrt(static_cast<float>(kFeatureCount)));
  EXPECT_LT(innovation.Distance(z, kEverything), std::sqrt(static_cast<float>(kFeatureCount)));
}

TEST(Innovation, WhatWasNotMeasuredTwiceInARowTakesNoPart) {
  Innovation innovation;
  EXPECT_EQ(innovation.Distance(All(40), kEverything), 0);
  FeatureMask without = kEverything;
  without.Clear(Feature::kCpuUsage);
  innovation.Learn(All(0), without, All(0.1f));
  Features only_cpu;
  only_cpu.Set(static_cast<std::size_t>(Feature::kCpuUsage), 40);
  EXPECT_EQ(innovation.Distance(only_cpu, kEverything), 0);
}

}  // namespace
}  // namespace whorl
