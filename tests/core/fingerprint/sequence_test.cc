#include "core/fingerprint/sequence.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace whorl {
namespace {

using Trace = std::vector<std::uint32_t>;

// A loop of six calls of its own, with a slip now and then.
Trace Program(std::uint32_t which, std::mt19937& random, std::size_t length = 300) {
  Trace calls;
  while (calls.size() < length) calls.push_back(which * 20 + (random() % 25 == 0 ? 7u : calls.size() % 6));
  return calls;
}

std::vector<Trace> Ordinary(std::uint32_t programs, int each, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<Trace> traces;
  for (int i = 0; i < each; ++i) {
    for (std::uint32_t p = 0; p < programs; ++p) traces.push_back(Program(p, random, 200 + random() % 200));
  }
  return traces;
}

SequenceModel FitTo(const std::vector<Trace>& traces, const SequenceModel::Limits& limits = {}) {
  return SequenceModel::Fit(std::vector<SequenceModel::Calls>(traces.begin(), traces.end()), limits);
}

float Fused(const SequenceModel& model, const Trace& trace) {
  SequenceModel::Scratch scratch(model);
  return model.Judge(trace, scratch).fused;
}

TEST(SequenceModel, ForeignCallsOutrankEveryOrdinaryTrace) {
  const SequenceModel model = FitTo(Ordinary(4, 20, 1));
  float most = 0;
  for (const Trace& trace : Ordinary(4, 10, 2)) most = std::max(most, Fused(model, trace));
  std::mt19937 random(3);
  Trace attacked = Program(1, random);
  for (std::uint32_t i = 0; i < 40; ++i) attacked[100 + i] = 300 + i % 9;
  EXPECT_GT(Fused(model, attacked), most);
}

// What one program does is foreign in another, though every pair of calls is known.
TEST(SequenceModel, OneProgramDoingWhatAnotherDoesIsUnusual) {
  const SequenceModel model = FitTo(Ordinary(4, 20, 1));
  std::mt19937 random(4);
  Trace mixed = Program(0, random, 200);
  const Trace other = Program(2, random, 100);
  mixed.insert(mixed.begin() + 100, other.begin(), other.end());
  EXPECT_GT(Fused(model, mixed), 1.5f);
}

TEST(SequenceModel, EvidenceOfNewOrdinaryTracesIsModest) {
  const SequenceModel model = FitTo(Ordinary(5, 30, 5));
  int above = 0, judged = 0;
  for (const Trace& trace : Ordinary(5, 60, 6)) {
    ++judged;
    above += Fused(model, trace) > 1.3f ? 1 : 0;
  }
  EXPECT_LT(above, judged / 10);
}

TEST(SequenceModel, SameTracesSameModel) {
  const auto traces = Ordinary(3, 15, 7);
  const SequenceModel a = FitTo(traces), b = FitTo(traces);
  EXPECT_EQ(a.bytes(), b.bytes());
  std::mt19937 random(8);
  for (int i = 0; i < 10; ++i) {
    const Trace trace = Program(static_cast<std::uint32_t>(i), random);
    EXPECT_EQ(Fused(a, trace), Fused(b, trace));
  }
}

TEST(SequenceModel, MemoryStaysBoundedHoweverMuchIsLearnt) {
  std::mt19937 random(9);
  std::vector<Trace> traces;
  for (int i = 0; i < 200; ++i) {
    Trace noise(500);
    for (auto& call : noise) call = random();
    traces.push_back(noise);
  }
  const SequenceModel model = FitTo(traces, {.traces = 32, .windows = 64});
  EXPECT_EQ(model.traces(), 32u);
  EXPECT_LE(model.windows(), 2 * 64u);  // of each kind
  EXPECT_TRUE(std::isfinite(Fused(model, traces[0])));
}

TEST(SequenceModel, CallNumbersNeverSeenOrAbsurdAreHandled) {
  const SequenceModel model = FitTo(Ordinary(3, 15, 10));
  const Trace absurd = {0x7fffffffu, 0xffffffffu, 0x80000000u, 1023, 1024, 0x7fffffffu, 0x7fffffffu};
  EXPECT_GT(Fused(model, absurd), 1.5f);
  EXPECT_LE(Fused(model, absurd), SequenceModel::kMostEvidence);
}

TEST(SequenceModel, SaysNothingWithoutEnoughToGoBy) {
  const auto few = Ordinary(1, 5, 11);
  EXPECT_EQ(Fused(FitTo(few), few[0]), 0);
  EXPECT_EQ(Fused(FitTo({}), few[0]), 0);
  EXPECT_EQ(Fused(FitTo({{}, {1}, {2}}), few[0]), 0);
  const SequenceModel model = FitTo(Ordinary(3, 15, 12));
  EXPECT_EQ(Fused(model, {}), 0);
  EXPECT_EQ(Fused(model, {5}), 0);
}

TEST(SequenceModel, ALongTraceIsReadToItsLimit) {
  const SequenceModel model = FitTo(Ordinary(3, 15, 13));
  std::mt19937 random(14);
  EXPECT_TRUE(std::isfinite(Fused(model, Program(1, random, SequenceModel::kLongest + 1000))));
}

}  // namespace
}  // namespace whorl
