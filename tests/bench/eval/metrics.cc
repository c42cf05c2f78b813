#include "tests/bench/eval/metrics.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

namespace whorl::eval {
namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

float Rankable(float evidence) { return std::isnan(evidence) ? -std::numeric_limits<float>::infinity() : evidence; }

// Rows by falling evidence; rows with equal evidence in the order they came.
std::vector<std::size_t> Ranked(std::span<const float> evidence) {
  std::vector<std::size_t> order(evidence.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const float ea = Rankable(evidence[a]), eb = Rankable(evidence[b]);
    return ea != eb ? ea > eb : a < b;
  });
  return order;
}

std::size_t Positives(std::span<const std::uint8_t> label) {
  return static_cast<std::size_t>(std::count_if(label.begin(), label.end(), [](std::uint8_t l) { return l != 0; }));
}

// Calls step(true, false) with the counts of each group of equal evidence, from the top.
template <typename Step>
void ForEachLevel(std::span<const float> evidence, std::span<const std::uint8_t> label, Step step) {
  const auto order = Ranked(evidence);
  for (std::size_t i = 0; i < order.size();) {
    const float level = Rankable(evidence[order[i]]);
    std::size_t positives = 0, all = 0;
    for (; i < order.size() && Rankable(evidence[order[i]]) == level; ++i, ++all) positives += label[order[i]] != 0;
    step(static_cast<double>(positives), static_cast<double>(all - positives));
  }
}

}  // namespace

double AucPr(std::span<const float> evidence, std::span<const std::uint8_t> label) {
  assert(evidence.size() == label.size());
  const std::size_t positives = Positives(label);
  if (positives == 0 || positives == label.size()) return kNothing;
  double found = 0, predicted = 0, area = 0;
  ForEachLevel(evidence, label, [&](double hits, double misses) {
    found += hits;
    predicted += hits + misses;
    area += hits * (found / predicted);
  });
  return area / static_cast<double>(positives);
}

double AucRoc(std::span<const float> evidence, std::span<const std::uint8_t> label) {
  assert(evidence.size() == label.size());
  const double positives = static_cast<double>(Positives(label));
  const double negatives = static_cast<double>(label.size()) - positives;
  if (positives == 0 || negatives == 0) return kNothing;
  double found = 0, won = 0;
  ForEachLevel(evidence, label, [&](double hits, double misses) {
    won += misses * (found + hits / 2);
    found += hits;
  });
  return won / (positives * negatives);
}

double VusPr(std::span<const float> evidence, std::span<const std::uint8_t> label, std::size_t longest) {
  assert(evidence.size() == label.size());
  constexpr std::size_t kThresholds = 250;
  const std::size_t rows = label.size();
  const std::size_t positives = Positives(label);
  if (positives == 0 || positives == rows) return kNothing;

  // A threshold predicts every row at least as evident as its rank's; `first`
  // is the first (strictest) threshold that predicts a row.
  const auto order = Ranked(evidence);
  std::vector<float> threshold(kThresholds);
  for (std::size_t k = 0; k < kThresholds; ++k) {
    const auto rank = static_cast<std::size_t>(static_cast<double>(rows - 1) * static_cast<double>(k) /
                                               static_cast<double>(kThresholds - 1));
    threshold[k] = Rankable(evidence[order[rank]]);
  }
  std::vector<std::size_t> first(rows);
  std::vector<double> predicted(kThresholds, 0.0);
  std::size_t level = 0;
  for (const std::size_t row : order) {
    while (threshold[level] > Rankable(evidence[row])) ++level;
    first[row] = level;
    ++predicted[level];
  }
  std::partial_sum(predicted.begin(), predicted.end(), predicted.begin());

  const auto runs = RunsOf(std::vector<std::uint8_t>(label.begin(), label.end()));
  std::vector<double> hits_inside(kThresholds, 0.0);  // rows that are anomalous themselves
  for (const Segment& run : runs) {
    for (std::size_t i = run.begin; i < run.end; ++i) ++hits_inside[first[i]];
  }

  const double anomalous = static_cast<double>(positives);
  std::vector<double> buffer(rows, 0.0);
  std::vector<std::size_t> touched;
  double volume = 0;
  for (std::size_t w = 0; w <= longest; ++w) {
    // The buffers of neighbouring anomalies add up, to at most one.
    const std::size_t reach = w / 2;
    touched.clear();
    const auto soften = [&](std::size_t i, std::size_t distance) {
      if (label[i] != 0) return;
      if (buffer[i] == 0) touched.push_back(i);
      buffer[i] += std::sqrt(1 - static_cast<double>(distance) / static_cast<double>(w));
    };
    for (const Segment& run : runs) {
      const std::size_t last = run.end - 1;
      for (std::size_t d = 1; d <= reach && last + d < rows; ++d) soften(last + d, d);
      for (std::size_t d = 1; d <= reach && d <= run.begin; ++d) soften(run.begin - d, d);
    }
    std::vector<double> in_buffer(kThresholds, 0.0);
    for (const std::size_t i : touched) {
      in_buffer[first[i]] += std::min(1.0, buffer[i]);
      buffer[i] = 0;
    }
    // An anomaly exists for a threshold that predicts a row of it or of its
    // buffer; anomalies whose buffers meet are one.
    std::vector<double> existing(kThresholds, 0.0);
    double groups = 0;
    std::size_t strictest = kThresholds;
    for (std::size_t r = 0; r < runs.size(); ++r) {
      const std::size_t begin = runs[r].begin - std::min(runs[r].begin, reach);
      const std::size_t end = std::min(rows, runs[r].end + reach);
      for (std::size_t i = begin; i < end; ++i) strictest = std::min(strictest, first[i]);
      const bool meets =
          r + 1 < runs.size() && runs[r].end - 1 + reach >= runs[r + 1].begin - std::min(runs[r + 1].begin, reach);
      if (meets) continue;
      ++existing[strictest];
      ++groups;
      strictest = kThresholds;
    }
    double true_positive = 0, buffered = 0, exist = 0, recall_before = 0, area = 0;
    for (std::size_t k = 0; k < kThresholds; ++k) {
      buffered += in_buffer[k];
      true_positive += hits_inside[k] + in_buffer[k];
      exist += existing[k];
      const double size = (anomalous + anomalous + buffered) / 2;
      const double recall = std::min(true_positive / size, 1.0) * exist / groups;
      area += (recall - recall_before) * (true_positive / predicted[k]);
      recall_before = recall;
    }
    volume += area;
  }
  return volume / static_cast<double>(longest + 1);
}

std::size_t DominantPeriod(std::span<const float> values) {
  constexpr std::size_t kUsual = 125, kShortest = 3, kLongest = 300, kLags = 400, kRows = 20'000;
  const std::size_t rows = std::min(values.size(), kRows);
  if (rows <= kLags) return kUsual;
  double sum = 0, count = 0;
  for (const float v : values.first(rows)) {
    if (std::isnan(v)) continue;
    sum += static_cast<double>(v);
    ++count;
  }
  if (count == 0) return kUsual;
  std::vector<double> x(rows, 0.0);
  for (std::size_t i = 0; i < rows; ++i) {
    if (!std::isnan(values[i])) x[i] = static_cast<double>(values[i]) - sum / count;
  }
  std::vector<double> correlation(kLags + 1, 0.0);
  for (std::size_t lag = kShortest; lag <= kLags; ++lag) {
    for (std::size_t i = lag; i < rows; ++i) correlation[lag] += x[i] * x[i - lag];
  }
  std::optional<std::size_t> best;
  for (std::size_t lag = kShortest + 1; lag < kLags; ++lag) {
    if (correlation[lag] <= correlation[lag - 1] || correlation[lag] <= correlation[lag + 1]) continue;
    if (!best || correlation[lag] > correlation[*best]) best = lag;
  }
  // TSB-AD tests the lag less three against its bounds.
  if (!best || *best < 2 * kShortest || *best > kLongest + kShortest) return kUsual;
  return *best;
}

EventScore ScoreEvents(std::span<const Alarm> alarms, std::span<const Segment> events, std::span<const std::int64_t> at,
                       Millis interval, std::size_t from) {
  EventScore score;
  const std::size_t rows = at.size();
  if (from >= rows) return score;
  score.days = static_cast<double>(rows - from) * static_cast<double>(interval.count()) / 86'400'000.0;
  std::vector<std::uint8_t> up(rows, 0);
  for (const Alarm& alarm : alarms) {
    if (alarm.end <= from) continue;
    std::fill(up.begin() + static_cast<std::ptrdiff_t>(std::max(alarm.begin, from)),
              up.begin() + static_cast<std::ptrdiff_t>(std::min(alarm.end, rows)), std::uint8_t{1});
    const bool real = std::any_of(events.begin(), events.end(), [&](const Segment& event) {
      return std::max({alarm.begin, event.begin, from}) < std::min(alarm.end, event.end);
    });
    score.false_alarms += !real;
  }
  score.alarm_share = static_cast<double>(Positives(up)) / static_cast<double>(rows - from);
  for (const Segment& event : events) {
    if (event.end <= from) continue;
    ++score.events;
    const std::size_t begin = std::max(event.begin, from);
    score.opened_inside += std::any_of(alarms.begin(), alarms.end(), [&](const Alarm& alarm) {
      return alarm.begin >= begin && alarm.begin < event.end;
    });
    for (std::size_t i = begin; i < std::min(event.end, rows); ++i) {
      if (up[i] == 0) continue;
      ++score.found;
      score.delays_s.push_back(static_cast<double>(at[i] - at[begin]) / 1000);
      break;
    }
  }
  return score;
}

double RecallAtK(std::span<const std::int16_t> named, std::span<const std::uint16_t> truth, std::size_t k) {
  const std::size_t possible = std::min(k, truth.size());
  if (possible == 0) return kNothing;
  std::size_t hits = 0;
  for (const std::int16_t column : named.first(std::min(k, named.size()))) {
    hits += column >= 0 && std::find(truth.begin(), truth.end(), static_cast<std::uint16_t>(column)) != truth.end();
  }
  return static_cast<double>(hits) / static_cast<double>(possible);
}

double Quantile(std::vector<double> values, double q) {
  if (values.empty()) return kNothing;
  std::sort(values.begin(), values.end());
  const double place = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (values[above] - values[below]) * (place - static_cast<double>(below));
}

double Mean(std::span<const double> values) {
  double sum = 0;
  std::size_t count = 0;
  for (const double v : values) {
    if (std::isnan(v)) continue;
    sum += v;
    ++count;
  }
  return count == 0 ? kNothing : sum / static_cast<double>(count);
}

}  // namespace whorl::eval
