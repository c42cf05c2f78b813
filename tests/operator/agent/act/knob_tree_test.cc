#include "operator/agent/act/knob_tree.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

TEST(OnItsWay, OnlyABalloonReadsAsWhatNobodyWrote) {
  EXPECT_TRUE(OnItsWay("balloon", "900", {"1000", "", "800"}));
  EXPECT_TRUE(OnItsWay("balloon", "1000", {"1000", "800"}));
  EXPECT_TRUE(OnItsWay("balloon", "850", {"1000", "800", "900"}));
  EXPECT_FALSE(OnItsWay("cpu.shares", "900", {"1000", "800"}));
}

TEST(OnItsWay, OutsideTheSpanItIsForeign) {
  EXPECT_FALSE(OnItsWay("balloon", "700", {"1000", "800"}));
  EXPECT_FALSE(OnItsWay("balloon", "1004", {"1000", "800"}));
  EXPECT_FALSE(OnItsWay("balloon", "none", {"1000", "800"}));
  EXPECT_FALSE(OnItsWay("balloon", "900", {"", "x"}));
}

class CgroupFilesTest : public testing::Test {
 protected:
  CgroupFilesTest() { std::filesystem::create_directories(pod_); }
  void Put(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
  static std::string Get(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  fake::TempDir dir_;
  const std::string root_ = dir_.path() + "/cg";
  const std::string pod_ = root_ + "/cpu/kubepods/pod1";
  CgroupFiles files_{root_};
};

TEST_F(CgroupFilesTest, ALinkOrAWayOutIsRefusedAndNothingIsWritten) {
  Put(dir_.path() + "/victim", "mine\n");
  std::filesystem::create_symlink(dir_.path() + "/victim", pod_ + "/cpu.shares");
  std::filesystem::create_directory_symlink(pod_, root_ + "/cpu/kubepods/pod2");
  Put(pod_ + "/cpu.weight", "100\n");
  const std::pair<std::string, std::string> bad[] = {{pod_, "cpu.shares"},
                                                     {root_ + "/cpu/kubepods/pod2", "cpu.weight"},
                                                     {dir_.path(), "victim"},
                                                     {root_ + "/..", "victim"},
                                                     {pod_, "../pod1/cpu.weight"}};
  for (const auto& [dir, knob] : bad) {
    const auto written = files_.Write(dir, knob, "7");
    ASSERT_FALSE(written) << dir;
    EXPECT_EQ(written.error().code, Code::kInvalid) << written.error().message;
    EXPECT_NE(written.error().message.find(dir + "/" + knob), std::string::npos) << written.error().message;
    EXPECT_FALSE(files_.Read(dir, knob)) << dir;
  }
  EXPECT_EQ(Get(dir_.path() + "/victim"), "mine\n");
  EXPECT_EQ(Get(pod_ + "/cpu.weight"), "100\n");
  EXPECT_FALSE(files_.Inode(root_ + "/cpu/kubepods/pod2"));
}

TEST_F(CgroupFilesTest, ADevicesLineIsAKnob) {
  Put(pod_ + "/io.max", "8:0 rbps=max wbps=1000 riops=max wiops=max\n8:16 rbps=5 wbps=max riops=max wiops=max\n");
  EXPECT_EQ(files_.Read(pod_, "io.max@8:0"), "rbps=max wbps=1000 riops=max wiops=max");
  EXPECT_EQ(files_.Read(pod_, "io.max@8:1"), "rbps=max wbps=max riops=max wiops=max") << "not the line of 8:16";
  ASSERT_TRUE(files_.Write(pod_, "io.max@8:1", "wbps=2"));
  EXPECT_TRUE(Get(pod_ + "/io.max").starts_with("8:1 wbps=2"));
  Put(pod_ + "/io.weight", "default 100\n8:0 200\n");
  EXPECT_EQ(files_.Read(pod_, "io.weight"), "default 100");
  EXPECT_EQ(files_.Read(pod_, "io.weight@8:0"), "200");
  EXPECT_EQ(files_.Read(pod_, "io.weight@8:1"), "default");
  ASSERT_TRUE(files_.Write(pod_, "io.weight", "default 300"));
  EXPECT_EQ(files_.Read(pod_, "io.weight"), "default 300");
}

TEST_F(CgroupFilesTest, OnVersionOneOtherControllersAreInTheirOwnHierarchy) {
  const auto blkio = root_ + "/blkio/kubepods/pod1";
  std::filesystem::create_directories(blkio);
  Put(blkio + "/blkio.throttle.read_bps_device", "8:0 1000\n");
  EXPECT_EQ(files_.Read(pod_, "blkio.throttle.read_bps_device@8:0"), "1000");
  EXPECT_EQ(files_.Read(pod_, "blkio.throttle.read_bps_device@8:16"), "0");
  const auto missing = files_.Read(pod_, "memory.soft_limit_in_bytes");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
}

TEST_F(CgroupFilesTest, WhatIsNotOneLineIsNoKnob) {
  Put(pod_ + "/cpu.stat", "usage 1\nuser 2\n");
  EXPECT_FALSE(files_.Read(pod_, "cpu.stat"));
  EXPECT_EQ(files_.Text(pod_, "cpu.stat"), "usage 1\nuser 2");
  Put(pod_ + "/cpu.weight", "100\n");
  for (const std::string& text : {std::string(), std::string("1\n2"), std::string(5000, '1')}) {
    const auto written = files_.Write(pod_, "cpu.weight", text);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, Code::kInvalid);
  }
  EXPECT_EQ(Get(pod_ + "/cpu.weight"), "100\n");
  Put(pod_ + "/cpuset.cpus", std::string(5000, '1'));
  EXPECT_FALSE(files_.Read(pod_, "cpuset.cpus"));
}

}  // namespace
}  // namespace whorl::agent
