#include "operator/plugin/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "core/score/nature.h"
#include "crd/text.h"
#include "operator/plugin/table.h"

namespace whorl::plugin {
namespace {

constexpr std::size_t kWidth = 100;
constexpr std::size_t kLabel = 13;

std::string Duration(std::int64_t seconds) {
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min", seconds / 60);
  if (seconds < 86'400) {
    return seconds % 3600 < 60 ? fmt::format("{} h", seconds / 3600)
                               : fmt::format("{} h {} min", seconds / 3600, seconds % 3600 / 60);
  }
  return fmt::format("{} d {} h", seconds / 86'400, seconds % 86'400 / 3600);
}

std::int64_t SecondsBetween(Time from, Time to) { return (ToUnixMillis(to) - ToUnixMillis(from)) / 1000; }

class Page {
 public:
  explicit Page(const ExplainOptions& options) : options_(options) {}

  void Title(const std::string& text) { out_ += Paint(text, Colour::kBold, options_.colours) + "\n"; }
  void Line(const std::string& label, const std::string& text) {
    if (text.empty()) return;
    const std::string head = label + std::string(label.size() < kLabel ? kLabel - label.size() : 1, ' ');
    const std::string indent(kLabel + 2, ' ');
    auto body = Wrap(text, kWidth, indent);
    out_ += "  " + head + body.substr(std::min(body.size(), indent.size()));
  }
  void Section(const std::string& name) { out_ += "\n" + Paint(name, Colour::kBold, options_.colours) + "\n"; }
  void Text(const std::string& text) { out_ += Wrap(text, kWidth, "  "); }
  void Raw(const std::string& text) { out_ += text; }
  std::string Take() { return std::move(out_); }

 private:
  const ExplainOptions& options_;
  std::string out_;
};

Colour ColourOf(const std::string& state) {
  if (state == "Normal") return Colour::kGreen;
  return state == "Deviating" ? Colour::kRed : Colour::kYellow;
}

// The score beside what it is measured against.
std::string ScoreText(const VmView& vm) {
  if (!vm.score) return {};
  std::string text = fmt::format("{} of 100 {}", *vm.score, Bar(*vm.score));
  if (vm.threshold) {
    text += *vm.score >= *vm.threshold
                ? fmt::format("; an alarm opens at {}, so one is open or about to", *vm.threshold)
                : fmt::format("; an alarm opens at {}", *vm.threshold);
  }
  if (!vm.rarity.empty()) text += fmt::format("; a sample like the newest comes {} by chance", vm.rarity);
  return text;
}

std::string NatureText(const std::string& nature) {
  for (std::size_t i = 1; i < kNatureCount; ++i) {
    const auto known = static_cast<Nature>(i);
    if (nature == NatureName(known)) return fmt::format("{}: it {}", nature, NatureSentence(known));
  }
  return nature;  // of a newer controller
}

void Features(const VmView& vm, const ExplainOptions& options, Page& page) {
  if (vm.features.empty()) return;
  page.Section("What makes up the score");
  std::vector<std::vector<Cell>> rows;
  for (const auto& f : vm.features) {
    rows.push_back({{"  " + f.name},
                    {f.above ? "above" : "below", f.above ? Colour::kRed : Colour::kYellow},
                    {f.current},
                    {f.usual},
                    {std::to_string(f.sigmas)},
                    {f.share_percent ? std::to_string(*f.share_percent) + "%" : "-"}});
  }
  page.Raw(Table({"  FEATURE", "DIRECTION", "NOW", "USUALLY", "SIGMAS", "PART"}, rows, options.colours));
}

void Baseline(const VmView& vm, const ExplainOptions& options, Page& page) {
  const auto& b = vm.baseline;
  if (!b.percent && vm.cohort.empty() && !vm.regime && !vm.request) return;
  page.Section("What is usual for it");
  if (b.percent) {
    std::string text = fmt::format("{}% learnt", *b.percent);
    if (b.samples) text += fmt::format(", from {} samples", *b.samples);
    if (!b.missing.empty()) text += "; still needs " + b.missing;
    page.Line("Baseline", text);
  }
  if (vm.regime) {
    page.Line("Regime", *vm.regime > 1
                            ? fmt::format("{}: it changed for good and is judged by its newer habits", *vm.regime)
                            : fmt::format("{}: the habits it began with", *vm.regime));
  }
  page.Line("Cohort", vm.cohort);
  if (!vm.guest_telemetry.empty()) page.Line("Guest", "telemetry from inside: " + vm.guest_telemetry);
  if (vm.request) {
    page.Line("Request", fmt::format("{}, {} {} ago{}{}", vm.request->request, vm.request->outcome,
                                     Ago(vm.request->time, options.now), vm.request->message.empty() ? "" : ": ",
                                     vm.request->message));
  }
}

void Alarms(const VmView& vm, const ExplainOptions& options, Page& page) {
  if (!vm.episode) return;
  const auto& e = *vm.episode;
  page.Section("Alarms");
  const auto opened = crd::ParseTimeText(e.opened);
  const auto closed = crd::ParseTimeText(e.closed);
  std::string text = fmt::format("number {}, opened {} ago at {}", e.number, Ago(e.opened, options.now), e.opened);
  if (e.closed.empty()) {
    text += ", still open";
  } else if (opened && closed) {
    text += fmt::format(", lasted {}", Duration(std::max<std::int64_t>(0, SecondsBetween(*opened, *closed))));
  }
  page.Line(e.closed.empty() ? "Open" : "Last", text + fmt::format("; highest score {}", e.peak));
}

void Forecasts(const VmView& vm, const ExplainOptions& options, Page& page) {
  if (vm.forecasts.empty()) return;
  page.Section("What it will need: the middle, and what is enough 19 times in 20");
  std::vector<std::vector<Cell>> rows;
  for (const auto& f : vm.forecasts) {
    const auto percent = [](const std::optional<std::int64_t>& value) {
      return value ? fmt::format("{}%", *value) : std::string("-");
    };
    rows.push_back({{"  " + f.resource},
                    {f.five_minutes_p50},
                    {f.five_minutes_p95},
                    {f.hour_p50},
                    {f.hour_p95},
                    {percent(f.error_percent)},
                    {percent(f.covered_percent)}});
  }
  page.Raw(
      Table({"  RESOURCE", "5 MIN", "ENOUGH", "1 HOUR", "ENOUGH", "MISSED BY", "WAS ENOUGH"}, rows, options.colours));
}

void Resources(const VmView& vm, const ExplainOptions& options, Page& page) {
  const auto& c = vm.cpu;
  if (c.demand.empty() && c.predicted.empty() && c.limit.empty() && vm.lent.empty() && vm.borrowed.empty()) return;
  page.Section("CPU");
  const auto part = [](const std::string& value, const char* word) {
    return value.empty() ? std::string() : fmt::format("{}{} {}", ", ", word, value);
  };
  std::string uses = part(c.demand, "uses") + part(c.predicted, "predicted to need") + part(c.limit, "limit");
  if (c.weight) uses += fmt::format(", weight {}", *c.weight);
  if (uses.size() > 2) page.Line("Now", uses.substr(2));
  const std::string share =
      part(c.base, "base") + part(c.entitlement, "entitlement") + part(c.allocation, "allocation");
  if (share.size() > 2) page.Line("Share", share.substr(2));
  const auto loans = [&](const char* label, const std::vector<LoanView>& list) {
    for (const auto& loan : list) {
      page.Line(label, fmt::format("{} of {}, for {}, renewed until {}", loan.amount, loan.resource,
                                   Ago(loan.since, options.now), loan.until));
    }
  };
  loans("Lends", vm.lent);
  loans("Borrows", vm.borrowed);
  if (c.credits) {
    page.Line("Credits",
              *c.credits < 0
                  ? fmt::format("{} millicore-seconds owed: where less is lent than asked for, others come first",
                                -*c.credits)
                  : fmt::format("{} millicore-seconds lent more than borrowed", *c.credits));
  }
}

void Action(const VmView& vm, const ExplainOptions& options, Page& page) {
  if (!vm.action) return;
  const auto& a = *vm.action;
  page.Section("Last action");
  std::string what = a.reason;
  if (!a.from.empty() || !a.to.empty()) what += fmt::format(": {} -> {}", a.from, a.to);
  what += fmt::format(", {} ago", Ago(a.time, options.now));
  if (!a.until.empty()) what += ", until " + a.until;
  page.Line("Done", what);
  page.Line("Because", a.message);
}

void Conditions(const VmView& vm, const ExplainOptions& options, Page& page) {
  if (vm.conditions.empty()) return;
  page.Section("Conditions");
  for (const auto& c : vm.conditions) {
    const bool good = c.type == "ModeCapped" ? c.status == "False" : c.status == "True";
    const std::string head = c.type + std::string(c.type.size() < kLabel ? kLabel - c.type.size() : 1, ' ');
    const auto body = Wrap(c.status + " (" + c.reason + "): " + c.message, kWidth, std::string(kLabel + 2, ' '));
    page.Raw("  " + Paint(head, good ? Colour::kNone : Colour::kYellow, options.colours) +
             body.substr(std::min(body.size(), kLabel + 2)));
  }
}

void Next(const VmView& vm, Page& page) {
  page.Section("What to do next");
  const std::string in = vm.ns.empty() ? "" : " -n " + vm.ns;
  const auto* ready = vm.Find("Ready");
  if (vm.state.empty()) {
    page.Text(
        "Whorl has written nothing about it yet; look again in a few seconds. If that does not help: kubectl -n "
        "whorl-system logs deployment/whorl-controller");
  } else if (vm.state == "Learning") {
    page.Text("Nothing: it has no score before it is learnt" +
              (vm.baseline.missing.empty() ? std::string() : ", which takes " + vm.baseline.missing) + ".");
  } else if (vm.state == "Blind") {
    page.Text("It is not seen, so nothing is done to it. " +
              (ready != nullptr && !ready->message.empty() ? ready->message + ". " : std::string()) +
              (vm.node.empty()
                   ? std::string("Does it run? kubectl get vm,vmi" + in)
                   : "Look at kubectl describe npart " + vm.node + " and at the log of whorl-agent on that node."));
  } else if (vm.state == "Deviating") {
    page.Text("Was the change wanted (a release, a backup, a new user)?");
    page.Text(fmt::format("yes: kubectl whorl accept vm/{}{}", vm.name, in));
    page.Text(fmt::format(
        "no:  look into the VM; the features above say where. kubectl describe vm {}{} shows the Events", vm.name, in));
  } else if (vm.state == "Paused") {
    page.Text(fmt::format("Its policy is paused: kubectl get ppol {}", vm.policy.empty() ? "default" : vm.policy));
  } else {
    page.Text("Nothing: it behaves like itself.");
  }
  const auto* capped = vm.Find("ModeCapped");
  if (capped != nullptr && capped->status == "True" && !capped->message.empty()) {
    page.Text("It gets less than its owner asked for: " + capped->message + ".");
  }
}

}  // namespace

std::string Ago(const std::string& time, Time now) {
  const auto at = crd::ParseTimeText(time);
  if (!at) return time;
  return Duration(std::max<std::int64_t>(0, SecondsBetween(*at, now)));
}

std::string RenderExplain(const VmView& vm, const ExplainOptions& options) {
  Page page(options);
  page.Title(fmt::format("{}/{}", vm.ns, vm.name));
  page.Line("State", vm.state.empty() ? "not written yet" : Paint(vm.state, ColourOf(vm.state), options.colours));
  page.Line("Summary", vm.summary);
  page.Line("Score", ScoreText(vm));
  page.Line("Nature", NatureText(vm.nature));
  std::string where = vm.node;
  if (!vm.mode.empty()) where += fmt::format("{}mode {}", where.empty() ? "" : ", ", vm.mode);
  if (!vm.policy.empty()) where += fmt::format("{}policy {}", where.empty() ? "" : ", ", vm.policy);
  page.Line("Node", where);
  if (!vm.last_sample.empty())
    page.Line("Last sample", Ago(vm.last_sample, options.now) + " before now, as last written");
  Features(vm, options, page);
  Baseline(vm, options, page);
  Alarms(vm, options, page);
  Forecasts(vm, options, page);
  Resources(vm, options, page);
  Action(vm, options, page);
  Conditions(vm, options, page);
  Next(vm, page);
  return page.Take();
}

}  // namespace whorl::plugin
