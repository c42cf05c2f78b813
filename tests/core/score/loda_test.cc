#include "core/score/loda.h"

#include <gtest/gtest.h>

#include <random>

namespace whorl {
namespace {

Features Noise(std::mt19937& random) {
  std::normal_distribution<float> noise;
  Features z;
  for (std::size_t f = 0; f < kFeatureCount; ++f) z.Set(f, noise(random));
  return z;
}

TEST(Loda, WhatItHasNotSeenSurprises) {
  std::mt19937 random(7);
  Loda loda;
  for (int i = 0; i < 500; ++i) loda.Learn(Loda::Find(Noise(random)));
  float usual = 0;
  for (int i = 0; i < 100; ++i) usual += loda.Surprise(Loda::Find(Noise(random))) / 100;
  Features far;
  for (std::size_t f = 0; f < kFeatureCount; ++f) far.Set(f, f % 3 == 0 ? 9.0f : -9.0f);
  EXPECT_GT(loda.Surprise(Loda::Find(far)), usual + 1);
  EXPECT_GT(usual, 0);
}

TEST(Loda, OldCountsFadeAndAreNeverLost) {
  std::mt19937 random(8);
  Loda loda;
  const auto place = Loda::Find(Features{});
  for (int i = 0; i < 2000; ++i) loda.Learn(place);
  const float before = loda.Surprise(place);
  Features moved;
  for (std::size_t f = 0; f < kFeatureCount; ++f) moved.Set(f, 4);
  for (int i = 0; i < 1000; ++i) loda.Learn(Loda::Find(moved));
  EXPECT_GT(loda.Surprise(place), before);
}

TEST(Loda, AnythingHasAPlace) {
  Features wild;
  for (std::size_t f = 0; f < kFeatureCount; ++f) wild.Set(f, 1e30f);
  for (const std::uint8_t bin : Loda::Find(wild)) EXPECT_LT(bin, Loda::kBins);
  EXPECT_GT(Loda{}.Surprise(Loda::Find(wild)), 0);
}

}  // namespace
}  // namespace whorl
