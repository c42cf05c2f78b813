#include "operator/agent/act/domain_text.h"

#include <gtest/gtest.h>

namespace whorl::agent {
namespace {

const std::string kFree = "read_bytes=0 write_bytes=0 read_iops=0 write_iops=0";

Code CodeOf(std::string_view text) {
  const auto parsed = ParseDisk(text);
  return parsed ? Code::kInternal : parsed.error().code;
}

TEST(BalloonText, IsTheGuestsMemoryInWholePages) {
  EXPECT_EQ(*ParseBalloonKib("1048576"), 1048576u);
  for (const auto* wrong :
       {"", "0", "-4", "+4", "04", "4 ", "5", "4K", "4.0", "18446744073709551616", "9007199254740996"}) {
    EXPECT_EQ(ParseBalloonKib(wrong).error().code, Code::kInvalid) << wrong;
  }
  EXPECT_EQ(ParseBalloonKib("-4").error().message,
            "balloon \"-4\" must be the guest's memory in KiB, a multiple of 4 above 0");
}

TEST(DiskText, ADiskThatNobodyThrottlesHasFourZeros) {
  EXPECT_EQ(FormatDisk({}), kFree);
  EXPECT_EQ(*ParseDisk(kFree), DiskThrottle{});
}

TEST(DiskText, CarriesEverythingThatIsSet) {
  const DiskThrottle throttle{{{"read_bytes_sec", 1000},
                               {"read_bytes_sec_max", 5000},
                               {"read_bytes_sec_max_length", 3},
                               {"size_iops_sec", 4096},
                               {"total_iops_sec", 70},
                               {"write_iops_sec_max", 0}},
                              "gold"};
  const std::string text =
      "read_bytes=1000 write_bytes=0 read_iops=0 write_iops=0 read_bytes_sec_max=5000 read_bytes_sec_max_length=3 "
      "size_iops_sec=4096 total_iops_sec=70 group_name=gold";
  EXPECT_EQ(FormatDisk(throttle), text);
  EXPECT_EQ(FormatDisk(*ParseDisk(text)), text);
}

TEST(DiskText, RefusesWhatItDoesNotUnderstand) {
  for (const auto* wrong :
       {"", "read_bytes=1", "read_bytes=1 write_bytes=0 read_iops=0",
        "read_bytes=-1 write_bytes=0 read_iops=0 write_iops=0", "read_bytes=01 write_bytes=0 read_iops=0 write_iops=0",
        "read_bytes=1 read_bytes=2 write_bytes=0 read_iops=0 write_iops=0",
        "read_bytes=1 write_bytes=0 read_iops=0 write_iops=0 read_bytes_sec=1",
        "read_bytes=1000000000000001 write_bytes=0 read_iops=0 write_iops=0",
        "read_bytes=99999999999999999999 write_bytes=0 read_iops=0 write_iops=0",
        "read_bytes=0 write_bytes=0 read_iops=0 write_iops=0 ", "read_bytes=0  write_bytes=0 read_iops=0 write_iops=0",
        "read_bytes=0 write_bytes=0 read_iops=0 write_iops=0 x=y",
        "read_bytes=0 write_bytes=0 read_iops=0 write_iops=0 group_name=",
        "read_bytes=0 write_bytes=0 read_iops=0 write_iops=0 group_name=a\tb"}) {
    EXPECT_EQ(CodeOf(wrong), Code::kInvalid) << wrong;
  }
  EXPECT_NE(ParseDisk(kFree + " UP=1").error().message.find("UP=1"), std::string::npos) << "names the word";
}

TEST(DiskText, OurLimitIsTheLowerOfTwoAndKeepsWhatIsNotOurs) {
  EXPECT_EQ(*LimitDisk(kFree, {.read_bytes = 1000, .write_iops = 5}),
            "read_bytes=1000 write_bytes=0 read_iops=0 write_iops=5");
  EXPECT_EQ(*LimitDisk("read_bytes=400 write_bytes=900 read_iops=0 write_iops=0 group_name=gold",
                       {.read_bytes = 1000, .write_bytes = 500}),
            "read_bytes=400 write_bytes=500 read_iops=0 write_iops=0 group_name=gold");
}

TEST(DiskText, WhatWeLowerLosesItsBurst) {
  EXPECT_EQ(*LimitDisk("read_bytes=400 write_bytes=900 read_iops=0 write_iops=0 read_bytes_sec_max=800 "
                       "write_bytes_sec_max=9000 write_bytes_sec_max_length=2",
                       {.read_bytes = 1000, .write_bytes = 500}),
            "read_bytes=400 write_bytes=500 read_iops=0 write_iops=0 read_bytes_sec_max=800");
}

TEST(DiskText, BesideATotalThereIsNoLimitForReadsOrWrites) {
  const auto text = kFree + " total_bytes_sec=100";
  EXPECT_EQ(LimitDisk(text, {.write_bytes = 500}).error().code, Code::kRefused);
  EXPECT_TRUE(LimitDisk(text, {.write_iops = 500})) << "operations are another matter";
  EXPECT_EQ(LimitDisk(kFree, {.read_iops = 0}).error().code, Code::kInvalid) << "0 would lift the limit";
  EXPECT_EQ(LimitDisk(kFree, {.read_iops = kLargestRate + 1}).error().code, Code::kInvalid);
}

TEST(DomainXml, SaysWhichDisksAndWhetherThereIsABalloon) {
  const auto facts = ParseDomainXml(R"(<domain type='kvm' id='1'><name>default_db-1</name><devices>
      <disk type='file' device='disk'><target dev='vda' bus='virtio'/><alias name='ua-root'/></disk>
      <disk type='file'><target dev='vdb' bus='virtio'/></disk>
      <disk type='block' device='lun'><target dev='sda' bus='scsi'/></disk>
      <disk type='file' device='cdrom'><target dev='sdb' bus='sata'/></disk>
      <memballoon model='virtio-non-transitional'/></devices></domain>)");
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->disks, (std::vector<std::string>{"vda", "vdb", "sda"}));
  EXPECT_TRUE(facts->balloon);
  EXPECT_EQ(facts->pinned, "");
  EXPECT_EQ(facts->aliases.at("vda"), "ua-root");
}

TEST(DomainXml, SaysWhyMemoryIsPinned) {
  const auto pinned = [](const std::string& inside) {
    return ParseDomainXml("<domain>" + inside + "</domain>")->pinned;
  };
  EXPECT_EQ(pinned("<memoryBacking><hugepages/></memoryBacking>"), "huge pages");
  EXPECT_EQ(pinned("<memoryBacking><locked/></memoryBacking>"), "locked memory");
  EXPECT_EQ(pinned("<devices><hostdev mode='subsystem' type='pci'/></devices>"), "a device of the host (VFIO)");
  EXPECT_EQ(pinned("<memoryBacking><source type='memfd'/></memoryBacking>"), "");
}

TEST(DomainXml, WithoutBalloonAndDisksSaysSo) {
  const auto facts = ParseDomainXml("<domain><devices><memballoon model='none'/></devices></domain>");
  EXPECT_FALSE(facts->balloon);
  EXPECT_TRUE(facts->disks.empty());
}

TEST(DomainXml, RefusesWhatIsNoDomain) {
  for (const auto* wrong :
       {"", "<domain>", "<network/>", "balloon", "<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>"}) {
    EXPECT_FALSE(ParseDomainXml(wrong)) << wrong;
  }
}

TEST(DomainXml, AGroupThatQemuMadeUpIsTheDisksOwn) {
  EXPECT_TRUE(IsOwnGroup("drive-virtio-disk0", "virtio-disk0"));
  EXPECT_TRUE(IsOwnGroup("/machine/peripheral/ua-root/virtio-backend", "ua-root"));
  EXPECT_TRUE(IsOwnGroup("virtio-disk0", "virtio-disk0"));
  EXPECT_FALSE(IsOwnGroup("gold", "virtio-disk0"));
  EXPECT_FALSE(IsOwnGroup("drive-virtio-disk1", "virtio-disk0"));
  EXPECT_FALSE(IsOwnGroup("", ""));
}

}  // namespace
}  // namespace whorl::agent
