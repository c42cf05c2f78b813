#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/partition/entitlement.h"
#include "core/partition/ledger.h"

namespace whorl::partition {

// How what one VM does not need reaches another.
enum class Sharing : std::uint8_t {
  kLoans,    // comes back within a tick: loans with a ledger
  kIdleTax,  // comes back slowly: who leaves much idle is entitled to less of it
};

// A type of resource is data.
struct ResourceKind {
  std::string name;              // "cpu", "memory", "nvidia.com/mig-1g.5gb"
  std::string unit;              // what amounts count, "m" or "MiB"
  std::int64_t grain = 1;        // the least that can be given: 1000 where only whole cores can be; kLoans: 1
  std::int64_t least_floor = 0;  // nobody is left with less, as long as it fits
  Sharing sharing = Sharing::kLoans;
  double idle_tax = 0.75;            // kIdleTax: 0..0.99, what an idle unit costs more than a busy one, 1 - 1/k
  std::int64_t quantum_ms = 10'000;  // kIdleTax: the time between two divisions
};

// One resource of the node in this tick. Members in whole units, sorted by id;
// the same VMs in the same order for every resource.
struct ResourceDemand {
  std::span<const Member> members;
  std::span<const double> bonus_credit;
  std::int64_t capacity = 0;
};

// Divides all resources of a node. Each has its entitlements; then needs, which
// are vectors, are cut to what a VM can use of all of them together (weighted
// dominant resource fairness, Ghodsi et al., NSDI 2011): what it holds of CPU and
// cannot use for want of memory it lends like anything else it does not need.
// Nobody is cut below what its own entitlements let it use. Idle tax: Waldspurger,
// OSDI 2002. Not thread-safe; no allocation once it has seen its members.
class NodeResources {
 public:
  // Refused (kInvalid, with the kind's name): no name or one twice, a grain,
  // floor, tax or quantum out of its range, loans of a grain other than 1.
  static Result<NodeResources> Make(std::vector<ResourceKind> kinds);

  // demands[r] is for kinds()[r]. `may_open` as in Ledger::Lend.
  void Plan(std::span<const ResourceDemand> demands, std::int64_t now_ms, bool may_open);

  std::span<const ResourceKind> kinds() const { return kinds_; }
  Division division(std::size_t r) const { return parts_[r].division; }
  // Entitlements and loans, in the order of the members.
  std::span<const Share> shares(std::size_t r) const { return parts_[r].shares; }
  // What each VM holds: its share's allocation, less what it borrowed and has no
  // use for because another resource fell short.
  std::span<const std::int64_t> held(std::size_t r) const { return parts_[r].held; }
  // Of each VM's needs, the part that it can use of all its resources together,
  // 0..1; 1 where a need is not known.
  std::span<const double> progress() const { return progress_; }
  Ledger& ledger(std::size_t r) { return parts_[r].ledger; }
  const Ledger& ledger(std::size_t r) const { return parts_[r].ledger; }

 private:
  struct Part {
    Entitlements entitlements;
    Ledger ledger;
    std::vector<Member> members;  // in grains
    std::vector<Share> shares;    // in whole units once planned
    std::vector<std::int64_t> held;
    std::vector<double> need;            // in grains; below 0 = not known
    std::vector<std::uint32_t> holders;  // whom the last division was for
    std::vector<std::int64_t> divided;   // and what it gave them, in grains
    std::int64_t divided_ms = 0, capacity = 0;
    Division division = Division::kDone;
    bool due = true;
    double weights = 0;
  };

  explicit NodeResources(std::vector<ResourceKind> kinds);
  void Entitle(std::size_t r, const ResourceDemand& demand, std::int64_t now_ms);
  bool Due(const ResourceKind& kind, const Part& part, std::int64_t now_ms) const;
  void TaxIdle(const ResourceKind& kind, Part& part);
  void Bundle();
  void CutToHeld(const Part& part);
  double Progress(std::size_t i) const;

  std::vector<ResourceKind> kinds_;
  std::vector<Part> parts_;
  std::vector<double> progress_, dominant_, want_, spare_;
  std::vector<char> exhausted_;  // by resource, in a round of filling
  std::vector<std::uint32_t> active_;
  std::vector<double> lo_, hi_, real_;
  std::vector<std::int64_t> lo_whole_, hi_whole_;
  std::vector<std::uint32_t> order_;
};

}  // namespace whorl::partition
