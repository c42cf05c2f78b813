#include "operator/plugin/replay/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <ostream>
#include <utility>

#include "operator/plugin/replay/policy_file.h"
#include "operator/plugin/replay/prometheus_source.h"
#include "operator/plugin/replay/report.h"
#include "operator/plugin/replay/report_html.h"
#include "operator/plugin/replay/sources.h"

namespace whorl::plugin {
namespace {

constexpr Millis kPatience{2000};  // nothing that takes less is worth a line

// Lines on stderr for whoever waits, at most one in kPatience.
class Progress {
 public:
  explicit Progress(Shell& shell) : shell_(shell), told_(shell.clock.Monotonic()) {}
  void Tell(const std::string& what) {
    const Millis now = shell_.clock.Monotonic();
    if (now - told_ < kPatience) return;
    told_ = now;
    shell_.err << what << "\n" << std::flush;
  }

 private:
  Shell& shell_;
  Millis told_;
};

Result<std::vector<whatif::NamedPolicy>> ReadPolicies(const ReplayFlags& flags, Shell& shell) {
  std::vector<whatif::NamedPolicy> policies;
  for (const std::string& path : flags.policies) {
    auto file = ReadPolicyFile(path);
    if (!file) return Fail(file.error());
    for (const std::string& field : file->unknown) {
      shell.err << "warning: policy " << path << ": " << field << " is no field of a PartitionPolicy and is ignored\n";
    }
    std::string name = file->policy.name;
    if (!policies.empty() && policies.front().name == name) name += " (" + path + ")";
    policies.push_back({std::move(name), file->policy.engine, file->policy.cpu_capacity});
  }
  return policies;
}

void AddAll(std::vector<std::string>& to, std::vector<std::string> more) {
  for (std::string& sentence : more) {
    if (std::find(to.begin(), to.end(), sentence) == to.end()) to.push_back(std::move(sentence));
  }
}

// What the layout had to assume or leave out, in words.
void DescribeLayout(const ReplayFlags& flags, bool nodes_known, Report& report) {
  whatif::Oddities odd;
  bool requests = false;
  std::string assumed_capacity;
  for (std::size_t n = 0; n < report.nodes.size(); ++n) {
    const whatif::Node& node = report.nodes[n];
    odd += node.odd;
    for (const whatif::Vm& vm : node.vms) requests = requests || vm.request;
    if (report.results[n].capacity_assumed) {
      assumed_capacity +=
          fmt::format("{}{} {:.2f}", assumed_capacity.empty() ? "" : ", ", node.name, report.results[n].capacity);
    }
  }
  std::vector<std::string> assumed, noticed;
  assumed.emplace_back(
      "Everybody decides for a period before anything of it is known; only the clairvoyants are told. Nothing is "
      "judged in "
      "the first two days, or the first quarter of a shorter record, while everybody learns.");
  if (!nodes_known) {
    assumed.push_back(
        fmt::format("Nobody recorded which VM ran where: each {} VMs, in the order of the source, share a "
                    "node (--vms-per-node).",
                    flags.vms_per_node));
  }
  if (!assumed_capacity.empty()) {
    assumed.push_back(
        "Nobody recorded the nodes' capacity; it is taken to be enough for all VMs in 98 % of the periods, in "
        "cores: " +
        assumed_capacity + " (--capacity).");
  }
  if (!requests)
    assumed.emplace_back("Nobody recorded requests: a VM's request is taken to be its size, and binds nothing.");
  assumed.emplace_back(
      "Whorl: forecasts, entitlements and loans as they ship, by the policy's floor, ceiling and lendable share; "
      "scores and "
      "anomalies play no part here, and changes are not slowed by the policy's step.");
  const auto notice = [&](std::uint64_t n, const char* text) {
    if (n > 0) noticed.push_back(std::to_string(n) + text);
  };
  notice(odd.left_out_vms, " VMs were left out: nothing of them was measured.");
  notice(odd.appeared,
         " times a VM appeared after its node's record began; until it was first seen it had its request.");
  notice(odd.vanished, " times a VM was gone before its node's record ended; its loans ended with it.");
  notice(odd.gaps, " gaps in VMs' records; a gap of more than an hour counts as absence.");
  notice(odd.masked, " periods of a VM were not measured: masked, not counted as zero.");
  notice(odd.clock_steps, " samples were older than the one before (the clock was set back): dropped.");
  notice(odd.repeated, " samples fell into a period that had one already: averaged.");
  notice(odd.above_size, " samples were above the VM's own cores: cut to them.");
  notice(odd.at_limit, " periods of a VM were at its owner's limit: it may have wanted more.");
  AddAll(assumed, std::move(report.assumed));
  AddAll(noticed, std::move(report.noticed));
  report.assumed = std::move(assumed);
  report.noticed = std::move(noticed);
}

Status WriteFile(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text << std::flush;
  if (!out) return Fail(Code::kUnavailable, "--html " + path + ": " + std::strerror(errno));
  return {};
}

Result<History> AskPrometheus(const std::string& url, const ReplayFlags& flags, Shell& shell,
                              const std::function<void(const std::string&)>& progress) {
  Span span;
  const Time now = shell.clock.Now();
  const auto from = ParseWhen(flags.from, now), to = ParseWhen(flags.to, now);
  if (!from) return Fail(from.error().In("--from"));
  if (!to) return Fail(to.error().In("--to"));
  span.step = Seconds{flags.step};
  // On whole steps, so that two replays of the same days ask for the same.
  const auto whole = [&](Time t) { return Time{t.time_since_epoch() / span.step * Millis{span.step}}; };
  span.from = whole(*from) + span.step;
  span.to = whole(*to);
  if (span.to <= span.from) return Fail(Code::kInvalid, "--from must be earlier than --to, by more than one --step");
  promql::PrometheusOptions options;
  options.named = "source";
  options.agent = "kubectl-whorl";
  options.url = url;
  options.token_file = flags.token_file;
  options.ca_file = flags.ca_file;
  auto prometheus = shell.prometheus(options);
  if (!prometheus) return Fail(prometheus.error());
  return ReadPrometheus(**prometheus, span, progress);
}

int ExitOf(const Error& error) { return error.code == Code::kNotFound ? kMissing : kFailure; }

}  // namespace

int Replay(const ReplayFlags& flags, Shell& shell) {
  const auto refuse = [&](const Error& error) {
    shell.err << "error: " << error.message << "\n";
    return ExitOf(error);
  };
  if (flags.policies.size() > 2) {
    shell.err << "error: --policy was given " << flags.policies.size() << " times; two can be compared\n";
    return kUsage;
  }
  Report report;
  auto policies = ReadPolicies(flags, shell);
  if (!policies) return refuse(policies.error());
  report.policies = std::move(*policies);

  Progress progress(shell);
  std::vector<whatif::Track> tracks;
  std::optional<Policy> recorded;
  for (const std::string& source : flags.sources) {
    progress.Tell("reading " + source);
    const auto tell = [&](const std::string& what) { progress.Tell(what); };
    auto history = IsUrl(source) ? AskPrometheus(source, flags, shell, tell) : ReadSource(source, shell.clock, tell);
    if (!history) return refuse(history.error());
    report.sources.push_back(source);
    std::move(history->tracks.begin(), history->tracks.end(), std::back_inserter(tracks));
    AddAll(report.assumed, std::move(history->assumed));
    AddAll(report.noticed, std::move(history->noticed));
    if (history->relived) report.relived.push_back(std::move(*history->relived));
    if (history->policy) recorded = history->policy;
  }
  if (report.policies.empty()) {
    report.policies.push_back({recorded ? "as recorded" : "default", recorded.value_or(Policy{}), std::nullopt});
  }

  const bool nodes_known =
      std::none_of(tracks.begin(), tracks.end(), [](const whatif::Track& track) { return track.node.empty(); });
  whatif::Layout layout;
  if (flags.capacity > 0) layout.capacity = flags.capacity;
  layout.vms_per_node = static_cast<std::size_t>(flags.vms_per_node);
  report.nodes = whatif::LayOut(std::move(tracks), layout);
  if (report.nodes.empty()) return refuse({Code::kInvalid, "nothing was measured of any VM in these sources"});
  for (const whatif::Node& node : report.nodes) {
    report.results.push_back(whatif::LiveThrough(node, report.policies, [&](std::size_t done) {
      progress.Tell(fmt::format("{} of {} nodes: {}, {:.0f} % of its hours", report.results.size() + 1,
                                report.nodes.size(), node.name,
                                100.0 * static_cast<double>(done) / static_cast<double>(node.periods())));
    }));
  }
  DescribeLayout(flags, nodes_known, report);

  const Summary summary = Sum(report);
  if (!flags.html.empty()) {
    if (auto written = WriteFile(flags.html, RenderHtml(report, summary)); !written) return refuse(written.error());
  }
  if (flags.json) {
    shell.out << ToJson(report, summary, false).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  } else {
    shell.out << RenderReport(report, summary, flags.colours);
  }
  const bool same = std::all_of(report.relived.begin(), report.relived.end(),
                                [](const Relived& one) { return one.replayed.different == 0; });
  return same ? kOk : kFailure;
}

}  // namespace whorl::plugin
