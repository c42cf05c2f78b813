#include "operator/plugin/top.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "operator/plugin/table.h"

namespace whorl::plugin {
namespace {

constexpr const char* kUnknown = "-";

Colour ColourOf(const std::string& state) {
  if (state == "Normal") return Colour::kGreen;
  if (state == "Deviating") return Colour::kRed;
  if (state == "Learning" || state == "Paused") return Colour::kYellow;
  return Colour::kDim;
}

std::string Or(const std::string& text) { return text.empty() ? kUnknown : text; }

std::string ScoreText(const VmView& vm) {
  if (!vm.score)
    return vm.state == "Learning" && vm.baseline.percent ? "learnt " + std::to_string(*vm.baseline.percent) + "%"
                                                         : std::string(kUnknown);
  const std::string number = std::to_string(*vm.score);
  return std::string(number.size() < 3 ? 3 - number.size() : 0, ' ') + number + " " + Bar(*vm.score);
}

std::string TopFeature(const VmView& vm) {
  if (vm.features.empty()) return kUnknown;
  const auto& f = vm.features.front();
  return f.name + " " + f.current + " (usually " + f.usual + ")";
}

}  // namespace

std::optional<SortBy> ParseSortBy(std::string_view word) {
  if (word == "score") return SortBy::kScore;
  if (word == "name") return SortBy::kName;
  if (word == "cpu") return SortBy::kCpu;
  if (word == "predicted") return SortBy::kPredicted;
  if (word == "state") return SortBy::kState;
  return std::nullopt;
}

void Sort(std::vector<VmView>& vms, SortBy by) {
  const auto number = [by](const VmView& vm) -> std::int64_t {
    switch (by) {
      case SortBy::kScore: return vm.score.value_or(-1);
      case SortBy::kCpu: return Millicores(vm.cpu.demand).value_or(-1);
      case SortBy::kPredicted: return Millicores(vm.cpu.predicted).value_or(-1);
      case SortBy::kName:
      case SortBy::kState: break;
    }
    return 0;
  };
  const auto key = [&](const VmView& vm) {
    return std::make_tuple(-number(vm), by == SortBy::kState ? vm.state : std::string(), vm.ns, vm.name);
  };
  std::sort(vms.begin(), vms.end(), [&](const VmView& a, const VmView& b) { return key(a) < key(b); });
}

std::string RenderTop(const std::vector<VmView>& vms, const TopOptions& options) {
  std::vector<std::string> header;
  if (options.all_namespaces) header.emplace_back("NAMESPACE");
  header.insert(header.end(), {"NAME", "STATE", "SCORE", "NATURE", "CPU", "PREDICTED", "LIMIT", "LENT", "BORROWED"});
  if (options.wide) header.insert(header.end(), {"MODE", "NODE", "THRESHOLD", "RARITY", "COHORT", "POLICY"});
  header.emplace_back("TOP FEATURE");
  std::vector<std::vector<Cell>> rows;
  rows.reserve(vms.size());
  for (const auto& vm : vms) {
    const auto colour = ColourOf(vm.state);
    std::vector<Cell> row;
    if (options.all_namespaces) row.push_back({vm.ns});
    row.push_back({vm.name});
    row.push_back({Or(vm.state), colour});
    row.push_back({ScoreText(vm), vm.score ? colour : Colour::kNone});
    for (const auto* text :
         {&vm.nature, &vm.cpu.demand, &vm.cpu.predicted, &vm.cpu.limit, &vm.cpu.lent, &vm.cpu.borrowed}) {
      row.push_back({Or(*text)});
    }
    if (options.wide) {
      row.push_back({Or(vm.mode)});
      row.push_back({Or(vm.node)});
      row.push_back({vm.threshold ? std::to_string(*vm.threshold) : kUnknown});
      row.push_back({Or(vm.rarity)});
      row.push_back({Or(vm.cohort)});
      row.push_back({Or(vm.policy)});
    }
    row.push_back({TopFeature(vm)});
    rows.push_back(std::move(row));
  }
  return Table(header, rows, options.colours);
}

std::string RenderTopJson(const std::vector<VmView>& vms) {
  auto list = nlohmann::json::array();
  for (const auto& vm : vms) {
    nlohmann::json row{{"namespace", vm.ns}, {"name", vm.name}};
    const auto text = [&row](const char* name, const std::string& value) {
      if (!value.empty()) row[name] = value;
    };
    const auto number = [&row](const char* name, const std::optional<std::int64_t>& value) {
      if (value) row[name] = *value;
    };
    text("state", vm.state);
    text("mode", vm.mode);
    text("node", vm.node);
    text("policy", vm.policy);
    number("score", vm.score);
    number("threshold", vm.threshold);
    text("nature", vm.nature);
    text("rarity", vm.rarity);
    text("cohort", vm.cohort);
    number("learnedPercent", vm.baseline.percent);
    number("cpuMillicores", Millicores(vm.cpu.demand));
    number("predictedMillicores", Millicores(vm.cpu.predicted));
    text("limit", vm.cpu.limit);
    text("lent", vm.cpu.lent);
    text("borrowed", vm.cpu.borrowed);
    if (!vm.features.empty()) {
      const auto& f = vm.features.front();
      row["topFeature"] = {{"name", f.name},
                           {"direction", f.above ? "Above" : "Below"},
                           {"current", f.current},
                           {"usual", f.usual},
                           {"sigmas", f.sigmas}};
    }
    list.push_back(std::move(row));
  }
  return list.dump(2) + "\n";
}

}  // namespace whorl::plugin
