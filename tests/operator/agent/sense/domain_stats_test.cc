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
  EXPECT_EQ(reading.valid.count(), 5);
}

TEST(DomainStats, AGuestWhoseBalloonDriverFellSilentIsNotBelieved) {
  Reading reading;
  Put(Recorded(), kJustAfter + Seconds{60}, reading);
  EXPECT_TRUE(reading.valid.Has(Feature::kBalloonCurrent));
  EXPECT_FALSE(reading.valid.Has(Feature::kGuestMemoryUsable));
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
}

}  // namespace
}  // namespace whorl::agent
