#include "operator/trace/table.h"

#include <zstd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>
#include <utility>

namespace whorl::trace {
namespace {

Result<std::string> Unpack(const std::string& packed) {
  struct Stream {
    ZSTD_DStream* raw = ZSTD_createDStream();
    Stream() = default;
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    ~Stream() { ZSTD_freeDStream(raw); }
  } stream;
  std::string text;
  std::string chunk(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  std::size_t wanted = 1;
  for (bool full = false; in.pos < in.size || full;) {
    ZSTD_outBuffer out{chunk.data(), chunk.size(), 0};
    wanted = ZSTD_decompressStream(stream.raw, &out, &in);
    if (ZSTD_isError(wanted) != 0) return Fail(Code::kCorrupt, std::string("zstd: ") + ZSTD_getErrorName(wanted));
    if (text.size() + out.pos > kLargestText) return Fail(Code::kInvalid, "larger than 4 GiB unpacked");
    text.append(chunk, 0, out.pos);
    full = out.pos == out.size;  // more may be waiting inside the decoder
  }
  if (wanted != 0) return Fail(Code::kCorrupt, "zstd: the file ends inside a frame");
  return text;
}

}  // namespace

Result<std::string> ReadText(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return Fail(Code::kNotFound, file.string() + ": cannot be opened");
  std::ostringstream bytes;
  bytes << stream.rdbuf();
  if (stream.bad()) return Fail(Code::kUnavailable, file.string() + ": cannot be read");
  std::string text = std::move(bytes).str();
  if (file.extension() != ".zst") return text;
  auto unpacked = Unpack(text);
  if (!unpacked) return Fail(unpacked.error().In(file.string()));
  return unpacked;
}

Result<Table> Table::Read(const std::filesystem::path& file) {
  auto text = ReadText(file);
  if (!text) return Fail(text.error());
  auto table = Parse(std::move(*text));
  if (!table) return Fail(table.error().In(file.string()));
  return table;
}

Result<Table> Table::Parse(std::string text) {
  Table table;
  table.text_ = std::make_shared<const std::string>(std::move(text));
  if (!table.Next()) return Fail(Code::kInvalid, "empty: not even a header");
  for (const std::string_view name : table.cells_) {
    if (name.empty()) return Fail(Code::kInvalid, "a column of the header has no name");
    if (table.Column(name)) return Fail(Code::kInvalid, "column '" + std::string(name) + "' comes twice");
    table.header_.emplace_back(name);
  }
  table.cells_.resize(table.header_.size());
  table.short_rows_ = table.long_rows_ = 0;
  return table;
}

std::optional<std::size_t> Table::Column(std::string_view name) const {
  const auto found = std::find(header_.begin(), header_.end(), name);
  if (found == header_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - header_.begin());
}

Result<std::size_t> Table::Require(std::string_view name) const {
  if (const auto column = Column(name)) return *column;
  std::string there;
  for (const std::string& column : header_) there += (there.empty() ? "" : ", ") + column;
  if (there.size() > 200) there = there.substr(0, 200) + " ...";
  return Fail(Code::kInvalid, "no column '" + std::string(name) + "'; there are: " + there);
}

std::string_view Table::NextLine() {
  const std::string_view rest = text().substr(position_);
  const std::size_t length = std::min(rest.find('\n'), rest.size());
  position_ += std::min(length + 1, rest.size());
  ++line_;
  std::string_view line = rest.substr(0, length);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool Table::Next() {
  std::string_view line;
  while (line.empty()) {
    if (position_ >= text().size()) return false;
    line = NextLine();
  }
  const std::size_t width = header_.size();  // 0 while the header itself is read
  cells_.clear();
  bool more = true;
  while (more && (width == 0 || cells_.size() < width)) {
    const std::size_t comma = line.find(',');
    more = comma != std::string_view::npos;
    cells_.push_back(line.substr(0, comma));
    if (more) line.remove_prefix(comma + 1);
  }
  long_rows_ += more;
  if (cells_.size() < width) {
    ++short_rows_;
    cells_.resize(width);
  }
  return true;
}

std::string_view Table::Cell(std::size_t column) const { return column < cells_.size() ? cells_[column] : ""; }

std::optional<double> Number(std::string_view cell) {
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc{} || end != cell.data() + cell.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<std::int64_t> Integer(std::string_view cell) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc{} || end != cell.data() + cell.size()) return std::nullopt;
  return value;
}

}  // namespace whorl::trace
