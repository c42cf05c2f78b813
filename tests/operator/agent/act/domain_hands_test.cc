#include "operator/agent/act/domain_hands.h"

#include <gtest/gtest.h>

#include "tests/fake/fake_knob_tree.h"
#include "tests/fake/manual_clock.h"
#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

constexpr const char* kFree = "read_bytes=0 write_bytes=0 read_iops=0 write_iops=0";
constexpr const char* kDir = "/cg/cpu/db-1";

class DomainHandsTest : public testing::Test {
 protected:
  DomainHandsTest() { tree_.Add(kDir, {{"balloon", "1048576"}, {"disk@vda", kFree}, {"disk@vdb", kFree}}); }

  GuestMemory Look() {
    GuestMemory memory;
    memory.most_kib = 1048576;
    memory.size_kib = std::stoull(tree_.Text(std::string(kDir) + "/balloon"));
    memory.total_kib = *memory.size_kib - 20480;
    memory.unused_kib = *memory.total_kib - 200'000;
    memory.usable_kib = memory.unused_kib;
    memory.major_faults = memory.swapped_in_kib = 0;
    memory.updated = ToUnixMillis(clock_.Now()) / 1000;
    return memory;
  }
  void Want(const DomainWish& wish, Millis lease = Millis{600'000}) {
    hands_.Want("db-1", kDir, *tree_.Inode(kDir), wish, clock_.Monotonic() + lease);
  }
  void Beats(int n) {
    for (int i = 0; i < n; ++i) {
      clock_.Advance(Millis{250});
      hands_.Beat();
    }
  }
  std::string Text(const std::string& knob) const { return tree_.Text(std::string(kDir) + "/" + knob); }
  node::v1::Outcome Told() const {
    node::v1::Outcome outcome;
    hands_.Tell("db-1", outcome);
    return outcome;
  }
  static DomainWish Disks(std::uint64_t read_bytes) {
    DomainWish wish;
    wish.disks.emplace().read_bytes = read_bytes;
    return wish;
  }

  fake::TempDir dir_;
  fake::ManualClock clock_;
  fake::FakeKnobTree tree_{{}};
  Result<std::vector<std::string>> disks_ = std::vector<std::string>{"vda", "vdb"};
  DomainHands hands_{{"/cg", {}, [](const std::string&) {}},
                     {tree_, [this](const std::string&) { return disks_; },
                      [this](const std::string&) { return Result<GuestMemory>(Look()); }},
                     *Journal::Open(dir_.path()),
                     clock_};
};

TEST_F(DomainHandsTest, EveryDiskIsLimitedAndComesBackWhenTheWishIsDropped) {
  Want(Disks(5'000'000));
  EXPECT_EQ(Text("disk@vda"), kFree) << "whoever wants something does not wait";
  Beats(1);
  EXPECT_EQ(Text("disk@vda"), "read_bytes=5000000 write_bytes=0 read_iops=0 write_iops=0");
  EXPECT_EQ(Text("disk@vdb"), Text("disk@vda"));
  ASSERT_EQ(Told().knobs_size(), 2);
  EXPECT_EQ(Told().knobs(0).found(), kFree);
  Want(Disks(2'000'000));
  Beats(1);
  EXPECT_EQ(Text("disk@vda"), "read_bytes=2000000 write_bytes=0 read_iops=0 write_iops=0");
  hands_.Drop("db-1");
  Beats(1);
  EXPECT_EQ(Text("disk@vda"), kFree);
  EXPECT_EQ(Text("disk@vdb"), kFree);
  EXPECT_EQ(Told().knobs_size(), 0);
}

TEST_F(DomainHandsTest, AWishEndsWithItsLease) {
  Want(Disks(5'000'000), Millis{1000});
  Beats(2);
  ASSERT_NE(Text("disk@vda"), kFree);
  Beats(3);
  EXPECT_EQ(Text("disk@vda"), kFree);
}

TEST_F(DomainHandsTest, ABalloonIsMovedStepByStepAndGivenBack) {
  DomainWish wish;
  wish.guest_kib = 786'432;
  Want(wish);
  Beats(8);
  const auto on_the_way = std::stoull(Text("balloon"));
  EXPECT_LT(on_the_way, 1048576u);
  EXPECT_GT(on_the_way, 786'432u);
  Beats(40);
  EXPECT_EQ(Text("balloon"), "786432");
  ASSERT_EQ(Told().knobs_size(), 1);
  EXPECT_EQ(Told().knobs(0).found(), "1048576");
  EXPECT_EQ(Told().knobs(0).read_back(), "786432");
  Want(Disks(1'000'000));
  Beats(1);
  EXPECT_EQ(Text("balloon"), "1048576") << "a plan without it gives it back";
}

TEST_F(DomainHandsTest, WhatAnEarlierAgentLeftIsPutBack) {
  Want(Disks(5'000'000));
  Beats(1);
  DomainHands next({"/cg", {}, [](const std::string&) {}},
                   {tree_, [this](const std::string&) { return disks_; },
                    [this](const std::string&) { return Result<GuestMemory>(Look()); }},
                   *Journal::Open(dir_.path()), clock_);
  EXPECT_EQ(next.RevertJournal().size(), 2u);
  EXPECT_EQ(Text("disk@vda"), kFree);
}

TEST_F(DomainHandsTest, ALibvirtThatCannotBeAskedIsToldAndAskedAgainNowAndThen) {
  disks_ = Fail(Code::kUnavailable, "VM db-1: /run/libvirt/virtqemud-sock does not answer");
  Want(Disks(5'000'000));
  Beats(1);
  ASSERT_EQ(Told().knobs_size(), 1);
  EXPECT_EQ(Told().knobs(0).refusal_reason(), "WriteFailed");
  disks_ = std::vector<std::string>{"vda"};
  Beats(1);
  EXPECT_EQ(Text("disk@vda"), kFree) << "not at once";
  Beats(45);
  EXPECT_NE(Text("disk@vda"), kFree);
}

TEST_F(DomainHandsTest, AValueThatSomebodyElseSetStays) {
  Want(Disks(5'000'000));
  Beats(1);
  tree_.Set(kDir, "disk@vda", "read_bytes=7 write_bytes=0 read_iops=0 write_iops=0");
  Want(Disks(4'000'000));
  Beats(1);
  EXPECT_EQ(Text("disk@vda"), "read_bytes=7 write_bytes=0 read_iops=0 write_iops=0");
  hands_.Drop("db-1");
  Beats(1);
  EXPECT_EQ(Text("disk@vda"), "read_bytes=7 write_bytes=0 read_iops=0 write_iops=0");
}

}  // namespace
}  // namespace whorl::agent
