#include "operator/agent/act/balloon_mover.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "operator/agent/act/limit_writer.h"
#include "tests/fake/fake_knob_tree.h"
#include "tests/fake/manual_clock.h"
#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

constexpr std::uint64_t kMib = 1024;  // in KiB

// Two guests of 1 GiB, and what the Holder does with each step.
class BalloonMoverTest : public testing::Test {
 protected:
  BalloonMoverTest()
      : mover_({},
               {.look = [this](const std::string& dir) { return Look(dir); },
                .hold = [this](const std::string& pod, const std::string& text) { return Hold(pod, text); }},
               clock_) {
    for (const auto* pod : {"a", "b"}) {
      tree_.Add("/cg/" + std::string(pod), {{"balloon", std::to_string(1024 * kMib)}});
      entries_[pod] = {pod, pod, *tree_.Inode("/cg/" + std::string(pod)), Millis{1}, {}};
    }
  }
  Result<GuestMemory> Look(const std::string& dir) {
    if (dir == silent_) return Fail(Code::kUnavailable, "VM x: libvirt has not answered for 2000 ms");
    GuestMemory memory;
    memory.size_kib = std::stoull(tree_.Text(dir + "/balloon"));
    memory.unused_kib = *memory.size_kib - 200 * kMib;
    memory.updated = ToUnixMillis(clock_.Now()) / 1000;
    return memory;
  }
  Status Hold(const std::string& pod, const std::string& text) {
    std::optional<ForeignChange> foreign;
    return writer_.Hold(entries_.at(pod), {{"balloon", text}}, foreign);
  }
  void BeatFor(Seconds time) {
    for (int i = 0; i < time.count() * 4; ++i) {
      clock_.Advance(Millis{250});
      mover_.Beat();
    }
  }
  std::uint64_t Size(const std::string& pod) const { return std::stoull(tree_.Text("/cg/" + pod + "/balloon")); }

  fake::ManualClock clock_;
  fake::FakeKnobTree tree_{{}};
  fake::TempDir dir_;
  Journal journal_ = *Journal::Open(dir_.path());
  LimitWriter writer_{tree_, journal_, "/cg"};
  std::map<std::string, JournalEntry> entries_;
  std::string silent_;
  BalloonMover mover_;
};

TEST_F(BalloonMoverTest, EveryStepIsHeldAndOneReleaseUndoesThemAll) {
  mover_.Aim("a", "/cg/a", 768 * kMib);
  BeatFor(Seconds{10});
  EXPECT_EQ(Size("a"), 768 * kMib);
  EXPECT_EQ(mover_.status("a")->phase, BalloonPhase::kArrived);
  EXPECT_EQ(mover_.status("a")->found_kib, 1024 * kMib);
  ASSERT_EQ(entries_.at("a").knobs.size(), 1u);
  EXPECT_EQ(entries_.at("a").knobs[0].found, std::to_string(1024 * kMib));
  EXPECT_GT(tree_.writes().size(), 10u) << "in steps";
  mover_.Forget("a");
  ASSERT_TRUE(writer_.Release(entries_.at("a"), {"balloon"}));
  BeatFor(Seconds{10});
  EXPECT_EQ(Size("a"), 1024 * kMib) << "a pod that was forgotten is moved no more";
  EXPECT_FALSE(mover_.status("a"));
}

TEST_F(BalloonMoverTest, DeflatedIsAStateThatCanBeWaitedFor) {
  EXPECT_TRUE(mover_.Deflated("a")) << "nothing of ours is in it";
  mover_.Aim("a", "/cg/a", 768 * kMib);
  BeatFor(Seconds{10});
  mover_.DeflateFully("a");
  EXPECT_FALSE(mover_.Deflated("a"));
  BeatFor(Seconds{2});
  EXPECT_TRUE(mover_.Deflated("a"));
  EXPECT_EQ(Size("a"), 1024 * kMib);
  mover_.Aim("a", "/cg/a", 768 * kMib);
  EXPECT_FALSE(mover_.Deflated("a")) << "at once, not only with the next beat";
}

TEST_F(BalloonMoverTest, ALibvirtThatHangsKeepsNobodyElse) {
  silent_ = "/cg/a";
  mover_.Aim("a", "/cg/a", 768 * kMib);
  mover_.Aim("b", "/cg/b", 768 * kMib);
  BeatFor(Seconds{10});
  EXPECT_EQ(Size("a"), 1024 * kMib);
  EXPECT_EQ(mover_.status("a")->reason, "NotReached");
  EXPECT_EQ(Size("b"), 768 * kMib);
}

TEST_F(BalloonMoverTest, AStepThatIsRefusedIsShownAndTriedAgain) {
  mover_.Aim("a", "/cg/a", 768 * kMib);
  tree_.FailNextWrite("/cg/a/balloon", EIO);
  BeatFor(Seconds{2});
  EXPECT_EQ(mover_.status("a")->reason, "NotWritten");
  EXPECT_EQ(Size("a"), 1024 * kMib);
  BeatFor(Seconds{20});
  EXPECT_EQ(Size("a"), 768 * kMib);
}

TEST_F(BalloonMoverTest, AForeignHandOnTheBalloonStopsIt) {
  mover_.Aim("a", "/cg/a", 768 * kMib);
  BeatFor(Seconds{3});
  tree_.Set("/cg/a", "balloon", std::to_string(300 * kMib));
  BeatFor(Seconds{1});
  EXPECT_EQ(mover_.status("a")->reason, "ForeignWriter");
  EXPECT_NE(mover_.status("a")->message.find("by somebody else"), std::string::npos);
  BeatFor(Seconds{60});
  EXPECT_EQ(Size("a"), 300 * kMib) << "for good";
}

TEST_F(BalloonMoverTest, AnotherLifeOfAPodBeginsAnew) {
  mover_.Aim("a", "/cg/a", 768 * kMib);
  BeatFor(Seconds{5});
  mover_.Aim("a", "/cg/b", 768 * kMib);
  EXPECT_FALSE(mover_.status("a")->found_kib);
}

TEST_F(BalloonMoverTest, TheThreadBeatsUntilItEnds) {
  std::promise<void> looked;
  std::atomic<int> looks{0};
  BalloonMover mover({},
                     {.look = [&](const std::string&) -> Result<GuestMemory> {
                        if (++looks == 3) looked.set_value();
                        return Fail(Code::kUnavailable, "not today");
                      },
                      .hold = [](const std::string&, const std::string&) { return Status{}; }},
                     clock_);
  mover.Aim("a", "/cg/a", kMib);
  const BalloonThread thread(mover, Millis{1});
  EXPECT_EQ(looked.get_future().wait_for(Seconds{30}), std::future_status::ready);
}

}  // namespace
}  // namespace whorl::agent
