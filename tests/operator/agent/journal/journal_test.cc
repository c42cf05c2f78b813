#include "operator/agent/journal/journal.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

JournalEntry Entry(const std::string& uid = "aaaa-1") {
  return {uid,
          "cpu/kubepods/burstable/pod" + uid,
          4711,
          Millis{123456},
          {{"cpu.shares", "109", "512", "1024"}, {"cpu.cfs_quota_us", "-1", "-1", "50000"}}};
}

std::string Slurp(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

void Spill(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

class JournalTest : public testing::Test {
 protected:
  std::string PathOf(const std::string& uid) const { return dir_.path() + "/journal/" + uid + ".pod"; }
  fake::TempDir dir_;
  Journal journal_ = *Journal::Open(dir_.path());
};

TEST_F(JournalTest, WhatIsPutIsFoundAndLoaded) {
  ASSERT_TRUE(journal_.Put(Entry("aaaa-1")));
  ASSERT_TRUE(journal_.Put(Entry("bbbb-2")));
  EXPECT_TRUE(journal_.Has("aaaa-1"));
  EXPECT_EQ(journal_.Find("aaaa-1"), Entry("aaaa-1"));
  const auto contents = journal_.Load();
  ASSERT_TRUE(contents);
  EXPECT_EQ(contents->entries, (std::vector{Entry("aaaa-1"), Entry("bbbb-2")}));
  EXPECT_TRUE(contents->damage.empty());
  ASSERT_TRUE(journal_.Drop("aaaa-1"));
  EXPECT_FALSE(journal_.Has("aaaa-1"));
  EXPECT_TRUE(journal_.Drop("aaaa-1")) << "dropping twice is harmless";
}

TEST_F(JournalTest, AV2ValueWithASpaceSurvives) {
  auto entry = Entry();
  entry.knobs = {{"cpu.max", "max 100000", "max 100000", "50000 100000"}};
  ASSERT_TRUE(journal_.Put(entry));
  EXPECT_EQ(journal_.Find(entry.pod_uid), entry);
}

TEST_F(JournalTest, KnobsOfACgroupSurviveAndNoOtherFileIsNamed) {
  auto entry = Entry();
  for (const auto* file :
       {"cpu.max.burst", "cpu.cfs_burst_us", "cpuset.cpus", "memory.low", "memory.high", "memory.soft_limit_in_bytes",
        "io.weight", "io.weight@254:0", "io.max@8:16", "blkio.throttle.write_bps_device@8:0"}) {
    entry.knobs = {{file, "0", "1", "1"}};
    ASSERT_TRUE(journal_.Put(entry)) << file;
    EXPECT_EQ(journal_.Find(entry.pod_uid), entry) << file;
  }
  for (const auto* file : {"memory.max", "cgroup.kill", "io.max", "io.max@", "io.max@8", "io.max@8:", "io.max@8:0/x",
                           "io.max@../8:0", "memory.low@8:0", "blkio.throttle.read_bps_device", "blkio.weight"}) {
    entry.knobs = {{file, "0", "1", "1"}};
    EXPECT_TRUE(ParseEntry(FormatEntry(entry))->entry.knobs.empty()) << file;
  }
}

TEST_F(JournalTest, KnobsOfADomainSurvive) {
  auto entry = Entry();
  const std::string free = "read_bytes=0 write_bytes=0 read_iops=0 write_iops=0";
  entry.knobs = {{"balloon", "1048576", "1048576", "1044480"},
                 {"disk@vda", free, free, free + " group_name=gold"},
                 {"net.out@tap0", "none", "200000000bit", "drop"}};
  ASSERT_TRUE(journal_.Put(entry));
  EXPECT_EQ(journal_.Find(entry.pod_uid), entry);
  entry.knobs = {{"disk@../cgroup.procs", "1", "1", "1"}};
  ASSERT_TRUE(journal_.Put(entry));
  EXPECT_TRUE(journal_.Find(entry.pod_uid).value_or(JournalEntry{}).knobs.empty()) << "names no place outside";
}

TEST_F(JournalTest, ADamagedKnobIsSetAsideAndTheOtherIsKept) {
  ASSERT_TRUE(journal_.Put(Entry()));
  auto text = Slurp(PathOf("aaaa-1"));
  text.replace(text.find("50000"), 5, "90000");
  Spill(PathOf("aaaa-1"), text);
  const auto contents = journal_.Load();
  ASSERT_TRUE(contents);
  ASSERT_EQ(contents->entries.size(), 1u);
  ASSERT_EQ(contents->entries[0].knobs.size(), 1u);
  EXPECT_EQ(contents->entries[0].knobs[0].file, "cpu.shares");
  ASSERT_EQ(contents->damage.size(), 1u);
  EXPECT_NE(contents->damage[0].find("aaaa-1.pod.corrupt-1"), std::string::npos) << contents->damage[0];
  EXPECT_EQ(Slurp(PathOf("aaaa-1") + ".corrupt-1"), text) << "the evidence is kept";
  EXPECT_EQ(journal_.Load()->entries.size(), 1u) << "and the rest is a whole entry now";
  EXPECT_TRUE(journal_.Load()->damage.empty());
}

TEST_F(JournalTest, AnEntryThatCannotSayWhichPodIsSetAsideWhole) {
  for (const auto* text : {"", "garbage\n", "\x01\x02\x03", "whorl-journal-1\tx\n"}) {
    Spill(PathOf("aaaa-1"), text);
    const auto contents = journal_.Load();
    ASSERT_TRUE(contents);
    EXPECT_TRUE(contents->entries.empty());
    EXPECT_EQ(contents->damage.size(), 1u);
    EXPECT_FALSE(journal_.Has("aaaa-1"));
  }
  EXPECT_TRUE(std::filesystem::exists(PathOf("aaaa-1") + ".corrupt-4"));
}

TEST_F(JournalTest, EveryTruncationIsNoticed) {
  const auto whole = FormatEntry(Entry());
  ASSERT_EQ(ParseEntry(whole)->entry, Entry());
  ASSERT_TRUE(ParseEntry(whole)->damage.empty());
  for (std::size_t size = 0; size + 1 < whole.size(); ++size) {
    const auto parsed = ParseEntry(whole.substr(0, size));
    EXPECT_TRUE(!parsed || !parsed->damage.empty()) << size;
  }
}

TEST_F(JournalTest, NeverNamesAPlaceOutsideTheCgroups) {
  for (const auto* dir : {"../../etc", "/etc", "cpu/../../x", "", "./x"}) {
    auto entry = Entry();
    entry.dir = dir;
    EXPECT_FALSE(journal_.Put(entry)) << dir;
    EXPECT_FALSE(ParseEntry(FormatEntry(entry))) << dir;
  }
  auto entry = Entry("../x");
  EXPECT_FALSE(journal_.Put(entry));
  entry = Entry();
  entry.knobs[0].file = "cgroup.procs";
  EXPECT_FALSE(ParseEntry(FormatEntry(entry))->damage.empty()) << "only CPU knobs are ever written";
}

TEST_F(JournalTest, AJournalThatCannotBeWrittenSaysSo) {
  std::filesystem::remove_all(dir_.path() + "/journal");
  EXPECT_FALSE(journal_.Put(Entry()));
  EXPECT_FALSE(journal_.Lock());
}

}  // namespace
}  // namespace whorl::agent
