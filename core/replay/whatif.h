#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/engine/policy.h"
#include "core/replay/node_record.h"

namespace whorl::whatif {

// What would have happened on a node whose VMs' CPU use is known: the same hours
// lived through under Whorl's partition and under what people do without it.
// Pure arithmetic, no I/O, no clock: equal inputs give equal results.

enum class Strategy : std::uint8_t {
  kWhorlSoft,    // its allocations as weights: what somebody leaves idle others take
  kWhorlHard,    // its allocations as limits
  kRequests,     // static: what the VM asks for, else its size
  kVpa90,        // exponentially decaying histogram, half-life 24 h, decided hourly, + 15 %
  kVpa95,        //
  kLastHour,     // the highest of the last hour, decided hourly
  kEwma,         // mean + 2 sigma, exponentially weighted
  kShares,       // weights, work-conserving: nobody is reserved anything
  kHourly,       // knows the coming hour
  kClairvoyant,  // knows the coming period
};
inline constexpr std::array<std::string_view, 10> kStrategyNames{
    "whorl_soft",  "whorl_hard",      "static_requests",    "vpa_p90",    "vpa_p95", "last_hour_max",
    "ewma_2sigma", "work_conserving", "clairvoyant_hourly", "clairvoyant"};
constexpr std::string_view NameOf(Strategy strategy) { return kStrategyNames[static_cast<std::size_t>(strategy)]; }

// What one VM went through when the node's whole capacity was divided.
struct VmOutcome {
  double demand = 0;  // core-hours, of the judged and measured periods
  double unmet = 0;   // of those
  std::size_t short_periods = 0;
  std::size_t worst_period = 0;  // where most was missing
  double worst = 0;              // cores missing there
};

// One setting of a strategy that reserves only what it thinks is needed.
struct Point {
  double knob = 0;    // of what, kKnobNames says
  double held = 0;    // core-hours reserved
  double unused = 0;  // of those
  double unmet = 0;   // core-hours wanted beyond what was reserved
};
inline constexpr std::array<std::string_view, 10> kKnobNames{"quantile", "quantile", "factor", "factor",   "factor",
                                                             "factor",   "sigmas",   "cores",  "quantile", "factor"};

struct Outcome {
  Strategy strategy{};
  std::string policy;  // of Whorl's
  // The node's whole capacity divided among its VMs.
  double unmet = 0;  // core-hours
  std::vector<VmOutcome> vms;
  std::vector<float> unmet_at;              // cores missing per period, whole node
  std::vector<std::vector<float>> given;    // per VM and period; of Whorl's and kVpa95
  std::vector<std::vector<float>> missing;  // likewise, cores; of Whorl as its policy says
  // Only what is thought to be needed is reserved; ascending by `held`.
  std::vector<Point> curve;
  std::optional<Point> mark;  // at the strategy's usual knob; none for those that know the future, and no
                              // curve either for kWhorlSoft, which reserves nothing

  // Core-hours reserved where `unmet` is missing, between the curve's points; nullopt
  // outside of them.
  std::optional<double> HeldAt(double unmet) const;
};

// A loan from its opening until it was returned or ran out.
struct LoanRun {
  std::uint32_t lender = 0, borrower = 0;  // places in Node::vms
  std::size_t from = 0, to = 0;            // periods, `to` not included
  double most = 0;                         // cores
  double core_hours = 0;
};

// A VM that got less than it wanted, period after period.
struct Episode {
  std::uint32_t vm = 0;
  std::size_t from = 0, to = 0;
  double core_hours = 0;  // missing
  double most = 0;        // cores missing at once
};

struct NamedPolicy {
  std::string name;
  Policy policy;
  std::optional<MilliCores> capacity;  // upper bound per node
};

// Whorl's side of a node under one policy.
struct WhorlRun {
  double capacity = 0;             // cores divided: the node's, less reserve, at most the policy's bound
  std::vector<LoanRun> loans;      // in order of opening
  std::vector<float> lent;         // cores on loan per period
  std::vector<Episode> shortages;  // the most missing first
  double requests = 0;             // part of the capacity that requests bind, 0..1 and more
};

struct NodeResult {
  bool capacity_assumed = false;
  double capacity = 0;          // cores, before the policies' reserve
  std::size_t judged_from = 0;  // periods before it only teach
  double judged_hours = 0;
  double demand = 0;  // core-hours wanted in the judged periods
  // For each policy first what it says (soft or hard), then the other; then the other strategies in their order.
  std::vector<Outcome> outcomes;
  std::vector<WhorlRun> whorl;  // one per policy
};

// Lives through the node's record. Everything but the clairvoyants decides for a
// period before anything of it is known. `progress`, when given, is told periods
// done, now and then. At most two policies are meant to be compared, one at least.
NodeResult LiveThrough(const Node& node, std::span<const NamedPolicy> policies,
                       const std::function<void(std::size_t done)>& progress = nullptr);

}  // namespace whorl::whatif
