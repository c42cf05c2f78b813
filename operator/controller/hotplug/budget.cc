#include "operator/controller/hotplug/budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "crd/text.h"

namespace whorl::controller::hotplug {
namespace {

constexpr auto kDay = std::chrono::hours{24};

// Those still within the day; a time ahead of the clock counts, too, because a
// clock that was set back must not grant a second budget.
int Recent(const std::vector<Time>& times, Time now) {
  return static_cast<int>(std::count_if(times.begin(), times.end(), [&](Time t) { return now - t < kDay; }));
}

// When the oldest of those that count leaves the day.
std::string FreeAt(const std::vector<Time>& times, Time now) {
  Time oldest = now;
  for (const Time t : times) {
    if (now - t < kDay) oldest = std::min(oldest, t);
  }
  return crd::TimeText(oldest + kDay);
}

}  // namespace

std::vector<Time> LastDay(std::vector<Time> stored, const std::vector<Time>& seen, Time now) {
  for (const Time t : seen) stored.push_back(std::chrono::floor<Seconds>(t));
  for (auto& t : stored) t = std::chrono::floor<Seconds>(t);
  std::sort(stored.begin(), stored.end());
  stored.erase(std::unique(stored.begin(), stored.end()), stored.end());
  std::erase_if(stored, [&](Time t) { return now - t >= kDay; });
  return stored;
}

std::map<std::string, int> InFlight(const std::vector<const Migration*>& migrations,
                                    const std::map<std::string, std::string>& node_of) {
  std::map<std::string, int> out;
  for (const auto* m : migrations) {
    if (m->ended()) continue;
    const auto known = node_of.find(m->ns + "/" + m->vmi);
    ++out[!m->source_node.empty() ? m->source_node : known == node_of.end() ? std::string() : known->second];
  }
  return out;
}

std::optional<Refusal> OverBudget(const Budget& budget, const KubeVirtFacts& kubevirt, const Spent& spent, Time now) {
  if (Recent(spent.changes, now) >= budget.changes_per_vm_and_day) {
    return Refusal{"ChangesOfDaySpent",
                   fmt::format("{} of {} changes of this VM's size in a day are spent, until {}",
                               Recent(spent.changes, now), budget.changes_per_vm_and_day, FreeAt(spent.changes, now)),
                   "raise hotplug.changesPerVirtualMachineAndDay in the policy"};
  }
  if (Recent(spent.migrations, now) >= kMostMigrationsPerDay) {
    return Refusal{
        "MigrationsNearAlert",
        fmt::format("the VM has migrated {} times in a day; KubeVirt alerts at {}, so nothing is added before "
                    "{}",
                    Recent(spent.migrations, now), kAlarmingMigrations, FreeAt(spent.migrations, now)),
        {}};
  }
  const auto node = std::min<std::int64_t>(budget.at_once_per_node, kubevirt.migrations_per_node);
  if (spent.on_node >= node) {
    return Refusal{
        "NodeBusy",
        fmt::format("{} of at most {} migrations leave its node now; it waits its turn", spent.on_node, node),
        {}};
  }
  const auto cluster = std::min<std::int64_t>(budget.at_once_per_cluster, kubevirt.migrations_per_cluster);
  if (spent.in_cluster >= cluster) {
    return Refusal{
        "ClusterBusy",
        fmt::format("{} of at most {} migrations are under way; it waits its turn", spent.in_cluster, cluster),
        {}};
  }
  return std::nullopt;
}

}  // namespace whorl::controller::hotplug
