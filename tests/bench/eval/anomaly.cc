#include "tests/bench/eval/anomaly.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "tests/bench/eval/baselines.h"
#include "tests/bench/eval/nab_score.h"
#include "tests/bench/eval/random.h"
#include "tests/bench/eval/report.h"
#include "tests/bench/eval/traces.h"

namespace whorl::eval {
namespace {

constexpr std::uint64_t kSeed = 20'260'101;

struct Curves {
  double auc_pr = 0;
  double auc_roc = 0;
  double vus_pr = 0;
};

struct Attribution {
  std::vector<double> at_1;  // one per blamed segment that was scored
  std::vector<double> at_3;
};

// One series, scored by the engine and by the baselines.
struct Result1 {
  Series series;
  Scored scored;
  std::vector<NamedEvidence> baselines;  // all rows
  std::size_t vus_window = 0;
  double prevalence = 0;
  Curves engine;
  std::vector<Curves> of_baseline;
  EventScore events;
  Attribution attribution, mean_z2_attribution, random_attribution;

  std::vector<float> evidence() const { return EvidenceOf(scored, 0); }
  // What NAB calls a detection: it counts each one, and the engine tells an
  // anomaly when it begins and when it grows, not in every tick.
  std::vector<float> news() const {
    std::vector<float> told;
    for (const RowScore& row : scored.rows) told.push_back(row.news);
    return told;
  }
};

Curves CurvesOf(const Series& series, std::span<const float> evidence, std::size_t vus_window) {
  const auto tested = evidence.subspan(series.train_rows);
  const auto label = std::span(series.label).subspan(series.train_rows);
  return {AucPr(tested, label), AucRoc(tested, label), VusPr(tested, label, vus_window)};
}

// Asks what was blamed at the most evident row of each segment.
void Attribute(Result1& result) {
  const Series& series = result.series;
  if (series.blamed.empty()) return;
  const auto z2_top = MeanZ2Top(series, kNamedColumns);
  for (const Segment& segment : series.blamed) {
    std::size_t row = segment.begin;
    float most = kMissing;
    for (std::size_t i = segment.begin; i < segment.end; ++i) {
      const float evidence = result.scored.rows[i].evidence;
      if (std::isnan(evidence) || evidence <= most) continue;
      most = evidence;
      row = i;
    }
    if (std::isnan(most)) continue;
    const auto add = [&](Attribution& to, std::span<const std::int16_t> named) {
      to.at_1.push_back(RecallAtK(named, segment.columns, 1));
      to.at_3.push_back(RecallAtK(named, segment.columns, kNamedColumns));
    };
    add(result.attribution, result.scored.rows[row].top);
    add(result.mean_z2_attribution, std::span(z2_top).subspan(row * kNamedColumns, kNamedColumns));
    // What naming columns at random would reach on average.
    const auto truth = static_cast<double>(segment.columns.size());
    const auto columns = static_cast<double>(series.columns.size());
    result.random_attribution.at_1.push_back(truth / columns);
    const double k = std::min(static_cast<double>(kNamedColumns), columns);
    result.random_attribution.at_3.push_back(k * truth / columns / std::min(k, truth));
  }
}

Result<Result1> Evaluate(Series series, SeriesScorer& scorer) {
  auto scored = scorer.Score(series);
  if (!scored) return Fail(scored.error());
  Result1 result;
  result.series = std::move(series);
  result.scored = std::move(*scored);
  const Series& s = result.series;
  std::vector<float> first_column;
  for (std::size_t r = s.train_rows; r < s.rows(); ++r) first_column.push_back(s.Value(r, 0));
  result.vus_window = DominantPeriod(first_column);
  double anomalous = 0;
  for (std::size_t r = s.train_rows; r < s.rows(); ++r) anomalous += s.label[r];
  result.prevalence = anomalous / static_cast<double>(s.rows() - s.train_rows);
  result.engine = CurvesOf(s, result.evidence(), result.vus_window);
  result.baselines = SimpleBaselines(s, SeedOf(kSeed, s.name.c_str()));
  for (const auto& baseline : result.baselines) {
    result.of_baseline.push_back(CurvesOf(s, baseline.evidence, result.vus_window));
  }
  result.events = ScoreEvents(EpisodesOf(result.scored), s.events, s.at, s.interval, s.train_rows);
  Attribute(result);
  return result;
}

void PutCurves(Record& record, const std::string& prefix, const Curves& curves) {
  record.Put(prefix + "auc_pr", curves.auc_pr)
      .Put(prefix + "auc_roc", curves.auc_roc)
      .Put(prefix + "vus_pr", curves.vus_pr);
}

void PutEvents(Record& record, const EventScore& events) {
  const auto of_events = [&](std::size_t n) {
    return events.events == 0 ? std::nan("") : static_cast<double>(n) / static_cast<double>(events.events);
  };
  record.Count("events", events.events)
      .Put("event_recall", of_events(events.found))
      .Put("event_recall_opened_inside", of_events(events.opened_inside))
      .Count("false_alarm_episodes", events.false_alarms)
      .Put("false_alarm_episodes_per_day", static_cast<double>(events.false_alarms) / events.days)
      .Put("alarm_share_of_time", events.alarm_share)
      .Put("delay_p50_s", Quantile(events.delays_s, 0.5))
      .Put("delay_p90_s", Quantile(events.delays_s, 0.9));
}

void PutAttribution(Record& record, const std::string& prefix, const Attribution& attribution) {
  record.Put(prefix + "attribution_recall_at_1", Mean(attribution.at_1))
      .Put(prefix + "attribution_recall_at_3", Mean(attribution.at_3));
}

struct Better {
  std::string name;
  double value = std::nan("");
};

// The strongest baseline, luck included.
Better BetterOf(const std::vector<std::pair<std::string, double>>& all) {
  Better better;
  for (const auto& [name, value] : all) {
    if (!std::isnan(value) && (std::isnan(better.value) || value > better.value)) better = {name, value};
  }
  return better;
}

void PutRatio(Record& record, double engine, const Better& better) {
  record.Put("better_baseline", better.name)
      .Put("better_baseline_auc_pr", better.value)
      .Put("ratio_auc_pr", engine / better.value);
}

Record SeriesRecord(const Result1& result, double nab_standard) {
  const Series& s = result.series;
  Record record;
  record.Put("set", s.set).Put("series", s.name);
  PutCurves(record, "", result.engine);
  record.Put("prevalence", result.prevalence);
  std::vector<std::pair<std::string, double>> baselines;
  for (std::size_t b = 0; b < result.baselines.size(); ++b) {
    PutCurves(record, result.baselines[b].name + "_", result.of_baseline[b]);
    baselines.emplace_back(result.baselines[b].name, result.of_baseline[b].auc_pr);
  }
  PutRatio(record, result.engine.auc_pr, BetterOf(baselines));
  if (s.set == "nab") record.Put("nab_standard", nab_standard);
  PutEvents(record, result.events);
  if (!s.blamed.empty()) {
    PutAttribution(record, "", result.attribution);
    PutAttribution(record, "mean_z2_", result.mean_z2_attribution);
    PutAttribution(record, "random_", result.random_attribution);
  }
  std::uint64_t unscored = 0;
  for (std::size_t r = s.train_rows; r < s.rows(); ++r) unscored += std::isnan(result.scored.rows[r].evidence);
  record.Count("rows", s.rows())
      .Count("evaluated_rows", s.rows() - s.train_rows)
      .Count("unscored_rows", unscored)
      .Put("interval_s", static_cast<double>(s.interval.count()) / 1000)
      .Count("vus_window", result.vus_window)
      .Count("columns", s.columns.size())
      .Count("columns_used", result.scored.columns_used)
      .Count("constant_columns", s.counts.constant_columns)
      .Count("missing_cells", s.counts.missing_cells)
      .Count("not_numbers", s.counts.not_numbers)
      .Count("masked_by_engine", result.scored.masked_cells)
      .Count("dropped_rows", s.counts.dropped_rows)
      .Count("refused_rows", result.scored.refused_rows)
      .Count("gaps", s.counts.gaps)
      .Put("seconds", result.scored.seconds)
      .Count("bytes", result.scored.state_bytes);
  return record;
}

using Results = std::vector<const Result1*>;

// For a set as a whole: means over the series that have both labels.
double Macro(const Results& results, double Curves::* curve, std::optional<std::size_t> baseline = std::nullopt) {
  std::vector<double> values;
  for (const Result1* r : results) {
    if (!baseline) {
      values.push_back(r->engine.*curve);
    } else if (*baseline < r->of_baseline.size()) {
      values.push_back(r->of_baseline[*baseline].*curve);
    }
  }
  return Mean(values);
}

Curves MacroCurves(const Results& results, std::optional<std::size_t> baseline = std::nullopt) {
  return {Macro(results, &Curves::auc_pr, baseline), Macro(results, &Curves::auc_roc, baseline),
          Macro(results, &Curves::vus_pr, baseline)};
}

void Append(std::vector<double>& to, const std::vector<double>& from) { to.insert(to.end(), from.begin(), from.end()); }

void Append(Attribution& to, const Attribution& from) {
  Append(to.at_1, from.at_1);
  Append(to.at_3, from.at_3);
}

// NAB's score of one detector (the engine, or a baseline by index) over files.
class NabJudge {
 public:
  NabJudge(const Results& results, std::optional<std::size_t> baseline) {
    evidence_.reserve(results.size());
    for (const Result1* r : results) {
      evidence_.push_back(baseline ? r->baselines[*baseline].evidence : r->news());
      files_.push_back({evidence_.back(), r->series.events, r->series.train_rows});
    }
  }
  NabScore Best() const { return BestNabScore(files_); }
  NabScore At(double threshold) const { return NabScoreAt(files_, threshold); }
  NabScore OfFile(std::size_t i, double threshold) const {
    return NabScoreAt(std::span(files_).subspan(i, 1), threshold);
  }

 private:
  std::vector<std::vector<float>> evidence_;
  std::vector<NabFile> files_;
};

void PutNab(Record& record, const Results& results, const std::vector<std::string>& baselines,
            const std::optional<NabPublished>& published, double threshold_of_all) {
  const NabJudge engine(results, std::nullopt);
  const NabScore score = engine.Best();
  record.Put("nab_standard", score.standard)
      .Put("nab_standard_threshold_of_all_files", engine.At(threshold_of_all).standard)
      .Count("nab_windows", score.windows);
  std::vector<std::pair<std::string, double>> simple;
  for (std::size_t b = 0; b < baselines.size(); ++b) {
    simple.emplace_back(baselines[b], NabJudge(results, b).Best().standard);
    record.Put(baselines[b] + "_nab_standard", simple.back().second);
  }
  if (!published) return;
  std::vector<std::string> names;
  for (const Result1* r : results) names.push_back(r->series.name);
  const auto entries = published->Over(names, score.windows);
  if (entries.empty()) return;
  record.Put("nab_published_best", entries.front().standard)
      .Put("nab_published_best_detector", entries.front().detector)
      .Count("nab_published_detectors", entries.size())
      .Put("ratio_nab_published", score.standard / entries.front().standard);
}

Record SetRecord(const std::string& set, const Results& results, const std::optional<NabPublished>& published,
                 double threshold_of_all, const std::string& configuration) {
  Record record;
  record.Put("set", set).Put("series", "*").Count("series_count", results.size());
  const Curves engine = MacroCurves(results);
  PutCurves(record, "", engine);
  std::vector<double> prevalence, seconds, bytes;
  EventScore events;
  Attribution named, mean_z2, random;
  double alarm_days = 0;
  std::size_t baselines = results.front()->baselines.size();
  for (const Result1* r : results) {
    prevalence.push_back(r->prevalence);
    seconds.push_back(r->scored.seconds);
    bytes.push_back(static_cast<double>(r->scored.state_bytes));
    events.events += r->events.events;
    events.found += r->events.found;
    events.opened_inside += r->events.opened_inside;
    events.false_alarms += r->events.false_alarms;
    events.days += r->events.days;
    alarm_days += r->events.alarm_share * r->events.days;
    Append(events.delays_s, r->events.delays_s);
    Append(named, r->attribution);
    Append(mean_z2, r->mean_z2_attribution);
    Append(random, r->random_attribution);
    baselines = std::min(baselines, r->baselines.size());
  }
  events.alarm_share = alarm_days / events.days;
  record.Put("prevalence", Mean(prevalence));
  std::vector<std::string> names;
  std::vector<std::pair<std::string, double>> values;
  for (std::size_t b = 0; b < baselines; ++b) {
    names.push_back(results.front()->baselines[b].name);
    const Curves curves = MacroCurves(results, b);
    PutCurves(record, names.back() + "_", curves);
    values.emplace_back(names.back(), curves.auc_pr);
  }
  PutRatio(record, engine.auc_pr, BetterOf(values));
  if (results.front()->series.set == "nab") PutNab(record, results, names, published, threshold_of_all);
  PutEvents(record, events);
  if (!named.at_1.empty()) {
    PutAttribution(record, "", named);
    PutAttribution(record, "mean_z2_", mean_z2);
    PutAttribution(record, "random_", random);
  }
  record.Put("seconds", Mean(seconds)).Put("bytes", Mean(bytes)).Put("configuration", configuration);
  return record;
}

// What NAB measured on servers: CloudWatch's metrics and the two files of EC2 and an auto-scaling group among the known
// causes.
bool IsServerMetric(const std::string& name) {
  return name.starts_with("realAWSCloudwatch") || name.find("ec2_") != std::string::npos ||
         name.find("asg_") != std::string::npos;
}

Result<std::optional<NabPublished>> Published(const AnomalyOptions& options) {
  std::filesystem::path file = options.reference;
  if (file.empty()) {
    file = options.data / ".." / "reference" / "nab_published_scores.csv";
    std::error_code error;
    if (!std::filesystem::exists(file, error)) return std::nullopt;
  }
  auto table = Table::Read(file);
  if (!table) return Fail(table.error());
  auto published = NabPublished::Parse(std::move(*table));
  if (!published) return Fail(published.error().In(file.string()));
  return std::move(*published);
}

void PrintForPeople(std::ostream& out, const std::vector<Record>& records, const std::vector<Record>& sets,
                    const std::string& configuration) {
  constexpr Heading kColumns[] = {{"set", "set"},
                                  {"series", "series"},
                                  {"auc_pr", "AUC-PR"},
                                  {"auc_roc", "AUC-ROC"},
                                  {"vus_pr", "VUS-PR"},
                                  {"prevalence", "prevalence"},
                                  {"random_auc_pr", "random"},
                                  {"mean_z2_auc_pr", "mean z2"},
                                  {"pca_residual_auc_pr", "PCA res."},
                                  {"better_baseline", "best baseline"},
                                  {"ratio_auc_pr", "ratio"},
                                  {"nab_standard", "NAB"},
                                  {"event_recall", "recall"},
                                  {"false_alarm_episodes_per_day", "false/day"},
                                  {"delay_p50_s", "delay p50 s"},
                                  {"delay_p90_s", "p90 s"},
                                  {"attribution_recall_at_3", "attr@3"},
                                  {"seconds", "CPU s"},
                                  {"bytes", "bytes"}};
  std::vector<Record> all = records;
  all.insert(all.end(), sets.begin(), sets.end());
  PrintTable(out, all, kColumns);
  out << "\nOne configuration for all sets: " << configuration << '\n'
      << "AUC-PR beside random, mean z2 and PCA residual of the same run; no point adjustment, no threshold chosen on "
         "labels.\nrecall, false/day and delays are of episodes at the default budget. NAB: official score, standard "
         "profile; its own rule\nchooses one threshold for the files given, on their labels.\n";
  for (const Record& set : sets) {
    if (const std::string best = set.Text("nab_published_best"); !best.empty()) {
      out << set.Text("set") << ": NAB " << set.Text("nab_standard") << "; best of "
          << set.Text("nab_published_detectors") << " published detectors on the same files: " << best << " ("
          << set.Text("nab_published_best_detector") << ")\n";
    }
  }
}

}  // namespace

Status RunAnomaly(const AnomalyOptions& options, SeriesScorer& scorer, std::ostream& out, std::ostream& log) {
  auto published = Published(options);
  if (!published) return Fail(published.error());
  auto all = ReadAnomalyFolder(options.data, options.sets);
  if (!all) return Fail(all.error());

  std::vector<Result1> results;
  for (Series& series : *all) {
    log << "whorl-eval: " << series.set << ' ' << series.name << " (" << results.size() + 1 << " of " << all->size()
        << ", " << series.rows() << " rows, " << series.columns.size() << " columns)\n";
    auto result = Evaluate(std::move(series), scorer);
    if (!result) return Fail(result.error());
    results.push_back(std::move(*result));
  }

  std::map<std::string, Results> sets;
  for (const Result1& r : results) {
    sets[r.series.set].push_back(&r);
    if (r.series.set == "nab" && IsServerMetric(r.series.name)) sets["nab-server"].push_back(&r);
  }
  std::optional<NabJudge> nab;
  if (sets.contains("nab")) nab.emplace(sets["nab"], std::nullopt);
  const double nab_threshold = nab ? nab->Best().threshold : 0;

  std::vector<Record> lines, totals;
  for (auto& [set, members] : sets) {
    if (set != "nab-server") {
      for (std::size_t i = 0; i < members.size(); ++i) {
        const double standard = set == "nab" ? nab->OfFile(i, nab_threshold).standard : std::nan("");
        lines.push_back(SeriesRecord(*members[i], standard));
      }
    }
    totals.push_back(SetRecord(set, members, *published, nab_threshold, scorer.Configuration()));
  }
  if (!options.json) {
    PrintForPeople(out, lines, totals, scorer.Configuration());
    return {};
  }
  for (const Record& line : lines) out << line.Json() << '\n';
  for (const Record& total : totals) out << total.Json() << '\n';
  return {};
}

}  // namespace whorl::eval
