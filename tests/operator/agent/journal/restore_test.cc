#include "operator/agent/journal/restore.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/fake/fake_knob_tree.h"
#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

class RestoreTest : public testing::Test {
 protected:
  RestoreTest() {
    entry_ = {"aaaa-1",
              "cpu/pod",
              *tree_.Inode("/cg/cpu/pod"),
              Millis{1},
              {{"cpu.shares", "109", "512", "1024"}, {"cpu.cfs_quota_us", "-1", "50000", "50000"}}};
    EXPECT_TRUE(journal_.Put(entry_));
  }
  std::vector<KnobFate> Fates() {
    std::vector<KnobFate> fates;
    for (const auto& outcome : Restore(tree_, journal_, "/cg", entry_)) fates.push_back(outcome.fate);
    return fates;
  }
  fake::FakeKnobTree tree_{{{"/cg/cpu/pod", {{"cpu.shares", "512"}, {"cpu.cfs_quota_us", "50000"}}}}};
  fake::TempDir dir_;
  Journal journal_ = *Journal::Open(dir_.path());
  JournalEntry entry_;
};

TEST_F(RestoreTest, PutsBackExactlyWhatWasFound) {
  EXPECT_EQ(Fates(), (std::vector{KnobFate::kRestored, KnobFate::kRestored}));
  EXPECT_EQ(tree_.Text("/cg/cpu/pod/cpu.shares"), "109");
  EXPECT_EQ(tree_.Text("/cg/cpu/pod/cpu.cfs_quota_us"), "-1");
  EXPECT_FALSE(journal_.Has("aaaa-1"));
}

TEST_F(RestoreTest, AWriteThatWasOnlyIntendedIsOursToo) {
  tree_.Set("/cg/cpu/pod", "cpu.shares", "1024");
  EXPECT_EQ(Fates(), (std::vector{KnobFate::kRestored, KnobFate::kRestored}));
  EXPECT_EQ(tree_.Text("/cg/cpu/pod/cpu.shares"), "109");
}

TEST_F(RestoreTest, AKnobThatAlreadyHoldsWhatWasFoundIsNotWritten) {
  tree_.Set("/cg/cpu/pod", "cpu.shares", "109");
  Fates();
  EXPECT_EQ(tree_.writes(), (std::vector<std::string>{"/cg/cpu/pod/cpu.cfs_quota_us=-1"}));
}

TEST_F(RestoreTest, SomebodyElsesValueIsLeft) {
  tree_.Set("/cg/cpu/pod", "cpu.shares", "333");
  EXPECT_EQ(Fates(), (std::vector{KnobFate::kForeign, KnobFate::kRestored}));
  EXPECT_EQ(tree_.Text("/cg/cpu/pod/cpu.shares"), "333");
  EXPECT_FALSE(journal_.Has("aaaa-1"));
}

TEST_F(RestoreTest, APodThatIsGoneOrLivesAnewIsOwedNothing) {
  tree_.Recreate("/cg/cpu/pod");
  EXPECT_EQ(Fates(), (std::vector{KnobFate::kGone, KnobFate::kGone}));
  EXPECT_TRUE(tree_.writes().empty());
  EXPECT_FALSE(journal_.Has("aaaa-1"));
  ASSERT_TRUE(journal_.Put(entry_));
  tree_.Remove("/cg/cpu/pod");
  EXPECT_EQ(Fates(), (std::vector{KnobFate::kGone, KnobFate::kGone}));
}

TEST_F(RestoreTest, AKnobThatCannotBeWrittenStaysInTheJournal) {
  tree_.FailNextWrite("/cg/cpu/pod/cpu.shares", EIO);
  EXPECT_EQ(Fates(), (std::vector{KnobFate::kFailed, KnobFate::kRestored}));
  const auto rest = journal_.Find("aaaa-1");
  ASSERT_TRUE(rest);
  ASSERT_EQ(rest->knobs.size(), 1u);
  EXPECT_EQ(rest->knobs[0].file, "cpu.shares");
  entry_ = *rest;
  EXPECT_EQ(Fates(), (std::vector{KnobFate::kRestored})) << "the next attempt succeeds";
}

TEST_F(RestoreTest, AWriteThatDoesNotTakeIsNotCalledRestored) {
  tree_.IgnoreNextWrite("/cg/cpu/pod/cpu.cfs_quota_us");
  EXPECT_EQ(Fates(), (std::vector{KnobFate::kRestored, KnobFate::kFailed}));
  EXPECT_TRUE(journal_.Has("aaaa-1"));
}

// A guest follows its balloon in its own time, so what is read says little of what was written.
class RestoreBalloonTest : public testing::Test {
 protected:
  KnobOutcome RestoreFrom(const std::string& seen) {
    tree_.Set("/cg/pod", "balloon", seen);
    const JournalEntry entry{"aaaa-1", "pod", *tree_.Inode("/cg/pod"), Millis{1}, {{"balloon", "1000", "900", "800"}}};
    EXPECT_TRUE(journal_.Put(entry));
    return Restore(tree_, journal_, "/cg", entry).at(0);
  }
  fake::FakeKnobTree tree_{{{"/cg/pod", {{"balloon", "1000"}}}}};
  fake::TempDir dir_;
  Journal journal_ = *Journal::Open(dir_.path());
};

TEST_F(RestoreBalloonTest, AGuestOnItsWayIsOursAndNotForeign) {
  EXPECT_EQ(RestoreFrom("850").fate, KnobFate::kRestored);
  EXPECT_EQ(tree_.Text("/cg/pod/balloon"), "1000");
  EXPECT_EQ(RestoreFrom("700").fate, KnobFate::kForeign) << "below anything of ours";
  EXPECT_EQ(tree_.Text("/cg/pod/balloon"), "700");
}

TEST_F(RestoreBalloonTest, AGuestThatHasNotSetOutYetIsCalledBackToo) {
  EXPECT_EQ(RestoreFrom("1000").fate, KnobFate::kRestored);
  EXPECT_EQ(tree_.writes(), (std::vector<std::string>{"/cg/pod/balloon=1000"}));
}

TEST_F(RestoreBalloonTest, OnceItIsCalledBackTheWayIsTheGuestsToGo) {
  tree_.IgnoreNextWrite("/cg/pod/balloon");  // it has not moved yet
  const auto outcome = RestoreFrom("850");
  EXPECT_EQ(outcome.fate, KnobFate::kRestored);
  EXPECT_EQ(outcome.message, "balloon is on its way back to 1000 (850 now)");
  EXPECT_FALSE(journal_.Has("aaaa-1"));
}

TEST_F(RestoreBalloonTest, ACallThatIsRefusedStaysInTheJournal) {
  tree_.FailNextWrite("/cg/pod/balloon", EIO);
  EXPECT_EQ(RestoreFrom("850").fate, KnobFate::kFailed);
  EXPECT_TRUE(journal_.Has("aaaa-1"));
}

TEST_F(RestoreTest, ALookRestoresWhatHasExpiredAndLeavesTheRest) {
  tree_.Add("/cg/cpu/other", {{"cpu.shares", "512"}});
  const JournalEntry other{
      "bbbb-2", "cpu/other", *tree_.Inode("/cg/cpu/other"), Millis{5000}, {{"cpu.shares", "109", "512", "512"}}};
  ASSERT_TRUE(journal_.Put(other));
  const auto looked = RestoreDue(tree_, journal_, "/cg", Millis{4999}, [] { return false; });
  EXPECT_EQ(looked.left, 1u);
  EXPECT_EQ(tree_.Text("/cg/cpu/pod/cpu.shares"), "109");
  EXPECT_EQ(tree_.Text("/cg/cpu/other/cpu.shares"), "512");
  EXPECT_EQ(RestoreDue(tree_, journal_, "/cg", Millis{4999}, [] { return true; }).left, 0u);
  EXPECT_EQ(tree_.Text("/cg/cpu/other/cpu.shares"), "109");
}

TEST_F(RestoreTest, AnAgentThatStartsWhileTheJournalIsBeingOpenedKeepsItsLeases) {
  // It was missed before the look, but asked again under the lock it is there.
  entry_.expires = Millis{60000};
  ASSERT_TRUE(journal_.Put(entry_));
  bool asked = false;
  const auto looked = RestoreDue(tree_, journal_, "/cg", Millis{1}, [&] {
    asked = true;
    return false;
  });
  EXPECT_TRUE(asked);
  EXPECT_EQ(looked.left, 1u);
  EXPECT_EQ(tree_.Text("/cg/cpu/pod/cpu.shares"), "512");
}

TEST_F(RestoreTest, ALookAtAJournalThatIsGoneSaysSo) {
  std::filesystem::remove_all(dir_.path() + "/journal");
  EXPECT_EQ(RestoreDue(tree_, journal_, "/cg", Millis{1}, [] { return true; }).said.size(), 1u);
}

}  // namespace
}  // namespace whorl::agent
