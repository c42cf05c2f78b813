#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/base/result.h"

namespace whorl::partition {

// The shares of the time at which a foretold demand is told.
inline constexpr std::array<double, 10> kClaimShares{0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.999};

// What one VM will want in the next quantum: its demand stays at or below
// demand[k] in kClaimShares[k] of the time. In the resource's whole unit, >= 0.
struct Foretold {
  std::uint32_t vm = 0;
  double weight = 1;  // > 0; as in Member
  std::array<float, kClaimShares.size()> demand{};
};

// What each VM of a node may claim of one resource, so that all claims fit and
// claiming more than one needs hardly pays. Each VM's chance of falling short is
// in proportion to what it was given on average of late, in base shares:
//   P(demand_i > need_i) = lambda * mean given_i / base_i,
// the condition of proportional fairness (Kelly 1997). At one common chance a VM
// that shows twice its demand gets its margin twice; here its price doubles with
// it. On top of that, a VM that asked for more than it then used of what it was
// given claims that much less. Whoever really burns what it claims cannot be
// told from one in need: only the price holds it back.
// Not thread-safe. Allocates only when it meets a new VM.
class Claims {
 public:
  // What came of the last quantum: the demand shown, what was used, and what was
  // allocated. Anything not finite or negative: nothing is learnt.
  void Observe(std::uint32_t vm, double asked, double used, double given, std::int64_t elapsed_ms);

  // The largest claims that fit `capacity` together, none above what a chance of
  // `least_chance` (0..0.5) of falling short asks for. needs[i] is unset where
  // foretold[i] is no demand (not finite, negative, weight not above zero).
  void Solve(std::span<const Foretold> foretold, std::int64_t capacity, double least_chance,
             std::vector<std::optional<std::int64_t>>& needs);

  void Leave(std::uint32_t vm);

  // Mean allocation of late; unset while nothing was observed.
  std::optional<double> given(std::uint32_t vm) const;
  // Used over asked-and-given, 0..1; 1 while nothing is known.
  double used_part(std::uint32_t vm) const;

  // What must outlive the process, as with Ledger.
  struct Record {
    std::uint32_t vm = 0;
    double given = 0, asked = 0, used = 0;
    std::int64_t observed_ms = 0;
  };
  std::vector<Record> Save() const;
  // Refused (kCorrupt), nothing changed: a number that is not finite or negative,
  // a VM twice or beyond the largest handle.
  Status Restore(std::span<const Record> saved);

 private:
  struct Account {
    double given = 0, asked = 0, used = 0;  // moving means; asked only as far as it was given
    std::int64_t observed_ms = 0;           // up to kMemoryMs; 0 = never
  };
  struct Claimant {
    double price = 1;
    double scale = 1;
    bool sound = false;
  };
  std::vector<Account> accounts_;  // by vm
  std::vector<Claimant> claimants_;
};

}  // namespace whorl::partition
