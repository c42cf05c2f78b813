#include "e2e/guest/behaviour.h"

#include <gtest/gtest.h>

#include <vector>

namespace whorl::guest {
namespace {

using std::chrono::milliseconds;

// Writes down what a behaviour does to its disk and network.
class FakeOutside final : public Outside {
 public:
  void WriteDisk(std::uint64_t offset, std::span<const std::byte> data) override {
    calls.push_back(offset);
    written += data.size();
  }
  void FlushDisk() override { ++flushes; }
  void ReadDisk(std::uint64_t offset, std::span<std::byte> data) override {
    calls.push_back(offset);
    read += data.size();
  }
  void Ping(std::size_t bytes) override {
    calls.push_back(bytes);
    pinged += bytes;
  }
  void SendAway(std::span<const std::byte> data) override { sent += data.size(); }
  void LookInto(std::uint64_t) override { ++looked_into; }

  std::vector<std::uint64_t> calls;
  std::size_t written = 0, read = 0, pinged = 0, sent = 0;
  int flushes = 0;
  int looked_into = 0;
};

FakeOutside After(std::string_view name, std::uint64_t seed, int steps) {
  FakeOutside outside;
  const auto behaviour = MakeBehaviour(name, seed, outside);
  for (int i = 0; i < steps; ++i) behaviour->Step(0.5);
  return outside;
}

TEST(Behaviour, EveryNameMakesOne) {
  FakeOutside outside;
  for (const auto* name :
       {"idle", "web", "batch", "busy", "cache-walk", "writer", "leak", "exfil", "miner", "stall", "prowl"}) {
    EXPECT_NE(FindBehaviour(name), nullptr) << name;
    EXPECT_NE(MakeBehaviour(name, 1, outside), nullptr) << name;
  }
  EXPECT_EQ(FindBehaviour("dance"), nullptr);
  EXPECT_EQ(MakeBehaviour("dance", 1, outside), nullptr);
}

TEST(Behaviour, TheSameSeedPlaysTheSamePattern) {
  EXPECT_EQ(After("web", 5, 20).calls, After("web", 5, 20).calls);
  EXPECT_NE(After("web", 5, 20).calls, After("web", 6, 20).calls);
  EXPECT_EQ(After("writer", 5, 5).calls, After("writer", 5, 5).calls);
}

TEST(Behaviour, RestsAsLongAsItsLevelSays) {
  FakeOutside outside;
  const auto busy = MakeBehaviour("busy", 1, outside);
  EXPECT_EQ(busy->Step(1.0).rest.count(), 0);
  const auto quarter = busy->Step(0.25);
  EXPECT_GE(quarter.rest, milliseconds{29}) << "a slice of 10 ms at 25 % needs 30 ms of rest";
  EXPECT_GT(quarter.iterations, 0U);
}

TEST(Behaviour, StallMakesNoProgressAndIdleHardlyAny) {
  FakeOutside outside;
  EXPECT_EQ(MakeBehaviour("stall", 1, outside)->Step(1).iterations, 0U);
  const auto idle = MakeBehaviour("idle", 1, outside)->Step(1);
  EXPECT_EQ(idle.iterations, 1U);
  EXPECT_GE(idle.rest, milliseconds{500});
}

TEST(Behaviour, EachTouchesWhatItsNameSays) {
  EXPECT_GT(After("writer", 1, 3).written, 0U);
  EXPECT_GT(After("writer", 1, 3).flushes, 0);
  EXPECT_GT(After("exfil", 1, 3).sent, 60'000U);
  EXPECT_GT(After("exfil", 1, 3).read, 0U);
  EXPECT_GT(After("web", 1, 3).pinged, 0U);
  EXPECT_EQ(After("miner", 1, 3).written, 0U);
  EXPECT_GT(After("miner", 1, 3).sent, 0U);
  EXPECT_GT(After("prowl", 1, 3).looked_into, 0);
  EXPECT_EQ(After("prowl", 1, 3).sent + After("prowl", 1, 3).written, 0U);
  EXPECT_EQ(After("busy", 1, 3).sent + After("busy", 1, 3).written, 0U);
}

TEST(LoadAt, IsTheLevelWithoutADayAndSwingsWithOne) {
  EXPECT_DOUBLE_EQ(LoadAt({.level = 40}, milliseconds{12345}), 0.4);
  const Settings shaped{.level = 100, .day = 100};
  EXPECT_NEAR(LoadAt(shaped, milliseconds{0}), 0.6, 1e-9);
  EXPECT_NEAR(LoadAt(shaped, milliseconds{25'000}), 1.0, 1e-9);
  EXPECT_NEAR(LoadAt(shaped, milliseconds{75'000}), 0.2, 1e-9);
}

}  // namespace
}  // namespace whorl::guest
