#include "operator/plugin/replay/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "operator/plugin/replay/words.h"
#include "operator/plugin/table.h"

namespace whorl::plugin {
namespace {

using nlohmann::json;
using whatif::Outcome;
using whatif::Strategy;

constexpr double kLacking = 0.01;  // of a VM's demand: that it is called short
constexpr std::size_t kNodeBuckets = 720, kVmBuckets = 240;
constexpr std::size_t kMostLoans = 200, kMostPairs = 60, kMostShortages = 200;
constexpr double kRequestsBind = 0.8;

std::string LabelOf(Strategy strategy) {
  switch (strategy) {
    case Strategy::kWhorlSoft: return "Whorl, soft (weights)";
    case Strategy::kWhorlHard: return "Whorl, hard (limits)";
    case Strategy::kRequests: return "static requests";
    case Strategy::kVpa90: return "VPA p90 + 15 %";
    case Strategy::kVpa95: return "VPA p95 + 15 %";
    case Strategy::kLastHour: return "last-hour maximum";
    case Strategy::kEwma: return "EWMA + 2 sigma";
    case Strategy::kShares: return "work-conserving shares";
    case Strategy::kHourly: return "clairvoyant, hourly";
    case Strategy::kClairvoyant: return "clairvoyant, each period";
  }
  return "unknown";
}

Time TimeOf(const whatif::Node& node, std::size_t period) {
  return node.begin + node.step * static_cast<std::int64_t>(period);
}

Total TotalOf(const Report& report, std::size_t index, double demand_core_hours) {
  Total total;
  const Outcome& first = report.results.front().outcomes[index];
  total.strategy = first.strategy;
  total.label = LabelOf(first.strategy);
  if (!first.policy.empty() && report.policies.size() > 1) {
    total.label = (first.strategy == Strategy::kWhorlSoft ? "Whorl soft, " : "Whorl hard, ") + first.policy;
  }
  const auto add = [](TotalPoint& to, const whatif::Point& point, double hours) {
    to.held += point.held / hours;
    to.unused += point.unused / hours;
    to.unmet += point.unmet / hours;
  };
  if (first.mark) total.mark = TotalPoint{.knob = first.mark->knob};
  for (const whatif::Point& point : first.curve) total.curve.push_back({.knob = point.knob});
  for (const whatif::NodeResult& result : report.results) {
    const Outcome& outcome = result.outcomes[index];
    total.unmet += demand_core_hours > 0 ? outcome.unmet / demand_core_hours : 0;
    for (const whatif::VmOutcome& vm : outcome.vms) {
      if (vm.demand <= 0) continue;
      total.short_vms += vm.unmet > kLacking * vm.demand;
      total.worst_vm = std::max(total.worst_vm, vm.unmet / vm.demand);
    }
    if (result.judged_hours <= 0) continue;
    if (outcome.mark) add(*total.mark, *outcome.mark, result.judged_hours);
    for (std::size_t i = 0; i < total.curve.size(); ++i) add(total.curve[i], outcome.curve[i], result.judged_hours);
  }
  return total;
}

const Total& Of(const Summary& summary, Strategy strategy) {
  return *std::find_if(summary.totals.begin(), summary.totals.end(),
                       [&](const Total& total) { return total.strategy == strategy; });
}

// Who lacked most under the first policy.
struct Worst {
  std::size_t node = 0, vm = 0;
  double part = 0;
};
Worst WorstVm(const Report& report) {
  Worst worst;
  for (std::size_t n = 0; n < report.nodes.size(); ++n) {
    const auto& vms = report.results[n].outcomes.front().vms;
    for (std::size_t i = 0; i < vms.size(); ++i) {
      const double part = vms[i].demand > 0 ? vms[i].unmet / vms[i].demand : 0;
      if (part > worst.part) worst = {n, i, part};
    }
  }
  return worst;
}

// Of a policy: what it says first, then the other; the hard one is that which reserves.
const Total& Says(const Summary& summary, std::size_t policy) { return summary.totals[2 * policy]; }
const Total& Reserving(const Summary& summary, std::size_t policy) {
  return summary.totals[2 * policy + (Says(summary, policy).strategy == Strategy::kWhorlHard ? 0 : 1)];
}

void WriteVerdict(const Report& report, Summary& summary) {
  const auto say = [&](std::string sentence) { summary.verdict.push_back(std::move(sentence)); };
  const Total& whorl = Says(summary, 0);
  const Total& reserving = Reserving(summary, 0);
  const Total& vpa = Of(summary, Strategy::kVpa95);
  const Total& shares = Of(summary, Strategy::kShares);
  const bool soft = whorl.strategy == Strategy::kWhorlSoft;
  const double shortfall = summary.demand > 0 ? vpa.mark->unmet / summary.demand : 0;
  if (reserving.freed && vpa.mark->held > 0) {
    const double part = std::abs(*reserving.freed) / vpa.mark->held;
    say(*reserving.freed >= 0
            ? fmt::format(
                  "Reserving by Whorl's forecasts would free {} of {} cores ({}) and leave no more CPU unmet than "
                  "VPA's rule, p95 + 15 %, does ({}).",
                  Cores(*reserving.freed), Cores(vpa.mark->held), Percent(part), Percent(shortfall))
            : fmt::format(
                  "Whorl's forecasts would free nothing here: to leave as little CPU unmet as VPA's rule, p95 + "
                  "15 %, does ({}), they reserve {} cores more than its {} ({} more).",
                  Percent(shortfall), Cores(-*reserving.freed), Cores(vpa.mark->held), Percent(part)));
  } else {
    say(fmt::format(
        "Whether Whorl's forecasts would free anything at the shortfall of VPA's rule, p95 + 15 % ({}), cannot "
        "be told: no quantile that was tried leaves that much unmet.",
        Percent(shortfall)));
  }
  if (shares.unmet == 0) {
    say(fmt::format(
        "With {} capacity divided as it is, nobody needs to be short of CPU: there is enough for all at every "
        "moment.",
        report.nodes.size() == 1 ? "the node's" : "the nodes'"));
  }
  say(fmt::format(
      "Dividing all of {} capacity under policy {} ({}), Whorl leaves {} of the wanted CPU unmet; plain weights "
      "(work-conserving shares) leave {}, which nothing can beat in sum, and limits by VPA's rule {}.",
      report.nodes.size() == 1 ? "the node's" : "the nodes'", report.policies.front().name,
      soft ? "soft: weights" : "hard: limits", Percent(whorl.unmet), Percent(shares.unmet), Percent(vpa.unmet)));
  const Total& hard = soft ? summary.totals[1] : whorl;
  if (hard.unmet > vpa.unmet) {
    say(fmt::format(
        "As a hard partition this policy does worse than limits by VPA's rule ({} against {} unmet): its floor, "
        "ceiling or lendable share, or the VMs' requests, keep CPU where it is not needed; compare another with a "
        "second --policy.",
        Percent(hard.unmet), Percent(vpa.unmet)));
  }
  if (const Worst worst = WorstVm(report); worst.part > 0) {
    const whatif::Node& node = report.nodes[worst.node];
    const whatif::VmOutcome& vm = report.results[worst.node].outcomes.front().vms[worst.vm];
    say(fmt::format(
        "{} of {} VMs would lack more than 1 % of what they wanted; the worst is {} with {}, most of it at once "
        "{} ({} cores).",
        whorl.short_vms, summary.vms, node.vms[worst.vm].name, Percent(worst.part), When(TimeOf(node, vm.worst_period)),
        Cores(vm.worst)));
  }
  for (std::size_t n = 0; n < report.nodes.size(); ++n) {
    if (report.results[n].whorl.front().requests < kRequestsBind) continue;
    say(
        fmt::format("On {} the VMs' requests bind {} of the capacity, and Whorl never goes below requests: it can move "
                    "little there.",
                    report.nodes[n].name, Percent(report.results[n].whorl.front().requests)));
    break;
  }
  if (report.policies.size() > 1) {
    say(fmt::format("Policy {} leaves {} unmet and reserves {} cores where it stands; policy {} {} and {}.",
                    report.policies[0].name, Percent(whorl.unmet), Cores(reserving.mark->held), report.policies[1].name,
                    Percent(Says(summary, 1).unmet), Cores(Reserving(summary, 1).mark->held)));
  }
  if (std::any_of(report.results.begin(), report.results.end(),
                  [](const whatif::NodeResult& result) { return result.capacity_assumed; })) {
    say("Nobody recorded the nodes' capacity: it was taken so tight that all VMs together want more in 2 % of the "
        "periods.");
  }
}

double Rounded(double value) { return std::isnan(value) ? 0 : std::round(value * 1000) / 1000; }
double Finer(double value) { return std::round(value * 1e6) / 1e6; }

json PointJson(const TotalPoint& point, double demand) {
  return {{"knob", Rounded(point.knob * 10) / 10},
          {"heldCores", Rounded(point.held)},
          {"unusedCores", Rounded(point.unused)},
          {"unmetShare", demand > 0 ? Finer(point.unmet / demand) : 0}};
}

// Thins out to some buckets; `pick` gives a bucket's value from its periods.
template <typename Pick>
json Thin(std::size_t periods, std::size_t buckets, Pick pick) {
  json out = json::array();
  const std::size_t length = (periods + buckets - 1) / buckets;
  for (std::size_t from = 0; from < periods; from += length)
    out.push_back(pick(from, std::min(periods, from + length)));
  return out;
}
json OrNull(double value) { return std::isnan(value) ? json(nullptr) : json(Rounded(value)); }

json NodeSeries(const whatif::Node& node, const whatif::NodeResult& result) {
  const std::size_t periods = node.periods();
  std::vector<double> wanted(periods, 0);
  for (const whatif::Vm& vm : node.vms) {
    for (std::size_t t = 0; t < periods; ++t) {
      if (!std::isnan(vm.used[t])) wanted[t] += static_cast<double>(vm.used[t]);
    }
  }
  const auto most = [](const auto& values) {
    return [&values](std::size_t from, std::size_t to) {
      double out = 0;
      for (std::size_t t = from; t < to; ++t) out = std::max(out, static_cast<double>(values[t]));
      return json(Rounded(out));
    };
  };
  const auto mean = [](const auto& values) {
    return [&values](std::size_t from, std::size_t to) {
      double out = 0;
      for (std::size_t t = from; t < to; ++t) out += static_cast<double>(values[t]);
      return json(Rounded(out / static_cast<double>(to - from)));
    };
  };
  const std::size_t length = (periods + kNodeBuckets - 1) / kNodeBuckets;
  json series{{"beginMs", ToUnixMillis(node.begin)},
              {"stepMs", node.step.count() * static_cast<std::int64_t>(length)},
              {"demandMost", Thin(periods, kNodeBuckets, most(wanted))},
              {"demandMean", Thin(periods, kNodeBuckets, mean(wanted))},
              {"lent", Thin(periods, kNodeBuckets, mean(result.whorl.front().lent))}};
  json unmet = json::object();
  for (const Outcome& outcome : result.outcomes) {
    const std::string id(NameOf(outcome.strategy));
    if (unmet.contains(id)) continue;  // the second policy's
    unmet[id] = Thin(periods, kNodeBuckets, most(outcome.unmet_at));
  }
  series["unmetMost"] = std::move(unmet);
  return series;
}

// Of each bucket the period where most is missing, else where most is used: what
// was used, what Whorl and what VPA's rule would have given there.
json VmSeries(const whatif::Node& node, const whatif::NodeResult& result, std::size_t vm) {
  const auto& used = node.vms[vm].used;
  const auto& whorl = result.outcomes.front().given[vm];
  const auto& missing = result.outcomes.front().missing[vm];
  const auto vpa = std::find_if(result.outcomes.begin(), result.outcomes.end(),
                                [](const Outcome& o) { return o.strategy == Strategy::kVpa95; });
  std::vector<std::size_t> chosen;
  Thin(node.periods(), kVmBuckets, [&](std::size_t from, std::size_t to) {
    const auto rank = [&](std::size_t t) {
      return std::isnan(used[t]) ? std::pair(-1.0f, -1.0f) : std::pair(missing[t], used[t]);
    };
    std::size_t best = from;
    for (std::size_t t = from + 1; t < to; ++t) {
      if (rank(t) > rank(best)) best = t;
    }
    chosen.push_back(best);
    return json(nullptr);
  });
  json out{{"used", json::array()}, {"whorl", json::array()}, {"vpa", json::array()}, {"missing", json::array()}};
  for (const std::size_t t : chosen) {
    out["used"].push_back(OrNull(static_cast<double>(used[t])));
    out["whorl"].push_back(OrNull(static_cast<double>(whorl[t])));
    out["missing"].push_back(Rounded(static_cast<double>(missing[t])));
    out["vpa"].push_back(OrNull(static_cast<double>(vpa->given[vm][t])));
  }
  const std::size_t length = (node.periods() + kVmBuckets - 1) / kVmBuckets;
  out["stepMs"] = node.step.count() * static_cast<std::int64_t>(length);
  return out;
}

json LoansJson(const whatif::Node& node, const whatif::WhorlRun& run) {
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::pair<double, std::size_t>> pairs;
  double sum = 0;
  for (const whatif::LoanRun& loan : run.loans) {
    auto& pair = pairs[{loan.lender, loan.borrower}];
    pair.first += loan.core_hours;
    ++pair.second;
    sum += loan.core_hours;
  }
  std::vector<std::pair<std::pair<std::uint32_t, std::uint32_t>, std::pair<double, std::size_t>>> by_size(pairs.begin(),
                                                                                                          pairs.end());
  std::stable_sort(by_size.begin(), by_size.end(),
                   [](const auto& a, const auto& b) { return a.second.first > b.second.first; });
  json pair_list = json::array();
  for (std::size_t i = 0; i < std::min(by_size.size(), kMostPairs); ++i) {
    pair_list.push_back({{"lender", node.vms[by_size[i].first.first].name},
                         {"borrower", node.vms[by_size[i].first.second].name},
                         {"coreHours", Finer(by_size[i].second.first)},
                         {"loans", by_size[i].second.second}});
  }
  std::vector<whatif::LoanRun> largest = run.loans;
  std::stable_sort(largest.begin(), largest.end(),
                   [](const whatif::LoanRun& a, const whatif::LoanRun& b) { return a.core_hours > b.core_hours; });
  largest.resize(std::min(largest.size(), kMostLoans));
  json loans = json::array();
  for (const whatif::LoanRun& loan : largest) {
    loans.push_back({{"lender", node.vms[loan.lender].name},
                     {"borrower", node.vms[loan.borrower].name},
                     {"fromMs", ToUnixMillis(TimeOf(node, loan.from))},
                     {"toMs", ToUnixMillis(TimeOf(node, loan.to))},
                     {"mostCores", Rounded(loan.most)},
                     {"coreHours", Finer(loan.core_hours)}});
  }
  return {{"count", run.loans.size()}, {"coreHours", Finer(sum)}, {"pairs", pair_list}, {"largest", loans}};
}

json VmsJson(const whatif::Node& node, const whatif::NodeResult& result, bool series) {
  std::vector<std::size_t> order(node.vms.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto& whorl = result.outcomes.front().vms;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return whorl[a].unmet > whorl[b].unmet; });
  json vms = json::array();
  for (const std::size_t i : order) {
    const whatif::Vm& vm = node.vms[i];
    json unmet = json::object();
    for (const Outcome& outcome : result.outcomes) {
      const std::string id(NameOf(outcome.strategy));
      if (!unmet.contains(id)) unmet[id] = Finer(outcome.vms[i].unmet);
    }
    json one{{"name", vm.name},
             {"sizeCores", Rounded(vm.size)},
             {"demandCoreHours", Finer(whorl[i].demand)},
             {"unmetCoreHours", std::move(unmet)},
             {"shortPeriods", whorl[i].short_periods}};
    if (whorl[i].worst > 0) {
      one["worst"] = {{"atMs", ToUnixMillis(TimeOf(node, whorl[i].worst_period))}, {"cores", Rounded(whorl[i].worst)}};
    }
    if (vm.request) one["requestCores"] = Rounded(*vm.request);
    if (vm.limit) one["limitCores"] = Rounded(*vm.limit);
    if (series) one["series"] = VmSeries(node, result, i);
    vms.push_back(std::move(one));
  }
  return vms;
}

json OddJson(const whatif::Oddities& odd) {
  return {{"maskedVmPeriods", odd.masked},      {"gaps", odd.gaps},
          {"vmsAppeared", odd.appeared},        {"vmsVanished", odd.vanished},
          {"clockSteps", odd.clock_steps},      {"samplesAveraged", odd.repeated},
          {"samplesCutToSize", odd.above_size}, {"vmPeriodsAtLimit", odd.at_limit},
          {"vmsLeftOut", odd.left_out_vms}};
}

}  // namespace

std::optional<double> Total::HeldAt(double wanted) const {
  for (std::size_t i = 0; i + 1 < curve.size(); ++i) {
    const TotalPoint &a = curve[i], &b = curve[i + 1];
    if (a.unmet < wanted || b.unmet > wanted) continue;
    const double part = a.unmet > b.unmet ? (a.unmet - wanted) / (a.unmet - b.unmet) : 0;
    return a.held + part * (b.held - a.held);
  }
  return std::nullopt;
}

Summary Sum(const Report& report) {
  Summary summary;
  double demand = 0;
  for (std::size_t n = 0; n < report.nodes.size(); ++n) {
    const whatif::NodeResult& result = report.results[n];
    summary.vms += report.nodes[n].vms.size();
    summary.hours = std::max(summary.hours, result.judged_hours);
    demand += result.demand;
    if (result.judged_hours > 0) summary.demand += result.demand / result.judged_hours;
  }
  for (std::size_t i = 0; i < report.results.front().outcomes.size(); ++i) {
    summary.totals.push_back(TotalOf(report, i, demand));
  }
  const Total vpa = Of(summary, Strategy::kVpa95);
  for (Total& total : summary.totals) {
    if (const auto held = total.HeldAt(vpa.mark->unmet)) total.freed = vpa.mark->held - *held;
  }
  WriteVerdict(report, summary);
  summary.unknowable = {
      "What a VM used is not what it wanted: where it was throttled or waited for a CPU, it wanted more, and nobody "
      "recorded how much.",
      "VMs would have behaved otherwise had they been given more or less: a replay moves limits, not workloads.",
      "Means over a period hide what happens inside it; shortages shorter than a period are invisible here.",
      "Work-conserving shares are already optimal for the sum of unmet CPU; what they cannot give is a guarantee, and "
      "nothing of theirs can be freed."};
  return summary;
}

json ToJson(const Report& report, const Summary& summary, bool series) {
  json strategies = json::array();
  for (const Total& total : summary.totals) {
    json one{{"id", NameOf(total.strategy)},
             {"label", total.label},
             {"unmetShare", Finer(total.unmet)},
             {"shortVms", total.short_vms},
             {"worstVmShare", Finer(total.worst_vm)},
             {"knob", whatif::kKnobNames[static_cast<std::size_t>(total.strategy)]},
             {"curve", json::array()}};
    for (const TotalPoint& point : total.curve) one["curve"].push_back(PointJson(point, summary.demand));
    if (total.mark) one["reserving"] = PointJson(*total.mark, summary.demand);
    if (total.freed) one["freedCores"] = Rounded(*total.freed);
    strategies.push_back(std::move(one));
  }
  json nodes = json::array();
  for (std::size_t n = 0; n < report.nodes.size(); ++n) {
    const whatif::Node& node = report.nodes[n];
    const whatif::NodeResult& result = report.results[n];
    json one{{"name", node.name},
             {"capacityCores", Rounded(result.capacity)},
             {"capacityAssumed", result.capacity_assumed},
             {"beginMs", ToUnixMillis(node.begin)},
             {"stepMs", node.step.count()},
             {"periods", node.periods()},
             {"judgedFromMs", ToUnixMillis(TimeOf(node, result.judged_from))},
             {"demandCoreHours", Finer(result.demand)},
             {"odd", OddJson(node.odd)},
             {"vms", VmsJson(node, result, series)},
             {"loans", LoansJson(node, result.whorl.front())},
             {"shortages", json::array()}};
    const auto& shortages = result.whorl.front().shortages;
    one["shortageCount"] = shortages.size();
    for (std::size_t i = 0; i < std::min(shortages.size(), kMostShortages); ++i) {
      const whatif::Episode& e = shortages[i];
      one["shortages"].push_back({{"vm", node.vms[e.vm].name},
                                  {"fromMs", ToUnixMillis(TimeOf(node, e.from))},
                                  {"toMs", ToUnixMillis(TimeOf(node, e.to))},
                                  {"coreHours", Finer(e.core_hours)},
                                  {"mostCores", Rounded(e.most)}});
    }
    if (series) one["series"] = NodeSeries(node, result);
    nodes.push_back(std::move(one));
  }
  json recordings = json::array();
  for (const Relived& one : report.relived) {
    recordings.push_back({{"path", one.path},
                          {"ticks", one.replayed.ticks},
                          {"different", one.replayed.different},
                          {"firstDifferent", one.replayed.first},
                          {"timesRealTime", Rounded(one.times_real_time())}});
  }
  json policies = json::array();
  for (const whatif::NamedPolicy& named : report.policies) {
    const CpuPolicy& cpu = named.policy.cpu;
    policies.push_back({{"name", named.name},
                        {"demandQuantile", cpu.demand_quantile},
                        {"margin", cpu.margin},
                        {"floor", cpu.floor_fraction},
                        {"ceiling", cpu.ceiling_fraction},
                        {"lendable", cpu.lendable_fraction}});
  }
  return {{"version", 1},
          {"verdict", summary.verdict},
          {"sources", report.sources},
          {"vms", summary.vms},
          {"judgedHours", Rounded(summary.hours)},
          {"demandCores", Rounded(summary.demand)},
          {"policies", policies},
          {"strategies", strategies},
          {"nodes", nodes},
          {"recordings", recordings},
          {"assumed", report.assumed},
          {"noticed", report.noticed},
          {"unknowable", summary.unknowable}};
}

std::string RenderReport(const Report& report, const Summary& summary, bool colours) {
  std::string out;
  for (std::size_t i = 0; i < summary.verdict.size(); ++i) {
    const std::string text = Wrap(summary.verdict[i], 100, "");
    out += i == 0 ? Paint(text, Colour::kBold, colours) : text;
  }
  out += fmt::format("\n{} VMs on {}, {} judged; {} cores wanted on average.\n\n", summary.vms,
                     report.nodes.size() == 1 ? "1 node" : fmt::format("{} nodes", report.nodes.size()),
                     Duration(summary.hours), Cores(summary.demand));
  std::vector<std::vector<Cell>> rows;
  for (const Total& total : summary.totals) {
    const auto at = [&](auto text) { return total.mark ? text(*total.mark) : std::string("-"); };
    rows.push_back(
        {{total.label, total.label.starts_with("Whorl") ? Colour::kBold : Colour::kNone},
         {Percent(total.unmet)},
         {fmt::format("{}", total.short_vms)},
         {Percent(total.worst_vm)},
         {at([](const TotalPoint& p) { return Cores(p.held); })},
         {at([](const TotalPoint& p) { return Cores(p.unused); })},
         {at([&](const TotalPoint& p) { return Percent(summary.demand > 0 ? p.unmet / summary.demand : 0); })},
         {total.freed ? fmt::format("{:+.2f}", *total.freed) : std::string("-")}});
  }
  out +=
      Table({"STRATEGY", "UNMET", "VMS SHORT", "WORST VM", "RESERVES", "UNUSED", "UNMET THEN", "FREED"}, rows, colours);
  out +=
      "\nUNMET, VMS SHORT, WORST VM: the nodes' capacity divided among their VMs. RESERVES, UNUSED, UNMET THEN: cores "
      "held\n"
      "when only what is thought to be needed is reserved. FREED: cores fewer than VPA p95 + 15 % at its own "
      "shortfall.\n";
  std::vector<std::vector<Cell>> suffered;
  struct Entry {
    std::size_t node;
    whatif::Episode episode;
  };
  std::vector<Entry> all;
  for (std::size_t n = 0; n < report.nodes.size(); ++n) {
    for (const whatif::Episode& e : report.results[n].whorl.front().shortages) all.push_back({n, e});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Entry& a, const Entry& b) { return a.episode.core_hours > b.episode.core_hours; });
  constexpr std::size_t kShown = 5;
  for (std::size_t i = 0; i < std::min(all.size(), kShown); ++i) {
    const whatif::Node& node = report.nodes[all[i].node];
    const whatif::Episode& e = all[i].episode;
    suffered.push_back({{node.vms[e.vm].name},
                        {node.name},
                        {When(TimeOf(node, e.from))},
                        {Duration(static_cast<double>(e.to - e.from) * node.hours())},
                        {Work(e.core_hours)},
                        {Cores(e.most)}});
  }
  if (!suffered.empty()) {
    out += fmt::format("\nWho would have suffered under Whorl ({} shortages, the worst first):\n", all.size());
    out += Table({"VM", "NODE", "FROM", "FOR", "MISSING", "CORES AT ONCE"}, suffered, colours);
  }
  std::size_t loans = 0;
  double lent = 0;
  for (const whatif::NodeResult& result : report.results) {
    loans += result.whorl.front().loans.size();
    for (const whatif::LoanRun& loan : result.whorl.front().loans) lent += loan.core_hours;
  }
  out += fmt::format("\n{} loans, {:.1f} core-hours lent.\n", loans, lent);
  for (const Relived& one : report.relived) out += Sameness(one) + '\n';
  const auto list = [&](const char* title, const std::vector<std::string>& sentences) {
    if (sentences.empty()) return;
    out += fmt::format("\n{}\n", title);
    for (const std::string& sentence : sentences) {
      std::string text = Wrap(sentence, 110, "    ");
      if (text.size() > 2) text[2] = '-';
      out += text;
    }
  };
  list("Assumed:", report.assumed);
  list("Noticed:", report.noticed);
  list("Cannot be known from a recording:", summary.unknowable);
  return out;
}

}  // namespace whorl::plugin
