#include "operator/controller/bootstrap/history_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>

namespace whorl::controller {
namespace {

const HistoryRow& Row(Feature feature, SeriesOf whose) {
  for (const auto& row : kHistoryRows) {
    if (row.feature == feature && row.whose == whose) return row;
  }
  throw std::runtime_error("no such row");
}

TEST(HistoryTable, KeepsTheRowsOfAFeatureTogetherAndBeginsWithCpu) {
  EXPECT_EQ(kHistoryRows.front().feature, Feature::kCpuUsage);
  std::set<Feature> seen;
  for (std::size_t i = 0; i < kHistoryRows.size(); ++i) {
    const auto& row = kHistoryRows[i];
    EXPECT_FALSE(row.metrics[0].empty());
    EXPECT_GT(row.factor, 0);
    if (i > 0 && kHistoryRows[i - 1].feature == row.feature) continue;
    EXPECT_TRUE(seen.insert(row.feature).second) << Info(row.feature).name;
  }
}

TEST(HistoryTable, GivesCountersARateAndGaugesAMean) {
  EXPECT_EQ(QueryOf(Row(Feature::kCpuUsage, SeriesOf::kVmi), "prod", "db-1", Seconds{300}),
            R"q(sum(rate(kubevirt_vmi_cpu_usage_seconds_total{namespace="prod",name="db-1"}[300s])))q");
  EXPECT_EQ(QueryOf(Row(Feature::kBalloonCurrent, SeriesOf::kVmi), "prod", "db-1", Seconds{60}),
            R"q(max(avg_over_time(kubevirt_vmi_memory_actual_balloon_bytes{namespace="prod",name="db-1"}[60s])))q");
  EXPECT_EQ(QueryOf(Row(Feature::kNetErrors, SeriesOf::kVmi), "prod", "db-1", Seconds{300}),
            R"q(sum(rate(kubevirt_vmi_network_receive_errors_total{namespace="prod",name="db-1"}[300s])))q"
            R"q( + sum(rate(kubevirt_vmi_network_transmit_errors_total{namespace="prod",name="db-1"}[300s])))q");
}

TEST(HistoryTable, FindsTheLauncherPodAndNoOtherVms) {
  EXPECT_EQ(QueryOf(Row(Feature::kMemoryMajorFaults, SeriesOf::kContainer), "prod", "db.1", Seconds{300}),
            R"q(sum(rate(container_memory_failures_total{namespace="prod",pod=~"virt-launcher-db\\.1-[a-z0-9]{5}",)q"
            R"q(container="compute",failure_type="pgmajfault",scope="container"}[300s])))q");
}

TEST(HistoryTable, AsksNothingOfCadvisorWhereThePodsNameIsCutShort) {
  const std::string longest(43, 'a');
  const auto& container = Row(Feature::kCpuUsage, SeriesOf::kContainer);
  EXPECT_TRUE(QueryOf(container, "prod", longest, Seconds{300}).has_value());
  EXPECT_FALSE(QueryOf(container, "prod", longest + "a", Seconds{300}).has_value());
  EXPECT_TRUE(QueryOf(Row(Feature::kCpuUsage, SeriesOf::kVmi), "prod", longest + "a", Seconds{300}).has_value());
}

TEST(HistoryTable, PutsNothingIntoAQueryThatIsNoName) {
  for (const std::string bad : {"", "a\"} or vector(1) #", "a\\", "a{", "a\nb", "A", "a_b", "a\xc3\xa4"}) {
    for (const auto& row : kHistoryRows) {
      EXPECT_FALSE(QueryOf(row, "prod", bad, Seconds{300}).has_value()) << bad;
      EXPECT_FALSE(QueryOf(row, bad, "db-1", Seconds{300}).has_value()) << bad;
    }
  }
}

// One line of docs/reference/prometheus.md.
std::string Line(const HistoryRow& row) {
  std::string metrics;
  for (const auto metric : row.metrics) {
    if (metric.empty()) break;
    metrics += (metrics.empty() ? "`" : " + `") + std::string(metric) + "`";
  }
  if (!row.matcher.empty()) metrics += " with `" + std::string(row.matcher) + "`";
  std::ostringstream out;
  out << "| " << Info(row.feature).name << " | " << Info(row.feature).unit << " | " << metrics << " | "
      << (row.kind == Kind::kCounter ? "rate" : "mean") << " | " << row.factor << " |";
  return out.str();
}

TEST(HistoryTable, IsWhatTheReferencePageShows) {
  std::string expected;
  for (const auto& row : kHistoryRows) expected += Line(row) + "\n";
  std::ifstream file(WHORL_SOURCE_DIR "/docs/reference/prometheus.md");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  constexpr std::string_view kRule = "|---|---|---|---|---|\n";
  const auto rule = page.find(kRule);
  ASSERT_NE(rule, page.npos);
  const auto begin = rule + kRule.size();
  EXPECT_EQ(page.substr(begin, page.find("\n\n", begin) + 1 - begin), expected)
      << "bring the table in docs/reference/prometheus.md up to date";
}

}  // namespace
}  // namespace whorl::controller
