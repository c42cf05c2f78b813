#include "core/fingerprint/sketch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

namespace whorl {
namespace {

// A server's second: mostly five 3-grams, a few others now and then.
SketchCounts UsualWindow(std::mt19937& random, int calls = 400) {
  SketchCounts window{};
  for (int i = 0; i < calls; ++i) {
    const std::uint32_t draw = random() % 100;
    ++window[draw < 90 ? 10 + draw % 5 : 100 + draw % 10];
  }
  return window;
}

SketchModel Learnt(int windows, std::uint32_t seed = 7) {
  std::mt19937 random(seed);
  SketchModel model;
  for (int i = 0; i < windows; ++i) model.Learn(UsualWindow(random), 1);
  return model;
}

TEST(SketchModel, SaysNothingBeforeItHasLearntAnything) {
  std::mt19937 random(1);
  EXPECT_FALSE(SketchModel().Judge(UsualWindow(random)));
}

TEST(SketchModel, HandlesAWindowOfTooFewCallsAsNone) {
  SketchModel model = Learnt(50);
  SketchCounts few{};
  few[200] = SketchModel::kLeastCalls - 1;
  EXPECT_FALSE(model.Judge(few));
  model.Learn(few, 1);
  EXPECT_EQ(model.windows(), 50u);
  EXPECT_EQ(model.Usual(200), 0);
}

TEST(SketchModel, ForeignCallsStandOutOfUsualWindows) {
  const SketchModel model = Learnt(200);
  std::mt19937 random(8);
  float most_usual = 0;
  for (int i = 0; i < 200; ++i) most_usual = std::max(most_usual, *model.Judge(UsualWindow(random)));
  SketchCounts mixed = UsualWindow(random);
  for (std::size_t b = 200; b < 210; ++b) mixed[b] = 6;  // 13 % of the window was never seen
  EXPECT_GT(*model.Judge(mixed), 3 * most_usual);
  SketchCounts foreign{};
  foreign[250] = 400;
  EXPECT_GT(*model.Judge(foreign), 0.5f);
  EXPECT_LE(*model.Judge(foreign), 1.0f);
}

// Fixed seed, fixed numbers: a change of the arithmetic is a change of every baseline.
TEST(SketchModel, WorkedExample) {
  SketchModel model;
  SketchCounts half{};
  half[0] = 50;
  half[1] = 50;
  model.Learn(half, 1);
  EXPECT_FLOAT_EQ(model.Usual(0), 0.5f);
  SketchCounts other{};
  other[0] = 100;
  model.Learn(other, 1);  // the second of two weighs a half
  EXPECT_FLOAT_EQ(model.Usual(0), 0.75f);
  EXPECT_FLOAT_EQ(model.Usual(1), 0.25f);
  SketchCounts unseen{};
  unseen[2] = 64;
  // Half of the window is taken from what is usual: 1 - sqrt(1/2) - a little for the spread part.
  EXPECT_NEAR(*model.Judge(unseen), 0.2877f, 0.005f);
}

TEST(SketchModel, OrderOfBucketsDoesNotMatter) {
  std::mt19937 random(9);
  std::vector<std::size_t> order(kSketchBuckets);
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), random);
  const auto shuffled = [&](const SketchCounts& window) {
    SketchCounts out{};
    for (std::size_t i = 0; i < order.size(); ++i) out[order[i]] = window[i];
    return out;
  };
  SketchModel plain, permuted;
  for (int i = 0; i < 100; ++i) {
    const SketchCounts window = UsualWindow(random);
    plain.Learn(window, 1);
    permuted.Learn(shuffled(window), 1);
  }
  const SketchCounts window = UsualWindow(random);
  EXPECT_NEAR(*plain.Judge(window), *permuted.Judge(shuffled(window)), 1e-5f);
}

TEST(SketchModel, OrderOfTheFirstWindowsDoesNotMatter) {
  std::mt19937 random(10);
  std::vector<SketchCounts> windows;
  for (int i = 0; i < 60; ++i) windows.push_back(UsualWindow(random));
  SketchModel forwards, backwards;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    forwards.Learn(windows[i], 1);
    backwards.Learn(windows[windows.size() - 1 - i], 1);
  }
  const SketchCounts window = UsualWindow(random);
  EXPECT_NEAR(*forwards.Judge(window), *backwards.Judge(window), 5e-4f);
}

TEST(SketchModel, LearnsNothingFromAWeightThatIsNoWeight) {
  SketchModel model = Learnt(50);
  const SketchModel before = model;
  SketchCounts foreign{};
  foreign[250] = 400;
  for (const float weight : {0.0f, -1.0f, std::nanf("")}) model.Learn(foreign, weight);
  EXPECT_EQ(std::memcmp(&model, &before, sizeof model), 0);
}

TEST(SketchModel, FollowsAProgramThatChangedForGood) {
  SketchModel model = Learnt(300);
  SketchCounts fresh{};
  for (std::size_t b = 60; b < 70; ++b) fresh[b] = 40;
  const float at_first = *model.Judge(fresh);
  for (int i = 0; i < 400; ++i) model.Learn(fresh, 1);
  EXPECT_LT(*model.Judge(fresh), 0.1f * at_first);
  EXPECT_LT(model.Usual(10), 0.01f);
}

TEST(SketchModel, HugeCountsStayFinite) {
  SketchModel model = Learnt(10);
  SketchCounts huge{};
  huge.fill(0xffffffffu);
  ASSERT_TRUE(model.Judge(huge));
  EXPECT_TRUE(std::isfinite(*model.Judge(huge)));
  model.Learn(huge, 1);
  EXPECT_TRUE(model.Plausible());
}

TEST(SketchModel, CallNumbersOfAnySizeHaveABucket) {
  for (const std::uint64_t number : {0ull, 511ull, 512ull, 0x7fffffffull, 0xffffffffffffffffull})
    EXPECT_LT(SketchBucket(number, number, number), kSketchBuckets);
  EXPECT_EQ(SketchBucket(1, 2, 512), SketchBucket(1, 2, 0x80000000ull));
}

TEST(SketchModel, KnowsADamagedCheckpoint) {
  SketchModel model = Learnt(100);
  EXPECT_TRUE(model.Plausible());
  EXPECT_TRUE(SketchModel().Plausible());
  std::array<unsigned char, sizeof(SketchModel)> bytes;
  std::memcpy(bytes.data(), &model, sizeof model);
  bytes[21] = 0x7e;  // a share that is not a number
  std::memcpy(&model, bytes.data(), sizeof model);
  EXPECT_FALSE(model.Plausible());
}

TEST(SketchModel, TakesLittleOfAVm) { static_assert(sizeof(SketchModel) <= 1024); }

}  // namespace
}  // namespace whorl
