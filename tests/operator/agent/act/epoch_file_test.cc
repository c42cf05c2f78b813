#include "operator/agent/act/epoch_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

TEST(EpochFile, IsRememberedAcrossRestarts) {
  const fake::TempDir dir;
  std::string trouble;
  auto first = EpochFile::Open(dir.path(), trouble);
  EXPECT_EQ(first.epoch(), 0u);
  ASSERT_TRUE(first.Advance(7, 42));
  const auto second = EpochFile::Open(dir.path(), trouble);
  EXPECT_EQ(second.epoch(), 7u);
  EXPECT_EQ(second.sequence(), 42u);
  EXPECT_EQ(trouble, "");
}

TEST(EpochFile, ADamagedFileIsSetAsideWithAMessage) {
  const fake::TempDir dir;
  std::ofstream(dir.path() + "/epoch") << "epoch 7\nsequ";
  std::string trouble;
  const auto file = EpochFile::Open(dir.path(), trouble);
  EXPECT_EQ(file.epoch(), 0u);
  EXPECT_NE(trouble.find("epoch.corrupt"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(dir.path() + "/epoch.corrupt"));
}

}  // namespace
}  // namespace whorl::agent
