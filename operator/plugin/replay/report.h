#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/replay/whatif.h"
#include "operator/plugin/replay/sources.h"

namespace whorl::plugin {

// All that a replay found out, before anybody shows it.
struct Report {
  std::vector<std::string> sources;
  std::vector<whatif::NamedPolicy> policies;
  std::vector<whatif::Node> nodes;
  std::vector<whatif::NodeResult> results;  // beside the nodes
  std::vector<Relived> relived;
  std::vector<std::string> assumed, noticed;
};

// One setting, summed over the nodes, in cores on average over the judged time.
struct TotalPoint {
  double knob = 0;
  double held = 0, unused = 0, unmet = 0;
};

// One strategy over all nodes.
struct Total {
  whatif::Strategy strategy{};
  std::string label;          // for people, with the policy's name where there are two
  double unmet = 0;           // part of all demand, the nodes' capacity divided
  std::size_t short_vms = 0;  // those that lack more than 1 % of what they wanted
  double worst_vm = 0;        // the largest part that a VM lacks
  std::optional<TotalPoint> mark;
  std::vector<TotalPoint> curve;  // ascending by held
  // Cores fewer than VPA's p95 + 15 % holds, at its shortfall; nullopt: not within
  // what was tried.
  std::optional<double> freed;
  std::optional<double> HeldAt(double unmet) const;
};

struct Summary {
  std::size_t vms = 0;
  double hours = 0;                  // judged, of the longest node
  double demand = 0;                 // cores, on average
  std::vector<Total> totals;         // as the nodes' outcomes
  std::vector<std::string> verdict;  // sentences; the first is the answer
  std::vector<std::string> unknowable;
};
Summary Sum(const Report& report);

// The whole report as one object (docs/how-to/replay-before-you-enable.md lists its
// parts). `series`: with the thinned-out time series that plots need.
nlohmann::json ToJson(const Report& report, const Summary& summary, bool series);

// For a terminal.
std::string RenderReport(const Report& report, const Summary& summary, bool colours);

}  // namespace whorl::plugin
