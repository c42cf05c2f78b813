#include "operator/controller/ingest/baseline_bank.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace whorl::controller {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Time At(std::int64_t millis) { return FromUnixMillis(millis); }

TEST(BaselineBank, KeepsTheNewerOfTwoButNeverABeginningForWhatIsLearnt) {
  BaselineBank bank;
  bank.Put("vm-1", {"new", At(20), true});
  bank.Put("vm-1", {"old", At(10), true});
  bank.Put("vm-1", {"beginning", At(30), false});
  EXPECT_EQ(bank.Get("vm-1")->blob, "new");
  EXPECT_EQ(bank.RankOf("vm-1"), SavedBaseline::Rank(true, At(20)));
  bank.Drop("vm-1");
  EXPECT_FALSE(bank.Get("vm-1").has_value());
}

TEST(BaselineBank, DropsTheOldestWhenItIsFull) {
  BaselineBank bank(2);
  bank.Put("vm-1", {"a", At(1), true});
  bank.Put("vm-2", {"b", At(2), true});
  bank.Put("vm-3", {"c", At(3), true});
  EXPECT_FALSE(bank.Get("vm-1").has_value());
  EXPECT_TRUE(bank.Get("vm-3").has_value());
}

TEST(BaselineBank, AsksEachOtherNodeOnceForWhatTheNewNodeWants) {
  BaselineBank bank;
  bank.Want("vm-1", "node-b");
  EXPECT_THAT(bank.Wanted({"vm-1", "vm-2"}, "node-a"), ElementsAre("vm-1"));
  EXPECT_THAT(bank.Wanted({"vm-1"}, "node-b"), IsEmpty());
  bank.Supplied("vm-1", "node-a");
  EXPECT_THAT(bank.Wanted({"vm-1"}, "node-a"), IsEmpty());
  EXPECT_THAT(bank.Wanted({"vm-1"}, "node-c"), ElementsAre("vm-1"));
  bank.EndWant("vm-1");
  EXPECT_THAT(bank.Wanted({"vm-1"}, "node-c"), IsEmpty());
}

TEST(BaselineBank, LetsTheOldNodeForgetOnlyOnceTheNewOneHasIt) {
  BaselineBank bank;
  bank.SetWatched({"vm-1"}, Millis{0});
  EXPECT_THAT(bank.Forgettable({"vm-1"}, "node-a", Millis{0}), IsEmpty());
  bank.Want("vm-1", "node-b");
  bank.StoredAt("vm-1", "node-b");
  EXPECT_THAT(bank.Forgettable({"vm-1"}, "node-a", Millis{0}), IsEmpty());  // not asked yet, may be the better one
  bank.Supplied("vm-1", "node-a");
  EXPECT_THAT(bank.Forgettable({"vm-1"}, "node-a", Millis{0}), ElementsAre("vm-1"));
  EXPECT_THAT(bank.Forgettable({"vm-1"}, "node-b", Millis{0}), IsEmpty());
}

TEST(BaselineBank, ForgetsAVmThatOptedOutOnlyAfterAnHour) {
  BaselineBank bank;
  EXPECT_THAT(bank.Forgettable({"vm-1"}, "node-a", 2 * BaselineBank::kGrace), IsEmpty());  // nothing is known yet
  bank.SetWatched({"vm-1"}, Millis{0});
  bank.SetWatched({}, Millis{1000});
  EXPECT_THAT(bank.Forgettable({"vm-1"}, "node-a", BaselineBank::kGrace), IsEmpty());
  bank.SetWatched({"vm-1"}, BaselineBank::kGrace);  // it was a slip of the pen
  bank.SetWatched({}, BaselineBank::kGrace + Millis{1});
  EXPECT_THAT(bank.Forgettable({"vm-1"}, "node-a", 2 * BaselineBank::kGrace), IsEmpty());
  EXPECT_THAT(bank.Forgettable({"vm-1"}, "node-a", 2 * BaselineBank::kGrace + Millis{1}), ElementsAre("vm-1"));
}

TEST(BaselineBank, GivesAVmItHasNeverHeardOfTheSameHour) {
  BaselineBank bank;
  bank.SetWatched({}, Millis{0});
  EXPECT_THAT(bank.Forgettable({"vm-1"}, "node-a", Millis{5}), IsEmpty());
  EXPECT_THAT(bank.Forgettable({"vm-1"}, "node-a", Millis{5} + BaselineBank::kGrace), ElementsAre("vm-1"));
}

}  // namespace
}  // namespace whorl::controller
