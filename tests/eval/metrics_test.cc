#include "tests/bench/eval/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/bench/eval/random.h"

namespace whorl::eval {
namespace {

using Evidence = std::vector<float>;
using Label = std::vector<std::uint8_t>;

TEST(Metrics, AveragePrecisionAndRocOfFourRows) {
  const Evidence evidence{0.9f, 0.8f, 0.7f, 0.6f};
  const Label label{1, 0, 1, 0};
  EXPECT_DOUBLE_EQ(AucPr(evidence, label), (1.0 + 2.0 / 3.0) / 2);
  EXPECT_DOUBLE_EQ(AucRoc(evidence, label), 0.75);
}

TEST(Metrics, TheScaleOfTheEvidenceDoesNotMatter) {
  const Evidence evidence{-3, 8e9f, 0.25f, 0.5f};
  const Label label{0, 1, 0, 1};
  EXPECT_DOUBLE_EQ(AucPr(evidence, label), 1);
  EXPECT_DOUBLE_EQ(AucRoc(evidence, label), 1);
}

TEST(Metrics, AConstantEvidenceEarnsThePrevalenceWhereverTheAnomaliesLie) {
  for (const Label& label : {Label{1, 0, 0, 0}, Label{0, 0, 0, 1}}) {
    EXPECT_DOUBLE_EQ(AucPr(Evidence(4, 1.0f), label), 0.25);
    EXPECT_DOUBLE_EQ(AucRoc(Evidence(4, 1.0f), label), 0.5);
  }
}

TEST(Metrics, ARowWithoutEvidenceRanksLast) {
  const Evidence evidence{kMissing, -1e30f, kMissing};
  EXPECT_DOUBLE_EQ(AucPr(evidence, Label{1, 0, 0}), 1.0 / 3);
  EXPECT_DOUBLE_EQ(AucRoc(evidence, Label{0, 1, 0}), 1);
}

TEST(Metrics, LabelsOfOneKindOnlyHaveNoFigure) {
  for (const std::uint8_t l : {std::uint8_t{0}, std::uint8_t{1}}) {
    EXPECT_TRUE(std::isnan(AucPr(Evidence{1, 2}, Label{l, l})));
    EXPECT_TRUE(std::isnan(AucRoc(Evidence{1, 2}, Label{l, l})));
    EXPECT_TRUE(std::isnan(VusPr(Evidence{1, 2}, Label{l, l}, 4)));
  }
}

// The definition of VusPr, written down threshold by threshold.
double SlowVusPr(const Evidence& evidence, const Label& label, std::size_t longest) {
  const auto rows = static_cast<long>(label.size());
  Evidence sorted = evidence;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  const auto runs = RunsOf(label);
  double volume = 0;
  for (std::size_t w = 0; w <= longest; ++w) {
    const long reach = static_cast<long>(w) / 2;
    std::vector<double> soft(label.begin(), label.end());
    std::vector<std::pair<long, long>> groups;  // both inside
    for (const Segment& run : runs) {
      const long s = static_cast<long>(run.begin), e = static_cast<long>(run.end) - 1;
      for (long i = 0; i < rows; ++i) {
        const long distance = i < s ? s - i : i - e;
        if ((i < s || i > e) && distance <= reach)
          soft[static_cast<std::size_t>(i)] += std::sqrt(1 - static_cast<double>(distance) / static_cast<double>(w));
      }
      const std::pair<long, long> group{std::max(0L, s - reach), std::min(rows - 1, e + reach)};
      if (!groups.empty() && groups.back().second >= group.first) {
        groups.back().second = group.second;
      } else {
        groups.push_back(group);
      }
    }
    double before = 0, area = 0;
    for (int k = 0; k < 250; ++k) {
      const float threshold = sorted[static_cast<std::size_t>(static_cast<double>(rows - 1) * k / 249.0)];
      double hits = 0, predicted = 0, size = 0, touched = 0;
      for (std::size_t i = 0; i < label.size(); ++i) {
        const bool yes = evidence[i] >= threshold;
        const double weight = std::min(1.0, soft[i]);
        hits += yes ? weight : 0;
        predicted += yes;
        size += label[i] != 0 ? 1.0 : yes ? weight : 0.0;
      }
      for (const auto& [from, to] : groups) {
        bool any = false;
        for (long i = from; i <= to; ++i) any |= evidence[static_cast<std::size_t>(i)] >= threshold;
        touched += any;
      }
      double anomalous = 0;
      for (const auto l : label) anomalous += l;
      const double recall =
          std::min(1.0, hits / ((anomalous + size) / 2)) * touched / static_cast<double>(groups.size());
      area += (recall - before) * hits / predicted;
      before = recall;
    }
    volume += area;
  }
  return volume / static_cast<double>(longest + 1);
}

TEST(Metrics, VusPrIsTheSlowDefinition) {
  Random random(7);
  for (int round = 0; round < 6; ++round) {
    const std::size_t rows = 40 + random.Below(300);
    Evidence evidence(rows);
    Label label(rows, 0);
    for (int run = 0; run < 4; ++run) {
      const std::size_t begin = random.Below(rows - 8);
      for (std::size_t i = begin; i < begin + 1 + random.Below(7); ++i) label[i] = 1;
    }
    for (std::size_t i = 0; i < rows; ++i) {
      // Steps of a tenth: many ties.
      evidence[i] = std::round(10 * (static_cast<float>(random.Uniform()) + 0.5f * static_cast<float>(label[i]))) / 10;
    }
    EXPECT_NEAR(VusPr(evidence, label, 20), SlowVusPr(evidence, label, 20), 1e-9) << round;
  }
}

TEST(Metrics, VusPrForgivesAnAlarmBesideTheAnomalyAndAucPrDoesNot) {
  Evidence beside(300, 0.0f), far(300, 0.0f);
  Label label(300, 0);
  for (std::size_t i = 100; i < 110; ++i) {
    label[i] = 1;
    beside[i - 10] = far[i + 100] = 1;
  }
  EXPECT_DOUBLE_EQ(AucPr(beside, label), AucPr(far, label));
  EXPECT_GT(VusPr(beside, label, 40), 3 * VusPr(far, label, 40));
}

TEST(Metrics, ThePeriodOfASineIsFound) {
  std::vector<float> sine(5000);
  for (std::size_t i = 0; i < sine.size(); ++i)
    sine[i] = static_cast<float>(std::sin(2 * 3.14159265358979 * static_cast<double>(i) / 48));
  EXPECT_EQ(DominantPeriod(sine), 48u);
  EXPECT_EQ(DominantPeriod(std::vector<float>(5000, 1.0f)), 125u);
  EXPECT_EQ(DominantPeriod(std::vector<float>(10, 1.0f)), 125u);
  EXPECT_EQ(DominantPeriod(std::vector<float>(5000, kMissing)), 125u);
}

TEST(Metrics, EventsAreFoundByAnAlarmThatIsUpAndFalseAlarmsTouchNone) {
  std::vector<std::int64_t> at(100);
  for (std::size_t i = 0; i < at.size(); ++i) at[i] = static_cast<std::int64_t>(i) * 60'000;
  const std::vector<Segment> events{{5, 8, {}}, {20, 30, {}}, {50, 60, {}}, {80, 90, {}}};
  const std::vector<Alarm> alarms{{5, 7}, {18, 22}, {55, 56}, {70, 72}, {72, 74}, {95, 100}};
  const EventScore score = ScoreEvents(alarms, events, at, Millis{60'000}, 10);
  EXPECT_EQ(score.events, 3u);  // the first lies before row 10
  EXPECT_EQ(score.found, 2u);
  EXPECT_EQ(score.opened_inside, 1u);
  EXPECT_EQ(score.false_alarms, 3u);
  EXPECT_EQ(score.delays_s, (std::vector<double>{0, 300}));
  EXPECT_DOUBLE_EQ(score.days, 90.0 / 1440);
  EXPECT_DOUBLE_EQ(score.alarm_share, (4.0 + 1 + 2 + 2 + 5) / 90);
}

TEST(Metrics, AnAlarmThatNeverEndsFindsAllAndSaysWhatItCost) {
  std::vector<std::int64_t> at(100, 0);
  const EventScore score =
      ScoreEvents(std::vector<Alarm>{{0, 100}}, std::vector<Segment>{{50, 60, {}}}, at, Millis{1000}, 0);
  EXPECT_EQ(score.found, 1u);
  EXPECT_EQ(score.opened_inside, 0u);
  EXPECT_DOUBLE_EQ(score.alarm_share, 1);
}

TEST(Metrics, RecallAtKCountsWhatCouldBeNamed) {
  const std::vector<std::int16_t> named{4, 2, 9, -1};
  EXPECT_DOUBLE_EQ(RecallAtK(named, std::vector<std::uint16_t>{2}, 3), 1);
  EXPECT_DOUBLE_EQ(RecallAtK(named, std::vector<std::uint16_t>{2}, 1), 0);
  EXPECT_DOUBLE_EQ(RecallAtK(named, std::vector<std::uint16_t>{1, 2, 3, 5, 9}, 3), 2.0 / 3);
  EXPECT_TRUE(std::isnan(RecallAtK(named, {}, 3)));
}

TEST(Metrics, QuantileAndMeanOfNothingAreNothing) {
  EXPECT_TRUE(std::isnan(Quantile({}, 0.5)));
  EXPECT_TRUE(std::isnan(Mean(std::vector<double>{std::nan("")})));
  EXPECT_DOUBLE_EQ(Quantile({3, 1, 2, 10}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(Mean(std::vector<double>{1, std::nan(""), 3}), 2);
}

}  // namespace
}  // namespace whorl::eval
