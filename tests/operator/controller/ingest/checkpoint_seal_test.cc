#include "operator/controller/ingest/checkpoint_seal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/fake/temp_dir.h"

namespace whorl::controller {
namespace {

using ::testing::HasSubstr;

const SavedBaseline kSaved{std::string("blob\0with anything", 18), FromUnixMillis(1'700'000'123'456), true};

CheckpointSeal Seal() { return CheckpointSeal(std::string(32, 'k')); }

TEST(CheckpointSeal, OpensWhatItSealed) {
  const auto opened = Seal().Open("vm-1", Seal().Seal("vm-1", kSaved));
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->blob, kSaved.blob);
  EXPECT_EQ(opened->rank(), kSaved.rank());
}

TEST(CheckpointSeal, NoticesEveryChangedByteAndEveryCut) {
  const auto sealed = Seal().Seal("vm-1", kSaved);
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    auto changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(Seal().Open("vm-1", changed)) << i;
    EXPECT_FALSE(Seal().Open("vm-1", sealed.substr(0, i))) << i;
  }
  EXPECT_FALSE(Seal().Open("vm-1", sealed + "x"));
}

TEST(CheckpointSeal, IsOfOneVmAndOneKeyOnly) {
  const auto sealed = Seal().Seal("vm-1", kSaved);
  const auto other_vm = Seal().Open("vm-2", sealed);
  ASSERT_FALSE(other_vm);
  EXPECT_EQ(other_vm.error().code, Code::kCorrupt);
  EXPECT_FALSE(CheckpointSeal(std::string(32, 'x')).Open("vm-1", sealed));
}

TEST(CheckpointSeal, SaysThatAnotherVersionMadeIt) {
  auto sealed = Seal().Seal("vm-1", kSaved);
  sealed[6] = '2';
  const auto opened = Seal().Open("vm-1", sealed);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kUnsupported);
}

TEST(CheckpointSeal, TakesItsKeyFromAFileAndSaysWhatIsWrongWithOne) {
  const fake::TempDir dir;
  const auto path = dir.path() + "/key";
  const auto missing = CheckpointSeal::FromFile(path);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("whorl-checkpoint-key"));
  std::ofstream(path) << "short\n";
  EXPECT_EQ(CheckpointSeal::FromFile(path).error().code, Code::kInvalid);
  std::ofstream(path) << std::string(32, 'k') << "\n";
  const auto seal = CheckpointSeal::FromFile(path);
  ASSERT_TRUE(seal);
  EXPECT_TRUE(seal->Open("vm-1", Seal().Seal("vm-1", kSaved)));
}

}  // namespace
}  // namespace whorl::controller
