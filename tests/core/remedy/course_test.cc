#include "core/remedy/course.h"

#include <gtest/gtest.h>

namespace whorl::remedy {
namespace {

constexpr Severity kSeverities[] = {Severity::kCalm, Severity::kAlarm, Severity::kStrong, Severity::kExtreme};

template <typename Each>
void ForAll(Each each) {
  for (std::size_t n = 0; n < kNatureCount; ++n) {
    for (std::size_t r = 0; r < kRungCount; ++r) {
      for (const Severity s : kSeverities) each(static_cast<Nature>(n), static_cast<Rung>(r), s);
    }
  }
}

TEST(Course, TheHighestRungOfEachNature) {
  constexpr struct {
    Nature nature;
    Rung highest;
  } kRows[] = {{Nature::kNone, Rung::kPropose},
               {Nature::kCpuPressure, Rung::kRaiseWeight},
               {Nature::kMemoryPressure, Rung::kMigrate},
               {Nature::kNetworkPressure, Rung::kMigrate},
               {Nature::kDiskPressure, Rung::kMigrate},
               {Nature::kSyscallShift, Rung::kQuarantine},
               {Nature::kStall, Rung::kPropose},
               {Nature::kRunaway, Rung::kPause},
               {Nature::kMinerLike, Rung::kPause},
               {Nature::kExfiltrationLike, Rung::kPause},
               {Nature::kLeak, Rung::kMigrate}};
  static_assert(std::size(kRows) == kNatureCount);
  for (const auto& row : kRows) {
    EXPECT_EQ(HighestOf(row.nature), row.highest) << NatureName(row.nature);
    EXPECT_FALSE(CourseReason(row.nature).empty());
  }
}

TEST(Course, WhatOnlyTheGuestSaysIsNeverMoreThanProposed) {
  ForAll([](Nature nature, Rung rung, Severity severity) {
    if (rung > Rung::kPropose) {
      EXPECT_FALSE(Sensible(nature, rung, severity, true, false));
    }
  });
}

TEST(Course, AVictimIsNeverHarmed) {
  ForAll([](Nature nature, Rung rung, Severity severity) {
    if (Harms(rung)) {
      EXPECT_FALSE(Sensible(nature, rung, severity, false, true));
    } else {
      EXPECT_EQ(Sensible(nature, rung, severity, false, true), Sensible(nature, rung, severity, false, false));
    }
  });
}

TEST(Course, NothingBeyondWatchingWhileCalmAndMoreSeverityNeverAllowsLess) {
  ForAll([](Nature nature, Rung rung, Severity severity) {
    if (rung != Rung::kObserve) {
      EXPECT_FALSE(Sensible(nature, rung, Severity::kCalm, false, false));
    }
    if (Sensible(nature, rung, severity, false, false)) {
      EXPECT_TRUE(Sensible(nature, rung, Severity::kExtreme, false, false));
    }
  });
}

TEST(Course, WhereACapIsSensibleItBoundsSomething) {
  for (std::size_t n = 0; n < kNatureCount; ++n) {
    const auto nature = static_cast<Nature>(n);
    EXPECT_EQ(LeastSeverity(nature, Rung::kCap).has_value(), !(CapKnobsOf(nature) == CapKnobs{})) << NatureName(nature);
  }
}

TEST(Course, SeverityCountsWhatIsLeftAboveTheThreshold) {
  EXPECT_EQ(SeverityOf(49, 50), Severity::kCalm);
  EXPECT_EQ(SeverityOf(50, 50), Severity::kAlarm);
  EXPECT_EQ(SeverityOf(74, 50), Severity::kAlarm);
  EXPECT_EQ(SeverityOf(75, 50), Severity::kStrong);
  EXPECT_EQ(SeverityOf(95, 50), Severity::kExtreme);
  EXPECT_EQ(SeverityOf(94, 89), Severity::kAlarm);
  EXPECT_EQ(SeverityOf(95, 89), Severity::kStrong);
  EXPECT_EQ(SeverityOf(99, 99), Severity::kAlarm);
  EXPECT_EQ(SeverityOf(100, 99), Severity::kExtreme);
}

TEST(Course, RungsHaveNamesThatReadBack) {
  for (std::size_t r = 0; r < kRungCount; ++r) {
    const auto rung = static_cast<Rung>(r);
    EXPECT_EQ(ParseRung(RungName(rung)), rung);
    EXPECT_FALSE(RungSentence(rung).empty());
  }
  EXPECT_FALSE(ParseRung("Cap"));
  EXPECT_FALSE(ParseRung(""));
}

}  // namespace
}  // namespace whorl::remedy
