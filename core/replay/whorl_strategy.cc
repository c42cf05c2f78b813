#include "core/replay/whorl_strategy.h"

#include <algorithm>
#include <cmath>

namespace whorl::whatif {
namespace {

constexpr double kMilli = 1000;
constexpr float kGrain = 0.01f;     // cores
constexpr Millis kBucket{300'000};  // of the slow experts
constexpr double kLeastShare = 0.5, kMostShare = 0.9999;
constexpr int kHalvings = 20;

std::int64_t Milli(double cores) { return static_cast<std::int64_t>(std::ceil(cores * kMilli)); }

}  // namespace

WhorlStrategy::WhorlStrategy(const Node& node, const Policy& policy)
    : node_(node),
      policy_(policy.cpu),
      // The slow experts foretell buckets of five minutes; of anything else the
      // next sample is what is foretold.
      horizon_(node.step == kBucket ? Horizon::kFiveMinutes : Horizon::kQuantum),
      forecasts_(node.vms.size(), Forecaster(kGrain)),
      told_(node.vms.size()) {}

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

void WhorlStrategy::Plan(std::size_t period, double capacity, std::span<const double> start, std::span<double> out) {
  const auto here = [&](std::size_t i) { return node_.vms[i].here[period] != 0; };
  double low = kLeastShare, high = kMostShare;
  for (int halving = 0; halving < kHalvings; ++halving) {
    const double middle = 0.5 * (low + high);
    double sum = 0;
    for (std::size_t i = 0; i < out.size(); ++i) sum += here(i) ? NeedOf(i, middle, start[i]) : 0;
    (sum > capacity ? high : low) = middle;
  }

  const std::int64_t quantum_ms =
      std::max<std::int64_t>(node_.step.count(), std::chrono::duration_cast<Millis>(policy_.quantum).count());
  members_.clear();
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!here(i)) {
      ledger_.Leave(static_cast<std::uint32_t>(i));
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
    m.need = Milli(NeedOf(i, low, start[i]));
  }
  credits_.assign(members_.size(), 1.0);
  entitlements_.Compute(members_, credits_, static_cast<std::int64_t>(capacity * kMilli), shares_);
  const Time now = node_.begin + node_.step * static_cast<std::int64_t>(period);
  ledger_.Lend(members_, shares_, ToUnixMillis(now), true);
  std::fill(out.begin(), out.end(), 0.0);
  for (std::size_t k = 0; k < members_.size(); ++k) {
    out[members_[k].vm] = static_cast<double>(shares_[k].allocation()) / kMilli;
  }
}

}  // namespace whorl::whatif
