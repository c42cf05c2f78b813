#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "operator/controller/hotplug/facts.h"
#include "operator/controller/hotplug/rules.h"

// How many live migrations the cluster loop may cause. Nothing is kept in
// memory alone: what has been spent follows from migration objects and from
// what stands in the fingerprints' status. Pure.
namespace whorl::controller::hotplug {

// KubeVirt's alert KubeVirtVMIExcessiveMigrations fires at this many of one VM
// in a day, whoever caused them.
inline constexpr int kAlarmingMigrations = 12;
// We stop this far below it: others must still be able to drain a node.
inline constexpr int kMostMigrationsPerDay = kAlarmingMigrations - 4;

struct Budget {
  int changes_per_vm_and_day = 2;
  int at_once_per_node = 1;
  int at_once_per_cluster = 2;
};

// What counts against it.
struct Spent {
  std::vector<Time> changes = {};     // ours of this VM
  std::vector<Time> migrations = {};  // of this VM, of any cause
  int on_node = 0;                    // migrations off its node that have not ended, and changes about to be one
  int in_cluster = 0;                 // likewise, everywhere
};

// Of the last day, oldest first, each once: what stood in the status (which is
// in whole seconds) and what is seen now.
std::vector<Time> LastDay(std::vector<Time> stored, const std::vector<Time>& seen, Time now);

// Migrations that have not ended, by the node they leave; "" where that is not
// known yet. `node_of` gives an instance's node.
std::map<std::string, int> InFlight(const std::vector<const Migration*>& migrations,
                                    const std::map<std::string, std::string>& node_of);

// nullopt: one more change is within the budget, and within what KubeVirt itself does at once.
std::optional<Refusal> OverBudget(const Budget& budget, const KubeVirtFacts& kubevirt, const Spent& spent, Time now);

}  // namespace whorl::controller::hotplug
