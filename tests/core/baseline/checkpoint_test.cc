#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <string_view>

#include "core/baseline/baseline.h"

namespace whorl {
namespace {

constexpr FeatureMask kEverything = FeatureMask::All();

struct Whole {
  Baseline baseline;
  LongMemory memory;
};

Baseline::Outcome Observe(Whole& whole, std::int64_t at_ms, const Features& y) {
  Sample sample;
  sample.at = FromUnixMillis(at_ms);
  sample.y = y;
  sample.valid = kEverything;
  Circumstances now;
  now.goal = {100, Seconds{100}};
  return whole.baseline.Observe(sample, now, whole.memory);
}
std::string Save(const Whole& whole) { return whorl::Save(whole.baseline, whole.memory); }
Status Load(std::string_view blob, Whole& whole) { return whorl::Load(blob, whole.baseline, whole.memory); }

Whole Learnt(int samples = 200) {
  Whole b;
  std::mt19937 random(41);
  std::normal_distribution<float> noise;
  for (int i = 1; i <= samples; ++i) {
    Features y;
    for (std::size_t f = 0; f < kFeatureCount; ++f) y.Set(f, 2 + 0.3f * noise(random));
    Observe(b, 1000 * i, y);
  }
  return b;
}

TEST(Checkpoint, ComesBackAsItWas) {
  const Whole before = Learnt();
  Whole after;
  ASSERT_TRUE(Load(Save(before), after));
  EXPECT_EQ(Save(after), Save(before));
  EXPECT_TRUE(after.baseline.learnt);
  EXPECT_EQ(after.baseline.samples, before.baseline.samples);
  Features y;
  for (std::size_t f = 0; f < kFeatureCount; ++f) y.Set(f, 4);
  Whole copy = before;
  const auto a = Observe(copy, 500'000, y);
  const auto b = Observe(after, 500'000, y);
  EXPECT_EQ(a.evidence.calibrated, b.evidence.calibrated);
}

TEST(Checkpoint, EveryDamagedByteIsNoticedAndChangesNothing) {
  const std::string good = Save(Learnt());
  Whole untouched = Learnt(50);
  const std::string before = Save(untouched);
  for (std::size_t i = 0; i < good.size(); i += 41) {
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
  Whole untouched;
  const Status loaded = Load(old, untouched);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, Code::kUnsupported);
  EXPECT_NE(loaded.error().message.find("version 1 with 24 features"), std::string::npos) << loaded.error().message;
  EXPECT_EQ(untouched.baseline.samples, 0u);
}

TEST(Checkpoint, AValidChecksumDoesNotExcuseImpossibleValues) {
  Whole b = Learnt();
  b.baseline.scaling.center.Set(3, std::nanf(""));
  Whole target;
  EXPECT_EQ(Load(Save(b), target).error().code, Code::kCorrupt);
  b = Learnt();
  b.baseline.whitening.leading = 200;
  EXPECT_EQ(Load(Save(b), target).error().code, Code::kCorrupt);
  b = Learnt();
  b.baseline.learnt_ms = -5;
  EXPECT_EQ(Load(Save(b), target).error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace whorl
