#include "operator/agent/sense/domain_stats.h"

#include <gtest/gtest.h>

#include <sstream>

#include "operator/agent/sense/parse.h"
#include "tests/operator/agent/sense/recorded.h"

namespace whorl::agent {
namespace {

DomainStats Recorded() {
  DomainStats stats;
  std::istringstream in(test::Recording("domstats.txt"));
  for (std::string line; std::getline(in, line);) {
    const auto equals = line.find('=');
    const auto start = line.find_first_not_of(' ');
    if (equals == std::string::npos) continue;
    if (const auto value = ParseCounter(line.substr(equals + 1)))
      Fold(line.substr(start, equals - start), *value, stats);
  }
  return stats;
}

const Time kJustAfter = FromUnixMillis(1795390345 * 1000LL);

TEST(DomainStats, ReadsARecordedDomain) {
  Reading reading;
  Put(Recorded(), kJustAfter, reading);
  EXPECT_EQ(reading.Get(Feature::kBalloonCurrent), 1048576.0 * 1024);
  EXPECT_EQ(reading.Get(Feature::kGuestMemoryUsable), 813064.0 * 1024);
  EXPECT_EQ(reading.Get(Feature::kDiskReadBytes), 4608);
  EXPECT_EQ(reading.Get(Feature::kDiskWriteBytes), 0);
  EXPECT_EQ(reading.Get(Feature::kDiskOperations), 2);
  EXPECT_EQ(reading.Get(Feature::kDiskFlushes), 0);
  EXPECT_EQ(reading.Get(Feature::kDiskBusy), 678.902);
  EXPECT_EQ(reading.Get(Feature::kGuestMajorFaults), 0);
  EXPECT_EQ(reading.Get(Feature::kGuestSwapping), 0);
  EXPECT_FALSE(reading.valid.Has(Feature::kDirtyRate));
  EXPECT_EQ(reading.valid.count(), 9);
}

TEST(DomainStats, ADirtyRateCountsOnceItIsDone) {
  DomainStats stats;
  Fold("dirtyrate.calc_status", 1, stats);
  Fold("dirtyrate.megabytes_per_second", 0, stats);
  stats.dirty_wanted = true;
  Reading reading;
  Put(stats, kJustAfter, reading);
  EXPECT_FALSE(reading.valid.Has(Feature::kDirtyRate)) << "still under way";
  Fold("dirtyrate.calc_status", 2, stats);
  Fold("dirtyrate.megabytes_per_second", 12, stats);
  Put(stats, kJustAfter, reading);
  EXPECT_EQ(reading.Get(Feature::kDirtyRate), 12.0 * 1024 * 1024);
  stats.dirty_wanted = false;  // told before: libvirt keeps showing it
  reading.Clear();
  Put(stats, kJustAfter, reading);
  EXPECT_FALSE(reading.valid.Has(Feature::kDirtyRate));
}

TEST(DomainStats, WhatTheGuestSwapsIsInAndOutTogether) {
  DomainStats stats;
  Fold("balloon.swap_in", 3, stats);
  Reading reading;
  stats.guest_updated = ToUnixMillis(kJustAfter) / 1000;
  Put(stats, kJustAfter, reading);
  EXPECT_FALSE(reading.valid.Has(Feature::kGuestSwapping)) << "half of it is not it";
  Fold("balloon.swap_out", 4, stats);
  Put(stats, kJustAfter, reading);
  EXPECT_EQ(reading.Get(Feature::kGuestSwapping), 7.0 * 1024);
}

TEST(DomainStats, AGuestWhoseBalloonDriverFellSilentIsNotBelieved) {
  Reading reading;
  Put(Recorded(), kJustAfter + Seconds{60}, reading);
  EXPECT_TRUE(reading.valid.Has(Feature::kBalloonCurrent));
  EXPECT_FALSE(reading.valid.Has(Feature::kGuestMemoryUsable));
  EXPECT_FALSE(reading.valid.Has(Feature::kGuestMajorFaults));
  EXPECT_FALSE(reading.valid.Has(Feature::kGuestSwapping));
}

TEST(DomainStats, WithoutBalloonAndDisksNothingIsMeasured) {
  Reading reading;
  Put(DomainStats{}, kJustAfter, reading);
  EXPECT_EQ(reading.valid.count(), 0);
}

TEST(DomainStats, DisksAreSummed) {
  DomainStats stats;
  Fold("block.count", 2, stats);
  Fold("block.0.rd.bytes", 100, stats);
  Fold("block.1.rd.bytes", 23, stats);
  Fold("block.0.wr.reqs", 1, stats);
  Fold("block.1.fl.reqs", 2, stats);
  Fold("block.1.rd.times", 999, stats);
  EXPECT_EQ(stats.disk_read_bytes, 123u);
  EXPECT_EQ(stats.disk_operations, 3u);
  EXPECT_EQ(stats.disk_flushes, 2u);
  EXPECT_EQ(stats.disk_busy_ns, 999u);
}

}  // namespace
}  // namespace whorl::agent
