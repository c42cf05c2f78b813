// A real server's recorded metrics through the whole engine: calm stays calm,
// the labelled failure becomes an episode, and nothing is ever not a number.

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "core/engine/engine.h"
#include "core/fingerprint/scaling.h"

namespace whorl {
namespace {

struct Row {
  bool training = false;
  bool anomalous = false;
  std::vector<double> metrics;
};

std::vector<Row> Read(const std::string& path) {
  std::vector<Row> rows;
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string field;
    Row row;
    for (int column = 0; std::getline(fields, field, ','); ++column) {
      if (column == 0) row.training = field == "train";
      if (column == 2) row.anomalous = field == "1";
      if (column > 2) row.metrics.push_back(std::stod(field));
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

constexpr Seconds kInterval{300};

// The metrics' names are unknown; each stands in for one feature, at a size
// where the feature's logarithm is in force.
void Load(const Row& row, VmSample& sample) {
  FeatureMask valid;
  for (std::size_t f = 0; f < row.metrics.size(); ++f) {
    const FeatureInfo& info = kFeatures[f];
    const double level = row.metrics[f] * 20 * static_cast<double>(ScaleOrigin(info.feature));
    if (info.kind == Kind::kGauge) {
      sample.raw[f] = level;
    } else {
      const bool time = info.unit == "millicores" || info.unit == "ms/s";
      sample.raw[f] += level * static_cast<double>(kInterval.count()) * (time ? 1000 : 1);
    }
    valid.Set(info.feature);
  }
  sample.valid = valid;
}

TEST(Trace, ARealServersFailureBecomesAnEpisodeAndItsCalmDoesNot) {
  const auto rows = Read(WHORL_TEST_DATA "/asd/omi-11-excerpt.csv");
  ASSERT_EQ(rows.size(), 1500u);
  Engine engine;
  VmSpec spec;
  spec.id = "omi-11";
  spec.policy.learning = Seconds{0};
  spec.policy.learning_samples = 200;
  const VmHandle vm = engine.Enrol(spec).value();

  Frame frame;
  frame.samples.resize(1);
  frame.samples[0].vm = vm;
  Time now = FromUnixMillis(1'600'000'000'000);
  int first_anomaly = -1, opened_at = -1, opened_in_calm = 0, calm = 0, calm_high = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    now += kInterval;
    Load(rows[i], frame.samples[0]);
    frame.samples[0].sampled_at = now;
    engine.Tick(now, frame);
    const Assessment& a = *engine.Find(vm);
    ASSERT_TRUE(!a.score || *a.score <= 100);
    ASSERT_TRUE(!a.p_value || (*a.p_value > 0 && *a.p_value <= 1)) << i;
    for (std::size_t k = 0; k < a.top_count; ++k) {
      ASSERT_TRUE(std::isfinite(a.top[k].sigmas) && std::isfinite(a.top[k].value) && std::isfinite(a.top[k].usual));
    }
    if (rows[i].anomalous && first_anomaly < 0) first_anomaly = static_cast<int>(i);
    if (!a.score) continue;
    if (first_anomaly < 0) {
      ++calm;
      calm_high += *a.score >= a.threshold;
      opened_in_calm += a.episode_opened;
    } else if (a.episode_opened && opened_at < 0) {
      opened_at = static_cast<int>(i);
      EXPECT_EQ(a.state, State::kDeviating);
      EXPECT_GT(a.top_count, 0);
    }
  }
  RecordProperty("ticks_from_label_to_episode", opened_at - first_anomaly);
  EXPECT_GT(calm, 1000);
  EXPECT_EQ(opened_in_calm, 0);
  EXPECT_LT(static_cast<double>(calm_high) / calm, 0.01);
  ASSERT_GT(opened_at, 0) << "the labelled failure was not noticed";
  // The labels begin with a faint precursor; the failure itself follows within three hours.
  EXPECT_LE(opened_at - first_anomaly, 36);
}

}  // namespace
}  // namespace whorl
