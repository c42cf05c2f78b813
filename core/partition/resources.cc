#include "core/partition/resources.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "core/partition/projection.h"

namespace whorl::partition {
namespace {

// To a ten-millionth of the range; what rounding leaves is handed out as whole units.
constexpr int kHalvings = 24;

std::int64_t RoundUp(std::int64_t amount, std::int64_t grain) { return (amount + grain - 1) / grain; }

}  // namespace

Result<NodeResources> NodeResources::Make(std::vector<ResourceKind> kinds) {
  for (std::size_t r = 0; r < kinds.size(); ++r) {
    const ResourceKind& kind = kinds[r];
    const auto refuse = [&](const std::string& why) {
      return Fail(Code::kInvalid, "resource " + (kind.name.empty() ? std::to_string(r) : kind.name) + ": " + why);
    };
    if (kind.name.empty()) return refuse("has no name");
    for (std::size_t other = 0; other < r; ++other) {
      if (kinds[other].name == kind.name) return refuse("is there twice");
    }
    if (kind.grain < 1 || kind.grain > kMostAmount) return refuse("grain must be from 1 to 10^15");
    if (kind.least_floor < 0 || kind.least_floor > kMostAmount) return refuse("least_floor must be from 0 to 10^15");
    if (!(kind.idle_tax >= 0 && kind.idle_tax <= 0.99)) return refuse("idle_tax must be from 0 to 0.99");
    if (kind.quantum_ms <= 0) return refuse("quantum_ms must be above 0");
    // The ledger's least loan and its steps are units, not grains.
    if (kind.sharing == Sharing::kLoans && kind.grain != 1) return refuse("is lent, so its grain must be 1");
  }
  return NodeResources(std::move(kinds));
}

NodeResources::NodeResources(std::vector<ResourceKind> kinds) : kinds_(std::move(kinds)), parts_(kinds_.size()) {
  for (std::size_t r = 0; r < kinds_.size(); ++r)
    parts_[r].entitlements = Entitlements(RoundUp(kinds_[r].least_floor, kinds_[r].grain));
}

// A slow resource is divided once a quantum, and whenever what was divided does
// not hold any more: other VMs, less capacity, other bounds.
bool NodeResources::Due(const ResourceKind& kind, const Part& part, std::int64_t now_ms) const {
  if (part.divided_ms == 0 || now_ms - part.divided_ms >= kind.quantum_ms || now_ms < part.divided_ms) return true;
  if (part.holders.size() != part.members.size()) return true;
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < part.members.size(); ++i) {
    const std::int64_t has = part.divided[i];
    if (part.holders[i] != part.members[i].vm || has < part.shares[i].floor || has > part.shares[i].ceiling)
      return true;
    sum += has;
  }
  return sum > part.capacity;
}

// In grains: requests and needs up, limits and capacity down. Where a request and
// a limit leave no whole number between them the request counts; the guard trims
// to the limit.
void NodeResources::Entitle(std::size_t r, const ResourceDemand& demand, std::int64_t now_ms) {
  const ResourceKind& kind = kinds_[r];
  Part& part = parts_[r];
  part.members.assign(demand.members.begin(), demand.members.end());
  if (kind.grain > 1) {
    for (Member& m : part.members) {
      if (!Check(m)) continue;  // the division names it
      m.request = RoundUp(m.request, kind.grain);
      m.limit = std::max(m.limit / kind.grain, m.request);
      if (m.need) m.need = RoundUp(*m.need, kind.grain);
    }
  }
  part.capacity = std::max<std::int64_t>(demand.capacity, 0) / kind.grain;
  part.division = part.entitlements.Compute(part.members, demand.bonus_credit, part.capacity, part.shares);
  part.need.resize(part.members.size());
  part.weights = 0;
  for (std::size_t i = 0; i < part.members.size(); ++i) {
    const bool known = part.members[i].need && part.shares[i].refused.empty();
    // Where there is nothing of a resource, nobody's other needs end.
    const bool none = part.division == Division::kNoCapacity;
    part.need[i] = none ? 0 : known ? static_cast<double>(*part.members[i].need) : -1;
    if (part.shares[i].refused.empty() || part.shares[i].refused == "need") part.weights += part.members[i].weight;
  }
  part.due = true;
  if (kind.sharing != Sharing::kIdleTax || part.division == Division::kNoCapacity) return;
  part.due = Due(kind, part, now_ms);
  if (part.due) {
    part.divided_ms = now_ms;
    TaxIdle(kind, part);
  } else {
    for (std::size_t i = 0; i < part.shares.size(); ++i)
      part.shares[i].plain = part.shares[i].entitlement = part.divided[i];
  }
}

// Everybody holds shares per taxed unit alike: P = level * weight while all of it
// is needed; beyond need A an idle unit counts k = 1 / (1 - tax) times, so that
// A + k (P - A) = level * weight. One level, so that all that is there is given.
void NodeResources::TaxIdle(const ResourceKind& kind, Part& part) {
  const std::size_t n = part.members.size();
  const double busy_part = 1 - kind.idle_tax;
  for (auto* v : {&lo_, &hi_, &real_}) v->resize(n);
  for (auto* v : {&lo_whole_, &hi_whole_}) v->resize(n);
  order_.resize(n);
  part.divided.resize(n);
  double most = 1;
  std::int64_t ceilings = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const Share& s = part.shares[i];
    lo_whole_[i] = s.floor;
    hi_whole_[i] = s.ceiling;
    lo_[i] = static_cast<double>(s.floor);
    hi_[i] = static_cast<double>(s.ceiling);
    ceilings += s.ceiling;
    most = std::max(most, (hi_[i] + std::max(part.need[i], 0.0)) / std::max(part.members[i].weight, 1e-9) / busy_part);
  }
  const auto at = [&](std::size_t i, double level) {
    const double taxed = level * part.members[i].weight;
    const double need = part.need[i];
    const double owns = need < 0 || taxed <= need ? taxed : need + (taxed - need) * busy_part;
    return std::isfinite(owns) ? std::clamp(owns, lo_[i], hi_[i]) : lo_[i];
  };
  double low = 0, high = most;
  for (int step = 0; step < kHalvings; ++step) {
    const double middle = 0.5 * (low + high);
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += at(i, middle);
    (sum > static_cast<double>(part.capacity) ? high : low) = middle;
  }
  for (std::size_t i = 0; i < n; ++i) real_[i] = at(i, low);
  RoundToSum(real_, lo_whole_, hi_whole_, std::min(part.capacity, ceilings), part.divided, order_);
  part.holders.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    part.holders[i] = part.members[i].vm;
    part.shares[i].plain = part.shares[i].entitlement = part.divided[i];
  }
}

// What its entitlements let the VM use of its needs.
double NodeResources::Progress(std::size_t i) const {
  double least = 1;
  for (const Part& part : parts_) {
    if (part.need[i] < 0) return 1;
    if (part.need[i] > 0) least = std::min(least, static_cast<double>(part.shares[i].entitlement) / part.need[i]);
  }
  return least;
}

// Progressive filling: everybody starts with what its own entitlements let it
// use; from there those with the least dominant share, by weight, go up together
// until a resource is used up, which ends it for those that need it.
void NodeResources::Bundle() {
  const std::size_t n = parts_.front().members.size();
  progress_.resize(n);
  dominant_.assign(n, 0);
  spare_.assign(parts_.size(), 0);
  want_.resize(parts_.size());
  exhausted_.resize(parts_.size());
  active_.clear();
  for (std::size_t i = 0; i < n; ++i) {
    progress_[i] = Progress(i);
    if (progress_[i] >= 1) continue;
    active_.push_back(static_cast<std::uint32_t>(i));
  }
  for (std::size_t r = 0; r < parts_.size(); ++r) {
    const Part& part = parts_[r];
    double used = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const Share& s = part.shares[i];
      // What is not known to be free is used, and so is what is not lent.
      const double kept = part.need[i] < 0 ? static_cast<double>(s.entitlement) : static_cast<double>(s.floor);
      used += std::max(kept, progress_[i] * std::max(part.need[i], 0.0));
    }
    spare_[r] = static_cast<double>(part.capacity) - used;
  }
  for (const std::uint32_t i : active_) {
    for (const Part& part : parts_) {
      if (part.need[i] <= 0) continue;
      const double weight = part.members[i].weight / part.weights;
      dominant_[i] = std::max(dominant_[i], part.need[i] / static_cast<double>(part.capacity) / weight);
    }
  }
  // The highest that it may come to: its ceilings, and what stands until the quantum is over.
  const auto most = [&](std::uint32_t i) {
    double x = 1;
    for (const Part& part : parts_) {
      if (part.need[i] <= 0) continue;
      const Share& s = part.shares[i];
      x = std::min(x, static_cast<double>(part.due ? s.ceiling : s.entitlement) / part.need[i]);
    }
    return std::max(x, progress_[i]);
  };
  hi_.resize(n);
  for (const std::uint32_t i : active_) hi_[i] = most(i);

  const auto level_of = [&](std::uint32_t i, double level) {
    return std::clamp(level / dominant_[i], progress_[i], hi_[i]);
  };
  // How much more of each resource is used at `level`; true: all of it is there.
  const auto fits = [&](double level) {
    std::fill(want_.begin(), want_.end(), 0);
    for (const std::uint32_t i : active_) {
      const double x = level_of(i, level);
      if (x <= progress_[i]) continue;
      for (std::size_t r = 0; r < parts_.size(); ++r) {
        const Part& part = parts_[r];
        const double floor = static_cast<double>(part.shares[i].floor), need = part.need[i];
        want_[r] += std::max(floor, x * need) - std::max(floor, progress_[i] * need);
      }
    }
    bool all = true;
    for (std::size_t r = 0; r < parts_.size(); ++r) all &= want_[r] <= std::max(spare_[r], 0.0);
    return all;
  };
  for (std::size_t round = 0; round <= parts_.size() && !active_.empty(); ++round) {
    double low = 0, high = 0;
    for (const std::uint32_t i : active_) high = std::max(high, hi_[i] * dominant_[i]);
    const bool everything = fits(high);
    if (everything) {
      low = high;
    } else {
      for (int step = 0; step < kHalvings; ++step) {
        const double middle = 0.5 * (low + high);
        (fits(middle) ? low : high) = middle;
      }
    }
    // What does not fit at `high` is used up at `low`.
    fits(high);
    for (std::size_t r = 0; r < parts_.size(); ++r) exhausted_[r] = want_[r] > std::max(spare_[r], 0.0);
    fits(low);
    for (std::size_t r = 0; r < parts_.size(); ++r) spare_[r] -= want_[r];
    for (const std::uint32_t i : active_) progress_[i] = level_of(i, low);
    if (everything) return;
    std::erase_if(active_, [&](std::uint32_t i) {
      if (progress_[i] >= hi_[i]) return true;
      for (std::size_t r = 0; r < parts_.size(); ++r) {
        if (exhausted_[r] && parts_[r].need[i] > 0) return true;
      }
      return false;
    });
  }
}

// No VM can do more than what it holds of this resource lets it.
void NodeResources::CutToHeld(const Part& part) {
  for (std::size_t i = 0; i < part.members.size(); ++i) {
    if (part.need[i] > 0)
      progress_[i] = std::min(progress_[i], static_cast<double>(part.shares[i].allocation()) / part.need[i]);
  }
}

void NodeResources::Plan(std::span<const ResourceDemand> demands, std::int64_t now_ms, bool may_open) {
  assert(demands.size() == parts_.size());
  if (parts_.empty()) return;
  for (std::size_t r = 0; r < parts_.size(); ++r) Entitle(r, demands[r], now_ms);
  Bundle();
  // What comes back slowly is settled first; what does not follow from it is
  // lent at once.
  const auto usable = [&](const Part& part, std::size_t i) { return std::ceil(progress_[i] * part.need[i]); };
  for (std::size_t r = 0; r < parts_.size(); ++r) {
    Part& part = parts_[r];
    if (kinds_[r].sharing != Sharing::kIdleTax) continue;
    if (part.due && part.division != Division::kNoCapacity) {
      bool cut = false;
      for (std::size_t i = 0; i < part.need.size(); ++i) {
        if (progress_[i] >= 1 || part.need[i] <= 0) continue;
        part.need[i] = std::min(part.need[i], usable(part, i));
        cut = true;
      }
      if (cut) TaxIdle(kinds_[r], part);
      for (std::size_t i = 0; i < part.need.size(); ++i) {
        if (part.need[i] >= 0) part.need[i] = static_cast<double>(*part.members[i].need);
      }
    }
    CutToHeld(part);
  }
  for (std::size_t r = 0; r < parts_.size(); ++r) {
    Part& part = parts_[r];
    if (kinds_[r].sharing != Sharing::kLoans) continue;
    for (std::size_t i = 0; i < part.members.size(); ++i) {
      if (part.members[i].need && part.need[i] >= 0)
        part.members[i].need = std::min(*part.members[i].need, static_cast<std::int64_t>(usable(part, i)));
    }
    part.ledger.Lend(part.members, part.shares, now_ms, may_open);
    CutToHeld(part);
  }
  for (std::size_t r = 0; r < parts_.size(); ++r) {
    Part& part = parts_[r];
    const std::int64_t grain = kinds_[r].grain;
    part.held.resize(part.members.size());
    for (std::size_t i = 0; i < part.members.size(); ++i) {
      Share& s = part.shares[i];
      for (std::int64_t* amount : {&s.base, &s.floor, &s.ceiling, &s.plain, &s.entitlement, &s.floor_cut})
        *amount *= grain;
      part.held[i] = s.allocation();
      if (s.borrowed == 0 || part.need[i] < 0) continue;
      const auto use = std::max(s.floor, static_cast<std::int64_t>(usable(part, i)));
      part.held[i] -= std::clamp<std::int64_t>(part.held[i] - use, 0, s.borrowed);
    }
  }
}

}  // namespace whorl::partition
