#include "core/demand/gru.h"

#include <gtest/gtest.h>

namespace whorl {
namespace {

std::vector<GruSequence> Sawtooth() {
  GruSequence q;
  for (std::size_t t = 0; t < 400; ++t) {
    GruInput x{};
    x[0] = static_cast<float>(t % 8) / 8;
    q.input.push_back(x);
    q.log_value.push_back(static_cast<float>(t % 8));
    q.scale.push_back(1);
  }
  return {q};
}
GruTraining Short(std::uint64_t seed) {
  GruTraining training;
  training.seed = seed;
  training.steps = 60;
  return training;
}

TEST(Gru, TheSameSeedGivesTheSameBytesAndLearns) {
  const auto data = Sawtooth();
  const auto one = TrainGru(nullptr, data, Short(1)), again = TrainGru(nullptr, data, Short(1));
  ASSERT_TRUE(one && again);
  EXPECT_EQ(WriteGru(*one), WriteGru(*again));
  EXPECT_NE(WriteGru(*one), WriteGru(*TrainGru(nullptr, data, Short(2))));
  EXPECT_LT(GruLoss(*one, data, 0.5), 0.8 * GruLoss(GruWeights{}, data, 0.5));
}

TEST(Gru, WeightsAreReadBackAsWrittenAndDamagedOnesAreRefused) {
  const auto weights = TrainGru(nullptr, Sawtooth(), Short(1));
  std::string text = WriteGru(*weights);
  EXPECT_EQ(*ReadGru(std::string_view(text)), *weights);
  std::string damaged = text;
  damaged[100] = damaged[100] == '0' ? '1' : '0';
  EXPECT_EQ(ReadGru(std::string_view(damaged)).error().code, Code::kCorrupt);
  EXPECT_EQ(ReadGru(std::string_view("hello")).error().code, Code::kCorrupt);
  std::string newer = text;
  newer[20] = '2';
  EXPECT_EQ(ReadGru(std::string_view(newer)).error().code, Code::kUnsupported);
}

TEST(Gru, TunedWeightsAreTakenOnlyWhenTheyForetellTheNewestBetter) {
  const auto data = Sawtooth();
  const GruWeights current = *TrainGru(nullptr, data, Short(1));
  const auto tuned = FineTune(current, data, 5);
  if (!tuned) {
    EXPECT_EQ(tuned.error().code, Code::kRefused);
  } else {
    EXPECT_LT(GruLoss(*tuned, data, 0.2), GruLoss(current, data, 0.2));
  }
  EXPECT_FALSE(FineTune(GruWeights{}, {}, 5));
}

}  // namespace
}  // namespace whorl
