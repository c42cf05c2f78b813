#include "tests/bench/eval/allocation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/time.h"
#include "core/demand/forecast.h"
#include "core/partition/claims.h"
#include "core/partition/entitlement.h"
#include "core/partition/ledger.h"
#include "tests/bench/eval/metrics.h"
#include "tests/bench/eval/random.h"
#include "tests/bench/eval/report.h"
#include "tests/bench/eval/traces.h"

namespace whorl::eval {
namespace {

constexpr std::size_t kNodeSize = 16;
constexpr std::size_t kHour = 12;
constexpr std::size_t kDay = 288;
constexpr std::size_t kGroupings = 3;
constexpr std::size_t kWarm = 2 * kDay;
constexpr std::int64_t kPeriodMs = 300'000;
constexpr double kSize = 10'000;  // units of one VM's whole size: a hundredth of a percent each
constexpr std::uint64_t kSeed = 20'260'105;

using Row = std::array<double, kNodeSize>;
using Grid = std::vector<Row>;  // one row per period

double SumOf(const Row& row) { return std::accumulate(row.begin(), row.end(), 0.0); }

struct Node {
  std::string name, set;
  Grid demand;
};

// ---- Policies ---------------------------------------------------------------

// Targets become a hard partition of the whole capacity, in their proportion.
Row Fill(const Row& target, double capacity) {
  const double sum = SumOf(target);
  Row out;
  for (std::size_t i = 0; i < kNodeSize; ++i) out[i] = sum > 0 ? capacity * target[i] / sum : capacity / kNodeSize;
  return out;
}

// What ships, given what is foretold for the next five minutes: claims, then
// entitlements and loans of one period.
using Told = std::array<float, partition::kClaimShares.size()>;

// A VM's forecasts, told before each period is known.
class Seer {
 public:
  Told Tell() const {
    const Quantiles quantiles = forecaster_.Predict(Horizon::kFiveMinutes);
    Told told;
    for (std::size_t k = 0; k < told.size(); ++k)
      told[k] = std::clamp(static_cast<float>(QuantileAt(quantiles, partition::kClaimShares[k])), 0.0f, kMost);
    return told;
  }
  void Observe(double demand) {
    DemandObservation o;
    o.at = FromUnixMillis(now_ms_);
    o.value = static_cast<float>(demand);
    forecaster_.Observe(o);
    now_ms_ += kPeriodMs;
  }

 private:
  static constexpr float kMost = static_cast<float>(kSize), kGrain = 50;
  Forecaster forecaster_{kGrain};
  std::int64_t now_ms_ = 1'700'000'100'000;  // a whole five minutes
};

// What is foretold of one VM before each period. It depends on what the VM shows
// alone, so that trials that differ in one VM share that of all others.
std::vector<Told> Foretell(const Grid& shown, std::size_t vm) {
  Seer seer;
  std::vector<Told> told;
  told.reserve(shown.size());
  for (const Row& row : shown) {
    told.push_back(seer.Tell());
    seer.Observe(row[vm]);
  }
  return told;
}
using Foresight = std::array<std::vector<Told>, kNodeSize>;

class Ours {
 public:
  // `alike`: every VM's claim has the same chance of falling short, whatever it
  // took and used before (what lying is compared with).
  explicit Ours(bool alike = false) : alike_(alike) {
    for (std::size_t i = 0; i < kNodeSize; ++i) ids_[i] = std::string("vm-") + static_cast<char>('a' + i);
  }
  // What each VM asked for in the period that was planned last, and what it used.
  void Observe(const Row& asked, const Row& used) {
    if (alike_) return;
    for (std::size_t i = 0; i < kNodeSize; ++i)
      claims_.Observe(static_cast<std::uint32_t>(i), asked[i], used[i], given_[i], kPeriodMs);
  }
  // The anomaly signal: this VM's nature is a runaway's. It borrows nothing; the
  // caller leaves its forecast as it was. -1 = nobody's.
  void Suspect(int vm) { runaway_ = vm; }

  template <class ToldOf>  // of (vm): const Told&
  Row Plan(double capacity, ToldOf&& told) {
    const auto whole = static_cast<std::int64_t>(capacity);
    for (std::size_t i = 0; i < kNodeSize; ++i) {
      foretold_[i].vm = static_cast<std::uint32_t>(i);
      foretold_[i].demand = told(i);
    }
    claims_.Solve(foretold_, whole, kLeastChance, needs_);
    std::array<partition::Member, kNodeSize> members;
    for (std::size_t i = 0; i < kNodeSize; ++i) {
      partition::Member& m = members[i];
      m.id = ids_[i];
      m.vm = static_cast<std::uint32_t>(i);
      m.floor_fraction = 0.02;
      m.ceiling_fraction = kNodeSize;
      m.limit = static_cast<std::int64_t>(kSize);
      m.lendable_fraction = 1;
      m.quantum_ms = kPeriodMs;
      m.need = needs_[i];
      // What it lends it goes on lending: its neighbours live on it.
      m.may_borrow = static_cast<int>(i) != runaway_;
    }
    entitlements_.Compute(members, kFullCredit, whole, shares_);
    ledger_.Lend(members, shares_, now_ms_ += kPeriodMs, true);
    for (std::size_t i = 0; i < kNodeSize; ++i) given_[i] = static_cast<double>(shares_[i].allocation());
    return given_;
  }

 private:
  static constexpr double kLeastChance = 0.001;
  inline static const std::vector<double> kFullCredit = std::vector<double>(kNodeSize, 1.0);

  bool alike_;
  std::array<std::string, kNodeSize> ids_;
  std::array<partition::Foretold, kNodeSize> foretold_;
  std::vector<std::optional<std::int64_t>> needs_;
  partition::Claims claims_;
  partition::Entitlements entitlements_;
  partition::Ledger ledger_;
  std::vector<partition::Share> shares_;
  Row given_{};
  std::int64_t now_ms_ = 0;
  int runaway_ = -1;
};

Row Least(const Row& a, const Row& b) {
  Row out;
  for (std::size_t i = 0; i < kNodeSize; ++i) out[i] = std::min(a[i], b[i]);
  return out;
}

Row Shares(const Row& demand, double capacity) {
  Row out{};
  std::array<std::size_t, kNodeSize> order;
  for (std::size_t i = 0; i < kNodeSize; ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return demand[a] < demand[b]; });
  for (std::size_t k = 0; k < kNodeSize; ++k) {
    out[order[k]] = std::min(demand[order[k]], capacity / static_cast<double>(kNodeSize - k));
    capacity -= out[order[k]];
  }
  return out;
}

// The rule at its word (predicted = last period): clamp, then everybody short
// takes from the same excess. What it over-commits nobody has: all are scaled.
Row Literal(const Row& predicted, double available) {
  Row a = predicted;
  if (SumOf(predicted) <= available) return Fill(a, available);
  for (std::size_t i = 0; i < kNodeSize; ++i) a[i] = available / kNodeSize;  // no VM deviates: w_i = mean
  const Row before = a;
  for (std::size_t i = 0; i < kNodeSize; ++i) {
    double excess = 0;
    for (std::size_t j = 0; j < kNodeSize; ++j) excess += j == i ? 0 : std::max(0.0, before[j] - predicted[j]);
    a[i] += std::min(std::max(0.0, predicted[i] - before[i]), excess);
  }
  return SumOf(a) > available ? Fill(a, available) : a;
}

// Least unmet demand over the hour with one partition: the next unit goes to
// whom it helps in most periods.
Row Clairvoyant(const Grid& d, std::size_t begin, std::size_t end, double capacity) {
  struct Piece {
    std::size_t periods, vm;
    double length;
  };
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < kNodeSize; ++i) {
    std::vector<double> sorted;
    for (std::size_t t = begin; t < end; ++t) sorted.push_back(d[t][i]);
    std::sort(sorted.begin(), sorted.end());
    double from = 0;
    for (std::size_t k = 0; k < sorted.size(); ++k) {
      pieces.push_back({sorted.size() - k, i, sorted[k] - from});
      from = sorted[k];
    }
  }
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.periods > b.periods; });
  Row out{};
  for (const Piece& piece : pieces) {
    const double take = std::min(piece.length, capacity);
    out[piece.vm] += take;
    capacity -= take;
  }
  return out;
}

enum Policy : std::size_t {
  kStatic,
  kVpa90,
  kVpa95,
  kLastHour,
  kEwma,
  kShares,
  kLiteral,
  kHourly,
  kFiveMinute,
  kAlike,
  kOurs
};
constexpr std::array<std::string_view, 11> kNames{
    "static",           "vpa_p90",         "vpa_p95",      "last_hour_max",
    "ewma_2sigma",      "work_conserving", "literal_rule", "clairvoyant_hourly",
    "clairvoyant_5min", "equal_chance",    "ours"};

double Unmet(const Row& demand, const Row& given) {
  double sum = 0;
  for (std::size_t i = 0; i < kNodeSize; ++i) sum += std::max(0.0, demand[i] - given[i]);
  return sum;
}

double CapacityAt(const Grid& demand, double q) {
  std::vector<double> sums;
  for (const Row& row : demand) sums.push_back(SumOf(row));
  return std::max(Quantile(sums, q), 16.0 * kNodeSize);
}

std::array<double, kNames.size()> Compare(const Node& node, const Foresight& foresight, double capacity) {
  std::array<double, kNames.size()> unmet{};
  const Grid& d = node.demand;
  Ours ours, even_chance(true);
  Row mean = d[0], variance{};
  std::array<std::vector<double>, kNodeSize> history;  // all that was seen so far
  Row vpa90{}, vpa95{}, recent{}, hourly{};
  for (std::size_t t = 0; t < d.size(); ++t) {
    if (t >= kWarm) {
      if (t % kHour == 0 || t == kWarm) {
        for (std::size_t i = 0; i < kNodeSize; ++i) {
          std::sort(history[i].begin(), history[i].end());
          const auto at = [&](double q) {
            return history[i][static_cast<std::size_t>(q * static_cast<double>(history[i].size() - 1))];
          };
          vpa90[i] = at(0.90);
          vpa95[i] = 1.15 * at(0.95);
          recent[i] = 0;
          for (std::size_t k = t - kHour; k < t; ++k) recent[i] = std::max(recent[i], d[k][i]);
        }
        hourly = Clairvoyant(d, t, std::min(t + kHour - t % kHour, d.size()), capacity);
      }
      Row even, ewma;
      even.fill(1);
      for (std::size_t i = 0; i < kNodeSize; ++i) ewma[i] = mean[i] + 2 * std::sqrt(variance[i]);
      unmet[kStatic] += Unmet(d[t], Fill(even, capacity));
      unmet[kVpa90] += Unmet(d[t], Fill(vpa90, capacity));
      unmet[kVpa95] += Unmet(d[t], Fill(vpa95, capacity));
      unmet[kLastHour] += Unmet(d[t], Fill(recent, capacity));
      unmet[kEwma] += Unmet(d[t], Fill(ewma, capacity));
      // Who knows the demand of the moment leaves as little unmet as anybody can.
      const double least = Unmet(d[t], Shares(d[t], capacity));
      unmet[kShares] += least;
      unmet[kLiteral] += Unmet(d[t], Literal(d[t - 1], capacity));
      unmet[kHourly] += Unmet(d[t], hourly);
      unmet[kFiveMinute] += least;
    }
    if (t >= kDay) {
      const auto told = [&](std::size_t i) -> const Told& { return foresight[i][t]; };
      const Row given = ours.Plan(capacity, told), alike = even_chance.Plan(capacity, told);
      ours.Observe(d[t], Least(d[t], given));
      if (t >= kWarm) {
        unmet[kOurs] += Unmet(d[t], given);
        unmet[kAlike] += Unmet(d[t], alike);
      }
    }
    for (std::size_t i = 0; i < kNodeSize; ++i) {
      const double error = d[t][i] - mean[i];
      mean[i] += 0.3 * error;
      variance[i] = 0.7 * (variance[i] + 0.3 * error * error);
      history[i].push_back(d[t][i]);
    }
  }
  return unmet;
}

// ---- One neighbour runs wild --------------------------------------------------

struct Victims {
  double without_signal = 0, with_signal = 0, shares = 0;  // extra unmet demand of the others
};

void RunAway(const Node& node, const Foresight& foresight, double capacity, Victims& victims) {
  const Grid& d = node.demand;
  Random random(SeedOf(kSeed, node.name.c_str()));
  Ours settled;
  std::vector<Seer> seers(kNodeSize);
  std::size_t next = kWarm + kDay / 4;
  constexpr std::size_t kLast = 6;
  for (std::size_t t = 0; t + kLast < d.size(); ++t) {
    const auto told_of = [&](std::size_t i) -> const Told& { return foresight[i][t]; };
    if (t == next) {
      next += kDay / 2;
      const auto wild = static_cast<std::size_t>(random.Below(kNodeSize));
      Ours calm = settled, blind = settled, told = settled;
      Seer fooled = seers[wild];
      for (std::size_t k = 0; k < kLast; ++k) {
        Row row = d[t + k];
        row[wild] = std::min(kSize, 5 * row[wild]);
        const auto others = [&](const Row& given) {
          double sum = 0;
          for (std::size_t i = 0; i < kNodeSize; ++i) {
            if (i != wild) sum += std::max(0.0, d[t + k][i] - given[i]);
          }
          return sum;
        };
        const auto usual_of = [&](std::size_t i) -> const Told& { return foresight[i][t + k]; };
        const Told wild_told = fooled.Tell();
        const auto fooled_of = [&](std::size_t i) -> const Told& { return i == wild ? wild_told : usual_of(i); };
        // Once told, what was predicted before its first wild period stays.
        const auto kept_of = [&](std::size_t i) -> const Told& { return i == wild ? foresight[i][t] : usual_of(i); };
        const Row usual = calm.Plan(capacity, usual_of);
        const Row unaware = blind.Plan(capacity, fooled_of);
        const Row aware = told.Plan(capacity, kept_of);
        victims.without_signal += others(unaware) - others(usual);
        victims.with_signal += others(aware) - others(usual);
        victims.shares += others(Shares(row, capacity)) - others(Shares(d[t + k], capacity));
        calm.Observe(d[t + k], Least(d[t + k], usual));
        blind.Observe(row, Least(row, unaware));
        told.Suspect(static_cast<int>(wild));  // known when the first wild period is over
        told.Observe(row, Least(row, aware));
        fooled.Observe(row[wild]);
      }
    }
    if (t >= kDay) settled.Observe(d[t], Least(d[t], settled.Plan(capacity, told_of)));
    for (std::size_t i = 0; i < kNodeSize; ++i) seers[i].Observe(d[t][i]);
  }
}

// ---- Lies ---------------------------------------------------------------------

constexpr std::array<std::string_view, 5> kLies{"double", "burst_on_sample", "sawtooth", "colluding_pair",
                                                "slow_drift"};

double Shown(std::size_t lie, double demand, std::size_t t, std::size_t periods) {
  double factor = 2;
  if (lie == 1) factor = t % 2 == 0 ? 3 : 1;
  if (lie == 2) factor = 1 + 2 * static_cast<double>(t % kHour) / kHour;
  if (lie == 4) factor = 1 + 2 * static_cast<double>(t) / static_cast<double>(periods);
  return std::min(kSize, demand * factor);
}

struct Lie {
  double gain = 0, loss = 0;  // ratio for the liar; part lost by the others
};

// The same lies under three rules. Who only claims uses what it truly needs of
// what it is given; who burns uses all of it, up to what it claims.
enum Trial : std::size_t { kClaimed, kBurnt, kEqualChance };
constexpr std::array<std::string_view, 3> kTrials{"misreport", "misreport_burnt", "misreport_equal_chance"};
using Lies = std::array<std::array<Lie, kLies.size()>, kTrials.size()>;

// What each VM gets of what it truly wants.
Row Useful(const Grid& truth, const Grid& shown, const std::array<const std::vector<Told>*, kNodeSize>& told,
           double capacity, Trial trial) {
  Ours ours(trial == kEqualChance);
  Row useful{};
  for (std::size_t t = kDay; t < truth.size(); ++t) {
    const Row given = ours.Plan(capacity, [&](std::size_t i) -> const Told& { return (*told[i])[t]; });
    ours.Observe(shown[t], Least(trial == kClaimed ? truth[t] : shown[t], given));
    if (t < kWarm) continue;
    for (std::size_t i = 0; i < kNodeSize; ++i) useful[i] += std::min(truth[t][i], given[i]);
  }
  return useful;
}

void TellLies(const Node& node, const Foresight& foresight, double capacity, Lies& lies) {
  const Grid& d = node.demand;
  std::array<const std::vector<Told>*, kNodeSize> honest;
  for (std::size_t i = 0; i < kNodeSize; ++i) honest[i] = &foresight[i];
  std::array<Row, kTrials.size()> yield;
  for (std::size_t trial = 0; trial < kTrials.size(); ++trial)
    yield[trial] = Useful(d, d, honest, capacity, static_cast<Trial>(trial));
  for (const std::size_t liar : {std::size_t{0}, std::size_t{5}, std::size_t{10}}) {
    for (std::size_t l = 0; l < kLies.size(); ++l) {
      const bool pair = l == 3;
      const std::array<std::size_t, 2> liars{liar, (liar + 1) % kNodeSize};
      Grid shown = d;
      std::array<std::vector<Told>, 2> told;
      auto seen = honest;
      for (std::size_t k = 0; k < (pair ? 2 : 1); ++k) {
        for (std::size_t t = 0; t < d.size(); ++t)
          shown[t][liars[k]] = Shown(pair ? 0 : l, d[t][liars[k]], t, d.size());
        told[k] = Foretell(shown, liars[k]);
        seen[liars[k]] = &told[k];
      }
      for (std::size_t trial = 0; trial < kTrials.size(); ++trial) {
        const Row lying = Useful(d, shown, seen, capacity, static_cast<Trial>(trial));
        const auto own = [&](const Row& row) { return row[liar] + (pair ? row[liars[1]] : 0); };
        const double before = own(yield[trial]), others = SumOf(yield[trial]) - before;
        Lie& lie = lies[trial][l];
        if (before > 0) lie.gain = std::max(lie.gain, own(lying) / before);
        if (others > 0) lie.loss = std::max(lie.loss, 1 - (SumOf(lying) - own(lying)) / others);
      }
    }
  }
}

// ---- Nodes and the report -------------------------------------------------------

std::vector<Node> MakeNodes(const std::vector<Series>& all) {
  std::map<std::string, std::vector<const Series*>> sets;
  for (const Series& s : all) {
    if (s.rows() > kWarm + kDay) sets[s.set].push_back(&s);
  }
  std::vector<Node> nodes;
  for (auto& [set, vms] : sets) {
    for (std::size_t g = 0; g < kGroupings; ++g) {
      Random random(SeedOf(kSeed + g, set.c_str()));
      for (std::size_t i = vms.size(); i > 1; --i) std::swap(vms[i - 1], vms[random.Below(i)]);
      for (std::size_t begin = 0; begin + kNodeSize <= vms.size(); begin += kNodeSize) {
        Node node;
        node.set = set;
        node.name = set + "-" + std::to_string(nodes.size());
        std::size_t rows = vms[begin]->rows();
        for (std::size_t i = 0; i < kNodeSize; ++i) rows = std::min(rows, vms[begin + i]->rows());
        node.demand.resize(rows);
        for (std::size_t i = 0; i < kNodeSize; ++i) {
          const Series& s = *vms[begin + i];
          float most = 0;
          for (std::size_t r = 0; r < s.rows(); ++r) most = std::max(most, s.Value(r, 0));
          // Shares of the VM's size; where the trace does not know it, of its highest use.
          const bool percent = s.set == "azure" || s.set == "bitbrains_rnd";
          const double unit = percent ? kSize / 100 : most > 0 ? kSize / static_cast<double>(most) : 0;
          double value = 0;
          for (std::size_t r = 0; r < rows; ++r) {
            if (!std::isnan(s.Value(r, 0))) value = std::min(kSize, unit * static_cast<double>(s.Value(r, 0)));
            node.demand[r][i] = value;
          }
        }
        nodes.push_back(std::move(node));
      }
    }
  }
  return nodes;
}

}  // namespace

Status RunAllocation(const AllocationOptions& options, std::ostream& out, std::ostream& log) {
  auto several = ReadResourceFolder(options.data);
  if (!several) return Fail(several.error());
  auto all = ReadDemandFolder(options.data);
  if (!all && (all.error().code != Code::kNotFound || several->empty())) return Fail(all.error());
  if (!all) all.emplace();
  for (Series& one : *several) all->push_back(std::move(one));
  const std::vector<Node> nodes = MakeNodes(*all);
  if (nodes.empty()) {
    return Fail(Code::kInvalid,
                options.data.string() + ": no set has 16 VMs of more than three days; a node needs them (add traces)");
  }
  std::vector<Record> lines;
  for (const auto& [label, q] : {std::pair{"p98", 0.98}, {"p90", 0.90}}) {
    std::map<std::string, std::array<double, kNames.size()>> unmet;
    std::map<std::string, double> demand;
    std::map<std::string, std::size_t> count;
    std::map<std::string, Victims> victims;
    std::map<std::string, Lies> lies;
    std::size_t done = 0;
    for (const Node& node : nodes) {
      log << "whorl-eval: capacity " << label << ", node " << ++done << " of " << nodes.size() << '\n';
      const double capacity = CapacityAt(node.demand, q);
      Foresight foresight;
      for (std::size_t i = 0; i < kNodeSize; ++i) foresight[i] = Foretell(node.demand, i);
      const auto result = Compare(node, foresight, capacity);
      Victims v;
      RunAway(node, foresight, capacity, v);
      const bool first = count[node.set] == 0;
      for (const std::string& set : {node.set, std::string("*")}) {
        for (std::size_t p = 0; p < result.size(); ++p) unmet[set][p] += result[p];
        for (std::size_t t = kWarm; t < node.demand.size(); ++t) {
          demand[set] += SumOf(node.demand[t]);
        }
        ++count[set];
        victims[set].without_signal += v.without_signal;
        victims[set].with_signal += v.with_signal;
        victims[set].shares += v.shares;
      }
      if (!first) continue;  // lies are told on one node of each set, by three of its VMs
      Lies told{};
      TellLies(node, foresight, capacity, told);
      for (const std::string& set : {node.set, std::string("*")}) {
        for (std::size_t trial = 0; trial < kTrials.size(); ++trial) {
          for (std::size_t l = 0; l < kLies.size(); ++l) {
            Lie& worst = lies[set][trial][l];
            worst.gain = std::max(worst.gain, told[trial][l].gain);
            worst.loss = std::max(worst.loss, told[trial][l].loss);
          }
        }
      }
    }
    for (const auto& [set, u] : unmet) {
      const Victims& v = victims[set];
      const double gap = u[kVpa95] - u[kHourly];
      const auto closed = [&](Policy p) { return gap > 0 ? (u[kVpa95] - u[p]) / gap : std::nan(""); };
      Record line;
      line.Put("set", set).Put("series", "*").Put("capacity", label).Count("nodes", count[set]);
      line.Put("gap_closed_vs_vpa_p95", closed(kOurs)).Put("gap_closed_equal_chance", closed(kAlike));
      line.Put("gap_closed_ewma_2sigma", closed(kEwma));
      line.Put("victims_relieved", v.without_signal > 0 ? 1 - v.with_signal / v.without_signal : std::nan(""))
          .Put("victims_extra_without_signal", v.without_signal)
          .Put("victims_extra_with_signal", v.with_signal)
          .Put("victims_extra_work_conserving", v.shares);
      for (std::size_t trial = 0; trial < kTrials.size(); ++trial) {
        const std::string name(kTrials[trial]);
        Lie worst;
        for (const Lie& lie : lies[set][trial]) {
          worst.gain = std::max(worst.gain, lie.gain);
          worst.loss = std::max(worst.loss, lie.loss);
        }
        line.Put(name + "_gain", worst.gain).Put(name + "_neighbours_lose", worst.loss);
        for (std::size_t l = 0; l < kLies.size(); ++l) {
          line.Put(name + "_gain_" + std::string(kLies[l]), lies[set][trial][l].gain);
          line.Put(name + "_loss_" + std::string(kLies[l]), lies[set][trial][l].loss);
        }
      }
      for (std::size_t p = 0; p < kNames.size(); ++p) {
        line.Put("unmet_" + std::string(kNames[p]), demand[set] > 0 ? u[p] / demand[set] : std::nan(""));
      }
      lines.push_back(std::move(line));
    }
  }
  if (options.json) {
    for (const Record& line : lines) out << line.Json() << '\n';
    return {};
  }
  constexpr Heading kFigures[] = {{"set", "set"},
                                  {"capacity", "capacity"},
                                  {"nodes", "nodes"},
                                  {"gap_closed_vs_vpa_p95", "gap closed"},
                                  {"gap_closed_ewma_2sigma", "by EWMA+2s"},
                                  {"victims_relieved", "relieved"},
                                  {"misreport_gain", "lie gains"},
                                  {"misreport_neighbours_lose", "others lose"},
                                  {"misreport_burnt_gain", "burnt"},
                                  {"misreport_burnt_neighbours_lose", "others lose"},
                                  {"misreport_equal_chance_gain", "equal chance"},
                                  {"misreport_equal_chance_neighbours_lose", "others lose"}};
  PrintTable(out, lines, kFigures);
  out << "\nDemand left unmet, as a part of all demand:\n";
  std::vector<std::string> names;
  for (const std::string_view name : kNames) names.push_back("unmet_" + std::string(name));
  std::vector<Heading> columns{{"set", "set"}, {"capacity", "capacity"}};
  for (std::size_t p = 0; p < kNames.size(); ++p) columns.push_back({names[p], kNames[p]});
  PrintTable(out, lines, columns);
  return {};
}

}  // namespace whorl::eval
