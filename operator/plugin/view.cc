#include "operator/plugin/view.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "crd/json_fields.h"
#include "operator/plugin/fields.h"

namespace whorl::plugin {
namespace {

using nlohmann::json;

std::vector<LoanView> Loans(const json& status, const char* name) {
  std::vector<LoanView> out;
  Each(status, name, [&](const json& loan) {
    out.push_back({Text(loan, "resource"), Text(loan, "amount"), Text(loan, "since"), Text(loan, "renewedUntil")});
  });
  return out;
}

}  // namespace

const ConditionView* VmView::Find(const std::string& type) const {
  for (const auto& condition : conditions) {
    if (condition.type == type) return &condition;
  }
  return nullptr;
}

VmView ToView(const json& fingerprint) {
  VmView vm;
  if (const auto* metadata = crd::FindMember(fingerprint, "metadata")) {
    vm.ns = Text(*metadata, "namespace");
    vm.name = Text(*metadata, "name");
  }
  const auto* found = crd::FindMember(fingerprint, "status");
  if (found == nullptr) return vm;
  const json& status = *found;
  vm.state = Text(status, "state");
  vm.mode = Text(status, "mode");
  vm.node = Text(status, "node");
  vm.policy = Text(status, "policy");
  vm.nature = Text(status, "nature");
  vm.rarity = Text(status, "rarity");
  vm.cohort = Text(status, "cohort");
  vm.guest_telemetry = Text(status, "guestTelemetry");
  vm.summary = Text(status, "summary");
  vm.last_sample = Text(status, "lastSampleTime");
  vm.score = crd::FindInt(status, "score");
  vm.threshold = crd::FindInt(status, "threshold");
  vm.regime = crd::FindInt(status, "regime");
  Each(status, "resources", [&](const json& resource) {
    const auto* soon = crd::FindMember(resource, "nextFiveMinutes");
    const auto* hour = crd::FindMember(resource, "nextHour");
    if (soon != nullptr && hour != nullptr) {
      vm.forecasts.push_back({Text(resource, "name"), Text(*soon, "median"), Text(*soon, "ninetyFifth"),
                              Text(*hour, "median"), Text(*hour, "ninetyFifth"), crd::FindInt(*soon, "errorPercent"),
                              crd::FindInt(*soon, "coveredPercent")});
    }
    if (Text(resource, "name") != "cpu") return;
    vm.cpu = {Text(resource, "demand"),         Text(resource, "predicted"),  Text(resource, "base"),
              Text(resource, "entitlement"),    Text(resource, "allocation"), Text(resource, "lent"),
              Text(resource, "borrowed"),       Text(resource, "limit"),      crd::FindInt(resource, "weight"),
              crd::FindInt(resource, "credits")};
  });
  if (const auto* baseline = crd::FindMember(status, "baseline")) {
    vm.baseline = {crd::FindInt(*baseline, "percent"),       crd::FindInt(*baseline, "samples"),
                   crd::FindInt(*baseline, "neededSamples"), crd::FindInt(*baseline, "elapsedSeconds"),
                   crd::FindInt(*baseline, "neededSeconds"), Text(*baseline, "missing")};
  }
  Each(status, "contributingFeatures", [&](const json& feature) {
    vm.features.push_back({Text(feature, "name"), Text(feature, "direction") != "Below", Text(feature, "current"),
                           Text(feature, "usual"), crd::FindInt(feature, "sigmas").value_or(0),
                           crd::FindInt(feature, "sharePercent")});
  });
  if (const auto* episode = crd::FindMember(status, "episode")) {
    vm.episode = VmView::EpisodeView{crd::FindInt(*episode, "number").value_or(0), Text(*episode, "openedTime"),
                                     Text(*episode, "closedTime"), crd::FindInt(*episode, "peakScore").value_or(0)};
  }
  vm.lent = Loans(status, "lent");
  vm.borrowed = Loans(status, "borrowed");
  if (const auto* action = crd::FindMember(status, "lastAction")) {
    vm.action = VmView::ActionView{Text(*action, "reason"), Text(*action, "from"),  Text(*action, "to"),
                                   Text(*action, "time"),   Text(*action, "until"), Text(*action, "message")};
  }
  if (const auto* request = crd::FindMember(status, "lastBaselineRequest")) {
    vm.request = VmView::RequestView{Text(*request, "request"), Text(*request, "outcome"), Text(*request, "time"),
                                     Text(*request, "message")};
  }
  Each(status, "conditions", [&](const json& condition) {
    vm.conditions.push_back(
        {Text(condition, "type"), Text(condition, "status"), Text(condition, "reason"), Text(condition, "message")});
  });
  return vm;
}

std::optional<std::int64_t> Millicores(const std::string& quantity) {
  const std::string text = quantity.substr(0, quantity.find('-'));
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || value < 0) return std::nullopt;
  const std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  if (rest == "m") return value;
  if (rest.empty() && value <= 1'000'000) return value * 1000;
  return std::nullopt;
}

}  // namespace whorl::plugin
