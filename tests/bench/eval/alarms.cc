#include "tests/bench/eval/alarms.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/bench/eval/injections.h"
#include "tests/bench/eval/report.h"
#include "tests/bench/eval/traces.h"

namespace whorl::eval {
namespace {

constexpr std::uint64_t kSeed = 20'260'102;
constexpr int kPlaces = 2;  // per VM and kind of change
// Rows that stand for the training part; the engine's own learning phase may end elsewhere.
constexpr std::size_t kTrainRows = 200;

struct Nominal {
  double rate;
  std::string_view name;
};
constexpr std::array<Nominal, 3> kNominal{{{0.01, "1pct"}, {0.003, "03pct"}, {0.001, "01pct"}}};

bool Below(float evidence, double rate) { return static_cast<double>(evidence) > -std::log10(rate); }

// How many of `placed` changes were seen, by each way of seeing.
struct Found {
  std::size_t placed = 0;
  std::array<std::size_t, kNominal.size()> below{};         // p under the nominal rate at a row of the change
  std::array<std::size_t, kNominal.size()> below_anyway{};  // the same rows without the change: luck
  std::size_t episodes = 0;                                 // an episode opened
  std::size_t unplaceable = 0;

  Found& operator+=(const Found& other) {
    placed += other.placed;
    for (std::size_t n = 0; n < kNominal.size(); ++n) {
      below[n] += other.below[n];
      below_anyway[n] += other.below_anyway[n];
    }
    episodes += other.episodes;
    unplaceable += other.unplaceable;
    return *this;
  }
};

struct Tally {
  std::size_t vms = 0;
  std::size_t rows = 0;
  std::size_t scored = 0;
  std::array<std::size_t, kNominal.size()> below{};
  std::array<std::vector<double>, kNominal.size()> rates;  // one per VM
  std::size_t episodes = 0;
  double days = 0;
  double seconds = 0;
  std::size_t bytes = 0;
  ReadCounts counts;
  std::array<Found, std::size(kChanges)> found;

  Tally& operator+=(const Tally& other) {
    vms += other.vms;
    rows += other.rows;
    scored += other.scored;
    episodes += other.episodes;
    days += other.days;
    seconds += other.seconds;
    bytes += other.bytes;
    counts += other.counts;
    for (std::size_t n = 0; n < kNominal.size(); ++n) {
      below[n] += other.below[n];
      rates[n].insert(rates[n].end(), other.rates[n].begin(), other.rates[n].end());
    }
    for (std::size_t c = 0; c < found.size(); ++c) found[c] += other.found[c];
    return *this;
  }
};

// First row with a score: where the learning phase ended.
std::size_t FirstScored(const Scored& scored) {
  const auto first = std::find_if(scored.rows.begin(), scored.rows.end(),
                                  [](const RowScore& row) { return !std::isnan(row.evidence); });
  return static_cast<std::size_t>(first - scored.rows.begin());
}

bool AnyBelow(const Scored& scored, std::size_t begin, std::size_t end, double rate) {
  return std::any_of(scored.rows.begin() + static_cast<std::ptrdiff_t>(begin),
                     scored.rows.begin() + static_cast<std::ptrdiff_t>(end),
                     [&](const RowScore& row) { return Below(row.evidence, rate); });
}

Result<Tally> Count(const Series& series, SeriesScorer& scorer) {
  auto scored = scorer.Score(series);
  if (!scored) return Fail(scored.error());
  const std::size_t first = FirstScored(*scored);
  Tally tally;
  tally.vms = 1;
  tally.rows = series.rows();
  tally.seconds = scored->seconds;
  tally.bytes = scored->state_bytes;
  tally.counts = series.counts;
  for (std::size_t r = first; r < series.rows(); ++r) {
    const RowScore& row = scored->rows[r];
    if (std::isnan(row.evidence)) continue;
    ++tally.scored;
    for (std::size_t n = 0; n < kNominal.size(); ++n) tally.below[n] += Below(row.evidence, kNominal[n].rate);
    tally.episodes += row.opened;
  }
  tally.days = static_cast<double>(tally.scored) * static_cast<double>(series.interval.count()) / 86'400'000;
  for (std::size_t n = 0; n < kNominal.size() && tally.scored > 0; ++n) {
    tally.rates[n].push_back(static_cast<double>(tally.below[n]) / static_cast<double>(tally.scored));
  }
  for (std::size_t c = 0; c < std::size(kChanges); ++c) {
    // The same places whatever the scorer, unless its learning ends later.
    Random random(SeedOf(kSeed + c, series.name.c_str()));
    for (int k = 0; k < kPlaces; ++k) {
      const auto injected = Inject(series, kChanges[c], std::max(first, 2 * kTrainRows), random);
      if (!injected) {
        ++tally.found[c].unplaceable;
        continue;
      }
      auto changed = scorer.Score(injected->changed);
      if (!changed) return Fail(changed.error());
      Scored other;
      if (injected->unchanged) {
        auto anyway = scorer.Score(*injected->unchanged);
        if (!anyway) return Fail(anyway.error());
        other = std::move(*anyway);
      }
      const Scored& unchanged = injected->unchanged ? other : *scored;
      Found& found = tally.found[c];
      ++found.placed;
      for (std::size_t n = 0; n < kNominal.size(); ++n) {
        found.below[n] += AnyBelow(*changed, injected->begin, injected->end, kNominal[n].rate);
        found.below_anyway[n] += AnyBelow(unchanged, injected->begin, injected->end, kNominal[n].rate);
      }
      found.episodes += std::any_of(changed->rows.begin() + static_cast<std::ptrdiff_t>(injected->begin),
                                    changed->rows.begin() + static_cast<std::ptrdiff_t>(injected->end),
                                    [](const RowScore& row) { return row.opened; });
    }
  }
  return tally;
}

double Share(std::size_t part, std::size_t whole) {
  return whole == 0 ? std::nan("") : static_cast<double>(part) / static_cast<double>(whole);
}

void PutFound(Record& record, const std::string& prefix, const Found& found) {
  record.Count(prefix + "_placed", found.placed).Count(prefix + "_unplaceable", found.unplaceable);
  for (std::size_t n = 0; n < kNominal.size(); ++n) {
    const std::string at = "_at_" + std::string(kNominal[n].name);
    record.Put(prefix + "_found" + at, Share(found.below[n], found.placed))
        .Put(prefix + "_luck" + at, Share(found.below_anyway[n], found.placed));
  }
  record.Put(prefix + "_found_by_episode", Share(found.episodes, found.placed));
}

Record ToRecord(const std::string& set, const std::string& series, bool adaptive, const Tally& tally, double budget) {
  Record record;
  record.Put("set", set).Put("series", series).Flag("adaptive_control", adaptive);
  if (series == "*") record.Count("vms", tally.vms);
  for (std::size_t n = 0; n < kNominal.size(); ++n) {
    record.Put("rate_at_" + std::string(kNominal[n].name), Share(tally.below[n], tally.scored));
  }
  for (std::size_t n = 0; n < kNominal.size(); ++n) {
    record.Put("rate_over_nominal_at_" + std::string(kNominal[n].name),
               Share(tally.below[n], tally.scored) / kNominal[n].rate);
  }
  if (series == "*") {
    for (std::size_t n = 0; n < kNominal.size(); ++n) {
      for (const auto& [q, name] : {std::pair{0.1, "_p10"}, {0.5, "_p50"}, {0.9, "_p90"}}) {
        record.Put("vm_rate_at_" + std::string(kNominal[n].name) + name, Quantile(tally.rates[n], q));
      }
    }
  }
  const double episodes = tally.days > 0 ? static_cast<double>(tally.episodes) / tally.days : std::nan("");
  record.Put("episodes_per_vm_day", episodes)
      .Put("episodes_per_vm_week", episodes * 7)
      .Put("budget_per_vm_week", budget);
  Found all;
  for (const Found& found : tally.found) all += found;
  PutFound(record, "changes", all);
  for (std::size_t c = 0; c < std::size(kChanges); ++c) {
    PutFound(record, std::string(ChangeName(kChanges[c])), tally.found[c]);
  }
  const auto vms = static_cast<double>(std::max<std::size_t>(1, tally.vms));
  record.Count("rows", tally.rows)
      .Count("scored_rows", tally.scored)
      .Count("gaps", tally.counts.gaps)
      .Count("missing_cells", tally.counts.missing_cells)
      .Count("not_numbers", tally.counts.not_numbers)
      .Count("out_of_range", tally.counts.out_of_range)
      .Count("dropped_rows", tally.counts.dropped_rows)
      .Put("seconds", tally.seconds / vms)
      .Put("bytes", static_cast<double>(tally.bytes) / vms);
  return record;
}

void PrintForPeople(std::ostream& out, const std::vector<Record>& sets, const std::string& configuration) {
  constexpr Heading kRates[] = {{"set", "set"},
                                {"adaptive_control", "adaptive"},
                                {"vms", "VMs"},
                                {"rate_at_1pct", "p<1%"},
                                {"rate_at_03pct", "p<0.3%"},
                                {"rate_at_01pct", "p<0.1%"},
                                {"rate_over_nominal_at_1pct", "x nominal"},
                                {"rate_over_nominal_at_03pct", "x"},
                                {"rate_over_nominal_at_01pct", "x"},
                                {"vm_rate_at_1pct_p10", "VM p10"},
                                {"vm_rate_at_1pct_p90", "VM p90"},
                                {"episodes_per_vm_week", "episodes/week"},
                                {"budget_per_vm_week", "budget"},
                                {"seconds", "CPU s"},
                                {"bytes", "bytes"}};
  PrintTable(out, sets, kRates);
  out << "\nChanges of 30 minutes put into copies of the same series, found at the same setting (in brackets: the same "
         "rows without the change):\n";
  std::vector<Record> found;
  for (const Record& set : sets) {
    for (std::string kind : {"changes", "runaway", "stall", "level_shift", "lost_daily"}) {
      Record line;
      line.Put("set", set.Text("set")).Put("kind", kind == "changes" ? "all" : kind);
      line.Put("adaptive", set.Text("adaptive_control")).Put("placed", set.Text(kind + "_placed"));
      for (const Nominal& nominal : kNominal) {
        const std::string at = "_at_" + std::string(nominal.name);
        line.Put(nominal.name, set.Text(kind + "_found" + at) + " (" + set.Text(kind + "_luck" + at) + ")");
      }
      line.Put("episode", set.Text(kind + "_found_by_episode"));
      found.push_back(line);
    }
  }
  constexpr Heading kFound[] = {{"set", "set"},       {"kind", "change"},    {"adaptive", "adaptive"},
                                {"placed", "placed"}, {"1pct", "p<1%"},      {"03pct", "p<0.3%"},
                                {"01pct", "p<0.1%"},  {"episode", "episode"}};
  PrintTable(out, found, kFound);
  out << "\nOne configuration for all sets: " << configuration << '\n';
}

}  // namespace

Status RunAlarms(const AlarmsOptions& options, const ScorerFor& scorer_for, double budget_per_week, std::ostream& out,
                 std::ostream& log) {
  auto all = ReadDemandFolder(options.data);
  if (!all) return Fail(all.error());
  for (Series& series : *all) series.train_rows = std::min(kTrainRows, series.rows() / 2);
  std::vector<Record> lines, sets;
  std::string configuration;
  for (const bool adaptive : {false, true}) {
    const auto scorer = scorer_for(adaptive);
    if (!scorer) {
      log << "whorl-eval: the engine cannot run " << (adaptive ? "with" : "without")
          << " adaptive control; that half is left out\n";
      continue;
    }
    configuration = scorer->Configuration();
    std::map<std::string, Tally> totals;
    std::size_t done = 0;
    for (const Series& series : *all) {
      if (done++ % 10 == 0) {
        log << "whorl-eval: adaptive control " << (adaptive ? "on" : "off") << ", VM " << done << " of " << all->size()
            << '\n';
      }
      const auto tally = Count(series, *scorer);
      if (!tally) return Fail(tally.error());
      lines.push_back(ToRecord(series.set, series.name, adaptive, *tally, budget_per_week));
      totals[series.set] += *tally;
      totals["*"] += *tally;
    }
    for (const auto& [set, tally] : totals) {
      Record record = ToRecord(set, "*", adaptive, tally, budget_per_week);
      sets.push_back(std::move(record.Put("configuration", configuration)));
    }
  }
  if (sets.empty()) return Fail(Code::kUnsupported, "no scorer");
  if (!options.json) {
    PrintForPeople(out, sets, configuration);
    return {};
  }
  for (const Record& line : lines) out << line.Json() << '\n';
  for (const Record& set : sets) out << set.Json() << '\n';
  return {};
}

}  // namespace whorl::eval
