#include "tests/bench/eval/traces.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace whorl::eval {
namespace {

Table Parsed(const std::string& text) { return Table::Parse(text).value(); }

Result<Series> Server(const std::string& text) { return ReadServerTrace(Parsed(text), "m", "smd", Millis{60'000}); }

TEST(ServerTrace, TestFollowsTrainInTimeAndLabelsBecomeEvents) {
  const auto series =
      Server("part,t,label,m00,m01\ntrain,0,,0.5,1\ntrain,1,,0.6,1\ntest,0,0,0.5,1\ntest,1,1,0.9,1\ntest,2,1,0.9,1\n");
  ASSERT_TRUE(series) << series.error().message;
  EXPECT_EQ(series->columns, (std::vector<std::string>{"m00", "m01"}));
  EXPECT_EQ(series->train_rows, 2u);
  EXPECT_EQ(series->at, (std::vector<std::int64_t>{0, 60'000, 120'000, 180'000, 240'000}));
  EXPECT_EQ(series->interval, Millis{60'000});
  ASSERT_EQ(series->events.size(), 1u);
  EXPECT_EQ(series->events[0].begin, 3u);
  EXPECT_EQ(series->events[0].end, 5u);
  EXPECT_FLOAT_EQ(series->Value(3, 0), 0.9f);
  EXPECT_EQ(series->counts.constant_columns, 1u);
}

TEST(ServerTrace, WhatIsWrongHereAndThereIsMaskedAndCounted) {
  const auto series = Server(
      "part,t,label,m00,m01\n"
      "train,0,,0.5,\n"       // empty cell
      "train,1,,nan,1e300\n"  // not a number, absurd
      "train,1,,0.5,2\n"      // repeated time
      "train,x,,0.5,1\n"      // no time: dropped
      "rest,2,,0.5,1\n"       // no such part: dropped
      "train,9,,0.5,3\n"      // gap
      "train,8,,0.5,3\n"      // backwards
      "train,10,,0.5\n"       // short
      "test,0,0,0.5,1,77\n"   // long: the rest is ignored
      "test,1,0,0.5,1\n");
  ASSERT_TRUE(series) << series.error().message;
  EXPECT_EQ(series->rows(), 8u);
  EXPECT_EQ(series->counts.missing_cells, 2u);
  EXPECT_EQ(series->counts.not_numbers, 2u);
  EXPECT_EQ(series->counts.dropped_rows, 2u);
  EXPECT_EQ(series->counts.repeated_times, 1u);
  EXPECT_EQ(series->counts.backwards_times, 1u);
  EXPECT_EQ(series->counts.gaps, 2u);  // 1 to 9, and 8 to 10
  EXPECT_EQ(series->counts.constant_columns, 1u);
  EXPECT_TRUE(std::isnan(series->Value(0, 1)));
  EXPECT_TRUE(std::isnan(series->Value(1, 0)));
}

TEST(ServerTrace, RefusesWhatIsNoTraceAndSaysWhy) {
  const struct {
    const char* text;
    const char* says;
  } cases[] = {
      {"t,label,m00\n0,,1\n", "no column 'part'"},
      {"part,label,m00\ntrain,,1\n", "no column 't'"},
      {"part,t,m00\ntrain,0,1\n", "no column 'label'"},
      {"part,t,label\ntrain,0,\n", "no column with values"},
      {"part,t,label,m00\n", "no train row"},
      {"part,t,label,m00\ntrain,0,,1\ntrain,1,,1\n", "no train row before the first test row, or no test row"},
      {"part,t,label,m00\ntest,0,0,1\ntest,1,0,1\n", "no train row before"},
      {"part,t,label,m00\ntrain,0,,1\ntest,0,0,1\ntrain,1,,1\n", "line 4: a train row after"},
      {"part,t,label,m00\ntrain,0,,1\ntest,0,2,1\n", "line 3: label '2' is neither"},
      {"part,t,label,m00\ntrain,0,,1\ntest,0,,1\n", "line 3: label '' is neither"},
      {"part,t,label,m00\ntrain,0,,1\ntrain,60000,,1\ntest,0,0,1\ntest,60000,0,1\n", "time column"},
  };
  for (const auto& c : cases) {
    const auto series = Server(c.text);
    ASSERT_FALSE(series) << c.text;
    EXPECT_EQ(series.error().code, Code::kInvalid);
    EXPECT_NE(series.error().message.find(c.says), std::string::npos) << series.error().message;
  }
}

TEST(ServerTrace, SegmentsNameColumnsAndTheEndMayBeInsideOrNot) {
  auto series = Server(
      "part,t,label,m00,m01,m02\ntrain,0,,1,1,1\ntest,0,0,1,1,1\ntest,1,1,1,1,1\ntest,2,1,1,1,1\ntest,3,0,1,1,1\n");
  ASSERT_TRUE(series);
  for (const char* end : {"2", "3"}) {
    series->blamed.clear();
    ASSERT_TRUE(AddBlamed(Parsed(std::string("machine,start,end,dims\nother,0,1,9\nm,1,") + end + ",1;3\n"), *series));
    ASSERT_EQ(series->blamed.size(), 1u);
    EXPECT_EQ(series->blamed[0].begin, 2u);
    EXPECT_EQ(series->blamed[0].end, 4u);
    EXPECT_EQ(series->blamed[0].columns, (std::vector<std::uint16_t>{0, 2}));
  }
  for (const char* bad : {"m,1,2,4", "m,1,2,0", "m,1,2,x", "m,2,1,1", "m,9,9,1", "m,-1,2,1"}) {
    EXPECT_FALSE(AddBlamed(Parsed(std::string("machine,start,end,dims\n") + bad + "\n"), *series)) << bad;
  }
}

TEST(NabTrace, WindowsAreLookedUpByTheirOwnTimes) {
  std::string text = "t,value,label\n";
  for (int i = 0; i < 100; ++i) text += std::to_string(1'397'146'500 + 300 * i) + ",1.5,0\n";  // 2014-04-10 16:15:00
  auto series = ReadNabTrace(Parsed(text), "real__a");
  ASSERT_TRUE(series) << series.error().message;
  EXPECT_EQ(series->train_rows, 15u);
  ASSERT_TRUE(AddNabWindows(Parsed("file,start,end\nreal/b.csv,2014-04-10 16:15:00,2014-04-10 16:20:00\n"
                                   "real/a.csv,2014-04-10 19:35:00,2014-04-10 20:00:00.000000\n"
                                   "real/a.csv,2014-04-10 18:01:00,2014-04-10 18:12:00\n"),
                            *series));
  ASSERT_EQ(series->events.size(), 2u);
  EXPECT_EQ(series->events[0].begin, 22u);  // 18:05, the first inside
  EXPECT_EQ(series->events[0].end, 24u);    // 18:10, the last inside
  EXPECT_EQ(series->events[1].begin, 40u);
  EXPECT_EQ(series->events[1].end, 46u);
  for (const char* bad : {"2014-04-10,2014-04-11", "2014-13-10 00:00:00,2015-04-10 00:00:00",
                          "2014-04-10 20:00:00,2014-04-10 19:00:00", "2013-04-10 20:00:00,2013-04-10 21:00:00"}) {
    EXPECT_FALSE(AddNabWindows(Parsed(std::string("file,start,end\nreal/a.csv,") + bad + "\n"), *series)) << bad;
  }
}

TEST(NabTrace, TimesInMillisecondsAreRefused) {
  const auto series = ReadNabTrace(Parsed("t,value,label\n1000,1,0\n300001000,1,0\n600001000,1,0\n"), "a");
  ASSERT_FALSE(series);
  EXPECT_NE(series.error().message.find("does not seem to be in seconds"), std::string::npos);
}

TEST(NabTrace, TenfoldJitterKeepsTheMedianInterval) {
  std::string text = "t,value,label\n";
  long t = 0;
  for (int i = 0; i < 100; ++i) {
    t += i % 10 == 0 ? 3000 : i % 10 == 5 ? 30 : 300;
    text += std::to_string(t) + ",1,0\n";
  }
  const auto series = ReadNabTrace(Parsed(text), "a");
  ASSERT_TRUE(series);
  EXPECT_EQ(series->interval, Seconds{300});
  EXPECT_EQ(series->counts.gaps, 9u);
}

TEST(AzureTrace, VmsKeepTheirOrderAndAShareBeyondTheWholeIsMasked) {
  std::string text = "vm,t,cpu_avg_pct,cpu_max_pct\nb,0,1,120\n";
  for (int i = 1; i < 20; ++i) {
    text += "b," + std::to_string(300 * i) + ",1,2\na," + std::to_string(300 * i) + ",3,4\n";
  }
  const auto vms = ReadAzureTrace(Parsed(text));
  ASSERT_TRUE(vms) << vms.error().message;
  ASSERT_EQ(vms->size(), 2u);
  EXPECT_EQ((*vms)[0].name, "b");
  EXPECT_EQ((*vms)[0].counts.out_of_range, 1u);
  EXPECT_TRUE(std::isnan((*vms)[0].Value(0, 1)));
  EXPECT_FLOAT_EQ((*vms)[1].Value(0, 1), 4);
}

TEST(AzureTrace, MillicoresAreNotAPercentage) {
  const auto vms = ReadAzureTrace(Parsed("vm,t,cpu_avg_pct,cpu_max_pct\na,0,900,2000\na,300,900,2000\n"));
  ASSERT_FALSE(vms);
  EXPECT_NE(vms.error().message.find("not a percentage"), std::string::npos);
}

TEST(BitbrainsTrace, MergedRunsAreTakenApartAndGapsStay) {
  const auto vms = ReadBitbrainsTrace(
      Parsed("vm,t_end_s,duration_s,cpu_mhz\n7,300,300,5\n7,1200,900,6\n7,2400,299,7\n7,2700,0,7\n7,9e99,300,7\n"));
  ASSERT_TRUE(vms) << vms.error().message;
  const Series& vm = vms->front();
  EXPECT_EQ(vm.at, (std::vector<std::int64_t>{300'000, 600'000, 900'000, 1'200'000, 2'400'000}));
  EXPECT_EQ(vm.values, (std::vector<float>{5, 6, 6, 6, 7}));
  EXPECT_EQ(vm.counts.gaps, 1u);
  EXPECT_EQ(vm.counts.dropped_rows, 2u);
}

TEST(Folders, AFolderWithoutTracesIsAClearError) {
  const auto none = ReadAnomalyFolder(WHORL_TEST_DATA "/no-such-folder", {"smd", "asd", "nab"});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kNotFound);
  EXPECT_FALSE(ReadDemandFolder(WHORL_TEST_DATA "/no-such-folder"));
}

TEST(ResourceTrace, EveryResourceOfAVmIsAColumnAndAGapStaysAGap) {
  const auto series =
      ReadResourceTrace(Parsed("vm,ts,cores,cpu_pct,mem_mb,disk_rd_kbs,disk_wr_kbs,net_rx_kbs,net_tx_kbs\n"
                               "a,1376314800,4,12.5,900,1,2,3,4\n"
                               "a,1376315100,4,-1,900,1,2,3,\n"
                               "b,1376314800,2,50,100,0,0,0,0\n"
                               "a,1376316000,4,20,900,1,2,3,4\n"
                               "b,1376315100,2,50,100,0,0,0,0\n"
                               "a,1376316300,4,20,900,1,2,3,4\n"));
  ASSERT_TRUE(series) << series.error().message;
  ASSERT_EQ(series->size(), 2u);
  const Series& a = series->front();
  EXPECT_EQ(a.set, "bitbrains_rnd");
  EXPECT_EQ(a.columns.front(), "cpu_pct");
  EXPECT_FLOAT_EQ(a.Value(0, 0), 12.5f);
  EXPECT_FLOAT_EQ(a.Value(0, 1), 900);
  EXPECT_FLOAT_EQ(a.Value(0, 6), 4);
  EXPECT_TRUE(std::isnan(a.Value(1, 0)));
  EXPECT_EQ(a.counts.out_of_range, 1u);
  EXPECT_EQ(a.counts.missing_cells, 1u);
  EXPECT_EQ(a.counts.gaps, 1u);
  const auto lacking = ReadResourceTrace(Parsed("vm,ts,cores,mem_mb\na,1376314800,4,12.5\n"));
  ASSERT_FALSE(lacking);
  EXPECT_NE(lacking.error().message.find("cpu_pct"), std::string::npos) << lacking.error().message;
}

}  // namespace
}  // namespace whorl::eval
