#include "tests/bench/eval/demand.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <fstream>
#include <map>
#include <vector>

#include "core/demand/forecast.h"
#include "tests/bench/eval/random.h"
#include "tests/bench/eval/report.h"
#include "tests/bench/eval/traces.h"

namespace whorl::eval {
namespace {

constexpr std::size_t kWarmUp = 288;  // buckets, a day: learnt from, not judged
constexpr float kGrain = 0.01f;       // cores

bool HeldOut(const std::string& vm) { return SeedOf(0xcbf29ce484222325u, vm.c_str()) % 3 == 0; }

// Rows in cores: an Azure VM's whole is one core, its number is not published.
Result<std::vector<Series>> ReadCores(const std::filesystem::path& folder, const std::string& set) {
  auto all = ReadDemandFolder(folder);
  if (!all) return all;
  std::map<std::string, float, std::less<>> mhz_per_core;
  if (set != "azure") {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with("bitbrains") || name.find("_vms.csv") == std::string::npos) continue;
      auto table = Table::Read(entry.path());
      if (!table) return Fail(table.error());
      const auto vm = table->Require("vm"), count = table->Require("cpu_count"),
                 mhz = table->Require("cpu_capacity_mhz");
      for (const auto* column : {&vm, &count, &mhz})
        if (!*column) return Fail(column->error().In(entry.path().string()));
      while (table->Next()) {
        const auto n = Number(table->Cell(*count)), m = Number(table->Cell(*mhz));
        if (n && m && *n > 0 && *m > 0) mhz_per_core[std::string(table->Cell(*vm))] = static_cast<float>(*m / *n);
      }
    }
  }
  std::vector<Series> chosen;
  for (Series& s : *all) {
    if (!set.empty() && s.set != set) continue;
    float per_core = 100;
    if (s.set == "bitbrains") {
      const auto found = mhz_per_core.find(s.name);
      if (found == mhz_per_core.end())
        return Fail(Code::kInvalid,
                    "VM " + s.name + " has no cpu_count and cpu_capacity_mhz in bitbrains*_vms.csv beside its trace");
      per_core = found->second;
    }
    std::vector<float> cores(s.rows());
    for (std::size_t r = 0; r < s.rows(); ++r) cores[r] = s.Value(r, 0) / per_core;
    s.values = std::move(cores);
    s.columns = {"cores"};
    chosen.push_back(std::move(s));
  }
  if (chosen.empty()) return Fail(Code::kNotFound, folder.string() + ": no VM of the set " + set);
  return chosen;
}

DemandObservation At(const Series& s, std::size_t r) {
  DemandObservation o;
  o.at = FromUnixMillis(s.at[r]);
  o.value = s.values[r];
  return o;
}

// Unused and missing core-hours at each point of a sweep, least generous first.
constexpr std::size_t kPoints = 33;
struct Curve {
  std::array<double, kPoints> slack{}, deficit{};
  void Add(std::size_t i, double given, double used) {
    (given > used ? slack[i] : deficit[i]) += std::abs(given - used) / 12;
  }
  Curve& operator+=(const Curve& o) {
    for (std::size_t i = 0; i < kPoints; ++i) {
      slack[i] += o.slack[i];
      deficit[i] += o.deficit[i];
    }
    return *this;
  }
  // NaN when the sweep does not reach the deficit.
  double SlackAt(double wanted) const {
    for (std::size_t i = 0; i + 1 < kPoints; ++i) {
      if (deficit[i] < wanted || deficit[i + 1] > wanted) continue;
      const double part = deficit[i] > deficit[i + 1] ? (deficit[i] - wanted) / (deficit[i] - deficit[i + 1]) : 0;
      return slack[i] + part * (slack[i + 1] - slack[i]);
    }
    return std::nan("");
  }
};
double ShareOf(std::size_t i) {  // log odds from 0 to 8: .5 to .99966
  return 1 / (1 + std::exp(-8.0 * static_cast<double>(i) / (kPoints - 1)));
}

// The rule of Kubernetes' Vertical Pod Autoscaler: a histogram in buckets that
// grow by 5 %, whose weights halve each day, the end of the quantile's bucket.
class Vpa {
 public:
  void Add(double cores, std::size_t row) {
    const double weight = std::exp2(static_cast<double>(row) / 288);
    const auto b = static_cast<std::size_t>(std::log(std::max(0.0, cores) * 0.05 / 0.01 + 1) / std::log(1.05));
    weight_[std::min(b, weight_.size() - 1)] += weight;
    total_ += weight;
  }
  double Quantile(double share) const {
    double sum = 0;
    for (std::size_t b = 0; b < weight_.size(); ++b) {
      sum += weight_[b];
      if (sum >= share * total_) return 0.01 / 0.05 * (std::pow(1.05, static_cast<double>(b + 1)) - 1);
    }
    return 0;
  }

 private:
  std::array<double, 200> weight_{};
  double total_ = 0;
};

struct Outcome {
  std::size_t vms = 0, told = 0, told_hour = 0;
  double covered = 0, covered_hour = 0;
  std::size_t within = 0, within_hour = 0;  // VMs with a coverage of .92 to .98
  Curve ours, ours_fast, vpa, clairvoyant, clairvoyant_fast;
  double vpa_slack = 0, vpa_deficit = 0;
  std::array<double, 2> mae{}, mae_without{}, pinball{}, pinball_without{}, gru_share{};
  std::array<std::vector<std::array<double, 2>>, 2> pairs;  // MAE with and without, per VM
  double seconds = 0;

  Outcome& operator+=(const Outcome& o) {
    vms += o.vms, told += o.told, told_hour += o.told_hour, covered += o.covered, covered_hour += o.covered_hour;
    within += o.within, within_hour += o.within_hour, ours += o.ours, ours_fast += o.ours_fast, vpa += o.vpa;
    clairvoyant += o.clairvoyant, clairvoyant_fast += o.clairvoyant_fast;
    vpa_slack += o.vpa_slack, vpa_deficit += o.vpa_deficit, seconds += o.seconds;
    for (std::size_t h = 0; h < 2; ++h) {
      mae[h] += o.mae[h], mae_without[h] += o.mae_without[h], pinball[h] += o.pinball[h];
      pinball_without[h] += o.pinball_without[h], gru_share[h] += o.gru_share[h];
      pairs[h].insert(pairs[h].end(), o.pairs[h].begin(), o.pairs[h].end());
    }
    return *this;
  }
};

double Pinball(double error) { return error > 0 ? 0.95 * error : -0.05 * error; }

Outcome Judge(const Series& s) {
  Outcome o;
  o.vms = 1;
  Forecaster with(kGrain), without(kGrain, nullptr);
  Vpa vpa;
  double vpa_given = 0;
  std::array<double, kPoints> ours{}, vpas{}, clair{};
  std::vector<std::array<Quantiles, 2>> told, told_without;
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t r = 0; r < s.rows(); ++r) {
    with.Observe(At(s, r));
    told.push_back({with.Predict(Horizon::kFiveMinutes), with.Predict(Horizon::kHour)});
  }
  o.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  for (std::size_t r = 0; r < s.rows(); ++r) {
    without.Observe(At(s, r));
    told_without.push_back({without.Predict(Horizon::kFiveMinutes), without.Predict(Horizon::kHour)});
  }
  const auto steady = [&](std::size_t r, std::size_t ahead) {
    return r + ahead < s.rows() &&
           std::abs(s.at[r + ahead] - s.at[r] - static_cast<std::int64_t>(ahead) * 300'000) < 150'000 &&
           !std::isnan(s.values[r + ahead]);
  };
  for (std::size_t r = 0; r + 1 < s.rows(); ++r) {
    if (!std::isnan(s.values[r])) vpa.Add(static_cast<double>(s.values[r]), r);
    if (r < kWarmUp) continue;
    if (steady(r, 1)) {
      const auto y = static_cast<double>(s.values[r + 1]);
      ++o.told;
      o.covered += y <= static_cast<double>(told[r][0].p95);
      for (std::size_t i = 0; i < kPoints; ++i) {
        o.ours_fast.Add(i, static_cast<double>(QuantileAt(told[r][0], ShareOf(i))), y);
        o.clairvoyant_fast.Add(i, y * static_cast<double>(i) / (kPoints - 1), y);
      }
    }
    for (std::size_t h = 0; h < 2; ++h) {
      for (std::size_t k = 1; k <= (h == 0 ? 1u : 12u); ++k) {
        if (!steady(r, k)) continue;
        const auto y = static_cast<double>(s.values[r + k]);
        const double part = h == 0 ? 1 : 1.0 / 12;
        o.mae[h] += part * std::abs(y - static_cast<double>(told[r][h].p50));
        o.mae_without[h] += part * std::abs(y - static_cast<double>(told_without[r][h].p50));
        o.pinball[h] += part * Pinball(y - static_cast<double>(told[r][h].p95));
        o.pinball_without[h] += part * Pinball(y - static_cast<double>(told_without[r][h].p95));
        if (h == 0) continue;
        ++o.told_hour;
        o.covered_hour += y <= static_cast<double>(told[r][1].p95);
      }
    }
    // A decision at the full hour holds for the twelve buckets that follow.
    if ((r - kWarmUp) % 12 == 0) {
      std::vector<double> next;
      for (std::size_t k = 1; k <= 12 && r + k < s.rows(); ++k)
        if (!std::isnan(s.values[r + k])) next.push_back(static_cast<double>(s.values[r + k]));
      std::sort(next.begin(), next.end());
      for (std::size_t i = 0; i < kPoints; ++i) {
        ours[i] = static_cast<double>(QuantileAt(told[r][1], ShareOf(i)));
        vpas[i] = vpa.Quantile(ShareOf(i));
        const double at = ShareOf(i) * static_cast<double>(next.size());
        clair[i] = next.empty() ? 0 : next[std::min(next.size() - 1, static_cast<std::size_t>(at))];
      }
      vpa_given = 1.15 * vpa.Quantile(0.95);
    }
    if (std::isnan(s.values[r + 1])) continue;
    const auto y = static_cast<double>(s.values[r + 1]);
    for (std::size_t i = 0; i < kPoints; ++i) {
      o.ours.Add(i, ours[i], y);
      o.vpa.Add(i, 1.15 * vpas[i], y);
      o.clairvoyant.Add(i, clair[i], y);
    }
    (vpa_given > y ? o.vpa_slack : o.vpa_deficit) += std::abs(vpa_given - y) / 12;
  }
  const double share = o.told == 0 ? 0 : o.covered / static_cast<double>(o.told);
  const double hour = o.told_hour == 0 ? 0 : o.covered_hour / static_cast<double>(o.told_hour);
  o.within = share >= 0.92 && share <= 0.98;
  o.within_hour = hour >= 0.92 && hour <= 0.98;
  for (std::size_t h = 0; h < 2; ++h) {
    o.pairs[h].push_back({o.mae[h], o.mae_without[h]});
    o.gru_share[h] = static_cast<double>(with.gru_share(h == 0 ? Horizon::kFiveMinutes : Horizon::kHour));
  }
  return o;
}

// Mean over VMs of the relative gain, and its 95 % interval by resampling VMs.
std::array<double, 3> Gain(const std::vector<std::array<double, 2>>& pairs) {
  std::vector<double> gains;
  for (const auto& [with, without] : pairs)
    if (without > 0) gains.push_back(1 - with / without);
  if (gains.empty()) return {std::nan(""), std::nan(""), std::nan("")};
  Random random(20'261'124);
  std::vector<double> means;
  for (int k = 0; k < 2000; ++k) {
    double sum = 0;
    for (std::size_t i = 0; i < gains.size(); ++i) sum += gains[random.Below(gains.size())];
    means.push_back(sum / static_cast<double>(gains.size()));
  }
  std::sort(means.begin(), means.end());
  double mean = 0;
  for (const double g : gains) mean += g / static_cast<double>(gains.size());
  return {mean, means[50], means[1949]};
}

Record RecordOf(const Outcome& o, std::string_view set, std::string_view vm) {
  const auto saved = [&](const Curve& c) { return 1 - c.SlackAt(o.vpa_deficit) / o.vpa_slack; };
  Record r;
  r.Put("set", set).Put("vm", vm).Count("vms", o.vms).Count("buckets", o.told);
  r.Put("slack_saved_vs_vpa_p95", saved(o.ours)).Put("slack_saved_5min", saved(o.ours_fast));
  r.Put("slack_saved_vpa_curve", saved(o.vpa));
  r.Put("slack_saved_clairvoyant", saved(o.clairvoyant)).Put("slack_saved_clairvoyant_5min", saved(o.clairvoyant_fast));
  r.Put("vpa_unused_core_hours", o.vpa_slack).Put("vpa_deficit_core_hours", o.vpa_deficit);
  const auto n = static_cast<double>(o.vms);
  r.Put("coverage_p95", o.covered / static_cast<double>(o.told))
      .Put("coverage_p95_vms_within", static_cast<double>(o.within) / n);
  r.Put("coverage_p95_hour", o.covered_hour / static_cast<double>(o.told_hour));
  r.Put("coverage_p95_hour_vms_within", static_cast<double>(o.within_hour) / n);
  constexpr const char* kNames[2][6] = {
      {"mae_gain_gru_5min", "mae_gain_gru_5min_low", "mae_gain_gru_5min_high", "pinball_with_5min",
       "pinball_without_5min", "gru_weight_5min"},
      {"mae_gain_gru", "mae_gain_gru_low", "mae_gain_gru_high", "pinball_with", "pinball_without", "gru_weight"}};
  for (std::size_t h = 0; h < 2; ++h) {
    const auto gain = Gain(o.pairs[h]);
    for (std::size_t i = 0; i < 3; ++i) r.Put(kNames[h][i], gain[i]);
    r.Put(kNames[h][3], o.pinball[h] / static_cast<double>(o.told))
        .Put(kNames[h][4], o.pinball_without[h] / static_cast<double>(o.told));
    r.Put(kNames[h][5], o.gru_share[h] / n);
  }
  return r.Put("us_per_bucket",
               1e6 * o.seconds / static_cast<double>(std::max<std::size_t>(1, o.told + o.vms * kWarmUp)));
}

constexpr Heading kColumns[] = {{"set", "set"},
                                {"vm", "VM"},
                                {"slack_saved_vs_vpa_p95", "saved"},
                                {"slack_saved_5min", "saved 5min"},
                                {"slack_saved_clairvoyant", "clairvoyant"},
                                {"coverage_p95", "P95 covers"},
                                {"coverage_p95_vms_within", "VMs within"},
                                {"coverage_p95_hour", "hour"},
                                {"mae_gain_gru", "GRU gain"},
                                {"mae_gain_gru_low", "from"},
                                {"mae_gain_gru_high", "to"}};

}  // namespace

Status RunDemand(const DemandOptions& options, std::ostream& out, std::ostream& log) {
  const auto series = ReadCores(options.data, options.set);
  if (!series) return Fail(series.error());
  if (ShippedGru() == nullptr) log << "no usable GRU weights in this build: the mixture goes on without\n";
  std::vector<Record> records;
  for (const char* set : {"azure", "bitbrains"}) {
    Outcome all;
    for (const Series& s : *series) {
      if (s.set != set || (options.held_out && !HeldOut(s.name)) || s.rows() < 2 * kWarmUp) continue;
      const Outcome one = Judge(s);
      all += one;
      records.push_back(RecordOf(one, set, s.name));
      if (options.json) out << records.back().Json() << '\n';
      if (all.vms % 20 == 0) log << set << ": " << all.vms << " VMs\n";
    }
    if (all.vms == 0) continue;
    records.push_back(RecordOf(all, set, "*"));
    if (options.json) out << records.back().Json() << '\n';
  }
  if (records.empty()) return Fail(Code::kInvalid, "no VM with two days of samples");
  if (!options.json) PrintTable(out, records, kColumns);
  return {};
}

Status RunTrainDemand(const TrainDemandOptions& options, std::ostream& log) {
  const auto series = ReadCores(options.data, "");
  if (!series) return Fail(series.error());
  std::vector<GruSequence> sequences;
  for (const Series& s : *series) {
    if (HeldOut(s.name)) continue;
    Forecaster forecaster(kGrain, nullptr);
    GruSequence q;
    for (std::size_t r = 0; r < s.rows(); ++r) {
      if (forecaster.Observe(At(s, r)) != Forecaster::Taken::kYes || forecaster.buckets() < kWarmUp) continue;
      q.input.push_back(forecaster.gru_input());
      q.log_value.push_back(forecaster.log_value());
      q.scale.push_back(forecaster.scale());
    }
    sequences.push_back(std::move(q));
  }
  log << "learning from " << sequences.size() << " of " << series->size() << " VMs, seed " << options.seed << '\n';
  GruTraining training;
  training.seed = options.seed;
  training.steps = options.steps;
  training.progress = [&](std::size_t step, double loss) {
    log << "step " << step << " of " << options.steps << ", loss " << loss << '\n';
  };
  const auto weights = TrainGru(nullptr, sequences, training);
  if (!weights) return Fail(weights.error());
  std::ofstream file(options.out);
  file << WriteGru(*weights);
  file.close();
  if (!file) return Fail(Code::kUnavailable, options.out.string() + ": cannot be written");
  return {};
}

}  // namespace whorl::eval
