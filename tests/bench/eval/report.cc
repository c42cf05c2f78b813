#include "tests/bench/eval/report.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace whorl::eval {
namespace {

std::string Digits(double value, int digits) {
  std::array<char, 40> text{};
  const auto [end, error] =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::general, digits);
  return error == std::errc{} ? std::string(text.data(), end) : "0";
}

std::string Escaped(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      std::array<char, 8> code{};
      std::snprintf(code.data(), code.size(), "\\u%04x", byte);
      out += code.data();
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace

Record& Record::Set(std::string_view name, Value value) {
  values_.emplace_back(std::string(name), std::move(value));
  return *this;
}
Record& Record::Put(std::string_view name, double value) { return Set(name, value); }
Record& Record::Put(std::string_view name, std::string_view value) { return Set(name, std::string(value)); }
Record& Record::Count(std::string_view name, std::uint64_t value) { return Set(name, value); }
Record& Record::Flag(std::string_view name, bool value) { return Set(name, value); }

std::string Record::Json() const {
  std::string line = "{";
  for (const auto& [name, value] : values_) {
    if (line.size() > 1) line += ',';
    line += Escaped(name) + ':';
    if (const auto* number = std::get_if<double>(&value)) {
      line += std::isfinite(*number) ? Digits(*number, 6) : "null";
    } else if (const auto* count = std::get_if<std::uint64_t>(&value)) {
      line += std::to_string(*count);
    } else if (const auto* flag = std::get_if<bool>(&value)) {
      line += *flag ? "true" : "false";
    } else {
      line += Escaped(std::get<std::string>(value));
    }
  }
  return line + '}';
}

std::string Record::Text(std::string_view wanted) const {
  const auto found = std::find_if(values_.begin(), values_.end(), [&](const auto& v) { return v.first == wanted; });
  if (found == values_.end()) return "";
  if (const auto* number = std::get_if<double>(&found->second))
    return std::isfinite(*number) ? Digits(*number, 3) : "-";
  if (const auto* count = std::get_if<std::uint64_t>(&found->second)) return std::to_string(*count);
  if (const auto* flag = std::get_if<bool>(&found->second)) return *flag ? "yes" : "no";
  return std::get<std::string>(found->second);
}

void PrintTable(std::ostream& out, std::span<const Record> records, std::span<const Heading> columns) {
  std::vector<std::size_t> width;
  for (const Heading& column : columns) {
    std::size_t w = column.title.size();
    for (const Record& record : records) w = std::max(w, record.Text(column.name).size());
    width.push_back(w);
  }
  const auto line = [&](auto text) {
    std::string row;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      std::string cell(text(columns[c]));
      const std::size_t pad = width[c] - cell.size();
      // Names to the left, figures to the right.
      row += c < 2 ? cell + std::string(pad, ' ') : std::string(pad, ' ') + cell;
      row += "  ";
    }
    row.erase(row.find_last_not_of(' ') + 1);
    out << row << '\n';
  };
  line([](const Heading& column) { return column.title; });
  for (const Record& record : records) line([&](const Heading& column) { return record.Text(column.name); });
}

}  // namespace whorl::eval
