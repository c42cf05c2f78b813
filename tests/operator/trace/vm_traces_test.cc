#include "operator/trace/vm_traces.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace whorl::trace {
namespace {

Result<std::vector<Series>> Read(std::string text) {
  auto table = Table::Parse(std::move(text));
  if (!table) return Fail(table.error());
  return ReadVmTrace(std::move(*table), Brief::kLeaveOut);
}

TEST(VmTrace, TakesNodeRequestAndLimitWhereTheTableHasThem) {
  const auto series = Read(
      "vm,ts,node,cores,cpu_pct,request_cores,mem_mb\n"
      "a,0,n1,4,25,2,900\n"
      "a,300,n1,4,50,2,900\n"
      "b,0,n2,2,10,,100\n"
      "b,300,n2,2,10,1,100\n");
  ASSERT_TRUE(series) << series.error().message;
  ASSERT_EQ(series->size(), 2u);
  EXPECT_EQ(series->front().node, "n1");
  EXPECT_EQ(series->front().columns, (std::vector<std::string>{"cpu_pct", "mem_mb", "request_cores", "cores"}));
  EXPECT_FLOAT_EQ(series->front().Value(0, 2), 2);
  EXPECT_EQ(series->back().counts.missing_cells, 1u);
}

TEST(VmTrace, AVmThatMovedIsOneSeriesPerNode) {
  const auto series = Read("vm,ts,node,cores,cpu_pct\na,0,n1,4,25\na,300,n1,4,50\na,600,n2,4,10\na,900,n2,4,10\n");
  ASSERT_TRUE(series) << series.error().message;
  ASSERT_EQ(series->size(), 2u);
  EXPECT_EQ(series->front().name, series->back().name);
  EXPECT_EQ(series->back().node, "n2");
}

TEST(VmTrace, TellsTheLayoutByItsColumns) {
  const auto azure = Read("vm,t,cpu_avg_pct,cpu_max_pct\na,0,1,2\na,300,1,2\n");
  ASSERT_TRUE(azure) << azure.error().message;
  EXPECT_EQ(azure->front().set, "azure");
  const auto bitbrains = Read("vm,t_end_s,duration_s,cpu_mhz\na,600,600,26\n");
  ASSERT_TRUE(bitbrains) << bitbrains.error().message;
  EXPECT_EQ(bitbrains->front().rows(), 2u);
  const auto unknown = Read("machine,load\na,1\n");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().message, "no column 'vm'; there are: machine, load");
}

TEST(VmTrace, AVmOfOneRowIsLeftOutOrRefusedAsTheCallerWishes) {
  const std::string text = "vm,ts,cores,cpu_pct\na,0,4,25\na,300,4,50\nb,300,2,1\n";
  const auto left = Read(text);
  ASSERT_TRUE(left) << left.error().message;
  EXPECT_EQ(left->size(), 1u);
  EXPECT_FALSE(ReadResourceTrace(*Table::Parse(text)));
}

}  // namespace
}  // namespace whorl::trace
