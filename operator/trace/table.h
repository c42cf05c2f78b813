#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace whorl::trace {

// A text is refused beyond this, so that a small file cannot unpack into all memory.
inline constexpr std::size_t kLargestText = std::size_t{4} << 30;

// The whole text of FILE.csv or FILE.csv.zst. kNotFound, kInvalid (too large), kCorrupt (zstd's frame is broken).
Result<std::string> ReadText(const std::filesystem::path& file);

// A comma-separated text with a header, read row by row. No quoting: none of
// our traces needs it. Blank lines are skipped; a short row's missing cells are
// empty, a long row's surplus is ignored, and both are counted.
class Table {
 public:
  // kInvalid: no header, a column without a name or named twice.
  static Result<Table> Parse(std::string text);
  static Result<Table> Read(const std::filesystem::path& file);

  const std::vector<std::string>& header() const { return header_; }
  std::optional<std::size_t> Column(std::string_view name) const;
  // kInvalid, naming the columns there are.
  Result<std::size_t> Require(std::string_view name) const;

  bool Next();                                      // moves to the next row; false at the end
  std::string_view Cell(std::size_t column) const;  // of the row; valid as long as the table
  std::size_t line() const { return line_; }        // of the row, 1 = header

  std::uint64_t short_rows() const { return short_rows_; }
  std::uint64_t long_rows() const { return long_rows_; }

 private:
  std::string_view NextLine();
  std::string_view text() const { return *text_; }

  std::shared_ptr<const std::string> text_;  // on the heap: moving a Table must not move the cells
  std::size_t position_ = 0;
  std::size_t line_ = 0;
  std::vector<std::string> header_;
  std::vector<std::string_view> cells_;
  std::uint64_t short_rows_ = 0;
  std::uint64_t long_rows_ = 0;
};

// A finite number that is all of the cell, or nothing.
std::optional<double> Number(std::string_view cell);
std::optional<std::int64_t> Integer(std::string_view cell);

}  // namespace whorl::trace
