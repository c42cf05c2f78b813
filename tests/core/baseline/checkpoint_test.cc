#include <gtest/gtest.h>

#include <random>

#include "core/baseline/baseline.h"

namespace whorl {
namespace {

constexpr FeatureMask kEverything{0xffffffu};

Baseline Learnt(int samples = 200) {
  Baseline b;
  std::mt19937 random(41);
  std::normal_distribution<float> noise;
  for (int i = 1; i <= samples; ++i) {
    Features24 y;
    for (std::size_t f = 0; f < kFeatureCount; ++f) y.Set(f, 2 + 0.3f * noise(random));
    b.Observe(FromUnixMillis(1000 * i), y, kEverything, {100, Seconds{100}}, false, {});
  }
  return b;
}

TEST(Checkpoint, ComesBackAsItWas) {
  const Baseline before = Learnt();
  Baseline after;
  ASSERT_TRUE(Load(Save(before), after));
  EXPECT_EQ(Save(after), Save(before));
  EXPECT_TRUE(after.learnt);
  EXPECT_EQ(after.samples, before.samples);
  Features24 y;
  for (std::size_t f = 0; f < kFeatureCount; ++f) y.Set(f, 4);
  Baseline copy = before;
  const auto a = copy.Observe(FromUnixMillis(500'000), y, kEverything, {}, false, {});
  const auto b = after.Observe(FromUnixMillis(500'000), y, kEverything, {}, false, {});
  EXPECT_EQ(a.evidence.tick, b.evidence.tick);
}

TEST(Checkpoint, EveryDamagedByteIsNoticedAndChangesNothing) {
  const std::string good = Save(Learnt());
  Baseline untouched = Learnt(50);
  const std::string before = Save(untouched);
  for (std::size_t i = 0; i < good.size(); i += 7) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x20);
    const Status loaded = Load(bad, untouched);
    ASSERT_FALSE(loaded) << "byte " << i;
    ASSERT_EQ(loaded.error().code, Code::kCorrupt);
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{3}, std::size_t{15}, good.size() - 1}) {
    EXPECT_EQ(Load(good.substr(0, size), untouched).error().code, Code::kCorrupt) << size;
  }
  EXPECT_EQ(Load(good + "x", untouched).error().code, Code::kCorrupt);
  EXPECT_EQ(Save(untouched), before);
}

TEST(Checkpoint, AValidChecksumDoesNotExcuseImpossibleValues) {
  Baseline b = Learnt();
  b.scaling.center.Set(3, std::nanf(""));
  Baseline target;
  EXPECT_EQ(Load(Save(b), target).error().code, Code::kCorrupt);
  b = Learnt();
  b.whitening.leading = 200;
  EXPECT_EQ(Load(Save(b), target).error().code, Code::kCorrupt);
  b = Learnt();
  b.learnt_ms = -5;
  EXPECT_EQ(Load(Save(b), target).error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace whorl
