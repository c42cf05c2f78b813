#include "operator/agent/act/balloon_course.h"

#include <gtest/gtest.h>

#include "tests/fake/manual_clock.h"

namespace whorl::agent {
namespace {

constexpr std::uint64_t kMib = 1024;  // in KiB
constexpr Millis kBeat{250};

// A guest of 4 GiB that follows its balloon and reports every 10 s.
class BalloonCourseTest : public testing::Test {
 protected:
  BalloonCourseTest() { Report(); }

  // The guest's own figures as of now.
  void Report() {
    seen_.unused_kib = *seen_.size_kib - used_kib_;
    seen_.usable_kib = *seen_.unused_kib + cached_kib_;
    seen_.total_kib = *seen_.size_kib - 100 * kMib;
    seen_.updated = ToUnixMillis(clock_.Now()) / 1000;
    reported_ = clock_.Monotonic();
  }
  BalloonStep Beat() {
    clock_.Advance(kBeat);
    if (speaks_ && clock_.Monotonic() - reported_ >= Seconds{10}) Report();
    last_ = course_.NextStep(clock_.Monotonic(), clock_.Now(), seen_);
    if (last_.write_kib) {
      writes_.push_back(*last_.write_kib);
      course_.Wrote(*last_.write_kib);
      if (follows_) seen_.size_kib = *last_.write_kib;
    }
    return last_;
  }
  void BeatFor(Millis time) {
    for (Millis passed{0}; passed < time; passed += kBeat) Beat();
  }

  fake::ManualClock clock_;
  GuestMemory seen_{.most_kib = 4096 * kMib,
                    .size_kib = 4096 * kMib,
                    .rss_kib = {},
                    .total_kib = {},
                    .unused_kib = {},
                    .usable_kib = {},
                    .major_faults = 0,
                    .swapped_in_kib = 0,
                    .updated = {}};
  std::uint64_t used_kib_ = 1000 * kMib;
  std::uint64_t cached_kib_ = 0;
  bool speaks_ = true;
  bool follows_ = true;
  Millis reported_{0};
  BalloonCourse::Options options_;
  BalloonCourse course_{options_};
  std::vector<std::uint64_t> writes_;
  BalloonStep last_;
};

TEST_F(BalloonCourseTest, GoesDownAtTheStatedRateAndArrives) {
  course_.Aim(3072 * kMib);
  BeatFor(Seconds{2});  // settles for one of them
  const auto start = *seen_.size_kib;
  BeatFor(Seconds{8});
  EXPECT_EQ(start - *seen_.size_kib, 8 * 64 * kMib) << "64 MiB a second";
  BeatFor(Seconds{10});
  EXPECT_EQ(*seen_.size_kib, 3072 * kMib);
  EXPECT_EQ(last_.phase, BalloonPhase::kArrived);
  EXPECT_FALSE(last_.write_kib);
}

TEST_F(BalloonCourseTest, GoesUpFaster) {
  course_.Aim(3072 * kMib);
  BeatFor(Seconds{20});
  course_.Aim(4096 * kMib);
  BeatFor(Millis{1000});
  EXPECT_EQ(*seen_.size_kib, 4096 * kMib) << "1 GiB in a second";
}

TEST_F(BalloonCourseTest, BeginsOnlyOnceTheSizeStandsStill) {
  course_.Aim(3072 * kMib);
  for (int i = 0; i < 12; ++i) {
    *seen_.size_kib += 4;  // an earlier agent's balloon is on its way back
    EXPECT_EQ(Beat().phase, BalloonPhase::kSettling);
  }
  EXPECT_TRUE(writes_.empty());
  BeatFor(Seconds{2});
  EXPECT_EQ(course_.found_kib(), 4096 * kMib + 48) << "what it had come to is what is put back";
  EXPECT_FALSE(writes_.empty());
}

TEST_F(BalloonCourseTest, NeverBelowTheWorkingSet) {
  course_.Aim(512 * kMib);
  BeatFor(Seconds{120});
  // 1000 MiB in use and 204.8 MiB, a twentieth of its size, of margin; up to a page.
  EXPECT_EQ(seen_.size_kib, 1'233'716u);
  EXPECT_EQ(last_.phase, BalloonPhase::kHeld);
  EXPECT_EQ(last_.reason, "BelowUse");
  EXPECT_NE(last_.message.find("uses 1000 MiB"), std::string::npos) << last_.message;
}

TEST_F(BalloonCourseTest, WhatWasTakenSinceTheLastReportIsNotCountedTwice) {
  speaks_ = false;  // one report, 10 s old and older, while the size goes down
  course_.Aim(512 * kMib);
  BeatFor(Seconds{40});
  EXPECT_GE(*seen_.size_kib, 1000 * kMib + 204 * kMib) << "the size of then minus the free pages of then";
}

TEST_F(BalloonCourseTest, PageCacheIsInUseUnlessToldOtherwise) {
  cached_kib_ = 600 * kMib;
  used_kib_ = 1600 * kMib;
  Report();
  course_.Aim(512 * kMib);
  BeatFor(Seconds{120});
  EXPECT_GE(*seen_.size_kib, 1800 * kMib);
  options_.spare = BalloonCourse::Spare::kUsable;
  BalloonCourse other(options_);
  other.Aim(512 * kMib);
  for (int i = 0; i < 300; ++i) {
    clock_.Advance(kBeat);
    const auto step = other.NextStep(clock_.Monotonic(), clock_.Now(), seen_);
    if (step.write_kib) {
      other.Wrote(*step.write_kib);
      seen_.size_kib = *step.write_kib;
    }
    if (clock_.Monotonic() - reported_ >= Seconds{10}) Report();
  }
  EXPECT_LT(*seen_.size_kib, 1300 * kMib);
}

TEST_F(BalloonCourseTest, StatisticsThatAreMissingOrOldAreNoZero) {
  course_.Aim(3072 * kMib);
  seen_.updated.reset();
  BeatFor(Seconds{3});
  EXPECT_EQ(last_.reason, "BelowUse");
  EXPECT_EQ(last_.message, "its working set is not known: its balloon driver has not reported");
  Report();
  seen_.unused_kib.reset();
  speaks_ = false;
  BeatFor(Seconds{2});
  EXPECT_EQ(last_.message, "its working set is not known: its balloon driver does not report what is free");
  EXPECT_TRUE(writes_.empty());
}

TEST_F(BalloonCourseTest, AGuestThatFallsSilentIsTakenNoMoreFrom) {
  options_.down_bytes_per_second = 1 << 20;
  BalloonCourse slow(options_);
  slow.Aim(3072 * kMib);
  std::string said;
  for (int i = 0; i < 400; ++i) {
    clock_.Advance(kBeat);
    const auto step = slow.NextStep(clock_.Monotonic(), clock_.Now(), seen_);
    if (step.write_kib) slow.Wrote(*step.write_kib);
    if (step.write_kib) seen_.size_kib = *step.write_kib;
    said = step.message;
  }
  EXPECT_GE(*seen_.size_kib, (4096 - 46) * kMib) << "45 s at 1 MiB/s, then no more";
  EXPECT_NE(said.find("last reported"), std::string::npos) << said;
}

TEST_F(BalloonCourseTest, AGuestThatSwapsInGetsAllOfItBack) {
  course_.Aim(3072 * kMib);
  BeatFor(Seconds{14});
  EXPECT_LT(*seen_.size_kib, 4096 * kMib);
  *seen_.swapped_in_kib += 10 * 1024;
  BeatFor(Seconds{12});
  EXPECT_EQ(*seen_.size_kib, 4096 * kMib);
  EXPECT_EQ(last_.reason, "GuestPressure");
  EXPECT_NE(last_.message.find("swaps in 1024 KiB/s"), std::string::npos) << last_.message;
  const auto before = writes_.size();
  BeatFor(Seconds{40});
  EXPECT_EQ(writes_.size(), before) << "and is left in peace for a minute";
  BeatFor(Seconds{30});
  EXPECT_GT(writes_.size(), before);
}

TEST_F(BalloonCourseTest, MajorFaultsAndTooLittleLeftArePressureToo) {
  course_.Aim(3072 * kMib);
  BeatFor(Seconds{14});
  *seen_.major_faults += 1000;
  BeatFor(Seconds{12});
  EXPECT_EQ(last_.reason, "GuestPressure");
  EXPECT_NE(last_.message.find("100 pages/s"), std::string::npos) << last_.message;
  BeatFor(Seconds{90});
  EXPECT_EQ(last_.phase, BalloonPhase::kArrived);
  used_kib_ = 3000 * kMib;  // 72 MiB left of 3072
  BeatFor(Seconds{12});
  EXPECT_EQ(last_.reason, "GuestPressure");
  EXPECT_NE(last_.message.find("72 MiB left"), std::string::npos) << last_.message;
  EXPECT_EQ(*seen_.size_kib, 4096 * kMib);
}

TEST_F(BalloonCourseTest, WhatAGuestDoesAtItsFullSizeIsNotOfOurMaking) {
  BeatFor(Seconds{8});
  *seen_.swapped_in_kib += 1 << 20;
  *seen_.major_faults += 1 << 20;
  BeatFor(Seconds{12});
  course_.Aim(3072 * kMib);
  BeatFor(Seconds{3});
  EXPECT_EQ(last_.phase, BalloonPhase::kMoving);
}

TEST_F(BalloonCourseTest, ACounterThatWentBackIsAGuestThatStartedAnew) {
  *seen_.major_faults = 1 << 20;
  course_.Aim(3072 * kMib);
  BeatFor(Seconds{14});
  *seen_.major_faults = 5;
  BeatFor(Seconds{12});
  EXPECT_NE(last_.reason, "GuestPressure");
}

TEST_F(BalloonCourseTest, AGuestThatGivesNoMorePagesIsAskedForNoMore) {
  follows_ = false;
  course_.Aim(3072 * kMib);
  BeatFor(Seconds{15});
  const auto asked = *course_.asked_kib();
  EXPECT_GE(asked, 4096 * kMib - 160 * kMib) << "it is not run ahead of by more than two seconds and a step";
  BeatFor(Seconds{10});
  EXPECT_EQ(last_.reason, "GuestPressure");
  EXPECT_NE(last_.message.find("has stood at 4096 MiB"), std::string::npos) << last_.message;
  EXPECT_EQ(course_.asked_kib(), 4096 * kMib) << "nothing hangs over it";
}

TEST_F(BalloonCourseTest, DeflatesFullyWhateverElseIsWanted) {
  course_.Aim(3072 * kMib);
  BeatFor(Seconds{30});
  follows_ = false;
  speaks_ = false;
  course_.DeflateFully();
  BeatFor(Seconds{2});
  EXPECT_EQ(course_.asked_kib(), 4096 * kMib);
  EXPECT_EQ(last_.phase, BalloonPhase::kDeflating) << "asked for, but the guest is not there";
  seen_.size_kib = 4096 * kMib;
  EXPECT_EQ(Beat().phase, BalloonPhase::kDeflated);
  BeatFor(Seconds{30});
  EXPECT_EQ(last_.phase, BalloonPhase::kDeflated) << "and stays so until there is another aim";
  Report();
  follows_ = true;
  course_.Aim(3072 * kMib);
  BeatFor(Seconds{1});
  EXPECT_EQ(last_.phase, BalloonPhase::kMoving);
}

TEST_F(BalloonCourseTest, TheSizeFoundIsTheMostThatIsGiven) {
  seen_.most_kib = 8192 * kMib;  // after a memory hotplug: maxGuest
  course_.Aim(8192 * kMib);
  BeatFor(Seconds{10});
  EXPECT_TRUE(writes_.empty());
  EXPECT_EQ(last_.phase, BalloonPhase::kArrived);
}

TEST_F(BalloonCourseTest, ARefusedStepIsTriedAgainLaterFromWhereItStood) {
  course_.Aim(3072 * kMib);
  BeatFor(Seconds{3});
  const auto asked = *course_.asked_kib();
  course_.NotWritten(clock_.Monotonic(), "balloon was set to 7 by somebody else");
  const auto before = writes_.size();
  BeatFor(Seconds{4});
  EXPECT_EQ(writes_.size(), before);
  EXPECT_EQ(last_.reason, "NotWritten");
  EXPECT_EQ(last_.message, "balloon was set to 7 by somebody else");
  BeatFor(Seconds{2});
  EXPECT_LT(*course_.asked_kib(), asked);
}

TEST_F(BalloonCourseTest, LostTimeIsNotMadeUpFor) {
  course_.Aim(1536 * kMib);
  BeatFor(Seconds{2});
  const auto before = *seen_.size_kib;
  clock_.Advance(Seconds{30});
  Report();
  Beat();
  EXPECT_LE(before - *seen_.size_kib, 64 * kMib);
}

TEST_F(BalloonCourseTest, ADomainWithoutABalloonSaysSo) {
  seen_.size_kib.reset();
  seen_.updated.reset();
  course_.Aim(3072 * kMib);
  clock_.Advance(kBeat);
  EXPECT_EQ(course_.NextStep(clock_.Monotonic(), clock_.Now(), seen_).reason, "NoBalloon");
}

}  // namespace
}  // namespace whorl::agent
