#include "operator/agent/act/limit_writer.h"

#include <gtest/gtest.h>

#include "tests/fake/fake_knob_tree.h"
#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

class LimitWriterTest : public testing::Test {
 protected:
  LimitWriterTest() { entry_ = {"aaaa-1", "cpu/pod", *tree_.Inode("/cg/cpu/pod"), Millis{1}, {}}; }
  Status Hold(const std::string& shares, const std::string& quota) {
    foreign_.reset();
    return writer_.Hold(entry_, {{"cpu.shares", shares}, {"cpu.cfs_quota_us", quota}}, foreign_);
  }
  std::string Shares() const { return tree_.Text("/cg/cpu/pod/cpu.shares"); }
  std::string Quota() const { return tree_.Text("/cg/cpu/pod/cpu.cfs_quota_us"); }

  fake::FakeKnobTree tree_{{{"/cg/cpu/pod", {{"cpu.shares", "109"}, {"cpu.cfs_quota_us", "-1"}}}}};
  fake::TempDir dir_;
  Journal journal_ = *Journal::Open(dir_.path());
  LimitWriter writer_{tree_, journal_, "/cg"};
  JournalEntry entry_;
  std::optional<ForeignChange> foreign_;
};

TEST_F(LimitWriterTest, TheInverseIsJournalledBeforeTheFirstWrite) {
  std::vector<JournalEntry> at_write;
  tree_.OnWrite([&] { at_write.push_back(journal_.Find("aaaa-1").value_or(JournalEntry{})); });
  ASSERT_TRUE(Hold("512", "50000"));
  ASSERT_EQ(at_write.size(), 2u);
  ASSERT_EQ(at_write[0].knobs.size(), 2u);
  EXPECT_EQ(at_write[0].knobs[0].found, "109");
  EXPECT_EQ(at_write[0].knobs[0].intent, "512");
  EXPECT_EQ(at_write[0].knobs[1].found, "-1");
  EXPECT_EQ(journal_.Find("aaaa-1")->knobs[1].wrote, "50000") << "and what was read back afterwards";
}

TEST_F(LimitWriterTest, WithoutAJournalNothingIsWritten) {
  std::filesystem::remove_all(dir_.path() + "/journal");
  EXPECT_FALSE(Hold("512", "50000"));
  EXPECT_TRUE(tree_.writes().empty());
  EXPECT_TRUE(entry_.knobs.empty());
}

TEST_F(LimitWriterTest, PutsBackTheFirstLimitWhenTheSecondWriteFails) {
  tree_.FailNextWrite("/cg/cpu/pod/cpu.cfs_quota_us", EINVAL);
  const auto held = Hold("512", "50000");
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, Code::kInvalid);
  EXPECT_EQ(Shares(), "109");
  EXPECT_EQ(Quota(), "-1");
  EXPECT_FALSE(journal_.Has("aaaa-1"));
}

TEST_F(LimitWriterTest, AFailedChangeKeepsWhatWasHeldBefore) {
  ASSERT_TRUE(Hold("512", "50000"));
  tree_.FailNextWrite("/cg/cpu/pod/cpu.cfs_quota_us", EIO);
  ASSERT_FALSE(Hold("1024", "80000"));
  EXPECT_EQ(Shares(), "512");
  EXPECT_EQ(Quota(), "50000");
  writer_.Restore(entry_);
  EXPECT_EQ(Shares(), "109");
  EXPECT_EQ(Quota(), "-1");
}

TEST_F(LimitWriterTest, AValueThatReadsBackDifferentlyIsNotHeld) {
  tree_.IgnoreNextWrite("/cg/cpu/pod/cpu.shares");
  const auto held = Hold("512", "50000");
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, Code::kRefused);
  EXPECT_EQ(Quota(), "-1");
}

TEST_F(LimitWriterTest, RenewingWritesNoKnob) {
  ASSERT_TRUE(Hold("512", "50000"));
  const auto writes = tree_.writes().size();
  entry_.expires = Millis{99};
  ASSERT_TRUE(Hold("512", "50000"));
  EXPECT_EQ(tree_.writes().size(), writes);
  EXPECT_EQ(journal_.Find("aaaa-1")->expires, Millis{99});
}

TEST_F(LimitWriterTest, AForeignValueIsLeftAndTheOtherKnobGivenBack) {
  ASSERT_TRUE(Hold("512", "50000"));
  tree_.Set("/cg/cpu/pod", "cpu.shares", "333");
  ASSERT_FALSE(Hold("1024", "80000"));
  ASSERT_TRUE(foreign_);
  EXPECT_EQ(foreign_->file, "cpu.shares");
  EXPECT_EQ(foreign_->expected, "512");
  EXPECT_EQ(foreign_->seen, "333");
  EXPECT_EQ(Shares(), "333");
  EXPECT_EQ(Quota(), "-1");
  EXPECT_FALSE(journal_.Has("aaaa-1"));
}

TEST_F(LimitWriterTest, TheValueFoundIsReassertedThreeTimesThenLeft) {
  ASSERT_TRUE(Hold("512", "50000"));
  for (int i = 0; i < LimitWriter::kReasserts; ++i) {
    tree_.Set("/cg/cpu/pod", "cpu.shares", "109");
    EXPECT_FALSE(writer_.Check(entry_));
    EXPECT_EQ(Shares(), "512");
  }
  tree_.Set("/cg/cpu/pod", "cpu.shares", "109");
  EXPECT_TRUE(writer_.Check(entry_));
  EXPECT_EQ(Shares(), "109");
  EXPECT_EQ(Quota(), "-1");
}

TEST_F(LimitWriterTest, APodThatLivesAnewIsNotWritten) {
  ASSERT_TRUE(Hold("512", "50000"));
  tree_.Recreate("/cg/cpu/pod");
  const auto writes = tree_.writes().size();
  EXPECT_EQ(Hold("1024", "80000").error().code, Code::kGone);
  EXPECT_EQ(tree_.writes().size(), writes);
}

TEST_F(LimitWriterTest, ReleasesOneKnobAndKeepsTheOther) {
  ASSERT_TRUE(Hold("512", "50000"));
  ASSERT_TRUE(writer_.Release(entry_, {"cpu.cfs_quota_us"}));
  EXPECT_EQ(Quota(), "-1");
  EXPECT_EQ(Shares(), "512");
  EXPECT_EQ(journal_.Find("aaaa-1")->knobs.size(), 1u);
}

class LimitWriterBalloonTest : public testing::Test {
 protected:
  LimitWriterBalloonTest() { entry_ = {"aaaa-1", "pod", *tree_.Inode("/cg/pod"), Millis{1}, {}}; }
  Status Hold(const std::string& balloon) { return writer_.Hold(entry_, {{"balloon", balloon}}, foreign_); }

  fake::FakeKnobTree tree_{{{"/cg/pod", {{"balloon", "1000"}}}}};
  fake::TempDir dir_;
  Journal journal_ = *Journal::Open(dir_.path());
  LimitWriter writer_{tree_, journal_, "/cg"};
  JournalEntry entry_;
  std::optional<ForeignChange> foreign_;
};

TEST_F(LimitWriterBalloonTest, AGuestThatIsStillOnItsWayIsHeld) {
  tree_.OnWrite([&] { tree_.Set("/cg/pod", "balloon", "960"); });
  ASSERT_TRUE(Hold("900"));
  EXPECT_EQ(entry_.knobs[0].wrote, "900");
  EXPECT_EQ(entry_.knobs[0].found, "1000");
  ASSERT_TRUE(Hold("800")) << "the next step, before it has arrived";
  EXPECT_FALSE(writer_.Check(entry_)) << "nor is it a foreign value";
  ASSERT_TRUE(Hold("950")) << "nor on its way back";
  EXPECT_EQ(entry_.knobs[0].found, "1000") << "what was found is what stood there before us";
  tree_.Set("/cg/pod", "balloon", "500");
  const auto foreign = writer_.Check(entry_);
  ASSERT_TRUE(foreign);
  EXPECT_EQ(foreign->seen, "500");
}

TEST_F(LimitWriterBalloonTest, AWriteThatNobodyCanLookAtStaysJournalled) {
  tree_.HangFromNextWrite("/cg/pod/balloon");
  EXPECT_FALSE(Hold("900"));
  ASSERT_TRUE(journal_.Find("aaaa-1")) << "it may yet take effect";
  EXPECT_EQ(journal_.Find("aaaa-1")->knobs[0].found, "1000");
  EXPECT_EQ(journal_.Find("aaaa-1")->knobs[0].intent, "900");
}

}  // namespace
}  // namespace whorl::agent
