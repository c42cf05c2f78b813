#include "core/partition/claims.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace whorl::partition {
namespace {

// A day: shorter, and a VM that claims much only now and then pays for nothing.
constexpr std::int64_t kMemoryMs = 86'400'000;
// A VM that takes next to nothing need not be served with certainty, nor one
// that takes all left to chance.
constexpr double kLeastPrice = 0.02, kMostPrice = 50;
// Counters of use and of demand are not read in the same instant.
constexpr double kUsedTolerance = 0.97;
constexpr double kMostChance = 0.98;
constexpr std::uint32_t kLargestHandle = 1'000'000;

bool Sound(double x) { return std::isfinite(x) && x >= 0; }

// Straight between the shares that were told.
double Demand(const Foretold& f, double chance) {
  const double share = 1 - chance;
  std::size_t k = 1;
  while (k + 1 < kClaimShares.size() && kClaimShares[k] < share) ++k;
  const double part = std::clamp((share - kClaimShares[k - 1]) / (kClaimShares[k] - kClaimShares[k - 1]), 0.0, 1.0);
  const double low = static_cast<double>(f.demand[k - 1]), high = static_cast<double>(f.demand[k]);
  return low + part * std::max(0.0, high - low);
}

}  // namespace

void Claims::Observe(std::uint32_t vm, double asked, double used, double given, std::int64_t elapsed_ms) {
  if (vm > kLargestHandle || elapsed_ms <= 0 || !Sound(asked) || !Sound(used) || !Sound(given)) return;
  if (vm >= accounts_.size()) accounts_.resize(vm + 1);
  Account& a = accounts_[vm];
  elapsed_ms = std::min(elapsed_ms, kMemoryMs);
  a.observed_ms = std::min(kMemoryMs, a.observed_ms + elapsed_ms);
  // The plain mean until the memory is full.
  const double gain = static_cast<double>(elapsed_ms) / static_cast<double>(a.observed_ms);
  a.given += gain * (given - a.given);
  a.asked += gain * (std::min(asked, given) - a.asked);
  a.used += gain * (std::min(used, given) - a.used);
}

std::optional<double> Claims::given(std::uint32_t vm) const {
  if (vm >= accounts_.size() || accounts_[vm].observed_ms == 0) return std::nullopt;
  return accounts_[vm].given;
}

double Claims::used_part(std::uint32_t vm) const {
  if (vm >= accounts_.size() || accounts_[vm].asked <= 0) return 1;
  return std::clamp(accounts_[vm].used / accounts_[vm].asked, 0.0, 1.0);
}

void Claims::Solve(std::span<const Foretold> foretold, std::int64_t capacity, double least_chance,
                   std::vector<std::optional<std::int64_t>>& needs) {
  const std::size_t n = foretold.size();
  needs.assign(n, std::nullopt);
  claimants_.assign(n, {});
  double weights = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const Foretold& f = foretold[i];
    claimants_[i].sound = std::isfinite(f.weight) && f.weight > 0;
    for (const float d : f.demand) claimants_[i].sound &= Sound(static_cast<double>(d));
    if (claimants_[i].sound) weights += f.weight;
  }
  const auto whole = static_cast<double>(std::max<std::int64_t>(capacity, 0));
  for (std::size_t i = 0; i < n; ++i) {
    if (!claimants_[i].sound) continue;
    const Foretold& f = foretold[i];
    const double base = std::max(1.0, whole * f.weight / weights);
    claimants_[i].price = std::clamp(given(f.vm).value_or(base) / base, kLeastPrice, kMostPrice);
    // What is used of it depends on how much was given. Only a steep discount
    // brings the claim of who asks for twice as much down to what it uses.
    const double used = std::min(1.0, used_part(f.vm) / kUsedTolerance);
    claimants_[i].scale = used * used * used;
  }
  const auto need = [&](std::size_t i, double lambda) {
    const Claimant& c = claimants_[i];
    return c.scale * Demand(foretold[i], std::clamp(lambda * c.price, least_chance, kMostChance));
  };
  const auto fits = [&](double lambda) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (claimants_[i].sound) sum += need(i, lambda);
    }
    return sum <= whole;
  };
  double low = least_chance / kMostPrice, high = kMostChance / kLeastPrice;
  low = std::max(low, 1e-6);
  if (fits(low)) {
    high = low;
  } else {
    for (int step = 0; step < 20; ++step) {
      const double middle = std::sqrt(low * high);
      (fits(middle) ? high : low) = middle;
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    if (claimants_[i].sound) needs[i] = static_cast<std::int64_t>(std::min(need(i, high), 1e15));
  }
}

void Claims::Leave(std::uint32_t vm) {
  if (vm < accounts_.size()) accounts_[vm] = Account{};
}

std::vector<Claims::Record> Claims::Save() const {
  std::vector<Record> saved;
  for (std::uint32_t vm = 0; vm < accounts_.size(); ++vm) {
    const Account& a = accounts_[vm];
    if (a.observed_ms > 0) saved.push_back({vm, a.given, a.asked, a.used, a.observed_ms});
  }
  return saved;
}

Status Claims::Restore(std::span<const Record> saved) {
  std::vector<Account> accounts;
  for (const Record& r : saved) {
    const auto name = "claims: VM handle " + std::to_string(r.vm);
    if (r.vm > kLargestHandle) return Fail(Code::kCorrupt, name + " is beyond the largest");
    if (!Sound(r.given) || !Sound(r.asked) || !Sound(r.used) || r.observed_ms <= 0 || r.observed_ms > kMemoryMs)
      return Fail(Code::kCorrupt, name + " has a record that makes no sense");
    if (r.vm >= accounts.size()) accounts.resize(r.vm + 1);
    if (accounts[r.vm].observed_ms > 0) return Fail(Code::kCorrupt, name + " has two records");
    accounts[r.vm] = {r.given, r.asked, r.used, r.observed_ms};
  }
  accounts_ = std::move(accounts);
  return {};
}

}  // namespace whorl::partition
