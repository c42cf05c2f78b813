#include "tests/bench/eval/allocation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

// ---- Forecast: to be replaced by core/demand's ------------------------------

// What one VM will use in the next period, as quantiles: a moving mean and the
// last value, and how far the last two days exceeded them in units of their own
// recent error.
class Forecast {
 public:
  void Observe(double demand) {
    if (seen_ > 0) {
      const double error = demand - center_;
      const double z = error / scale_;
      if (window_.size() == kWindow) sorted_.erase(std::lower_bound(sorted_.begin(), sorted_.end(), window_[at_]));
      sorted_.insert(std::upper_bound(sorted_.begin(), sorted_.end(), z), z);
      if (window_.size() < kWindow) {
        window_.push_back(z);
      } else {
        window_[at_] = z;
      }
      at_ = (at_ + 1) % kWindow;
      scale_ = std::max(kLeastScale, scale_ + 0.08 * (std::abs(error) - scale_));
    } else {
      mean_ = demand;
    }
    mean_ += 0.2 * (demand - mean_);
    center_ = 0.6 * demand + 0.4 * mean_;
    last_ = demand;
    ++seen_;
  }
  double Quantile(double tau) const {
    if (sorted_.empty()) return last_;
    const double place = tau * static_cast<double>(sorted_.size() - 1);
    const auto low = static_cast<std::size_t>(place);
    const std::size_t high = std::min(low + 1, sorted_.size() - 1);
    const double z = sorted_[low] + (place - static_cast<double>(low)) * (sorted_[high] - sorted_[low]);
    return std::clamp(center_ + scale_ * z, 0.0, kSize);
  }

 private:
  static constexpr std::size_t kWindow = 2 * kDay;
  static constexpr double kLeastScale = 5;
  std::vector<double> window_, sorted_;
  std::size_t at_ = 0, seen_ = 0;
  double center_ = 0, mean_ = 0, scale_ = 50, last_ = 0;
};

// ---- Policies ---------------------------------------------------------------

// Targets become a hard partition of the whole capacity, in their proportion.
Row Fill(const Row& target, double capacity) {
  const double sum = SumOf(target);
  Row out;
  for (std::size_t i = 0; i < kNodeSize; ++i) out[i] = sum > 0 ? capacity * target[i] / sum : capacity / kNodeSize;
  return out;
}

// The shipping partition: need = each VM's forecast at the one quantile at which
// the needs fit the capacity, then entitlements and loans of one period.
class Ours {
 public:
  Ours() {
    for (std::size_t i = 0; i < kNodeSize; ++i) ids_[i] = std::string("vm-") + static_cast<char>('a' + i);
  }
  void Observe(const Row& shown) {
    for (std::size_t i = 0; i < kNodeSize; ++i) {
      if (static_cast<int>(i) != runaway_) forecast_[i].Observe(shown[i]);
    }
  }
  // The anomaly signal: this VM's nature is a runaway's. It borrows nothing, and
  // its claim stays at what was predicted before. -1 = nobody's.
  void Suspect(int vm) { runaway_ = vm; }

  Row Plan(double capacity) {
    double low = 0.5, high = 1;
    for (int step = 0; step < 20; ++step) {
      const double mid = 0.5 * (low + high);
      double sum = 0;
      for (const Forecast& f : forecast_) sum += f.Quantile(mid);
      (sum > capacity ? high : low) = mid;
    }
    std::vector<partition::Member> members(kNodeSize);
    for (std::size_t i = 0; i < kNodeSize; ++i) {
      partition::Member& m = members[i];
      m.id = ids_[i];
      m.vm = static_cast<std::uint32_t>(i);
      m.floor_fraction = 0.02;
      m.ceiling_fraction = kNodeSize;
      m.limit = static_cast<std::int64_t>(kSize);
      m.lendable_fraction = 1;
      m.quantum_ms = kPeriodMs;
      m.need = static_cast<std::int64_t>(std::ceil(forecast_[i].Quantile(low)));
      // What it lends it goes on lending: its neighbours live on it.
      m.may_borrow = static_cast<int>(i) != runaway_;
    }
    entitlements_.Compute(members, std::vector<double>(kNodeSize, 1.0), static_cast<std::int64_t>(capacity), shares_);
    ledger_.Lend(members, shares_, now_ms_ += kPeriodMs, true);
    Row out;
    for (std::size_t i = 0; i < kNodeSize; ++i) out[i] = static_cast<double>(shares_[i].allocation());
    return out;
  }

 private:
  std::array<std::string, kNodeSize> ids_;
  std::array<Forecast, kNodeSize> forecast_;
  partition::Entitlements entitlements_;
  partition::Ledger ledger_;
  std::vector<partition::Share> shares_;
  std::int64_t now_ms_ = 0;
  int runaway_ = -1;
};

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

enum Policy : std::size_t { kStatic, kVpa90, kVpa95, kLastHour, kEwma, kShares, kLiteral, kHourly, kFiveMinute, kOurs };
constexpr std::array<std::string_view, 10> kNames{"static",           "vpa_p90",
                                                  "vpa_p95",          "last_hour_max",
                                                  "ewma_2sigma",      "work_conserving",
                                                  "literal_rule",     "clairvoyant_hourly",
                                                  "clairvoyant_5min", "ours"};

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

std::array<double, kNames.size()> Compare(const Node& node, double capacity) {
  std::array<double, kNames.size()> unmet{};
  const Grid& d = node.demand;
  Ours ours;
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
      unmet[kOurs] += Unmet(d[t], ours.Plan(capacity));
    }
    ours.Observe(d[t]);
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

void RunAway(const Node& node, double capacity, Victims& victims) {
  const Grid& d = node.demand;
  Random random(SeedOf(kSeed, node.name.c_str()));
  Ours settled;
  std::size_t next = kWarm + kDay / 4;
  constexpr std::size_t kLast = 6;
  for (std::size_t t = 0; t + kLast < d.size(); ++t) {
    if (t == next) {
      next += kDay / 2;
      const auto wild = static_cast<std::size_t>(random.Below(kNodeSize));
      Ours calm = settled, blind = settled, told = settled;
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
        const double usual = others(calm.Plan(capacity));
        victims.without_signal += others(blind.Plan(capacity)) - usual;
        victims.with_signal += others(told.Plan(capacity)) - usual;
        victims.shares += others(Shares(row, capacity)) - others(Shares(d[t + k], capacity));
        calm.Observe(d[t + k]);
        blind.Observe(row);
        told.Suspect(static_cast<int>(wild));  // known when the first wild period is over
        told.Observe(row);
      }
    }
    settled.Observe(d[t]);
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
std::pair<double, double> Useful(const Node& node, double capacity, int lie, std::size_t liar) {
  Ours ours;
  double own = 0, others = 0;
  const Grid& d = node.demand;
  for (std::size_t t = 0; t < d.size(); ++t) {
    if (t >= kWarm) {
      const Row given = ours.Plan(capacity);
      for (std::size_t i = 0; i < kNodeSize; ++i) {
        const bool lies = i == liar || (lie == 3 && i == (liar + 1) % kNodeSize);
        (lies ? own : others) += std::min(d[t][i], given[i]);
      }
    }
    Row shown = d[t];
    if (lie >= 0) {
      shown[liar] = Shown(static_cast<std::size_t>(lie), shown[liar], t, d.size());
      if (lie == 3) {
        const std::size_t friend_of = (liar + 1) % kNodeSize;
        shown[friend_of] = Shown(0, shown[friend_of], t, d.size());
      }
    }
    ours.Observe(shown);
  }
  return {own, others};
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
    std::map<std::string, std::array<Lie, kLies.size()>> lies;
    std::size_t done = 0;
    for (const Node& node : nodes) {
      log << "whorl-eval: capacity " << label << ", node " << ++done << " of " << nodes.size() << '\n';
      const double capacity = CapacityAt(node.demand, q);
      const auto result = Compare(node, capacity);
      Victims v;
      RunAway(node, capacity, v);
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
      for (const std::size_t liar : {std::size_t{0}, std::size_t{5}, std::size_t{10}}) {
        const auto honest = Useful(node, capacity, -1, liar);
        for (std::size_t l = 0; l < kLies.size(); ++l) {
          const auto lying = Useful(node, capacity, static_cast<int>(l), liar);
          auto [own, others] = honest;
          if (l == 3) {  // the colluders' honest yield is that of the same two VMs
            const double friends = Useful(node, capacity, -1, (liar + 1) % kNodeSize).first;
            own += friends;
            others -= friends;
          }
          for (const std::string& set : {node.set, std::string("*")}) {
            Lie& lie = lies[set][l];
            if (own > 0) lie.gain = std::max(lie.gain, lying.first / own);
            if (others > 0) lie.loss = std::max(lie.loss, 1 - lying.second / others);
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
      line.Put("gap_closed_vs_vpa_p95", closed(kOurs)).Put("gap_closed_ewma_2sigma", closed(kEwma));
      line.Put("victims_relieved", v.without_signal > 0 ? 1 - v.with_signal / v.without_signal : std::nan(""))
          .Put("victims_extra_without_signal", v.without_signal)
          .Put("victims_extra_with_signal", v.with_signal)
          .Put("victims_extra_work_conserving", v.shares);
      double worst_gain = 0, worst_loss = 0;
      for (const Lie& lie : lies[set]) {
        worst_gain = std::max(worst_gain, lie.gain);
        worst_loss = std::max(worst_loss, lie.loss);
      }
      line.Put("misreport_gain", worst_gain).Put("misreport_neighbours_lose", worst_loss);
      for (std::size_t l = 0; l < kLies.size(); ++l) {
        line.Put("misreport_gain_" + std::string(kLies[l]), lies[set][l].gain);
        line.Put("misreport_loss_" + std::string(kLies[l]), lies[set][l].loss);
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
                                  {"misreport_neighbours_lose", "others lose"}};
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
