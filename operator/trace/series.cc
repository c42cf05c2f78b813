#include "operator/trace/series.h"

#include <algorithm>
#include <cmath>

namespace whorl::trace {

ReadCounts& ReadCounts::operator+=(const ReadCounts& other) {
  missing_cells += other.missing_cells;
  not_numbers += other.not_numbers;
  out_of_range += other.out_of_range;
  dropped_rows += other.dropped_rows;
  repeated_times += other.repeated_times;
  backwards_times += other.backwards_times;
  gaps += other.gaps;
  constant_columns += other.constant_columns;
  return *this;
}

void CountTimesAndColumns(Series& series) {
  std::vector<std::int64_t> steps;
  for (std::size_t i = 1; i < series.rows(); ++i) {
    const std::int64_t step = series.at[i] - series.at[i - 1];
    if (step > 0) steps.push_back(step);
    series.counts.repeated_times += step == 0;
    series.counts.backwards_times += step < 0;
  }
  if (!steps.empty()) {
    const auto middle = steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2);
    std::nth_element(steps.begin(), middle, steps.end());
    series.interval = Millis{*middle};
  }
  for (const std::int64_t step : steps) series.counts.gaps += step * 2 > series.interval.count() * 3;
  for (std::size_t c = 0; c < series.columns.size(); ++c) {
    float first = kMissing;
    bool moves = false;
    for (std::size_t r = 0; r < series.rows() && !moves; ++r) {
      const float v = series.Value(r, c);
      if (std::isnan(v)) continue;
      if (std::isnan(first)) first = v;
      moves = v != first;
    }
    series.counts.constant_columns += !moves;
  }
}

std::vector<Segment> RunsOf(const std::vector<std::uint8_t>& label) {
  std::vector<Segment> runs;
  for (std::size_t i = 0; i < label.size(); ++i) {
    if (label[i] == 0) continue;
    if (runs.empty() || runs.back().end != i) runs.push_back({i, i, {}});
    runs.back().end = i + 1;
  }
  return runs;
}

}  // namespace whorl::trace
