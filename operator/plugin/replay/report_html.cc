#include "operator/plugin/replay/report_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/plugin/cli.h"
#include "operator/plugin/replay/words.h"
#include "operator/plugin/replay_chart.h"
#include "operator/plugin/replay_web.h"

namespace whorl::plugin {
namespace {

std::string Verdict(const Report& report, const Summary& summary) {
  std::string out = "<h1>" + EscapeHtml(summary.verdict.front()) + "</h1>\n<ul>\n";
  for (std::size_t i = 1; i < summary.verdict.size(); ++i) out += "<li>" + EscapeHtml(summary.verdict[i]) + "</li>\n";
  out += fmt::format("</ul>\n<p class=\"facts\">{} VMs on {}, {} judged, {} cores wanted on average.", summary.vms,
                     report.nodes.size() == 1 ? "1 node" : fmt::format("{} nodes", report.nodes.size()),
                     Duration(summary.hours), Cores(summary.demand));
  for (const Relived& one : report.relived) {
    out += ' ' + EscapeHtml(Sameness(one));
  }
  return out + "</p>";
}

std::string Strategies(const Summary& summary) {
  double most = 0;
  for (const Total& total : summary.totals) most = std::max(most, total.unmet);
  std::string out =
      "<div class=\"wide\"><table>\n<thead>\n<tr class=\"group\"><th></th><th colspan=\"3\">Dividing all capacity</th>"
      "<th colspan=\"4\">Reserving only the need, in cores</th></tr>\n"
      "<tr><th>Strategy</th><th>Unmet</th><th>VMs short</th><th>Worst VM</th><th>Held</th><th>Unused</th><th>Unmet</th>"
      "<th>Freed</th></tr>\n</thead>\n<tbody>\n";
  for (const Total& total : summary.totals) {
    const auto at = [&](auto text) { return total.mark ? text(*total.mark) : std::string("–"); };
    const bool mine = total.label.starts_with("Whorl");
    out += fmt::format(
        "<tr{}><td>{}</td><td class=\"bar\"><i style=\"width:{:.1f}%\"></i><span>{}</span></td><td>{}</td><td>{}</td>"
        "<td>{}</td><td>{}</td><td>{}</td><td{}>{}</td></tr>\n",
        mine ? " class=\"mine\"" : "", EscapeHtml(total.label), most > 0 ? 48 * total.unmet / most : 0,
        EscapeHtml(Percent(total.unmet)), total.short_vms, EscapeHtml(Percent(total.worst_vm)),
        at([](const TotalPoint& p) { return Cores(p.held); }), at([](const TotalPoint& p) { return Cores(p.unused); }),
        at([&](const TotalPoint& p) { return EscapeHtml(Percent(summary.demand > 0 ? p.unmet / summary.demand : 0)); }),
        total.freed && *total.freed > 0 ? " class=\"good\"" : "",
        total.freed ? fmt::format("{:+.2f}", *total.freed) : std::string("–"));
  }
  return out + "</tbody></table></div>";
}

std::string Sentences(std::string_view title, const std::vector<std::string>& sentences) {
  if (sentences.empty()) return {};
  std::string out = fmt::format("<h2>{}</h2>\n<ul>\n", title);
  for (const std::string& sentence : sentences) out += "<li>" + EscapeHtml(sentence) + "</li>\n";
  return out + "</ul>\n";
}

std::string Footer(const Report& report) {
  std::string sources;
  for (const std::string& source : report.sources) sources += (sources.empty() ? "" : ", ") + source;
  std::string policies;
  for (const whatif::NamedPolicy& named : report.policies) {
    const CpuPolicy& cpu = named.policy.cpu;
    policies += fmt::format(
        "<p>Policy {}: {}, quantile {:.0f} %, margin {:.0f} %, floor {:.0f} %, ceiling {:.0f} %, lendable {:.0f} "
        "%.</p>\n",
        EscapeHtml(named.name), cpu.partition == PartitionKind::kHard ? "hard" : "soft", 100 * cpu.demand_quantile,
        100 * cpu.margin, 100 * cpu.floor_fraction, 100 * cpu.ceiling_fraction, 100 * cpu.lendable_fraction);
  }
  return policies +
         fmt::format("<p>Made by kubectl-whorl {} from {}. Plots by Chart.js (MIT licence), part of this file.</p>",
                     kVersion, EscapeHtml(sources));
}

// JSON inside a script element: nothing in it may look like markup.
std::string Data(const Report& report, const Summary& summary) {
  const std::string json = ToJson(report, summary, true).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  std::string out;
  out.reserve(json.size());
  for (const char c : json) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string RenderHtml(const Report& report, const Summary& summary) {
  const std::pair<std::string_view, std::string> slots[] = {
      {"style", std::string(kReplayCss)},
      {"verdict", Verdict(report, summary)},
      {"strategies", Strategies(summary)},
      {"assumed", Sentences("What was assumed", report.assumed) + Sentences("What was noticed", report.noticed) +
                      Sentences("What cannot be known from a recording", summary.unknowable)},
      {"footer", Footer(report)},
      {"data", Data(report, summary)},
      {"chart", std::string(kChartMinJs)},
      {"script", std::string(kReplayJs)}};
  std::string_view rest = kReplayHtml;
  std::string out;
  // The slots in the template's order, each once: what is filled in is not looked at again.
  for (const auto& [name, text] : slots) {
    const std::string mark = "<!--slot:" + std::string(name) + "-->";
    const auto at = rest.find(mark);
    out += rest.substr(0, at);
    out += text;
    rest.remove_prefix(at + mark.size());
  }
  return out + std::string(rest);
}

}  // namespace whorl::plugin
