#include "operator/trace/cells.h"

#include <cmath>
#include <utility>

namespace whorl::trace {

std::string Quoted(std::string_view text) { return "'" + std::string(text.substr(0, 40)) + "'"; }

float Value(std::string_view cell, ReadCounts& counts) {
  if (cell.empty()) {
    ++counts.missing_cells;
    return kMissing;
  }
  const auto number = Number(cell);
  if (!number || std::abs(*number) > kLargestValue) {
    ++counts.not_numbers;
    return kMissing;
  }
  return static_cast<float>(*number);
}

std::optional<std::int64_t> Millisecond(std::string_view cell) {
  const auto seconds = Number(cell);
  if (!seconds || std::abs(*seconds) > kLargestTime) return std::nullopt;
  return std::llround(*seconds * 1000);
}

Error AtLine(const Table& table, std::string message) {
  return Error{Code::kInvalid, "line " + std::to_string(table.line()) + ": " + std::move(message)};
}

Status CheckInterval(const Series& series) {
  if (series.rows() < 2) return Fail(Code::kInvalid, series.name + ": fewer than two usable rows");
  if (series.interval >= Millis{1000} && series.interval <= Millis{86'400'000}) return {};
  return Fail(Code::kInvalid, series.name + ": the median step between rows is " +
                                  std::to_string(static_cast<double>(series.interval.count()) / 1000) +
                                  " s; the time column does not seem to be in seconds");
}

}  // namespace whorl::trace
