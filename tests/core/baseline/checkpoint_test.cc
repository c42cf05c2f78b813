#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <string_view>

#include "core/baseline/baseline.h"

namespace whorl {
namespace {

constexpr FeatureMask kEverything = FeatureMask::All();

Baseline Learnt(int samples = 200) {
  Baseline b;
  std::mt19937 random(41);
  std::normal_distribution<float> noise;
  for (int i = 1; i <= samples; ++i) {
    Features y;
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
  Features y;
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

std::uint32_t Crc(std::string_view bytes) {
  std::uint32_t c = 0xffffffffu;
  for (const char b : bytes) {
    c ^= static_cast<unsigned char>(b);
    for (int bit = 0; bit < 8; ++bit) c = (c & 1u) != 0 ? 0xedb88320u ^ (c >> 1) : c >> 1;
  }
  return ~c;
}

TEST(Checkpoint, AnOlderVersionSaysSoAndLearnsAnew) {
  std::string old = Save(Learnt(50));
  const std::uint32_t version = 1, features = 24;
  std::memcpy(old.data() + 4, &version, sizeof version);
  std::memcpy(old.data() + 8, &features, sizeof features);
  const std::uint32_t crc = Crc(std::string_view(old).substr(0, old.size() - sizeof(crc)));
  std::memcpy(old.data() + old.size() - sizeof(crc), &crc, sizeof crc);
  Baseline untouched;
  const Status loaded = Load(old, untouched);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, Code::kUnsupported);
  EXPECT_NE(loaded.error().message.find("version 1 with 24 features"), std::string::npos) << loaded.error().message;
  EXPECT_EQ(untouched.samples, 0u);
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
