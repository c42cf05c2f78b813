#include "operator/plugin/replay/sources.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <utility>

#include "operator/trace/vm_traces.h"

namespace whorl::plugin {
namespace {

using trace::Series;

constexpr double kMhzPerCore = 2600;

void AddOnce(std::vector<std::string>& sentences, std::string sentence) {
  if (std::find(sentences.begin(), sentences.end(), sentence) == sentences.end())
    sentences.push_back(std::move(sentence));
}

std::string Count(std::uint64_t n, const char* one, const char* many) {
  return std::to_string(n) + " " + (n == 1 ? one : many);
}

// FILE_vms.csv beside FILE.csv, where the trace's publisher wrote down the VMs' sizes.
struct Size {
  double cores = 0, mhz_per_core = 0;
};
std::map<std::string, Size> SizesBeside(const std::filesystem::path& file) {
  std::map<std::string, Size> sizes;
  std::string stem = file.filename().string();
  stem.resize(stem.find(".csv"));
  auto table = trace::Table::Read(file.parent_path() / (stem + "_vms.csv"));
  if (!table) return sizes;
  const auto vm = table->Column("vm"), count = table->Column("cpu_count"), mhz = table->Column("cpu_capacity_mhz");
  if (!vm || !count || !mhz) return sizes;
  while (table->Next()) {
    const auto cores = trace::Number(table->Cell(*count)), all = trace::Number(table->Cell(*mhz));
    if (cores && all && *cores > 0 && *all > 0) sizes[std::string(table->Cell(*vm))] = {*cores, *all / *cores};
  }
  return sizes;
}

double Most(const Series& series, std::size_t column) {
  double most = std::nan("");
  for (std::size_t r = 0; r < series.rows(); ++r) {
    if (const float v = series.Value(r, column); !std::isnan(v)) most = std::fmax(most, static_cast<double>(v));
  }
  return most;
}

// The newest value of an optional column: what was set last.
std::optional<double> Newest(const Series& series, std::string_view column) {
  const auto found = std::find(series.columns.begin(), series.columns.end(), column);
  if (found == series.columns.end()) return std::nullopt;
  for (std::size_t r = series.rows(); r-- > 0;) {
    const float v = series.Value(r, static_cast<std::size_t>(found - series.columns.begin()));
    if (!std::isnan(v) && v > 0) return static_cast<double>(v);
  }
  return std::nullopt;
}

whatif::Track ToTrack(const Series& series, const std::map<std::string, Size>& sizes, History& history) {
  whatif::Track track;
  track.vm = series.name;
  track.node = series.node;
  const std::size_t last = series.columns.size() - 1;
  double scale = 0.01;  // from the first column to cores
  if (series.set == "azure") {
    AddOnce(history.assumed, "cpu_avg_pct is a part of a VM whose cores nobody knows: each VM counts as one core.");
  } else if (series.set == "bitbrains") {
    const auto size = sizes.find(series.name);
    scale = 1 / (size != sizes.end() ? size->second.mhz_per_core : kMhzPerCore);
    track.size = size != sizes.end() ? size->second.cores : std::ceil(std::fmax(Most(series, 0), 1) * scale);
    if (size == sizes.end()) {
      AddOnce(history.assumed,
              "cpu_mhz: 2,600 MHz count as one core, and a VM has as many cores as its highest use fills, because no "
              "table of the VMs lies beside the file.");
    }
  } else {
    track.size = Most(series, last);
  }
  track.request = Newest(series, trace::kRequestColumn);
  track.limit = Newest(series, trace::kLimitColumn);
  track.node_capacity = Newest(series, trace::kNodeColumn);
  track.samples.reserve(series.rows());
  for (std::size_t r = 0; r < series.rows(); ++r) {
    const float cores = series.set == "bitbrains_rnd" ? series.Value(r, last) : 1.0f;
    track.samples.push_back({FromUnixMillis(series.at[r]), series.Value(r, 0) * cores * static_cast<float>(scale)});
  }
  return track;
}

Result<History> ReadTable(const std::string& path) {
  auto table = trace::Table::Read(path);
  if (!table) return Fail(table.error());
  std::string unused;
  for (const std::string& column : table->header()) {
    constexpr std::string_view kUsed[] = {
        "vm",          "ts",    "t",    "t_end_s",       "duration_s",  "cpu_mhz",   "cpu_pct",
        "cpu_avg_pct", "cores", "node", "request_cores", "limit_cores", "node_cores"};
    if (std::find(std::begin(kUsed), std::end(kUsed), column) == std::end(kUsed))
      unused += (unused.empty() ? "" : ", ") + column;
  }
  auto all = trace::ReadVmTrace(std::move(*table), trace::Brief::kLeaveOut);
  if (!all) return Fail(all.error().In(path));
  History history;
  if (!unused.empty()) {
    AddOnce(history.noticed, "Columns that were not replayed, because only CPU is: " + unused + ".");
  }
  const auto sizes = SizesBeside(path);
  trace::ReadCounts counts;
  std::size_t without = 0;
  for (const Series& series : *all) {
    counts += series.counts;
    auto track = ToTrack(series, sizes, history);
    if (!(track.size > 0)) {
      ++without;
      continue;
    }
    history.tracks.push_back(std::move(track));
  }
  if (without > 0) {
    AddOnce(history.noticed, path + ": " + Count(without, "VM was", "VMs were") + " left out: no number of cores.");
  }
  const auto told = [&](std::uint64_t n, const char* one, const char* many) {
    if (n > 0) AddOnce(history.noticed, path + ": " + Count(n, one, many));
  };
  told(counts.missing_cells, "empty cell was masked.", "empty cells were masked.");
  told(counts.not_numbers, "cell that is no number was masked.", "cells that are no numbers were masked.");
  told(counts.out_of_range, "impossible value was masked.", "impossible values were masked.");
  told(counts.dropped_rows, "row without a usable time was dropped.", "rows without a usable time were dropped.");
  if (history.tracks.empty()) return Fail(Code::kInvalid, path + ": no VM with cores and at least two rows");
  return history;
}

// NODE-TIME.whorlrec, as whorl-controller names it.
std::string NodeOf(const std::string& path) {
  std::string name = std::filesystem::path(path).stem().string();
  const auto dash = name.rfind('-');
  if (dash != std::string::npos && dash > 0 && name.find_first_not_of("0123456789", dash + 1) == std::string::npos)
    name.resize(dash);
  return name;
}

Result<History> ReadRecording(const std::string& path, const Clock& clock,
                              const std::function<void(const std::string&)>& progress) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Fail(Code::kNotFound, path + ": " + std::strerror(errno));
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  History history;
  std::map<VmHandle, VmSpec> specs;
  std::map<std::string, whatif::Track> tracks;
  std::optional<double> capacity;
  Told told;
  told.vm = [&](VmHandle vm, const VmSpec& spec) {
    specs[vm] = spec;
    history.policy = spec.policy;
  };
  told.capacity = [&](std::optional<MilliCores> cores) {
    if (cores) capacity = static_cast<double>(whorl::Count(*cores)) / 1000;
  };
  const std::string node = NodeOf(path);
  std::uint64_t ticks = 0;
  const Millis begin = clock.Monotonic();
  const auto replayed = Replay(
      bytes,
      [&](Time now, const Engine& engine, const Plan&) {
        for (const Assessment& assessment : engine.assessments()) {
          const auto spec = specs.find(assessment.vm);
          if (spec == specs.end()) continue;
          whatif::Track& track = tracks[spec->second.id];
          track.vm = spec->second.id;
          track.node = node;
          track.size = spec->second.vcpus;
          const auto cores = [](MilliCores m) { return static_cast<double>(whorl::Count(m)) / 1000; };
          if (spec->second.cpu_request) track.request = cores(*spec->second.cpu_request);
          if (spec->second.cpu_limit) track.limit = cores(*spec->second.cpu_limit);
          // A reading that did not come in this second is none of this second.
          const bool fresh = assessment.cpu_now && now - assessment.last_sample < Millis{2000};
          track.samples.push_back({now, fresh ? static_cast<float>(cores(*assessment.cpu_now)) : std::nanf("")});
        }
        if (++ticks % 3600 == 0) progress(path + ": " + std::to_string(ticks / 3600) + " h of ticks lived through");
      },
      told);
  if (!replayed) return Fail(replayed.error().In(path));
  if (tracks.empty()) return Fail(Code::kInvalid, path + ": no tick with a VM was recorded");
  const double seconds = static_cast<double>((clock.Monotonic() - begin).count()) / 1000;
  history.relived = Relived{path, *replayed, seconds};
  for (auto& [id, track] : tracks) {
    track.node_capacity = capacity;
    history.tracks.push_back(std::move(track));
  }
  AddOnce(history.noticed,
          "Recordings name VMs by uid: kubectl get vm -A -o custom-columns=NAME:.metadata.name,UID:.metadata.uid");
  if (replayed->torn) {
    AddOnce(history.noticed,
            path + ": the last record is cut off, as it is when the controller is stopped while it writes.");
  }
  return history;
}

// A name is shown on terminals: what could steer one is taken out.
Result<History> Clean(Result<History> history) {
  if (!history) return history;
  for (whatif::Track& track : history->tracks) {
    for (std::string* name : {&track.vm, &track.node}) {
      for (char& c : *name) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
      }
    }
  }
  return history;
}

}  // namespace

Result<History> ReadSource(const std::string& path, const Clock& clock,
                           const std::function<void(const std::string&)>& progress) {
  if (path.ends_with(".whorlrec")) return Clean(ReadRecording(path, clock, progress));
  if (path.ends_with(".csv") || path.ends_with(".csv.zst")) return Clean(ReadTable(path));
  return Fail(Code::kInvalid,
              "\"" + path +
                  "\" is no source; give a recording (.whorlrec), a table (.csv, .csv.zst) or the URL of a "
                  "Prometheus (http://, https://)");
}

}  // namespace whorl::plugin
