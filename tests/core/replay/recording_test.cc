#include "core/replay/recording.h"

#include <gtest/gtest.h>

#include "core/score/one_class.h"
#include "tests/core/engine/node_world.h"

namespace whorl {
namespace {

using test::SimulatedVm;
using test::SpecOf;

// An hour's worth of everything that can happen to an engine, in minutes.
class RecordingTest : public testing::Test {
 protected:
  std::string Record(int seconds) {
    std::string bytes;
    Recorder recorder([&](std::string_view record) { bytes += record; });
    RecordedEngine engine;
    engine.RecordTo(&recorder);
    engine.SetCpuCapacity(MilliCores{900});
    std::deque<SimulatedVm> vms;
    for (std::uint64_t i = 0; i < 3; ++i)
      vms.emplace_back(engine.Enrol(SpecOf("vm-" + std::to_string(i))).value(), i + 1);
    Frame frame;
    Time now = test::kStart;
    std::string saved;
    for (int second = 1; second <= seconds; ++second) {
      now += Seconds{1};
      frame.Clear();
      frame.sequence = static_cast<std::uint64_t>(second);
      vms[1].demand = second % 200 > 150 ? 900 : 20;
      for (auto& vm : vms) frame.samples.push_back(vm.Second(now));
      engine.SetCpuCapacity(MilliCores{second < 250 ? 900 : 700});
      const Plan& plan = engine.Tick(now, frame, second % 97 == 0 ? Authority::kRenewOnly : Authority::kFull);
      loans += plan.loans.size();
      closed += plan.closed.size();
      if (const auto due = engine.NextTraining()) {
        const auto machine = TrainOneClass(due->points());
        if (machine) {
          EXPECT_TRUE(engine.Adopt(due->vm, *machine));
        }
      }
      if (second == 260) saved = engine.engine().SaveBaseline(vms[0].handle()).value();
      if (second == 270) {
        EXPECT_TRUE(engine.ResetBaseline(vms[2].handle()));
      }
      if (second == 280) {
        EXPECT_TRUE(engine.LoadBaseline(vms[2].handle(), saved));
      }
      if (second == 290) {
        EXPECT_TRUE(engine.AcceptBehaviour(vms[1].handle()));
      }
      if (second == 230) {
        EXPECT_TRUE(engine.RestoreLedger({{{"vm-0", 70'000'000}, {"gone", -20'000'000}}, -50'000'000, 900}));
      }
      if (second == 300) {
        EXPECT_TRUE(engine.Update(vms[0].handle(), SpecOf("vm-0", Mode::kObserve)));
      }
    }
    return bytes;
  }
  std::size_t loans = 0, closed = 0;
};

TEST_F(RecordingTest, IsLivedThroughAgainByteForByte) {
  const std::string bytes = Record(400);
  EXPECT_GT(loans, 0u);
  EXPECT_GT(closed, 0u);
  std::uint64_t seen = 0;
  std::size_t ended = 0;
  const auto replayed = Replay(bytes, [&](Time, const Engine&, const Plan& plan) {
    ++seen;
    ended += plan.closed.size();
  });
  EXPECT_EQ(ended, closed);
  ASSERT_TRUE(replayed) << replayed.error().message;
  EXPECT_EQ(replayed->ticks, 400u);
  EXPECT_EQ(seen, 400u);
  EXPECT_EQ(replayed->different, 0u) << "first at tick " << replayed->first;
  EXPECT_EQ(replayed->loans, loans);
  EXPECT_EQ(replayed->covered, Seconds{399});
  EXPECT_FALSE(replayed->torn);
}

TEST_F(RecordingTest, ACutOffEndIsNoDamage) {
  const std::string bytes = Record(20);
  const auto replayed = Replay(std::string_view(bytes).substr(0, bytes.size() - 100));
  ASSERT_TRUE(replayed) << replayed.error().message;
  EXPECT_TRUE(replayed->torn);
  EXPECT_EQ(replayed->ticks, 19u);
  EXPECT_EQ(replayed->different, 0u);
}

TEST_F(RecordingTest, AChangedByteIsFound) {
  const std::string bytes = Record(5);
  for (std::size_t at = 0; at < bytes.size(); at += 41) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x11);
    const auto replayed = Replay(damaged);
    // A length that became larger looks like an end that is cut off.
    EXPECT_TRUE(!replayed || replayed->torn) << at;
  }
}

TEST_F(RecordingTest, WhatIsNoRecordingIsRefused) {
  EXPECT_EQ(Replay("").error().code, Code::kCorrupt);
  EXPECT_EQ(Replay("something else entirely").error().code, Code::kCorrupt);
  std::string older = Record(1);
  older[5] = static_cast<char>(older[5] + 1);
  const auto replayed = Replay(older);
  ASSERT_FALSE(replayed);
  EXPECT_EQ(replayed.error().code, Code::kUnsupported);
  EXPECT_NE(replayed.error().message.find("the version that recorded it"), std::string::npos);
}

}  // namespace
}  // namespace whorl
