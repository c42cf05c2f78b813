#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/demand/forecast.h"
#include "core/engine/policy.h"
#include "core/partition/claims.h"
#include "core/partition/entitlement.h"
#include "core/partition/ledger.h"
#include "core/replay/whatif.h"

namespace whorl::whatif {

// What Whorl would do on a node, from the parts that ship: forecasts of each VM,
// entitlements and one-quantum loans by a policy's numbers. Amounts in cores, VMs
// in the node's order. `node` must outlive it.
class WhorlStrategy {
 public:
  WhorlStrategy(const Node& node, const Policy& policy);

  // What happened in a period, once it is over.
  void Observe(std::size_t period);

  // What each VM is predicted to need in the next period at that quantile, margin
  // included; `start` for one that was never measured.
  void Needs(double quantile, std::span<const double> start, std::span<double> out) const;

  // Divides `capacity` for the next period, which is that period of the node, by
  // what each VM may claim of it.
  void Plan(std::size_t period, double capacity, std::span<const double> start, std::span<double> out);
  // Of the last plan; lender and borrower are places in Node::vms.
  std::span<const partition::OpenLoan> loans() const { return ledger_.loans(); }

 private:
  double NeedOf(std::size_t vm, double quantile, double start) const;
  void Claim(std::size_t period, double capacity, std::span<const double> start);

  const Node& node_;
  const CpuPolicy policy_;
  const Horizon horizon_;
  std::vector<Forecaster> forecasts_;
  std::vector<Quantiles> told_;  // for the next period
  partition::Claims claims_;
  std::vector<partition::Foretold> foretold_;         // of who is there
  std::vector<std::optional<std::int64_t>> claimed_;  // beside foretold_
  std::vector<double> given_;                         // per VM, of the last plan; NaN = none
  partition::Entitlements entitlements_;
  partition::Ledger ledger_;
  std::vector<partition::Member> members_;
  std::vector<double> credits_;
  std::vector<partition::Share> shares_;
};

}  // namespace whorl::whatif
