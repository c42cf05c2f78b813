#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/base/time.h"

namespace whorl::trace {

inline constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// What a reader masked or dropped instead of guessing; printed with the result.
struct ReadCounts {
  std::uint64_t missing_cells = 0;   // empty, or the row was too short
  std::uint64_t not_numbers = 0;     // text, infinite or absurd: masked
  std::uint64_t out_of_range = 0;    // outside what the column's unit allows: masked
  std::uint64_t dropped_rows = 0;    // without a usable time or part
  std::uint64_t repeated_times = 0;  // same time as the row before; kept, scored as the row before
  std::uint64_t backwards_times = 0;
  std::uint64_t gaps = 0;  // steps longer than 1.5 intervals
  std::uint64_t constant_columns = 0;

  ReadCounts& operator+=(const ReadCounts& other);
};

// A stretch of rows, half open, and the columns said to be involved (may be empty).
struct Segment {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::vector<std::uint16_t> columns;
};

// One machine's recorded metrics in the order they were taken.
struct Series {
  std::string name;
  std::string node;  // it ran on; empty: the trace does not say
  std::string set;   // smd, asd, nab, azure, bitbrains, bitbrains_rnd
  Millis interval{};
  std::vector<std::string> columns;
  std::vector<std::int64_t> at;  // ms, one per row; not always increasing, see ReadCounts
  std::vector<float> values;     // row-major, kMissing where not measured
  // Rows before it may be learnt from and are never evaluated.
  std::size_t train_rows = 0;
  std::vector<std::uint8_t> label;  // one per row, 1 = anomalous; empty when nobody labelled it
  std::vector<Segment> events;      // runs of labels, or NAB's official windows
  std::vector<Segment> blamed;      // stretches whose columns are named
  ReadCounts counts;

  std::size_t rows() const { return at.size(); }
  float Value(std::size_t row, std::size_t column) const { return values[row * columns.size() + column]; }
};

// Fills interval (the median step) and the counts that follow from times and values.
void CountTimesAndColumns(Series& series);

// The runs of ones in `label`, in order.
std::vector<Segment> RunsOf(const std::vector<std::uint8_t>& label);

}  // namespace whorl::trace
