#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace whorl::eval {

// One line of a result: named figures in a fixed order.
class Record {
 public:
  // A figure that does not exist (NaN) is null in JSON and a dash in a table.
  Record& Put(std::string_view name, double value);
  Record& Put(std::string_view name, std::string_view value);
  Record& Put(std::string_view name, const char* value) { return Put(name, std::string_view(value)); }
  Record& Count(std::string_view name, std::uint64_t value);
  Record& Flag(std::string_view name, bool value);

  // {"name":value,...} without a line break. Numbers have six significant digits.
  std::string Json() const;
  // As a person reads it; empty when there is no such name.
  std::string Text(std::string_view name) const;

 private:
  using Value = std::variant<double, std::uint64_t, bool, std::string>;
  Record& Set(std::string_view name, Value value);

  std::vector<std::pair<std::string, Value>> values_;
};

struct Heading {
  std::string_view name;   // of the figure
  std::string_view title;  // over its column
};

// Aligned columns under their titles, one row per record.
void PrintTable(std::ostream& out, std::span<const Record> records, std::span<const Heading> columns);

}  // namespace whorl::eval
