#include "core/score/one_class.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

namespace whorl {
namespace {

std::vector<CondensedPoint> Usual(std::size_t n, std::uint32_t seed = 3) {
  std::mt19937 random(seed);
  std::normal_distribution<float> noise;
  std::vector<CondensedPoint> points(n);
  for (CondensedPoint& p : points) {
    for (std::size_t i = 0; i < kCondensedInputs; ++i) p.Set(i, noise(random));
  }
  return points;
}

TEST(OneClass, MostOfWhatIsLikeItsTrainingIsInsideWhatIsFarIsNot) {
  const auto machine = TrainOneClass(Usual(128));
  ASSERT_TRUE(machine);
  int inside = 0;
  for (const CondensedPoint& p : Usual(200, 9)) inside += machine->Outside(p) <= 1.15f;
  EXPECT_GT(inside, 120);
  CondensedPoint far;
  for (std::size_t i = 0; i < kCondensedInputs; ++i) far.Set(i, 6.0f);
  EXPECT_GT(machine->Outside(far), 1.8f);
}

TEST(OneClass, TrainsTheSameMachineFromTheSamePoints) {
  const auto a = TrainOneClass(Usual(100)), b = TrainOneClass(Usual(100));
  ASSERT_TRUE(a && b);
  EXPECT_EQ(std::memcmp(&*a, &*b, sizeof(OneClass)), 0);
}

TEST(OneClass, RefusesTooFewPointsAndPointsThatAreAllAlike) {
  EXPECT_EQ(TrainOneClass(Usual(20)).error().code, Code::kInvalid);
  EXPECT_EQ(TrainOneClass(std::vector<CondensedPoint>(100)).error().code, Code::kInvalid);
}

}  // namespace
}  // namespace whorl
