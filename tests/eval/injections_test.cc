#include "tests/bench/eval/injections.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace whorl::eval {
namespace {

constexpr std::size_t kDay = 288;

// Five days at about 20 % with a little noise.
Series QuietVm(std::vector<std::string> columns = {"cpu_avg_pct"}) {
  Series series;
  series.name = "quiet";
  series.set = "azure";
  series.columns = std::move(columns);
  series.interval = Millis{300'000};
  Random random(1);
  for (std::size_t r = 0; r < 5 * kDay; ++r) {
    series.at.push_back(static_cast<std::int64_t>(r) * 300'000);
    for (std::size_t c = 0; c < series.columns.size(); ++c) {
      series.values.push_back(20 + 2 * static_cast<float>(random.Uniform()));
    }
  }
  return series;
}

TEST(Injections, EveryChangeLastsHalfAnHourAndTouchesNothingElse) {
  const Series series = QuietVm({"cpu_avg_pct", "cpu_max_pct"});
  for (const Change change : kChanges) {
    Random random(5);
    const auto injected = Inject(series, change, 400, random);
    ASSERT_TRUE(injected) << ChangeName(change);
    EXPECT_EQ(injected->end - injected->begin, 6u);
    EXPECT_GE(injected->begin, 400u);
    const Series& before = injected->unchanged ? *injected->unchanged : series;
    for (std::size_t r = 0; r < series.rows(); ++r) {
      for (std::size_t c = 0; c < 2; ++c) {
        const bool inside = r >= injected->begin && r < injected->end;
        EXPECT_EQ(injected->changed.Value(r, c) != before.Value(r, c), inside) << ChangeName(change) << ' ' << r;
      }
    }
  }
}

TEST(Injections, TheChangesAreWhatTheirNamesSay) {
  const Series series = QuietVm();
  Random random(5);
  const auto value = [](const Injected& i) { return i.changed.Value(i.begin + 2, 0); };
  EXPECT_EQ(value(*Inject(series, Change::kRunaway, 0, random)), 100);  // five times 20, and no more than there is
  EXPECT_NEAR(value(*Inject(series, Change::kStall, 0, random)), 0.21, 0.01);
  const auto shift = Inject(series, Change::kLevelShift, 0, random);
  // Uniform noise of width 2: its MAD is a half.
  EXPECT_NEAR(value(*shift) - series.Value(shift->begin + 2, 0), 3 * 1.4826 * 0.5, 0.3);
  const auto lost = Inject(series, Change::kLostDaily, 0, random);
  EXPECT_NEAR(value(*lost), series.Value(lost->begin + 2, 0) / 3, 1e-3);
  EXPECT_GT(lost->unchanged->Value(lost->begin + 2, 0), 19);
}

TEST(Injections, TheSameSeedPutsThemInTheSamePlace) {
  Random a(9), b(9);
  EXPECT_EQ(Inject(QuietVm(), Change::kStall, 0, a)->begin, Inject(QuietVm(), Change::kStall, 0, b)->begin);
}

TEST(Injections, WhereTheChangeWouldBeNoneThereIsNoPlace) {
  Series idle = QuietVm();
  std::fill(idle.values.begin(), idle.values.end(), 0.0f);
  Series busy = QuietVm();
  for (float& v : busy.values) v += 70;
  Series short_one = QuietVm();
  short_one.at.resize(100);
  short_one.values.resize(100);
  Random random(5);
  for (const Change change : kChanges) {
    EXPECT_FALSE(Inject(idle, change, 0, random)) << ChangeName(change);
    EXPECT_FALSE(Inject(short_one, change, 0, random)) << ChangeName(change);
    EXPECT_FALSE(Inject(Series{}, change, 0, random)) << ChangeName(change);
  }
  EXPECT_FALSE(Inject(busy, Change::kRunaway, 0, random));
  EXPECT_TRUE(Inject(busy, Change::kStall, 0, random));
}

TEST(Injections, NoChangeIsPutBesideAGapOrAMissingValue) {
  Series series = QuietVm();
  for (std::size_t r = 0; r < series.rows(); r += 100) series.values[r] = kMissing;
  Random random(5);
  for (const Change change : kChanges) EXPECT_FALSE(Inject(series, change, 0, random));
  series = QuietVm();
  for (std::size_t r = 0; r < series.rows(); ++r) series.at[r] += static_cast<std::int64_t>(r / 100) * 3'600'000;
  for (const Change change : kChanges) EXPECT_FALSE(Inject(series, change, 0, random));
}

}  // namespace
}  // namespace whorl::eval
