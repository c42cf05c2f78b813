#include "core/replay/whorl_strategy.h"

#include <algorithm>
#include <cmath>

namespace whorl::whatif {
namespace {

constexpr double kMilli = 1000;
constexpr float kGrain = 0.01f;         // cores
constexpr Millis kBucket{300'000};      // of the slow experts
constexpr double kLeastChance = 0.001;  // of falling short: nobody claims more than for it

std::int64_t Milli(double cores) { return static_cast<std::int64_t>(std::ceil(cores * kMilli)); }

}  // namespace

WhorlStrategy::WhorlStrategy(const Node& node, const Policy& policy)
    : node_(node),
      policy_(policy.cpu),
      // The slow experts foretell buckets of five minutes; of anything else the
      // next sample is what is foretold.
      horizon_(node.step == kBucket ? Horizon::kFiveMinutes : Horizon::kQuantum),
      forecasts_(node.vms.size(), Forecaster(kGrain)),
      told_(node.vms.size()),
      given_(node.vms.size(), std::nan("")) {}

void WhorlStrategy::Observe(std::size_t period) {
  const Time at = node_.begin + node_.step * static_cast<std::int64_t>(period);
  for (std::size_t i = 0; i < forecasts_.size(); ++i) {
    const Vm& vm = node_.vms[i];
    DemandObservation observation;
    observation.at = at;
    observation.value = vm.used[period];
    if (vm.limit) {
      observation.limit = static_cast<float>(*vm.limit);
      observation.censored = AtLimit(vm, period);
    }
    forecasts_[i].Observe(observation);
    told_[i] = forecasts_[i].Predict(horizon_);
    if (!std::isnan(given_[i]) && !std::isnan(vm.used[period])) {
      const double asked = kMilli * static_cast<double>(vm.used[period]);
      claims_.Observe(static_cast<std::uint32_t>(i), asked, std::min(asked, given_[i]), given_[i], node_.step.count());
    }
  }
}

double WhorlStrategy::NeedOf(std::size_t vm, double quantile, double start) const {
  if (!forecasts_[vm].any()) return start;
  return std::clamp(static_cast<double>(QuantileAt(told_[vm], quantile)), 0.0, node_.vms[vm].size);
}

void WhorlStrategy::Needs(double quantile, std::span<const double> start, std::span<double> out) const {
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = forecasts_[i].any() ? (1 + policy_.margin) * NeedOf(i, quantile, 0) : start[i];
  }
}

void WhorlStrategy::Claim(std::size_t period, double capacity, std::span<const double> start) {
  foretold_.clear();
  for (std::size_t i = 0; i < node_.vms.size(); ++i) {
    if (node_.vms[i].here[period] == 0) continue;
    partition::Foretold& foretold = foretold_.emplace_back();
    foretold.vm = static_cast<std::uint32_t>(i);
    foretold.weight = start[i];
    for (std::size_t k = 0; k < foretold.demand.size(); ++k) {
      foretold.demand[k] = static_cast<float>(kMilli * NeedOf(i, partition::kClaimShares[k], start[i]));
    }
  }
  claims_.Solve(foretold_, static_cast<std::int64_t>(capacity * kMilli), kLeastChance, claimed_);
}

void WhorlStrategy::Plan(std::size_t period, double capacity, std::span<const double> start, std::span<double> out) {
  Claim(period, capacity, start);
  const std::int64_t quantum_ms =
      std::max<std::int64_t>(node_.step.count(), std::chrono::duration_cast<Millis>(policy_.quantum).count());
  members_.clear();
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (node_.vms[i].here[period] == 0) {
      ledger_.Leave(static_cast<std::uint32_t>(i));
      claims_.Leave(static_cast<std::uint32_t>(i));
      continue;
    }
    const Vm& vm = node_.vms[i];
    partition::Member& m = members_.emplace_back();
    m.id = vm.name;
    m.vm = static_cast<std::uint32_t>(i);
    m.weight = start[i];
    m.request = Milli(vm.request.value_or(0));
    m.limit = Milli(std::min(vm.limit.value_or(vm.size), vm.size));
    m.floor_fraction = policy_.floor_fraction;
    m.ceiling_fraction = policy_.ceiling_fraction;
    m.lendable_fraction = policy_.lendable_fraction;
    m.quantum_ms = quantum_ms;
    m.least_loan = Count(policy_.least_loan);
    m.need = claimed_[members_.size() - 1];
  }
  credits_.assign(members_.size(), 1.0);
  entitlements_.Compute(members_, credits_, static_cast<std::int64_t>(capacity * kMilli), shares_);
  const Time now = node_.begin + node_.step * static_cast<std::int64_t>(period);
  ledger_.Lend(members_, shares_, ToUnixMillis(now), true);
  std::fill(out.begin(), out.end(), 0.0);
  std::fill(given_.begin(), given_.end(), std::nan(""));
  for (std::size_t k = 0; k < members_.size(); ++k) {
    given_[members_[k].vm] = static_cast<double>(shares_[k].allocation());
    out[members_[k].vm] = given_[members_[k].vm] / kMilli;
  }
}

}  // namespace whorl::whatif
