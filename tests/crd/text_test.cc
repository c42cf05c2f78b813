#include "crd/text.h"

#include <gtest/gtest.h>

namespace whorl::crd {
namespace {

TEST(Text, WritesCpuInMillicores) {
  EXPECT_EQ(Quantity(MilliCores{350}), "350m");
  EXPECT_EQ(Quantity(MilliCores{0}), "0m");
  EXPECT_EQ(LimitText(std::nullopt), "none");
  EXPECT_EQ(LimitText(MilliCores{1500}), "1500m");
}

TEST(Text, WritesAndReadsTimesInUtcToTheSecond) {
  const Time t = FromUnixMillis(1'767'322'995'999);
  EXPECT_EQ(TimeText(t), "2026-01-02T03:03:15Z");
  EXPECT_EQ(ParseTimeText("2026-01-02T03:03:15Z"), FromUnixMillis(1'767'322'995'000));
  EXPECT_EQ(ParseTimeText("2026-01-02T03:03:15.123456Z"), FromUnixMillis(1'767'322'995'000));
  EXPECT_EQ(ParseTimeText("1970-01-01T00:00:00Z"), FromUnixMillis(0));
  EXPECT_EQ(TimeText(FromUnixMillis(-1)), "1969-12-31T23:59:59Z");
}

TEST(Text, TakesNothingElseForATime) {
  for (const char* text :
       {"", "2026-01-02", "2026-02-30T00:00:00Z", "2026-01-02T24:00:00Z", "2026-01-02T03:04:05+01:00",
        "2026-01-02T03:04:05", "2026/01/02T03:04:05Z", "2o26-01-02T03:04:05Z", "2026-01-02T03:04:05xZ"}) {
    EXPECT_FALSE(ParseTimeText(text)) << text;
  }
}

TEST(Text, HidesAmountsInRanges) {
  EXPECT_EQ(AmountRange(MilliCores{0}), "under 100m");
  EXPECT_EQ(AmountRange(MilliCores{99}), "under 100m");
  EXPECT_EQ(AmountRange(MilliCores{100}), "100m-250m");
  EXPECT_EQ(AmountRange(MilliCores{249}), "100m-250m");
  EXPECT_EQ(AmountRange(MilliCores{250}), "250m-500m");
  EXPECT_EQ(AmountRange(MilliCores{7999}), "4000m-8000m");
  EXPECT_EQ(AmountRange(MilliCores{8000}), "8000m or more");
}

TEST(Text, ClipsAtCharactersNotBytes) {
  EXPECT_EQ(Clip("short", 10), "short");
  EXPECT_EQ(Clip("exactlyten", 10), "exactlyten");
  EXPECT_EQ(Clip("eleven char", 10), "eleven ...");
  EXPECT_EQ(Clip("ääääää", 6), "ääääää");
  EXPECT_EQ(Clip("äääääää", 6), "äää...");
  EXPECT_EQ(Clip("abc", 2), "ab");
  EXPECT_EQ(Clip("abcdef", 3), "...");
  EXPECT_EQ(Clip("anything", 0), "");
}

TEST(Text, ReplacesWhatIsNoUtf8) {
  EXPECT_EQ(Clip("a\xff"
                 "b",
                 10),
            "a?b");
  EXPECT_EQ(Clip("\xc3", 10), "?");            // cut sequence
  EXPECT_EQ(Clip("\xc0\x80", 10), "??");       // overlong
  EXPECT_EQ(Clip("\xed\xa0\x80", 10), "???");  // surrogate
  EXPECT_EQ(Clip("\xf0\x9f\x98\x80", 10), "\xf0\x9f\x98\x80");
}

}  // namespace
}  // namespace whorl::crd
