#include "core/partition/entitlement.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/partition/projection.h"

namespace whorl::partition {
namespace {

// A pod that holds a QEMU cannot answer with less.
constexpr std::int64_t kLeastFloor = 10;

}  // namespace

void Entitlements::Bounds(std::span<const Member> members, std::int64_t capacity, std::vector<Share>& shares) {
  double weights = 0;
  for (const Member& m : members) weights += m.weight;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const Member& m = members[i];
    const double base = static_cast<double>(capacity) * m.weight / weights;
    Share& s = shares[i];
    s = Share{};
    s.base = static_cast<std::int64_t>(base);
    s.ceiling = std::min(m.limit, static_cast<std::int64_t>(base * m.ceiling_fraction));
    s.ceiling = std::max({s.ceiling, m.request, kLeastFloor});
    s.floor = std::max({static_cast<std::int64_t>(base * m.floor_fraction), m.request, kLeastFloor});
    s.floor = std::min(s.floor, s.ceiling);
    target_[i] = base;
  }
}

// Floors that do not fit are lowered in a stated order: first what the policy
// adds above requests, of VMs that behave as usual, then of those that deviate;
// then the requests themselves in the same order (the guard then leaves such a
// VM alone, but the sum must fit whatever happens).
void Entitlements::ScaleFloors(std::span<const Member> members, std::int64_t capacity, std::vector<Share>& shares) {
  std::int64_t sum = 0;
  for (const Share& s : shares) sum += s.floor;
  const auto lower = [&](bool deviating, bool below_request) {
    const auto kept = [&](std::size_t i) {
      return below_request ? std::int64_t{0} : std::min(shares[i].floor, std::max(members[i].request, kLeastFloor));
    };
    const auto concerns = [&](std::size_t i) { return (members[i].priority > 0) == deviating; };
    std::int64_t reducible = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (concerns(i)) reducible += shares[i].floor - kept(i);
    }
    if (sum <= capacity || reducible <= 0) return;
    const double part = std::min(1.0, static_cast<double>(sum - capacity) / static_cast<double>(reducible));
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (!concerns(i)) continue;
      const std::int64_t over = shares[i].floor - kept(i);
      // Rounded up: a floor too low by one is harmless, a sum too high is not.
      const auto cut = std::min(over, static_cast<std::int64_t>(std::ceil(static_cast<double>(over) * part)));
      if (cut <= 0) continue;
      shares[i].floor -= cut;
      shares[i].floor_scaled = true;
      sum -= cut;
    }
  };
  lower(false, false);
  lower(true, false);
  lower(false, true);
  lower(true, true);
}

void Entitlements::Solve(std::int64_t capacity, std::vector<std::int64_t>& out) {
  Project(target_, lo_, hi_, static_cast<double>(capacity), real_);
  std::int64_t ceilings = 0;
  for (const std::int64_t h : hi_whole_) ceilings += h;
  RoundToSum(real_, lo_whole_, hi_whole_, std::min(capacity, ceilings), out, order_);
}

void Entitlements::Compute(std::span<const Member> members, std::span<const double> bonus_credit, std::int64_t capacity,
                           std::vector<Share>& shares) {
  const std::size_t n = members.size();
  assert(bonus_credit.size() == n);
  assert(std::is_sorted(members.begin(), members.end(), [](const Member& a, const Member& b) { return a.id < b.id; }));
  shares.resize(n);
  if (n == 0) return;
  capacity = std::max<std::int64_t>(capacity, 0);
  for (auto* v : {&target_, &lo_, &hi_, &real_}) v->resize(n);
  for (auto* v : {&lo_whole_, &hi_whole_, &plain_, &entitled_}) v->resize(n);
  order_.resize(n);

  Bounds(members, capacity, shares);
  ScaleFloors(members, capacity, shares);
  double priorities = 0;
  double needs = 0;
  for (std::size_t i = 0; i < n; ++i) {
    lo_whole_[i] = shares[i].floor;
    hi_whole_[i] = shares[i].ceiling;
    lo_[i] = static_cast<double>(shares[i].floor);
    hi_[i] = static_cast<double>(shares[i].ceiling);
    priorities += members[i].priority;
    needs += static_cast<double>(members[i].need.value_or(shares[i].base));
  }
  Solve(capacity, plain_);
  for (std::size_t i = 0; i < n; ++i) shares[i].plain = shares[i].entitlement = plain_[i];
  if (needs <= static_cast<double>(capacity) || priorities <= 0) return;

  // Contention: those that deviate more than the mean get a bonus, in parts of
  // their base, never beyond what they are predicted to need nor what their
  // credits pay for.
  const double mean = priorities / static_cast<double>(n);
  bool any = false;
  for (std::size_t i = 0; i < n; ++i) {
    const Member& m = members[i];
    if (!m.need || m.priority <= mean) continue;
    const double base = target_[i];
    const double wanted = (m.priority - mean) * m.deviation_factor * base * std::clamp(bonus_credit[i], 0.0, 1.0);
    const double room = static_cast<double>(*m.need) - static_cast<double>(plain_[i]);
    const double bonus = std::min({wanted, m.max_bonus * base, room});
    if (bonus <= 0) continue;
    target_[i] += bonus;
    // The projection lowers everybody a little and lifts nobody above its target.
    any = true;
  }
  if (!any) return;
  Solve(capacity, entitled_);
  for (std::size_t i = 0; i < n; ++i) shares[i].entitlement = entitled_[i];
}

}  // namespace whorl::partition
