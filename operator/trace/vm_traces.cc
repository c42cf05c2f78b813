#include "operator/trace/vm_traces.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "operator/trace/cells.h"

namespace whorl::trace {
namespace {

struct PerVm {
  std::vector<Series> series;
  std::map<std::string, std::size_t> index;
  std::string key;

  // A VM that moved is one Series per node.
  Series& Of(std::string_view vm, std::string_view set, const std::vector<std::string>& columns,
             std::string_view node = {}) {
    key.assign(vm).append(1, '\n').append(node);
    auto found = index.find(key);
    if (found == index.end()) {
      found = index.emplace(key, series.size()).first;
      series.emplace_back();
      series.back().name = vm;
      series.back().node = node;
      series.back().set = set;
      series.back().columns = columns;
    }
    return series[found->second];
  }
};

Result<std::vector<Series>> Finish(PerVm&& vms, Brief brief) {
  if (brief == Brief::kLeaveOut) std::erase_if(vms.series, [](const Series& s) { return s.rows() < 2; });
  if (vms.series.empty()) return Fail(Code::kInvalid, "no rows");
  for (Series& series : vms.series) {
    CountTimesAndColumns(series);
    if (const auto ok = CheckInterval(series); !ok) return Fail(ok.error());
  }
  return std::move(vms.series);
}

// A share of a whole cannot leave 0 to 100; sources round, so a little more passes.
float Percent(std::string_view cell, ReadCounts& counts) {
  const float value = Value(cell, counts);
  if (std::isnan(value) || (value >= 0 && value <= 100.5f)) return value;
  ++counts.out_of_range;
  return kMissing;
}

}  // namespace

Result<std::vector<Series>> ReadAzureTrace(Table table, Brief brief) {
  const auto vm = table.Require("vm");
  const auto t = table.Require("t");
  const auto average = table.Require("cpu_avg_pct");
  const auto most = table.Require("cpu_max_pct");
  for (const auto* column : {&vm, &t, &average, &most}) {
    if (!*column) return Fail(column->error());
  }
  PerVm vms;
  std::uint64_t cells = 0, out_of_range = 0;
  while (table.Next()) {
    Series& series = vms.Of(table.Cell(*vm), "azure", {"cpu_avg_pct", "cpu_max_pct"});
    const auto at = Millisecond(table.Cell(*t));
    if (!at) {
      ++series.counts.dropped_rows;
      continue;
    }
    series.at.push_back(*at);
    const std::uint64_t before = series.counts.out_of_range;
    series.values.push_back(Percent(table.Cell(*average), series.counts));
    series.values.push_back(Percent(table.Cell(*most), series.counts));
    out_of_range += series.counts.out_of_range - before;
    cells += 2;
  }
  if (out_of_range * 10 > cells) return Fail(Code::kInvalid, "cpu_avg_pct or cpu_max_pct is not a percentage");
  return Finish(std::move(vms), brief);
}

Result<std::vector<Series>> ReadBitbrainsTrace(Table table, Brief brief) {
  constexpr std::int64_t kStep = 300'000;
  constexpr std::int64_t kLongestRun = std::int64_t{40} * 86'400'000;  // longer than the whole trace
  constexpr std::int64_t kMostSamples = 20'000'000;                    // a few bytes may stand for thousands
  std::int64_t unpacked = 0;
  const auto vm = table.Require("vm");
  const auto t = table.Require("t_end_s");
  const auto duration = table.Require("duration_s");
  const auto use = table.Require("cpu_mhz");
  for (const auto* column : {&vm, &t, &duration, &use}) {
    if (!*column) return Fail(column->error());
  }
  PerVm vms;
  while (table.Next()) {
    Series& series = vms.Of(table.Cell(*vm), "bitbrains", {"cpu_mhz"});
    const auto end = Millisecond(table.Cell(*t));
    const auto length = Millisecond(table.Cell(*duration));
    if (!end || !length || *length <= 0 || *length > kLongestRun) {
      ++series.counts.dropped_rows;
      continue;
    }
    float value = Value(table.Cell(*use), series.counts);
    if (value < 0) {
      ++series.counts.out_of_range;
      value = kMissing;
    }
    const std::int64_t samples = std::max<std::int64_t>(1, (*length + kStep / 2) / kStep);
    unpacked += samples;
    if (unpacked > kMostSamples) return Fail(AtLine(table, "the runs so far stand for more than 20 million samples"));
    for (std::int64_t k = samples - 1; k >= 0; --k) {
      series.at.push_back(*end - k * kStep);
      series.values.push_back(value);
    }
  }
  return Finish(std::move(vms), brief);
}

Result<std::vector<Series>> ReadResourceTrace(Table table, Brief brief) {
  const auto vm = table.Require("vm");
  const auto ts = table.Require("ts");
  const auto use = table.Require("cpu_pct");
  const auto cores = table.Require("cores");
  for (const auto* column : {&vm, &ts, &use, &cores}) {
    if (!*column) return Fail(column->error());
  }
  const auto node = table.Column("node");
  std::vector<std::string> names{"cpu_pct"};
  std::vector<std::size_t> columns{*use};
  constexpr std::string_view kOptional[] = {"mem_mb",     "disk_rd_kbs",  "disk_wr_kbs", "net_rx_kbs",
                                            "net_tx_kbs", kRequestColumn, kLimitColumn,  kNodeColumn};
  for (const std::string_view name : kOptional) {
    if (const auto column = table.Column(name)) {
      names.emplace_back(name);
      columns.push_back(*column);
    }
  }
  names.emplace_back("cores");
  columns.push_back(*cores);
  PerVm vms;
  while (table.Next()) {
    Series& series = vms.Of(table.Cell(*vm), "bitbrains_rnd", names, node ? table.Cell(*node) : std::string_view{});
    const auto at = Millisecond(table.Cell(*ts));
    if (!at) {
      ++series.counts.dropped_rows;
      continue;
    }
    series.at.push_back(*at);
    for (const std::size_t column : columns) {
      const float value = Value(table.Cell(column), series.counts);
      const bool negative = value < 0;
      series.counts.out_of_range += negative;
      series.values.push_back(negative ? kMissing : value);
    }
  }
  return Finish(std::move(vms), brief);
}

Result<std::vector<Series>> ReadVmTrace(Table table, Brief brief) {
  if (table.Column("cpu_avg_pct")) return ReadAzureTrace(std::move(table), brief);
  if (table.Column("cpu_mhz")) return ReadBitbrainsTrace(std::move(table), brief);
  return ReadResourceTrace(std::move(table), brief);
}

}  // namespace whorl::trace
