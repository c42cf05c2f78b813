// The verbs from files to printed lines, with a scorer that knows the answer.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/bench/eval/alarms.h"
#include "tests/bench/eval/anomaly.h"

namespace whorl::eval {
namespace {

// Evidence is the first column's value; an episode is up while it exceeds 3.
class FirstColumn : public SeriesScorer {
 public:
  Result<Scored> Score(const Series& series) override {
    Scored scored;
    bool up = false;
    for (std::size_t r = 0; r < series.rows(); ++r) {
      RowScore row;
      if (r >= 10) row.evidence = std::max(0.0f, series.Value(r, 0));
      if (r >= 10) row.news = row.evidence;
      const bool over = row.evidence > 3;
      row.opened = over && !up;
      row.closed = up && !over;
      up = over;
      row.top = {0, 1, -1};
      scored.rows.push_back(row);
    }
    scored.columns_used = 1;
    return scored;
  }
  std::string Configuration() const override { return "first column"; }
};

class Verbs : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("whorl_eval_verbs." + std::to_string(getpid()));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  static std::string Server() {
    std::string text = "part,t,label,m00,m01\n";
    for (int i = 0; i < 200; ++i)
      text += "train," + std::to_string(i) + ",," + std::to_string(i % 3) + ",0." + std::to_string(i % 7) + "\n";
    for (int i = 0; i < 600; ++i) {
      const bool bad = i >= 300 && i < 320;
      text += "test," + std::to_string(i) + (bad ? ",1,9," : ",0," + std::to_string(i % 3) + ",") + "0." +
              std::to_string(i % 7) + "\n";
    }
    return text;
  }
  static std::string Nab() {
    std::string text = "t,value,label\n";
    for (int i = 0; i < 1000; ++i) {
      const bool window = i >= 500 && i < 601;
      text += std::to_string(1'397'088'000 + 300 * i) + (i == 500 ? ",9," : ",1.5,") +
              (window ? "1\n" : "0\n");  // from 2014-04-10
    }
    return text;
  }
  // The lines by set and series.
  static std::map<std::string, nlohmann::json> Lines(const std::string& text) {
    std::map<std::string, nlohmann::json> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
      const auto json = nlohmann::json::parse(line);
      lines[json["set"].get<std::string>() + " " + json["series"].get<std::string>()] = json;
    }
    return lines;
  }

  std::filesystem::path folder_;
  FirstColumn scorer_;
};

TEST_F(Verbs, AnomalyPrintsALineForEachSeriesAndSet) {
  Write("anomaly/smd/machine-1.csv", Server());
  Write("anomaly/smd/segments.csv", "machine,start,end,dims\nmachine-1,300,320,1\n");
  Write("anomaly/nab/realAWSCloudwatch__a.csv", Nab());
  Write("anomaly/nab/windows.csv", "file,start,end\nrealAWSCloudwatch/a.csv,2014-04-11 17:40:00,2014-04-12 02:00:00\n");
  Write("reference/nab_published_scores.csv", "file,detector,raw_score_standard\nrealAWSCloudwatch/a.csv,rival,0.5\n");
  std::ostringstream out, log;
  const auto status = RunAnomaly({folder_ / "anomaly", {"smd", "asd", "nab"}, "", true}, scorer_, out, log);
  ASSERT_TRUE(status) << status.error().message;
  const auto lines = Lines(out.str());
  ASSERT_EQ(lines.size(), 5u);  // nab-server is a set of its own

  const auto& smd = lines.at("smd machine-1");
  EXPECT_EQ(smd["auc_pr"], 1);
  EXPECT_EQ(smd["auc_roc"], 1);
  EXPECT_NEAR(smd["prevalence"].get<double>(), 20.0 / 600, 1e-6);
  EXPECT_EQ(smd["mean_z2_auc_pr"], 1);
  EXPECT_LT(smd["random_auc_pr"], 0.3);
  EXPECT_EQ(smd["event_recall"], 1);
  EXPECT_EQ(smd["false_alarm_episodes_per_day"], 0);
  EXPECT_EQ(smd["delay_p50_s"], 0);
  EXPECT_EQ(smd["attribution_recall_at_1"], 1);
  EXPECT_EQ(smd["random_attribution_recall_at_1"], 0.5);
  EXPECT_FALSE(smd.contains("nab_standard"));
  EXPECT_EQ(lines.at("smd *")["series_count"], 1);
  EXPECT_EQ(lines.at("smd *")["configuration"], "first column");

  for (const char* set : {"nab *", "nab-server *"}) {
    EXPECT_EQ(lines.at(set)["nab_standard"], 100) << set;
    EXPECT_EQ(lines.at(set)["nab_published_best"], 75);
    EXPECT_EQ(lines.at(set)["nab_published_best_detector"], "rival");
    EXPECT_NEAR(lines.at(set)["ratio_nab_published"].get<double>(), 100.0 / 75, 1e-5);
  }
  EXPECT_EQ(lines.at("nab realAWSCloudwatch__a")["nab_standard"], 100);
}

TEST_F(Verbs, AnomalyWithoutJsonIsATable) {
  Write("smd/machine-1.csv", Server());
  std::ostringstream out, log;
  ASSERT_TRUE(RunAnomaly({folder_, {"smd"}, "", false}, scorer_, out, log));
  EXPECT_NE(out.str().find("AUC-PR"), std::string::npos);
  EXPECT_NE(out.str().find("One configuration for all sets: first column"), std::string::npos);
  EXPECT_NE(log.str().find("machine-1"), std::string::npos);
}

TEST_F(Verbs, AnUnreadableTraceStopsTheRunWithItsName) {
  Write("smd/machine-1.csv", "part,t,label,m00\ntrain,0,,1\ntest,0,maybe,1\n");
  std::ostringstream out, log;
  const auto status = RunAnomaly({folder_, {"smd"}, "", true}, scorer_, out, log);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("machine-1.csv: line 3: label 'maybe'"), std::string::npos)
      << status.error().message;
  EXPECT_EQ(out.str(), "");
}

TEST_F(Verbs, AlarmsCountsNominalRatesAndLeavesOutWhatTheEngineCannot) {
  std::string text = "vm,t,cpu_avg_pct,cpu_max_pct\n";
  for (int i = 0; i < 1010; ++i) text += "a," + std::to_string(300 * i) + (i % 100 == 50 ? ",2.6,9\n" : ",1,9\n");
  Write("azure_v1.csv", text);
  Write("azure_v1_vms.csv", "vm,family\na,x\n");
  std::ostringstream out, log;
  const ScorerFor only_without = [](bool adaptive) -> std::unique_ptr<SeriesScorer> {
    if (adaptive) return nullptr;
    return std::make_unique<FirstColumn>();
  };
  const auto status = RunAlarms({folder_, true}, only_without, 1.0, out, log);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_NE(log.str().find("cannot run with adaptive control"), std::string::npos);
  const auto lines = Lines(out.str());
  ASSERT_EQ(lines.size(), 3u);
  const auto& all = lines.at("azure *");
  EXPECT_EQ(all["vms"], 1);
  EXPECT_EQ(all["adaptive_control"], false);
  EXPECT_DOUBLE_EQ(all["rate_at_1pct"], 0.01);   // 2.6 > 2
  EXPECT_DOUBLE_EQ(all["rate_at_03pct"], 0.01);  // 2.6 > 2.52
  EXPECT_DOUBLE_EQ(all["rate_at_01pct"], 0);     // 2.6 < 3
  EXPECT_DOUBLE_EQ(all["rate_over_nominal_at_1pct"], 1);
  EXPECT_EQ(all["episodes_per_vm_week"], 0);
}

}  // namespace
}  // namespace whorl::eval
