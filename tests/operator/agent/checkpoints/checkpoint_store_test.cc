#include "operator/agent/checkpoints/checkpoint_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/fake/manual_clock.h"
#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct World {
  std::unique_ptr<CheckpointStore> Open() {
    auto store = CheckpointStore::Open(options, clock);
    EXPECT_TRUE(store) << store.error().message;
    return std::move(*store);
  }
  fake::TempDir dir;
  fake::ManualClock clock;
  CheckpointStore::Options options{.dir = dir.path() + "/checkpoints"};
};

TEST(CheckpointStore, GivesBackByteForByteWhatItTookAlsoToTheNextAgent) {
  World world;
  const std::string blob("a\0b\n", 4);
  ASSERT_TRUE(world.Open()->Put("vm-1", blob));
  const auto next = world.Open();
  EXPECT_EQ(next->Get("vm-1"), blob);
  EXPECT_THAT(next->Stored(), ElementsAre("vm-1"));
  ASSERT_TRUE(next->Put("vm-1", "newer"));
  EXPECT_EQ(next->Get("vm-1"), "newer");
}

TEST(CheckpointStore, ForgetsWhatWasWithdrawn) {
  World world;
  const auto store = world.Open();
  ASSERT_TRUE(store->Put("vm-1", "x"));
  EXPECT_TRUE(store->Drop("vm-1"));
  EXPECT_TRUE(store->Drop("vm-1"));
  EXPECT_EQ(store->Get("vm-1"), std::nullopt);
  EXPECT_THAT(store->Stored(), IsEmpty());
}

TEST(CheckpointStore, SetsACorruptOneAsideAndNeverServesItAgain) {
  World world;
  const auto store = world.Open();
  ASSERT_TRUE(store->Put("vm-1", "damaged"));
  ASSERT_TRUE(store->SetAside("vm-1"));
  EXPECT_EQ(store->Get("vm-1"), std::nullopt);
  EXPECT_THAT(store->Stored(), IsEmpty());
  EXPECT_TRUE(fs::exists(world.options.dir + "/vm-1.corrupt"));
}

TEST(CheckpointStore, TakesNoNameThatCouldLeadOutOfItsFolder) {
  World world;
  const auto store = world.Open();
  for (const auto* name : {"", "../up", "a/b", ".", "-rf", "a b", "a.checkpoint"}) {
    EXPECT_EQ(store->Put(name, "x").error().code, Code::kInvalid) << name;
    EXPECT_EQ(store->Get(name), std::nullopt) << name;
    EXPECT_FALSE(store->Drop(name)) << name;
    EXPECT_FALSE(store->SetAside(name)) << name;
  }
  EXPECT_EQ(store->Put(std::string(65, 'a'), "x").error().code, Code::kInvalid);
}

TEST(CheckpointStore, TakesNothingEmptyAndNothingAboveTheLimit) {
  World world;
  const auto store = world.Open();
  EXPECT_EQ(store->Put("vm-1", "").error().code, Code::kInvalid);
  EXPECT_EQ(store->Put("vm-1", std::string(kMostCheckpointBytes + 1, 'x')).error().code, Code::kInvalid);
  EXPECT_TRUE(store->Put("vm-1", std::string(kMostCheckpointBytes, 'x')));
}

TEST(CheckpointStore, DropsWhatWasNotUsedForItsTime) {
  World world;
  const auto store = world.Open();
  ASSERT_TRUE(store->Put("old", "x"));
  ASSERT_TRUE(store->Put("read", "x"));
  world.clock.Advance(Seconds{13 * 24 * 3600});
  EXPECT_TRUE(store->Get("read").has_value());
  world.clock.Advance(Seconds{2 * 24 * 3600});
  ASSERT_TRUE(store->Put("new", "x"));
  EXPECT_THAT(store->Stored(), ElementsAre("new", "read"));
}

TEST(CheckpointStore, DropsTheOneUnusedForLongestWhenTheQuotaIsFull) {
  World world;
  world.options.quota_bytes = 25;
  const auto store = world.Open();
  for (const auto* name : {"first", "second", "third"}) {
    ASSERT_TRUE(store->Put(name, "ten bytes!"));
    world.clock.Advance(Seconds{1});
  }
  EXPECT_THAT(store->Stored(), ElementsAre("second", "third"));
}

TEST(CheckpointStore, LeavesNoHalfWrittenFileOfACrashBehind) {
  World world;
  (void)world.Open();
  std::ofstream(world.options.dir + "/vm-1.checkpoint.new") << "half";
  const auto store = world.Open();
  EXPECT_THAT(store->Stored(), IsEmpty());
  EXPECT_FALSE(fs::exists(world.options.dir + "/vm-1.checkpoint.new"));
}

TEST(CheckpointStore, SaysWhichFolderCannotBeUsed) {
  World world;
  std::ofstream(world.dir.path() + "/file") << "x";
  world.options.dir = world.dir.path() + "/file/checkpoints";
  const auto store = CheckpointStore::Open(world.options, world.clock);
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().message.find("file/checkpoints"), std::string::npos);
}

}  // namespace
}  // namespace whorl::agent
