#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "operator/trace/series.h"
#include "operator/trace/table.h"

namespace whorl::trace {

// Beyond it a float's steps are so coarse that the reading is rather a mistake.
inline constexpr double kLargestValue = 1e15;
inline constexpr double kLargestTime = 1e11;  // s: some 3,000 years

// The first characters of a cell in quotes, for messages.
std::string Quoted(std::string_view text);

// A value or kMissing, with the reason counted.
float Value(std::string_view cell, ReadCounts& counts);

// Seconds, rounded to whole milliseconds.
std::optional<std::int64_t> Millisecond(std::string_view cell);

// kInvalid with the number of the table's row in front.
Error AtLine(const Table& table, std::string message);

// Every sampled trace ticks somewhere between a second and a day; anything else is another unit.
Status CheckInterval(const Series& series);

}  // namespace whorl::trace
