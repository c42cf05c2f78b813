#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace whorl::partition {

inline constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max() / 4;
// More than this is no amount of anything a node has (a petabyte, in bytes).
inline constexpr std::int64_t kMostAmount = 1'000'000'000'000'000;

// What the partition must know of one VM that takes part. Amounts in the
// resource's whole unit (millicores).
struct Member {
  std::string_view id;   // breaks ties
  std::uint32_t vm = 0;  // handed back, never interpreted
  double weight = 1;     // > 0; base share is in proportion to it
  std::int64_t request = 0;
  std::int64_t limit = kNoLimit;
  double floor_fraction = 0;
  double ceiling_fraction = 1;
  double lendable_fraction = 0;
  double deviation_factor = 0;
  double max_bonus = 0;
  std::int64_t quantum_ms = 10'000;
  std::int64_t least_loan = 20;      // smaller ones are not worth two writes on the node
  std::optional<std::int64_t> need;  // predicted demand with its margin; nullopt = unknown
  double priority = 0;               // 0..1, from the deviation
  std::int32_t priority_class = 0;   // where floors do not fit, lower classes give way first
  bool may_lend = true;
  bool may_borrow = true;            // open or enlarge loans
  bool may_renew = true;             // false: open loans run out at their term
  std::int64_t raise_to = kNoLimit;  // largest allocation in this tick
};

// A demand as it comes from a forecast, in whole units, rounded up. Refused
// (kInvalid, with the VM's name): not finite, negative, or above kMostAmount.
Result<std::int64_t> NeedOf(std::string_view vm, double demand);

// Refused (kInvalid, with the VM's name, the field and what it must be): a number
// that is not finite or out of its range.
Status Check(const Member& member);

// What one VM gets, in the order of the members.
struct Share {
  std::int64_t base = 0;
  std::int64_t floor = 0;
  std::int64_t ceiling = 0;
  std::int64_t plain = 0;  // entitlement had nobody a bonus
  std::int64_t entitlement = 0;
  std::int64_t lent = 0;
  std::int64_t borrowed = 0;
  bool floor_scaled = false;   // the floors do not fit; this one was lowered
  std::int64_t floor_cut = 0;  // by so much
  // The field for which Check refuses the member; empty = none. Such a VM neither
  // lends nor borrows. With a bad need it keeps its entitlement; with any other
  // bad field it is set aside with its request, as far as that is an amount.
  std::string_view refused;
  std::int64_t allocation() const { return entitlement - lent + borrowed; }
};

// What came of dividing a resource; what concerns single members is in their shares.
enum class Division : std::uint8_t {
  kDone,
  kFloorsLowered,  // they do not fit: see floor_scaled
  kNoCapacity,     // nothing to divide: everybody gets 0
};

// Entitlements of one resource: base share by weight, a bonus for those that
// deviate while the resource is contended, then the projection onto floors,
// ceilings and capacity. Keeps its scratch space, so that a steady tick does
// not allocate; otherwise without state. Members must be sorted by id.
class Entitlements {
 public:
  // Nobody's floor is below `least_floor` while it fits; the usual one is in
  // millicores: a pod that holds a QEMU cannot answer with less.
  explicit Entitlements(std::int64_t least_floor = 10) : least_floor_(least_floor) {}

  // `bonus_credit` scales each member's bonus, 0..1: what its credits still pay for.
  Division Compute(std::span<const Member> members, std::span<const double> bonus_credit, std::int64_t capacity,
                   std::vector<Share>& shares);

 private:
  void Bounds(std::span<const Member> members, std::int64_t capacity, std::vector<Share>& shares);
  bool LowerFloors(std::span<const Member> members, std::int64_t capacity, std::vector<Share>& shares);
  void Solve(std::int64_t capacity, std::vector<std::int64_t>& out);

  std::int64_t least_floor_;
  std::vector<double> target_, lo_, hi_, real_;
  std::vector<std::int64_t> lo_whole_, hi_whole_, plain_, entitled_;
  std::vector<std::uint32_t> order_;
};

}  // namespace whorl::partition
