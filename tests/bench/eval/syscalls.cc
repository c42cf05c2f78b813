#include "tests/bench/eval/syscalls.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "core/fingerprint/sequence.h"
#include "core/fingerprint/sketch.h"
#include "tests/bench/eval/metrics.h"
#include "tests/bench/eval/random.h"
#include "tests/bench/eval/report.h"
#include "tests/bench/eval/syscalls_baselines.h"

namespace whorl::eval {
namespace {

constexpr double kRate = 0.05;
constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

// One way of scoring, larger = more anomalous, over all test traces.
struct Scored {
  std::string name;
  std::vector<float> score;
  double seconds = 0;
  std::size_t bytes = 0;
};

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Scored ScoreAll(std::string name, const std::vector<const CallTrace*>& test,
                const std::function<double(const Threads&)>& score) {
  const auto begin = std::chrono::steady_clock::now();
  Scored scored{std::move(name), {}, 0, 0};
  for (const CallTrace* trace : test) scored.score.push_back(static_cast<float>(score(trace->threads)));
  scored.seconds = SecondsSince(begin);
  return scored;
}

// A recording is as unusual as the most unusual of its threads.
double MostUnusual(const SequenceModel& model, const Threads& threads, SequenceModel::Scratch& scratch) {
  float most = 0;
  for (const auto& thread : threads) {
    const SequenceModel::Calls calls(thread);
    for (std::size_t begin = 0; begin < calls.size(); begin += SequenceModel::kLongest) {
      const auto piece = calls.subspan(begin, std::min(SequenceModel::kLongest, calls.size() - begin));
      most = std::max(most, model.Judge(piece, scratch).fused);
    }
  }
  return static_cast<double>(most);
}

SketchCounts SketchOf(const Threads& threads) {
  SketchCounts counts{};
  for (const auto& calls : threads) {
    for (std::size_t i = 2; i < calls.size(); ++i) ++counts[SketchBucket(calls[i - 2], calls[i - 1], calls[i])];
  }
  return counts;
}

std::vector<Scored> ScoreEveryWay(const std::vector<const CallTrace*>& train,
                                  const std::vector<const CallTrace*>& test) {
  std::vector<Scored> ways;
  {
    const auto begin = std::chrono::steady_clock::now();
    std::vector<SequenceModel::Calls> sequences;
    for (const CallTrace* trace : train)
      sequences.insert(sequences.end(), trace->threads.begin(), trace->threads.end());
    const SequenceModel model = SequenceModel::Fit(sequences);
    SequenceModel::Scratch scratch(model);
    ways.push_back(ScoreAll("", test, [&](const Threads& t) { return MostUnusual(model, t, scratch); }));
    ways.back().seconds = SecondsSince(begin);
    ways.back().bytes = model.bytes();
  }
  {
    SketchModel model;
    for (const CallTrace* trace : train) model.Learn(SketchOf(trace->threads), 1);
    ways.push_back(ScoreAll(
        "sketch", test, [&](const Threads& t) { return static_cast<double>(model.Judge(SketchOf(t)).value_or(0)); }));
    ways.back().bytes = sizeof model;
  }
  {
    Stide stide;
    for (const CallTrace* trace : train) stide.Learn(trace->threads);
    ways.push_back(ScoreAll("stide", test, [&](const Threads& t) { return stide.Mismatches(t); }));
    ways.back().bytes = stide.bytes();
    ways.push_back(ScoreAll("stide_lfc", test, [&](const Threads& t) { return stide.LocalityFrame(t); }));
    ways.back().bytes = stide.bytes();
  }
  {
    Markov2 markov;
    for (const CallTrace* trace : train) markov.Learn(trace->threads);
    ways.push_back(ScoreAll("markov2", test, [&](const Threads& t) { return markov.Surprisal(t); }));
    ways.back().bytes = markov.bytes();
  }
  Random random(SeedOf(1, "syscalls"));
  ways.push_back(ScoreAll("random", test, [&](const Threads&) { return random.Uniform(); }));
  return ways;
}

struct Quality {
  double auc_roc, auc_pr, detection;
};

Quality QualityOf(const std::vector<float>& score, const std::vector<std::uint8_t>& attack) {
  return {AucRoc(score, attack), AucPr(score, attack), DetectionAt(score, attack, kRate)};
}

// STIDE is taken at its best: of its two variants the better for each figure.
Record Compare(const std::string& series, const std::vector<Scored>& ways, const std::vector<std::size_t>& rows,
               const std::vector<std::uint8_t>& attack) {
  const auto attacks = static_cast<double>(std::count(attack.begin(), attack.end(), std::uint8_t{1}));
  Record record;
  record.Put("set", "syscalls").Put("series", series).Count("traces", rows.size());
  record.Count("attacks", static_cast<std::uint64_t>(attacks));
  record.Put("prevalence", attacks / static_cast<double>(rows.size()));
  double stide_auc = 0, stide_detection = 0, own_auc = kNothing, own_detection = kNothing;
  for (const Scored& way : ways) {
    std::vector<float> score;
    for (const std::size_t row : rows) score.push_back(way.score[row]);
    const Quality quality = QualityOf(score, attack);
    const std::string prefix = way.name.empty() ? "" : way.name + "_";
    record.Put(prefix + "auc_roc", quality.auc_roc).Put(prefix + "auc_pr", quality.auc_pr);
    record.Put(prefix + "detection_at_5pct", quality.detection);
    if (way.name.empty()) {
      record.Put("seconds", way.seconds).Count("bytes", way.bytes);
      own_auc = quality.auc_roc;
      own_detection = quality.detection;
    } else if (way.name == "stide" || way.name == "stide_lfc") {
      stide_auc = std::max(stide_auc, quality.auc_roc);
      stide_detection = std::max(stide_detection, quality.detection);
    }
  }
  record.Put("one_minus_auc_vs_stide", (1 - own_auc) / (1 - stide_auc));
  // A STIDE that finds nothing counts as finding one attack.
  record.Put("detection_vs_stide", own_detection / std::max(stide_detection, 1 / attacks));
  return record;
}

Result<CallTraces> ReadFile(const std::filesystem::path& file) {
  auto table = Table::Read(file);
  if (!table) return Fail(table.error());
  auto traces = ReadCallTraces(std::move(*table));
  if (!traces) return Fail(traces.error().In(file.string()));
  return traces;
}

}  // namespace

double DetectionAt(std::span<const float> score, std::span<const std::uint8_t> attack, double rate) {
  std::vector<std::size_t> order(score.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return score[a] > score[b]; });
  const auto attacks = static_cast<double>(std::count(attack.begin(), attack.end(), std::uint8_t{1}));
  const double normals = static_cast<double>(score.size()) - attacks;
  if (attacks == 0 || normals == 0) return kNothing;
  double found = 0, false_alarms = 0;
  for (std::size_t i = 0; i < order.size();) {
    double hits = 0, misses = 0;
    const float level = score[order[i]];
    for (; i < order.size() && score[order[i]] == level; ++i) (attack[order[i]] != 0 ? hits : misses) += 1;
    const double room = rate * normals - false_alarms;
    if (misses > room) return (found + hits * room / misses) / attacks;
    found += hits;
    false_alarms += misses;
  }
  return found / attacks;
}

Status EvaluateSyscalls(const CallTraces& train, const CallTraces& test, bool json, std::ostream& out) {
  std::vector<const CallTrace*> learnt, judged;
  std::set<std::string> families;
  for (const CallTrace& trace : train.traces) {
    if (trace.set == TraceSet::kTrain) learnt.push_back(&trace);
  }
  for (const CallTrace& trace : test.traces) {
    if (trace.set == TraceSet::kTrain) continue;
    judged.push_back(&trace);
    if (trace.set == TraceSet::kTestAttack) families.insert(trace.family);
  }
  if (learnt.empty()) return Fail(Code::kInvalid, "no training trace to learn from");
  if (families.empty()) return Fail(Code::kInvalid, "no attack among the traces to judge");

  const auto ways = ScoreEveryWay(learnt, judged);
  std::vector<Record> records;
  const auto add = [&](const std::string& series, const std::function<bool(const CallTrace&)>& takes) {
    std::vector<std::size_t> rows;
    std::vector<std::uint8_t> attack;
    for (std::size_t i = 0; i < judged.size(); ++i) {
      const bool is_attack = judged[i]->set == TraceSet::kTestAttack;
      if (is_attack && !takes(*judged[i])) continue;
      rows.push_back(i);
      attack.push_back(is_attack ? 1 : 0);
    }
    records.push_back(Compare(series, ways, rows, attack));
  };
  for (const std::string& family : families)
    add(family, [&](const CallTrace& trace) { return trace.family == family; });
  add("*", [](const CallTrace&) { return true; });
  records.back().Count("learnt", learnt.size());
  records.back().Count("rows_dropped", train.rows_dropped + (&train == &test ? 0 : test.rows_dropped));
  records.back().Count("len_mismatches", train.len_mismatches + (&train == &test ? 0 : test.len_mismatches));

  if (json) {
    for (const Record& record : records) out << record.Json() << '\n';
    return {};
  }
  constexpr Heading kColumns[] = {{"series", "family"},
                                  {"attacks", "attacks"},
                                  {"auc_roc", "AUC"},
                                  {"stide_auc_roc", "STIDE"},
                                  {"stide_lfc_auc_roc", "its LFC"},
                                  {"markov2_auc_roc", "Markov"},
                                  {"sketch_auc_roc", "sketch"},
                                  {"random_auc_roc", "random"},
                                  {"one_minus_auc_vs_stide", "(1-AUC)/STIDE's"},
                                  {"detection_at_5pct", "found at 5 %"},
                                  {"stide_detection_at_5pct", "STIDE"},
                                  {"stide_lfc_detection_at_5pct", "its LFC"},
                                  {"markov2_detection_at_5pct", "Markov"},
                                  {"detection_vs_stide", "/STIDE's"}};
  PrintTable(out, records, kColumns);
  return {};
}

Status RunSyscalls(const SyscallsOptions& options, std::ostream& out, std::ostream& log) {
  auto train = ReadFile(options.train);
  if (!train) return Fail(train.error());
  log << options.train.string() << ": " << train->traces.size() << " traces\n";
  if (options.test == options.train) return EvaluateSyscalls(*train, *train, options.json, out);
  auto test = ReadFile(options.test);
  if (!test) return Fail(test.error());
  log << options.test.string() << ": " << test->traces.size() << " traces\n";
  return EvaluateSyscalls(*train, *test, options.json, out);
}

}  // namespace whorl::eval
