#include "tests/bench/eval/traces.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "operator/trace/cells.h"

namespace whorl::eval {
namespace {

using trace::AtLine;
using trace::CheckInterval;
using trace::kLargestTime;
using trace::Millisecond;
using trace::Quoted;
using trace::Value;

Result<std::vector<std::size_t>> ValueColumns(const Table& table, std::initializer_list<std::size_t> others) {
  std::vector<std::size_t> columns;
  for (std::size_t c = 0; c < table.header().size(); ++c) {
    if (std::find(others.begin(), others.end(), c) == others.end()) columns.push_back(c);
  }
  if (columns.empty()) return Fail(Code::kInvalid, "no column with values");
  return columns;
}

void TakeNames(const Table& table, const std::vector<std::size_t>& columns, Series& series) {
  for (const std::size_t c : columns) series.columns.push_back(table.header()[c]);
}

void TakeValues(const Table& table, const std::vector<std::size_t>& columns, Series& series) {
  for (const std::size_t c : columns) series.values.push_back(Value(table.Cell(c), series.counts));
}

Result<std::uint8_t> Label(const Table& table, std::size_t column) {
  const std::string_view cell = table.Cell(column);
  if (cell == "0") return std::uint8_t{0};
  if (cell == "1") return std::uint8_t{1};
  return Fail(AtLine(table, "label " + Quoted(cell) + " is neither 0 nor 1"));
}

// "2014-04-10 16:15:00" or "...T16:15:00", UTC, fractions of a second ignored.
std::optional<std::int64_t> ParseStamp(std::string_view text) {
  constexpr std::string_view kShape = "dddd-dd-dd dd:dd:dd";
  if (text.size() < kShape.size()) return std::nullopt;
  std::array<std::int64_t, 6> part{};
  std::size_t p = 0;
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    if (kShape[i] == 'd') {
      if (text[i] < '0' || text[i] > '9') return std::nullopt;
      part[p] = part[p] * 10 + (text[i] - '0');
    } else {
      if (text[i] != kShape[i] && !(kShape[i] == ' ' && text[i] == 'T')) return std::nullopt;
      ++p;
    }
  }
  const std::chrono::year_month_day day{std::chrono::year{static_cast<int>(part[0])},
                                        std::chrono::month{static_cast<unsigned>(part[1])},
                                        std::chrono::day{static_cast<unsigned>(part[2])}};
  if (!day.ok() || part[3] > 23 || part[4] > 59 || part[5] > 60) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days{day}.time_since_epoch().count();
  return ((days * 24 + part[3]) * 60 + part[4]) * 60'000 + part[5] * 1000;
}

}  // namespace

std::size_t NabProbation(std::size_t rows) {
  return std::min<std::size_t>(rows * 15 / 100, 750);  // floor(0.15 n), and 0.15 of at most 5,000
}

Result<Series> ReadServerTrace(Table table, std::string name, std::string set, Millis interval) {
  const auto part = table.Require("part");
  const auto t = table.Require("t");
  const auto label = table.Require("label");
  for (const auto* column : {&part, &t, &label}) {
    if (!*column) return Fail(column->error());
  }
  const auto columns = ValueColumns(table, {*part, *t, *label});
  if (!columns) return Fail(columns.error());

  Series series;
  series.name = std::move(name);
  series.set = std::move(set);
  TakeNames(table, *columns, series);
  std::int64_t part_begins = 0;  // in samples
  std::int64_t newest = -1;
  bool testing = false;
  while (table.Next()) {
    const bool test = table.Cell(*part) == "test";
    const auto number = Number(table.Cell(*t));
    if ((!test && table.Cell(*part) != "train") || !number || std::abs(*number) > kLargestTime) {
      ++series.counts.dropped_rows;
      continue;
    }
    if (test && !testing) {
      testing = true;
      series.train_rows = series.rows();
      part_begins = newest + 1;
    }
    if (!test && testing) return Fail(AtLine(table, "a train row after the test part began"));
    std::uint8_t anomalous = 0;
    if (test) {
      const auto given = Label(table, *label);
      if (!given) return Fail(given.error());
      anomalous = *given;
    }
    const double sample = static_cast<double>(part_begins) + *number;
    newest = std::max(newest, static_cast<std::int64_t>(sample));
    series.at.push_back(std::llround(sample * static_cast<double>(interval.count())));
    series.label.push_back(anomalous);
    TakeValues(table, *columns, series);
  }
  if (series.train_rows == 0) return Fail(Code::kInvalid, "no train row before the first test row, or no test row");
  CountTimesAndColumns(series);
  if (const auto ok = CheckInterval(series); !ok) return Fail(ok.error());
  series.events = RunsOf(series.label);
  return series;
}

Status AddBlamed(Table table, Series& series) {
  const auto machine = table.Require("machine");
  const auto start = table.Require("start");
  const auto end = table.Require("end");
  const auto dims = table.Require("dims");
  for (const auto* column : {&machine, &start, &end, &dims}) {
    if (!*column) return Fail(column->error());
  }
  const auto test_rows = static_cast<std::int64_t>(series.rows() - series.train_rows);
  while (table.Next()) {
    if (table.Cell(*machine) != series.name) continue;
    const auto first = Integer(table.Cell(*start));
    const auto last = Integer(table.Cell(*end));
    if (!first || !last || *first < 0 || *last < *first || *first >= test_rows) {
      return Fail(AtLine(table, "not a stretch of the " + std::to_string(test_rows) + " test rows"));
    }
    Segment segment{series.train_rows + static_cast<std::size_t>(*first),
                    series.train_rows + static_cast<std::size_t>(std::min(*last, test_rows)),
                    {}};
    // Sources differ on whether `end` is inside; the labels know.
    if (segment.end < series.rows() && series.label[segment.end] != 0) ++segment.end;
    std::string_view list = table.Cell(*dims);
    while (!list.empty()) {
      const std::size_t length = std::min(list.find(';'), list.size());
      const auto dim = Integer(list.substr(0, length));
      if (!dim || *dim < 1 || *dim > static_cast<std::int64_t>(series.columns.size())) {
        return Fail(AtLine(table, "dims " + Quoted(table.Cell(*dims)) + " name no column"));
      }
      segment.columns.push_back(static_cast<std::uint16_t>(*dim - 1));
      list.remove_prefix(std::min(length + 1, list.size()));
    }
    if (!segment.columns.empty() && segment.begin < segment.end) series.blamed.push_back(std::move(segment));
  }
  return {};
}

Result<Series> ReadNabTrace(Table table, std::string name) {
  const auto t = table.Require("t");
  const auto label = table.Require("label");
  for (const auto* column : {&t, &label}) {
    if (!*column) return Fail(column->error());
  }
  const auto columns = ValueColumns(table, {*t, *label});
  if (!columns) return Fail(columns.error());
  Series series;
  series.name = std::move(name);
  series.set = "nab";
  TakeNames(table, *columns, series);
  while (table.Next()) {
    const auto at = Millisecond(table.Cell(*t));
    if (!at) {
      ++series.counts.dropped_rows;
      continue;
    }
    const auto anomalous = Label(table, *label);
    if (!anomalous) return Fail(anomalous.error());
    series.at.push_back(*at);
    series.label.push_back(*anomalous);
    TakeValues(table, *columns, series);
  }
  CountTimesAndColumns(series);
  if (const auto ok = CheckInterval(series); !ok) return Fail(ok.error());
  series.train_rows = NabProbation(series.rows());
  series.events = RunsOf(series.label);
  return series;
}

Status AddNabWindows(Table table, Series& series) {
  const auto file = table.Require("file");
  const auto start = table.Require("start");
  const auto end = table.Require("end");
  for (const auto* column : {&file, &start, &end}) {
    if (!*column) return Fail(column->error());
  }
  std::vector<Segment> windows;
  while (table.Next()) {
    // CATEGORY/FILE.csv is stored as CATEGORY__FILE.csv.
    std::string stored(table.Cell(*file));
    if (const auto slash = stored.find('/'); slash != std::string::npos) stored.replace(slash, 1, "__");
    if (stored.ends_with(".csv")) stored.resize(stored.size() - 4);
    if (stored != series.name) continue;
    const auto from = ParseStamp(table.Cell(*start));
    const auto to = ParseStamp(table.Cell(*end));
    if (!from || !to || *to < *from) return Fail(AtLine(table, "not a window in time"));
    // As NAB looks them up: the first row with the window's own time, or else the nearest inside.
    const auto begin = static_cast<std::size_t>(
        std::find_if(series.at.begin(), series.at.end(), [&](std::int64_t at) { return at >= *from; }) -
        series.at.begin());
    std::size_t last = begin;
    for (std::size_t i = begin; i < series.rows() && series.at[i] <= *to; ++i) {
      last = i;
      if (series.at[i] == *to) break;
    }
    if (begin >= series.rows() || series.at[begin] > *to) return Fail(AtLine(table, "no row inside the window"));
    windows.push_back({begin, last + 1, {}});
  }
  std::sort(windows.begin(), windows.end(), [](const Segment& a, const Segment& b) { return a.begin < b.begin; });
  series.events = std::move(windows);
  return {};
}

namespace {

std::vector<std::filesystem::path> TracesIn(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".csv") || name.ends_with(".csv.zst")) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string StemOf(const std::filesystem::path& file) {
  const std::string name = file.filename().string();
  return name.substr(0, name.rfind(".csv"));
}

bool IsTable(const std::filesystem::path& file, std::string_view stem) { return StemOf(file) == stem; }

std::optional<std::filesystem::path> Find(const std::vector<std::filesystem::path>& files, std::string_view stem) {
  for (const auto& file : files) {
    if (IsTable(file, stem)) return file;
  }
  return std::nullopt;
}

struct SetLayout {
  std::string_view name;
  std::string_view side_table;
  Millis interval;  // what one step of t means; NAB carries real times
};
constexpr SetLayout kSets[] = {
    {"smd", "segments", Millis{60'000}}, {"asd", "segments", Millis{300'000}}, {"nab", "windows", Millis{0}}};

Result<Series> ReadOne(const std::filesystem::path& file, const SetLayout& set,
                       const std::optional<std::filesystem::path>& side) {
  auto table = Table::Read(file);
  if (!table) return Fail(table.error());
  const bool nab = set.name == "nab";
  auto series = nab ? ReadNabTrace(std::move(*table), StemOf(file))
                    : ReadServerTrace(std::move(*table), StemOf(file), std::string(set.name), set.interval);
  if (!series) return Fail(series.error().In(file.string()));
  if (side) {
    auto more = Table::Read(*side);
    if (!more) return Fail(more.error());
    const auto added = nab ? AddNabWindows(std::move(*more), *series) : AddBlamed(std::move(*more), *series);
    if (!added) return Fail(added.error().In(side->string()));
  }
  return series;
}

}  // namespace

Result<std::vector<Series>> ReadAnomalyFolder(const std::filesystem::path& folder,
                                              const std::vector<std::string>& sets) {
  std::vector<Series> all;
  for (const SetLayout& set : kSets) {
    if (std::find(sets.begin(), sets.end(), set.name) == sets.end()) continue;
    const auto files = TracesIn(folder / set.name);
    const auto side = Find(files, set.side_table);
    for (const auto& file : files) {
      if (side && file == *side) continue;
      auto series = ReadOne(file, set, side);
      if (!series) return Fail(series.error());
      all.push_back(std::move(*series));
    }
  }
  if (all.empty()) {
    return Fail(Code::kNotFound, folder.string() + ": no trace in smd/, asd/ or nab/ (looked for *.csv and *.csv.zst)");
  }
  return all;
}

Result<std::vector<Series>> ReadDemandFolder(const std::filesystem::path& folder) {
  std::vector<Series> all;
  for (const auto& file : TracesIn(folder)) {
    const std::string stem = StemOf(file);
    const bool azure = stem.starts_with("azure");
    // The tables ending in _vms describe VMs; they hold no samples.
    // bitbrains_rnd_* holds several resources in columns of its own.
    if (stem.ends_with("_vms") || stem.starts_with("bitbrains_rnd") || (!azure && !stem.starts_with("bitbrains")))
      continue;
    auto table = Table::Read(file);
    if (!table) return Fail(table.error());
    auto series = azure ? ReadAzureTrace(std::move(*table)) : ReadBitbrainsTrace(std::move(*table));
    if (!series) return Fail(series.error().In(file.string()));
    for (Series& one : *series) all.push_back(std::move(one));
  }
  if (all.empty()) return Fail(Code::kNotFound, folder.string() + ": no azure*.csv or bitbrains*.csv (or .csv.zst)");
  return all;
}

Result<std::vector<Series>> ReadResourceFolder(const std::filesystem::path& folder) {
  std::vector<Series> all;
  for (const auto& file : TracesIn(folder)) {
    const std::string stem = StemOf(file);
    if (!stem.starts_with("bitbrains_rnd") || stem.ends_with("_vms")) continue;
    auto table = Table::Read(file);
    if (!table) return Fail(table.error());
    auto series = ReadResourceTrace(std::move(*table));
    if (!series) return Fail(series.error().In(file.string()));
    for (Series& one : *series) all.push_back(std::move(one));
  }
  return all;
}

}  // namespace whorl::eval
