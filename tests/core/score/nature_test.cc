#include "core/score/nature.h"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace whorl {
namespace {

constexpr float kMiB = 1024 * 1024;

// A small server on an ordinary second; each test changes what its story needs.
class NatureTest : public testing::Test {
 protected:
  NatureTest() {
    Always(Feature::kCpuUsage, 120);
    Always(Feature::kVcpuRun, 100);
    Always(Feature::kVcpuDelay, 3);
    Always(Feature::kCpuThrottled, 0);
    Always(Feature::kMemoryResident, 300 * kMiB);
    Always(Feature::kGuestMemoryUsable, 200 * kMiB);
    Always(Feature::kMemoryPressure, 0);
    Always(Feature::kMemoryRefaults, 0);
    Always(Feature::kGuestMajorFaults, 0);
    Always(Feature::kNetPackets, 40);
    Always(Feature::kNetReceiveBytes, 20'000);
    Always(Feature::kNetTransmitBytes, 30'000);
    Always(Feature::kDiskReadBytes, 0);
    Always(Feature::kDiskWriteBytes, 20'000);
    Always(Feature::kDiskOperations, 8);
    Always(Feature::kDiskFlushes, 1);
    Always(Feature::kSyscallsWait, 300);
    signs.lasting = Seconds{60};
  }
  void Always(Feature f, float value) {
    const auto i = static_cast<std::size_t>(f);
    signs.now[i] = signs.usual[i] = value;
    signs.sigmas[i] = 0;
    signs.known.Set(f);
  }
  // Ten deviations in the direction of the change.
  void Becomes(Feature f, float value) {
    const auto i = static_cast<std::size_t>(f);
    signs.now[i] = value;
    signs.sigmas[i] = value > signs.usual[i] ? 10.0f : -10.0f;
  }
  void Grows(Feature f, float per_minute) {
    signs.trend[static_cast<std::size_t>(f)] = per_minute;
    signs.followed.Set(f);
  }
  void OverHalfAMinute(Feature f, float mean) {
    Becomes(f, mean);
    signs.level[static_cast<std::size_t>(f)] = mean;
    signs.followed.Set(f);
  }
  void ComputesAllTheTime() {
    Becomes(Feature::kCpuUsage, 990);
    Becomes(Feature::kVcpuRun, 970);
  }
  std::string_view Name() const { return NatureName(NatureOf(signs)); }

  NatureSigns signs;
};

TEST_F(NatureTest, AnOrdinarySecondHasNoName) { EXPECT_EQ(NatureOf(signs), Nature::kNone); }

TEST_F(NatureTest, NothingMeasuredHasNoName) { EXPECT_EQ(NatureOf(NatureSigns{}), Nature::kNone); }

TEST_F(NatureTest, MoreCpuThanUsualIsPressure) {
  Becomes(Feature::kCpuUsage, 400);
  EXPECT_EQ(Name(), "CpuPressure");
}

TEST_F(NatureTest, WaitingForACpuIsPressureToo) {
  Becomes(Feature::kVcpuDelay, 300);
  EXPECT_EQ(Name(), "CpuPressure");
}

TEST_F(NatureTest, ComputingAllTheTimeIsARunaway) {
  ComputesAllTheTime();
  EXPECT_EQ(Name(), "Runaway");
}

TEST_F(NatureTest, ARunawayShowsAgainstItsLimitToo) {
  signs.most_cpu = 300;
  Becomes(Feature::kCpuUsage, 296);
  EXPECT_EQ(Name(), "Runaway");
}

TEST_F(NatureTest, ARunawayThatALimitHoldsBackIsStillRunnableAllTheTime) {
  Becomes(Feature::kCpuUsage, 400);
  Becomes(Feature::kVcpuRun, 380);
  Becomes(Feature::kVcpuDelay, 600);
  EXPECT_EQ(Name(), "Runaway");
}

TEST_F(NatureTest, TwoOfFourBusyProcessorsAreNoRunaway) {
  signs.vcpus = 4;
  signs.most_cpu = 4000;
  Becomes(Feature::kCpuUsage, 2000);
  Becomes(Feature::kVcpuRun, 2000);
  EXPECT_EQ(Name(), "CpuPressure");
}

TEST_F(NatureTest, ComputingAllTheTimeWithAThinExchangeIsMinerLike) {
  ComputesAllTheTime();
  OverHalfAMinute(Feature::kNetPackets, 0.4f);
  EXPECT_EQ(Name(), "MinerLike");
}

TEST_F(NatureTest, AMinerIsNotNamedInItsFirstSeconds) {
  ComputesAllTheTime();
  OverHalfAMinute(Feature::kNetPackets, 0.4f);
  signs.lasting = Seconds{10};
  EXPECT_EQ(Name(), "Runaway");
}

TEST_F(NatureTest, ABusyServerWithItsUsualTrafficIsNotCalledAMiner) {
  ComputesAllTheTime();
  OverHalfAMinute(Feature::kNetPackets, 40);
  EXPECT_EQ(Name(), "Runaway");
}

TEST_F(NatureTest, ComputingInSilenceIsNotCalledAMiner) {
  ComputesAllTheTime();
  OverHalfAMinute(Feature::kNetPackets, 0.07f);  // address resolution
  EXPECT_EQ(Name(), "Runaway");
}

TEST_F(NatureTest, SendingFarMoreThanItReceivesIsExfiltrationLike) {
  Becomes(Feature::kNetTransmitBytes, 900'000);
  Becomes(Feature::kNetPackets, 700);
  ComputesAllTheTime();  // packing costs CPU, and says nothing
  Becomes(Feature::kDiskReadBytes, 900'000);
  EXPECT_EQ(Name(), "ExfiltrationLike");
}

TEST_F(NatureTest, APopularServerIsNetworkPressure) {
  Becomes(Feature::kNetTransmitBytes, 900'000);
  Becomes(Feature::kNetReceiveBytes, 500'000);
  Becomes(Feature::kNetPackets, 1400);
  ComputesAllTheTime();
  EXPECT_EQ(Name(), "NetworkPressure");
}

TEST_F(NatureTest, AFileServerMaySendMoreThanItReceives) {
  Always(Feature::kNetTransmitBytes, 400'000);
  Always(Feature::kNetReceiveBytes, 10'000);
  Becomes(Feature::kNetTransmitBytes, 2'000'000);
  Becomes(Feature::kNetReceiveBytes, 50'000);
  EXPECT_EQ(Name(), "NetworkPressure");
}

TEST_F(NatureTest, LostPacketsAreNetworkPressure) {
  Always(Feature::kNetDrops, 0);
  Becomes(Feature::kNetDrops, 30);
  EXPECT_EQ(Name(), "NetworkPressure");
}

TEST_F(NatureTest, WritingMuchIsDiskPressureWhateverCpuItCosts) {
  ComputesAllTheTime();
  Becomes(Feature::kDiskWriteBytes, 8 * kMiB);
  EXPECT_EQ(Name(), "DiskPressure");
}

TEST_F(NatureTest, ManyFlushesAreDiskPressure) {
  Becomes(Feature::kDiskFlushes, 40);
  EXPECT_EQ(Name(), "DiskPressure");
}

TEST_F(NatureTest, FetchingMemoryBackFromTheDiskIsMemoryPressure) {
  Becomes(Feature::kGuestMajorFaults, 90);
  Becomes(Feature::kDiskReadBytes, 4 * kMiB);
  EXPECT_EQ(Name(), "MemoryPressure");
}

TEST_F(NatureTest, HoldingMoreMemoryIsMemoryPressureWhateverCpuItCosts) {
  ComputesAllTheTime();
  OverHalfAMinute(Feature::kNetPackets, 0.4f);
  Becomes(Feature::kGuestMemoryUsable, 120 * kMiB);
  EXPECT_EQ(Name(), "MemoryPressure");
}

TEST_F(NatureTest, MemoryThatGrowsOnAndOnIsALeak) {
  Becomes(Feature::kMemoryResident, 340 * kMiB);
  Grows(Feature::kMemoryResident, 25 * kMiB);
  EXPECT_EQ(Name(), "Leak");
}

TEST_F(NatureTest, TheGuestsOwnViewOfALeakIsEnough) {
  Becomes(Feature::kGuestMemoryUsable, 150 * kMiB);
  Grows(Feature::kGuestMemoryUsable, -25 * kMiB);
  EXPECT_EQ(Name(), "Leak");
}

TEST_F(NatureTest, ACacheThatFillsAtOnceIsNoLeak) {
  Becomes(Feature::kMemoryResident, 340 * kMiB);
  Grows(Feature::kMemoryResident, 100 * kMiB);
  signs.lasting = Seconds{5};
  EXPECT_EQ(Name(), "MemoryPressure");
}

TEST_F(NatureTest, DoingNothingOfTheUsualIsAStall) {
  Becomes(Feature::kCpuUsage, 9);
  Becomes(Feature::kNetPackets, 0);
  Becomes(Feature::kDiskOperations, 0);
  EXPECT_EQ(Name(), "Stall");
}

TEST_F(NatureTest, SpinningWithoutAnswersIsNoStall) {
  ComputesAllTheTime();
  Becomes(Feature::kNetPackets, 0);
  Becomes(Feature::kDiskOperations, 0);
  EXPECT_EQ(Name(), "Runaway");
}

TEST_F(NatureTest, AQuieterHourIsNoStall) {
  Becomes(Feature::kCpuUsage, 60);
  Becomes(Feature::kNetPackets, 20);
  EXPECT_EQ(NatureOf(signs), Nature::kNone);
}

TEST_F(NatureTest, WhoNeverDidAnythingCannotStall) {
  Always(Feature::kCpuUsage, 9);
  Always(Feature::kNetPackets, 0);
  Always(Feature::kDiskOperations, 0);
  Becomes(Feature::kCpuUsage, 1);
  EXPECT_EQ(NatureOf(signs), Nature::kNone);
}

TEST_F(NatureTest, AnotherOrderOfSystemCallsIsAShift) {
  signs.sketch_evidence = 5;
  EXPECT_EQ(Name(), "SyscallShift");
}

TEST_F(NatureTest, OtherCallsOfTheVmmAreAShiftWhenNothingElseExplainsThem) {
  Becomes(Feature::kSyscallsWait, 2000);
  EXPECT_EQ(Name(), "SyscallShift");
  Becomes(Feature::kDiskWriteBytes, 8 * kMiB);
  EXPECT_EQ(Name(), "DiskPressure");
}

TEST_F(NatureTest, WhatOnlyTheGuestSaysIsAShiftAndNothingMore) {
  signs.guest_only = true;
  ComputesAllTheTime();
  EXPECT_EQ(Name(), "SyscallShift");
}

TEST_F(NatureTest, AnUnusualTrifleHasNoName) {
  Always(Feature::kCpuUsage, 9);
  Becomes(Feature::kCpuUsage, 30);
  Always(Feature::kDiskOperations, 0);
  Becomes(Feature::kDiskOperations, 2);
  EXPECT_EQ(NatureOf(signs), Nature::kNone);
}

TEST_F(NatureTest, WhatIsNotMeasuredIsNotTakenForZero) {
  ComputesAllTheTime();
  signs.known.Clear(Feature::kNetPackets);
  EXPECT_EQ(Name(), "Runaway");
}

TEST(NatureWords, EveryNatureHasANameAndASentenceOfItsOwn) {
  std::set<std::string_view> names;
  for (std::size_t i = 1; i < kNatureCount; ++i) {
    const auto nature = static_cast<Nature>(i);
    EXPECT_FALSE(NatureSentence(nature).empty());
    names.insert(NatureName(nature));
  }
  EXPECT_EQ(names.size(), kNatureCount - 1);
  EXPECT_EQ(NatureName(Nature::kExfiltrationLike), "ExfiltrationLike");
  EXPECT_TRUE(NatureName(Nature::kNone).empty());
}

TEST(NatureKeeper, TakesTheFirstAtOnceAndAnotherOnlyWhenItHolds) {
  NatureKeeper keeper;
  EXPECT_EQ(keeper.Observe(Nature::kRunaway), Nature::kRunaway);
  for (int i = 1; i < NatureKeeper::kChangeAfter; ++i) EXPECT_EQ(keeper.Observe(Nature::kMinerLike), Nature::kRunaway);
  EXPECT_EQ(keeper.Observe(Nature::kMinerLike), Nature::kMinerLike);
}

TEST(NatureKeeper, DoesNotFlickerBetweenTwo) {
  NatureKeeper keeper;
  keeper.Observe(Nature::kLeak);
  for (int i = 0; i < 20; ++i) {
    keeper.Observe(Nature::kMemoryPressure);
    EXPECT_EQ(keeper.Observe(Nature::kLeak), Nature::kLeak);
  }
}

TEST(NatureKeeper, KeepsItsNameThroughAMomentThatFitsNone) {
  NatureKeeper keeper;
  keeper.Observe(Nature::kStall);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(keeper.Observe(Nature::kNone), Nature::kStall);
  keeper.Forget();
  EXPECT_EQ(keeper.Observe(Nature::kNone), Nature::kNone);
}

}  // namespace
}  // namespace whorl
