#include "core/replay/whatif.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>

#include "core/replay/whorl_strategy.h"

namespace whorl::whatif {
namespace {

using Row = std::vector<double>;

constexpr Millis kHour{3'600'000}, kDay{86'400'000};
constexpr double kLeast = 0.001;       // cores that whoever is there is given
constexpr double kLeastShort = 0.005;  // cores; less is missing for nobody
constexpr double kMargin = 1.15;
constexpr double kSigmas = 2;

// A histogram whose weights halve each day and whose buckets grow by 5 %, as
// the Vertical Pod Autoscaler's: the end of the quantile's bucket.
class DecayingHistogram {
 public:
  void Add(double cores, double days) {
    double weight = std::exp2(days - reference_);
    if (weight > 1e60) {
      for (double& w : weight_) w /= weight;
      total_ /= weight;
      reference_ = days;
      weight = 1;
    }
    const auto bucket = static_cast<std::size_t>(std::log(cores * kGrowth / kFirst + 1) / std::log(1 + kGrowth));
    weight_[std::min(bucket, weight_.size() - 1)] += weight;
    total_ += weight;
  }
  double Quantile(double share) const {
    double sum = 0;
    std::size_t b = 0;
    while (b + 1 < weight_.size() && (sum += weight_[b]) < share * total_) ++b;
    return kFirst / kGrowth * (std::pow(1 + kGrowth, static_cast<double>(b + 1)) - 1);
  }
  bool empty() const { return total_ == 0; }

 private:
  static constexpr double kFirst = 0.01, kGrowth = 0.05;  // cores, part
  std::array<double, 200> weight_{};
  double total_ = 0, reference_ = 0;
};

// What a strategy would reserve for each VM, at a knob. Observe is told a period
// once it is over; Decide comes before the period it is for.
class Reserver {
 public:
  virtual ~Reserver() = default;
  virtual void Observe(std::size_t) {}
  virtual void Decide(std::size_t) {}
  virtual void Reserve(double knob, Row& out) const = 0;
};

class Requests final : public Reserver {
 public:
  explicit Requests(const Row& start) : start_(start) {}
  void Reserve(double knob, Row& out) const override {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = knob * start_[i];
  }

 private:
  const Row& start_;
};

// Those that decide each hour and hold to it.
class Hourly : public Reserver {
 public:
  Hourly(const Node& node, const Row& start) : node_(node), decided_(start) {}
  void Decide(std::size_t period) final {
    const Time at = node_.begin + node_.step * static_cast<std::int64_t>(period);
    const std::int64_t hour = at.time_since_epoch() / kHour;
    if (period > 0 && hour == hour_) return;
    hour_ = hour;
    for (std::size_t i = 0; i < decided_.size(); ++i) DecideFor(i, decided_[i]);
  }
  void Reserve(double knob, Row& out) const final {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = knob * decided_[i];
  }

 protected:
  virtual void DecideFor(std::size_t vm, double& decided) const = 0;
  const Node& node_;

 private:
  Row decided_;
  std::int64_t hour_ = 0;
};

class Vpa final : public Hourly {
 public:
  Vpa(const Node& node, const Row& start, double share) : Hourly(node, start), share_(share), seen_(node.vms.size()) {}
  void Observe(std::size_t period) override {
    const double days = static_cast<double>(period) * node_.hours() / 24;
    for (std::size_t i = 0; i < seen_.size(); ++i) {
      if (const float used = node_.vms[i].used[period]; !std::isnan(used))
        seen_[i].Add(static_cast<double>(used), days);
    }
  }

 protected:
  void DecideFor(std::size_t vm, double& decided) const override {
    if (!seen_[vm].empty()) decided = seen_[vm].Quantile(share_);
  }

 private:
  const double share_;
  std::vector<DecayingHistogram> seen_;
};

class LastHour final : public Hourly {
 public:
  LastHour(const Node& node, const Row& start)
      : Hourly(node, start), length_(static_cast<std::size_t>(std::max<std::int64_t>(1, kHour / node.step))) {}
  void Observe(std::size_t period) override { over_ = period + 1; }

 protected:
  void DecideFor(std::size_t vm, double& decided) const override {
    double most = -1;
    for (std::size_t t = over_ - std::min(over_, length_); t < over_; ++t) {
      if (const float used = node_.vms[vm].used[t]; !std::isnan(used)) most = std::max(most, static_cast<double>(used));
    }
    if (most >= 0) decided = most;
  }

 private:
  const std::size_t length_;
  std::size_t over_ = 0;
};

class Ewma final : public Reserver {
 public:
  Ewma(const Node& node, const Row& start)
      : node_(node), mean_(start), variance_(start.size(), 0), seen_(start.size(), 0) {}
  void Observe(std::size_t period) override {
    constexpr double kGain = 0.3;
    for (std::size_t i = 0; i < mean_.size(); ++i) {
      const auto used = static_cast<double>(node_.vms[i].used[period]);
      if (std::isnan(used)) continue;
      const double error = seen_[i] != 0 ? used - mean_[i] : 0;
      mean_[i] = seen_[i] != 0 ? mean_[i] + kGain * error : used;
      variance_[i] = (1 - kGain) * (variance_[i] + kGain * error * error);
      seen_[i] = 1;
    }
  }
  void Reserve(double knob, Row& out) const override {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = mean_[i] + knob * std::sqrt(variance_[i]);
  }

 private:
  const Node& node_;
  Row mean_, variance_;
  std::vector<std::uint8_t> seen_;
};

class WhorlNeeds final : public Reserver {
 public:
  WhorlNeeds(WhorlStrategy& whorl, const Row& start) : whorl_(whorl), start_(start) {}
  void Observe(std::size_t period) override { whorl_.Observe(period); }
  void Reserve(double knob, Row& out) const override { whorl_.Needs(knob, start_, out); }

 private:
  WhorlStrategy& whorl_;
  const Row& start_;
};

// `wanted` in its own proportion becomes a hard partition of all of `capacity`;
// nobody is given more than it can use.
void Divide(const Row& wanted, const Row& most, double capacity, Row& out) {
  out.assign(wanted.size(), 0);
  std::vector<std::uint8_t> full(wanted.size(), 0);
  for (;;) {
    double sum = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) sum += full[i] != 0 ? 0 : wanted[i];
    if (sum <= 0 || capacity <= 0) return;
    bool again = false;
    for (std::size_t i = 0; i < wanted.size() && !again; ++i) {
      again = full[i] == 0 && wanted[i] > 0 && capacity * wanted[i] / sum > most[i];
    }
    double given = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (full[i] != 0 || wanted[i] <= 0) continue;
      const double part = capacity * wanted[i] / sum;
      if (again && part <= most[i]) continue;
      out[i] = std::min(part, most[i]);
      full[i] = 1;
      given += out[i];
    }
    capacity -= given;
    if (!again) return;
  }
}

// Weights on a work-conserving scheduler: nobody gets more than it wants, and what
// is left is shared by weight among those who want more. Knowing each moment's
// demand, it leaves as little unmet in sum as anybody can.
void Shares(const Row& demand, const Row& weight, double capacity, Row& out) {
  out.assign(demand.size(), 0);
  std::vector<std::size_t> order;  // of who wants something
  const auto weigh = [&](std::size_t i) { return std::max(weight[i], kLeast); };
  double weights = 0;
  for (std::size_t i = 0; i < demand.size(); ++i) {
    if (demand[i] <= 0) continue;
    order.push_back(i);
    weights += weigh(i);
  }
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return demand[a] * weigh(b) < demand[b] * weigh(a); });
  for (const std::size_t i : order) {
    out[i] = std::min(demand[i], capacity * weigh(i) / weights);
    capacity -= out[i];
    weights -= weigh(i);
  }
}

double Used(const Vm& vm, std::size_t period) {
  const float used = vm.used[period];
  return std::isnan(used) ? 0 : static_cast<double>(used);
}

// Least unmet demand over some periods with one partition of at most `capacity`,
// from what each VM wants in them, ascending: the next piece goes to whom it
// helps in most periods.
void KnowTheFuture(const std::vector<Row>& wants, double capacity, Row& out) {
  struct Piece {
    std::size_t periods, vm;
    double length;
  };
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < wants.size(); ++i) {
    double from = 0;
    for (std::size_t k = 0; k < wants[i].size(); ++k) {
      if (wants[i][k] > from) pieces.push_back({wants[i].size() - k, i, wants[i][k] - from});
      from = wants[i][k];
    }
  }
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.periods > b.periods; });
  out.assign(wants.size(), 0);
  for (const Piece& piece : pieces) {
    const double take = std::min(piece.length, capacity);
    out[piece.vm] += take;
    capacity -= take;
  }
}

const std::vector<double>& KnobsOf(Strategy strategy) {
  static const std::vector<double> factors{0.1,  0.2, 0.3, 0.4,  0.5, 0.6, 0.7, 0.8, 0.9, 1.0,
                                           1.15, 1.3, 1.5, 1.75, 2,   2.5, 3,   4,   6};
  static const std::vector<double> sigmas{0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 12};
  static const std::vector<double> quantiles{0.5,  0.6,  0.7,  0.8,   0.85,  0.9,   0.925, 0.95,
                                             0.97, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995};
  if (strategy == Strategy::kWhorlHard) return quantiles;
  return strategy == Strategy::kEwma ? sigmas : factors;
}

// Pools of these sizes, for strategies that reserve nobody anything: quantiles of
// what all wanted together.
std::vector<double> PoolsOf(const Node& node, std::size_t from) {
  Row sums;
  for (std::size_t t = from; t < node.periods(); ++t) {
    double sum = 0;
    for (const Vm& vm : node.vms) sum += Used(vm, t);
    sums.push_back(sum);
  }
  std::sort(sums.begin(), sums.end());
  std::vector<double> pools;
  for (const double q : {0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0}) {
    pools.push_back(sums[static_cast<std::size_t>(q * static_cast<double>(sums.size() - 1))]);
  }
  return pools;
}

void Judge(Point& point, double given, double used, double hours) {
  point.held += given * hours;
  (given > used ? point.unused : point.unmet) += std::abs(given - used) * hours;
}

class Trial {
 public:
  Trial(const Node& node, std::span<const NamedPolicy> policies) : node_(node), policies_(policies) {
    result_.capacity_assumed = !node.capacity;
    result_.capacity = node.capacity.value_or(AssumedCapacity(node));
    // Nothing is judged while everybody still learns: two days, or a quarter of a shorter record.
    result_.judged_from =
        std::min(node.periods() / 4, static_cast<std::size_t>(std::max<std::int64_t>(1, 2 * kDay / node.step)));
    result_.judged_hours = static_cast<double>(node.periods() - result_.judged_from) * node.hours();
    for (const Vm& vm : node.vms) {
      start_.push_back(std::max(kLeast, std::min(vm.request.value_or(vm.size), vm.size)));
      most_.push_back(vm.size);
    }
    demand_.resize(node.vms.size());
    for (const NamedPolicy& named : policies) AddWhorl(named);
    AddReserver(Add(Strategy::kRequests), 1, std::make_unique<Requests>(start_));
    AddReserver(Add(Strategy::kVpa90), kMargin, std::make_unique<Vpa>(node, start_, 0.90));
    AddReserver(Add(Strategy::kVpa95), kMargin, std::make_unique<Vpa>(node, start_, 0.95));
    AddReserver(Add(Strategy::kLastHour), 1, std::make_unique<LastHour>(node, start_));
    AddReserver(Add(Strategy::kEwma), kSigmas, std::make_unique<Ewma>(node, start_));
    const auto pools = PoolsOf(node, result_.judged_from);
    shares_ = Add(Strategy::kShares);
    Add(Strategy::kHourly);
    Add(Strategy::kClairvoyant);
    for (const double pool : pools) result_.outcomes[shares_].curve.push_back({pool});
    for (int tenth = 0; tenth <= 10; ++tenth) {
      result_.outcomes[shares_ + 1].curve.push_back({tenth / 10.0});
      result_.outcomes[shares_ + 2].curve.push_back({tenth / 10.0});
    }
    hour_.resize(node.vms.size());
  }

  NodeResult Live(const std::function<void(std::size_t)>& progress) {
    for (std::size_t t = 0; t < node_.periods(); ++t) {
      for (const Lane& lane : lanes_) lane.reserver->Decide(t);
      if (t >= result_.judged_from) Period(t);
      for (const Lane& lane : lanes_) lane.reserver->Observe(t);
      if (progress && (t + 1) % 256 == 0) progress(t + 1);
    }
    for (Outcome& outcome : result_.outcomes) {
      std::stable_sort(outcome.curve.begin(), outcome.curve.end(),
                       [](const Point& a, const Point& b) { return a.held < b.held; });
    }
    for (std::size_t p = 0; p < policies_.size(); ++p) {
      auto& shortages = result_.whorl[p].shortages;
      for (const Episode& last : running_[p]) {
        if (last.to > 0) shortages.push_back(last);
      }
      std::stable_sort(shortages.begin(), shortages.end(),
                       [](const Episode& a, const Episode& b) { return a.core_hours > b.core_hours; });
    }
    return std::move(result_);
  }

 private:
  struct Lane {
    std::size_t outcome;
    std::unique_ptr<Reserver> reserver;
  };

  std::size_t Add(Strategy strategy, const std::string& policy = {}) {
    Outcome& outcome = result_.outcomes.emplace_back();
    outcome.strategy = strategy;
    outcome.policy = policy;
    outcome.vms.resize(node_.vms.size());
    outcome.unmet_at.assign(node_.periods(), 0);
    if (strategy == Strategy::kWhorlSoft || strategy == Strategy::kWhorlHard || strategy == Strategy::kVpa95)
      outcome.given.assign(node_.vms.size(), std::vector<float>(node_.periods(), std::nanf("")));
    return result_.outcomes.size() - 1;
  }
  void AddReserver(std::size_t outcome, double usual, std::unique_ptr<Reserver> reserver) {
    Outcome& of = result_.outcomes[outcome];
    of.mark = Point{usual};
    for (const double knob : KnobsOf(of.strategy)) of.curve.push_back({knob});
    lanes_.push_back({outcome, std::move(reserver)});
  }
  void AddWhorl(const NamedPolicy& named) {
    const bool hard = named.policy.cpu.partition == PartitionKind::kHard;
    const std::size_t says = Add(hard ? Strategy::kWhorlHard : Strategy::kWhorlSoft, named.name);
    const std::size_t other = Add(hard ? Strategy::kWhorlSoft : Strategy::kWhorlHard, named.name);
    result_.outcomes[says].missing.assign(node_.vms.size(), std::vector<float>(node_.periods(), 0));
    strategies_.push_back(std::make_unique<WhorlStrategy>(node_, named.policy));
    AddReserver(hard ? says : other, named.policy.cpu.demand_quantile,
                std::make_unique<WhorlNeeds>(*strategies_.back(), start_));
    WhorlRun& run = result_.whorl.emplace_back();
    run.capacity = result_.capacity - static_cast<double>(Count(named.policy.reserve)) / 1000;
    if (named.capacity) run.capacity = std::min(run.capacity, static_cast<double>(Count(*named.capacity)) / 1000);
    run.capacity = std::max(run.capacity, 0.0);
    double requests = 0;
    for (const Vm& vm : node_.vms) requests += vm.request.value_or(0);
    run.requests = run.capacity > 0 ? requests / run.capacity : 0;
    run.lent.assign(node_.periods(), 0);
    open_.emplace_back();
    running_.emplace_back(node_.vms.size());
  }

  bool Counts(std::size_t vm, std::size_t t) const { return !std::isnan(node_.vms[vm].used[t]); }

  void Period(std::size_t t) {
    const std::size_t n = node_.vms.size();
    for (std::size_t i = 0; i < n; ++i) demand_[i] = Used(node_.vms[i], t);
    const double wanted = std::accumulate(demand_.begin(), demand_.end(), 0.0);
    result_.demand += wanted * node_.hours();
    Row wish(n), given(n);
    for (std::size_t p = 0; p < policies_.size(); ++p) Lend(p, t);
    for (const Lane& lane : lanes_) {
      Outcome& outcome = result_.outcomes[lane.outcome];
      if (outcome.strategy != Strategy::kWhorlHard) {
        lane.reserver->Reserve(outcome.mark->knob, wish);
        for (std::size_t i = 0; i < n; ++i) wish[i] = node_.vms[i].here[t] != 0 ? std::max(wish[i], kLeast) : 0;
        Divide(wish, most_, result_.capacity, given);
        Take(outcome, t, given, given);
      }
      for (Point& point : outcome.curve) Reserve(*lane.reserver, point, t, wish);
      Reserve(*lane.reserver, *outcome.mark, t, wish);
    }
    Outcome &shares = result_.outcomes[shares_], &hourly = result_.outcomes[shares_ + 1],
            &known = result_.outcomes[shares_ + 2];
    Shares(demand_, start_, result_.capacity, given);
    Take(shares, t, given, given);
    Take(known, t, given, given);  // nor can one who knows the period do better in sum
    KnowTheHour(t);
    Take(hourly, t, divided_hour_, divided_hour_);
    for (Point& pool : shares.curve) Judge(pool, pool.knob, wanted, node_.hours());
    for (Point& part : known.curve) Judge(part, part.knob * wanted, wanted, node_.hours());
    for (Point& part : hourly.curve) {
      for (std::size_t i = 0; i < n; ++i) {
        if (!Counts(i, t)) continue;
        const auto place = static_cast<std::size_t>(part.knob * static_cast<double>(hour_[i].size() - 1));
        Judge(part, hour_[i][place], demand_[i], node_.hours());
      }
    }
  }

  // At the first judged period of an hour: what each VM will want in it, and the best partition for it.
  void KnowTheHour(std::size_t t) {
    const auto hour_of = [&](std::size_t period) {
      return (node_.begin + node_.step * static_cast<std::int64_t>(period)).time_since_epoch() / kHour;
    };
    if (t != result_.judged_from && hour_of(t) == hour_of(t - 1)) return;
    std::size_t end = t + 1;
    while (end < node_.periods() && hour_of(end) == hour_of(t)) ++end;
    for (std::size_t i = 0; i < hour_.size(); ++i) {
      hour_[i].clear();
      for (std::size_t k = t; k < end; ++k) {
        if (Counts(i, k)) hour_[i].push_back(Used(node_.vms[i], k));
      }
      std::sort(hour_[i].begin(), hour_[i].end());
    }
    KnowTheFuture(hour_, result_.capacity, divided_hour_);
  }

  void Reserve(const Reserver& reserver, Point& point, std::size_t t, Row& wish) const {
    reserver.Reserve(point.knob, wish);
    for (std::size_t i = 0; i < wish.size(); ++i) {
      if (Counts(i, t)) Judge(point, std::min(wish[i], most_[i]), demand_[i], node_.hours());
    }
  }

  // `given` is what each VM could use; `shown` what it was entitled to.
  void Take(Outcome& outcome, std::size_t t, const Row& given, const Row& shown) const {
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (!outcome.given.empty() && node_.vms[i].here[t] != 0) outcome.given[i][t] = static_cast<float>(shown[i]);
      if (!Counts(i, t)) continue;
      VmOutcome& vm = outcome.vms[i];
      vm.demand += demand_[i] * node_.hours();
      const double missing = demand_[i] - given[i];
      if (missing <= 0) continue;
      vm.unmet += missing * node_.hours();
      outcome.unmet += missing * node_.hours();
      outcome.unmet_at[t] += static_cast<float>(missing);
      if (!outcome.missing.empty()) outcome.missing[i][t] = static_cast<float>(missing);
      vm.short_periods += missing > kLeastShort;
      if (missing > vm.worst) {
        vm.worst = missing;
        vm.worst_period = t;
      }
    }
  }

  // Whorl's partition of the period, soft and hard, and what it lent.
  void Lend(std::size_t policy, std::size_t t) {
    WhorlRun& run = result_.whorl[policy];
    Row allocation(node_.vms.size()), used(node_.vms.size());
    strategies_[policy]->Plan(t, run.capacity, start_, allocation);
    for (std::size_t k = 2 * policy; k < 2 * policy + 2; ++k) {
      Outcome& outcome = result_.outcomes[k];
      const bool soft = outcome.strategy == Strategy::kWhorlSoft;
      if (soft) Shares(demand_, allocation, run.capacity, used);
      const Row& given = soft ? used : allocation;
      Take(outcome, t, given, allocation);
      if (k == 2 * policy) TrackShortages(policy, t, given);
    }
    auto& open = open_[policy];
    for (const partition::OpenLoan& loan : strategies_[policy]->loans()) {
      const auto found = open.emplace(loan.id, run.loans.size()).first;
      if (found->second == run.loans.size()) run.loans.push_back({loan.lender, loan.borrower, t, t, 0, 0});
      LoanRun& of = run.loans[found->second];
      const double cores = static_cast<double>(loan.amount) / 1000;
      of.to = t + 1;
      of.most = std::max(of.most, cores);
      of.core_hours += cores * node_.hours();
      run.lent[t] += static_cast<float>(cores);
    }
    std::erase_if(open, [&](const auto& one) { return run.loans[one.second].to <= t; });
  }

  void TrackShortages(std::size_t policy, std::size_t t, const Row& given) {
    for (std::uint32_t i = 0; i < given.size(); ++i) {
      const double missing = demand_[i] - given[i];
      if (missing <= kLeastShort) continue;
      Episode& episode = running_[policy][i];
      if (episode.to != t) {
        if (episode.to > 0) result_.whorl[policy].shortages.push_back(episode);
        episode = {i, t, t, 0, 0};
      }
      episode.to = t + 1;
      episode.core_hours += missing * node_.hours();
      episode.most = std::max(episode.most, missing);
    }
  }

  const Node& node_;
  const std::span<const NamedPolicy> policies_;
  NodeResult result_;
  Row start_, most_, demand_;  // per VM: had before anything is known, can be used, wanted now
  std::vector<std::unique_ptr<WhorlStrategy>> strategies_;  // per policy
  std::vector<Lane> lanes_;
  std::size_t shares_ = 0;  // its outcome; the two clairvoyants follow
  std::vector<Row> hour_;   // per VM what it wants in the hour, ascending; of the clairvoyant
  Row divided_hour_;
  std::vector<std::map<std::uint64_t, std::size_t>> open_;  // per policy: the ledger's id, place in loans
  std::vector<std::vector<Episode>> running_;               // per policy and VM: the newest, not yet in shortages
};

}  // namespace

std::optional<double> Outcome::HeldAt(double wanted) const {
  for (std::size_t i = 0; i + 1 < curve.size(); ++i) {
    const Point &a = curve[i], &b = curve[i + 1];
    if (a.unmet < wanted || b.unmet > wanted) continue;
    const double part = a.unmet > b.unmet ? (a.unmet - wanted) / (a.unmet - b.unmet) : 0;
    return a.held + part * (b.held - a.held);
  }
  return std::nullopt;
}

NodeResult LiveThrough(const Node& node, std::span<const NamedPolicy> policies,
                       const std::function<void(std::size_t done)>& progress) {
  return Trial(node, policies).Live(progress);
}

}  // namespace whorl::whatif
