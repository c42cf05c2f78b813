#include "core/partition/entitlement.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <string>

#include "core/partition/projection.h"

namespace whorl::partition {
namespace {

constexpr double kMostFactor = 1e6;

bool In(double x, double least, double most) { return x >= least && x <= most; }  // false for NaN
bool Amount(std::int64_t x) { return x >= 0 && x <= kMostAmount; }

struct Fault {
  std::string_view field, must;
};
// The need last: a member with nothing but a bad need keeps its entitlement.
std::optional<Fault> FaultOf(const Member& m) {
  constexpr std::string_view kFactor = "from 0 to 1000000", kPart = "from 0 to 1";
  if (!(m.weight > 0 && m.weight <= 1e15)) return Fault{"weight", "above 0, at most 10^15"};
  if (!Amount(m.request)) return Fault{"request", "from 0 to 10^15"};
  if (m.limit < 0) return Fault{"limit", "0 or more"};
  if (!In(m.floor_fraction, 0, kMostFactor)) return Fault{"floor_fraction", kFactor};
  if (!In(m.ceiling_fraction, 0, kMostFactor)) return Fault{"ceiling_fraction", kFactor};
  if (!In(m.lendable_fraction, 0, 1)) return Fault{"lendable_fraction", kPart};
  if (!In(m.deviation_factor, 0, kMostFactor)) return Fault{"deviation_factor", kFactor};
  if (!In(m.max_bonus, 0, kMostFactor)) return Fault{"max_bonus", kFactor};
  if (!In(m.priority, 0, 1)) return Fault{"priority", kPart};
  if (m.quantum_ms <= 0) return Fault{"quantum_ms", "above 0"};
  if (m.need && !Amount(*m.need)) return Fault{"need", "from 0 to 10^15"};
  return std::nullopt;
}

bool SetAside(const Share& s) { return !s.refused.empty() && s.refused != "need"; }
std::int64_t SoundRequest(const Member& m) { return Amount(m.request) ? m.request : 0; }

}  // namespace

Result<std::int64_t> NeedOf(std::string_view vm, double demand) {
  if (In(demand, 0, static_cast<double>(kMostAmount))) return static_cast<std::int64_t>(std::ceil(demand));
  return Fail(Code::kInvalid, std::string(vm) + ": demand is " + std::to_string(demand) + ", must be from 0 to 10^15");
}

Status Check(const Member& member) {
  const auto fault = FaultOf(member);
  if (!fault) return {};
  return Fail(Code::kInvalid,
              std::string(member.id) + ": " + std::string(fault->field) + " must be " + std::string(fault->must));
}

void Entitlements::Bounds(std::span<const Member> members, std::int64_t capacity, std::vector<Share>& shares) {
  double weights = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    shares[i] = Share{};
    if (const auto fault = FaultOf(members[i])) shares[i].refused = fault->field;
    if (!SetAside(shares[i])) weights += members[i].weight;
  }
  for (std::size_t i = 0; i < members.size(); ++i) {
    const Member& m = members[i];
    Share& s = shares[i];
    if (SetAside(s)) {
      s.floor = s.ceiling = SoundRequest(m);
      target_[i] = static_cast<double>(s.floor);
      continue;
    }
    const double base = static_cast<double>(capacity) * m.weight / weights;
    s.base = static_cast<std::int64_t>(base);
    s.ceiling = std::min(m.limit, static_cast<std::int64_t>(base * m.ceiling_fraction));
    s.ceiling = std::max({s.ceiling, m.request, least_floor_});
    s.floor = std::max({static_cast<std::int64_t>(base * m.floor_fraction), m.request, least_floor_});
    s.floor = std::min(s.floor, s.ceiling);
    target_[i] = base;
  }
}

// Floors that do not fit are lowered in a stated order. First what the policy
// adds above requests: a lower priority class before a higher one, within a class
// VMs that behave as usual before those that deviate, and these in proportion.
// Then the requests themselves in the same order (the guard then leaves such a VM
// alone, but the sum must fit whatever happens).
bool Entitlements::LowerFloors(std::span<const Member> members, std::int64_t capacity, std::vector<Share>& shares) {
  std::int64_t sum = 0;
  for (const Share& s : shares) sum += s.floor;
  if (sum <= capacity) return false;
  const auto lower = [&](std::int32_t of_class, bool deviating, bool below_request) {
    const auto kept = [&](std::size_t i) {
      return below_request ? std::int64_t{0} : std::min(shares[i].floor, std::max(members[i].request, least_floor_));
    };
    const auto concerns = [&](std::size_t i) {
      return members[i].priority_class == of_class && (members[i].priority > 0) == deviating;
    };
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
      if (SetAside(shares[i])) shares[i].ceiling = shares[i].floor;
      shares[i].floor_scaled = true;
      shares[i].floor_cut += cut;
      sum -= cut;
    }
  };
  for (const bool below_request : {false, true}) {
    std::int64_t done = std::numeric_limits<std::int64_t>::min();
    while (sum > capacity) {
      std::int64_t next = std::numeric_limits<std::int64_t>::max();
      for (const Member& m : members) {
        if (m.priority_class > done) next = std::min<std::int64_t>(next, m.priority_class);
      }
      if (next == std::numeric_limits<std::int64_t>::max()) break;
      for (const bool deviating : {false, true}) lower(static_cast<std::int32_t>(next), deviating, below_request);
      done = next;
    }
  }
  return true;
}

void Entitlements::Solve(std::int64_t capacity, std::vector<std::int64_t>& out) {
  Project(target_, lo_, hi_, static_cast<double>(capacity), real_);
  std::int64_t ceilings = 0;
  for (const std::int64_t h : hi_whole_) ceilings += h;
  RoundToSum(real_, lo_whole_, hi_whole_, std::min(capacity, ceilings), out, order_);
}

Division Entitlements::Compute(std::span<const Member> members, std::span<const double> bonus_credit,
                               std::int64_t capacity, std::vector<Share>& shares) {
  const std::size_t n = members.size();
  assert(bonus_credit.size() == n);
  assert(std::is_sorted(members.begin(), members.end(), [](const Member& a, const Member& b) { return a.id < b.id; }));
  shares.resize(n);
  if (capacity <= 0) {
    for (std::size_t i = 0; i < n; ++i) {
      const auto fault = FaultOf(members[i]);
      shares[i] = Share{};
      shares[i].floor_scaled = true;
      shares[i].floor_cut = std::max(SoundRequest(members[i]), least_floor_);
      if (fault) shares[i].refused = fault->field;
    }
    return Division::kNoCapacity;
  }
  if (n == 0) return Division::kDone;
  capacity = std::min(capacity, kMostAmount);
  for (auto* v : {&target_, &lo_, &hi_, &real_}) v->resize(n);
  for (auto* v : {&lo_whole_, &hi_whole_, &plain_, &entitled_}) v->resize(n);
  order_.resize(n);

  Bounds(members, capacity, shares);
  const Division division = LowerFloors(members, capacity, shares) ? Division::kFloorsLowered : Division::kDone;
  double priorities = 0;
  double needs = 0;
  for (std::size_t i = 0; i < n; ++i) {
    lo_whole_[i] = shares[i].floor;
    hi_whole_[i] = shares[i].ceiling;
    lo_[i] = static_cast<double>(shares[i].floor);
    hi_[i] = static_cast<double>(shares[i].ceiling);
    if (SetAside(shares[i])) {
      needs += lo_[i];
      continue;
    }
    priorities += members[i].priority;
    needs += static_cast<double>(shares[i].refused.empty() ? members[i].need.value_or(shares[i].base) : shares[i].base);
  }
  Solve(capacity, plain_);
  for (std::size_t i = 0; i < n; ++i) shares[i].plain = shares[i].entitlement = plain_[i];
  if (needs <= static_cast<double>(capacity) || priorities <= 0) return division;

  // Contention: those that deviate more than the mean get a bonus, in parts of
  // their base, never beyond what they are predicted to need nor what their
  // credits pay for.
  const double mean = priorities / static_cast<double>(n);
  bool any = false;
  for (std::size_t i = 0; i < n; ++i) {
    const Member& m = members[i];
    if (!m.need || !shares[i].refused.empty() || m.priority <= mean) continue;
    const double base = target_[i];
    const double wanted = (m.priority - mean) * m.deviation_factor * base * std::clamp(bonus_credit[i], 0.0, 1.0);
    const double room = static_cast<double>(*m.need) - static_cast<double>(plain_[i]);
    const double bonus = std::min({wanted, m.max_bonus * base, room});
    if (bonus <= 0) continue;
    target_[i] += bonus;
    // The projection lowers everybody a little and lifts nobody above its target.
    any = true;
  }
  if (!any) return division;
  Solve(capacity, entitled_);
  for (std::size_t i = 0; i < n; ++i) shares[i].entitlement = entitled_[i];
  return division;
}

}  // namespace whorl::partition
