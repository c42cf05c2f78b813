#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "operator/controller/hotplug/facts.h"

// Every rule KubeVirt has about changing the size of a running VM, asked before
// anything is written: what KubeVirt would refuse at admission, what it would
// answer with RestartRequired, what it would accept and never finish, and what
// it would accept although the VM then dies. Pure.
namespace whorl::controller::hotplug {

// The size wanted; a part left out stays as it is.
struct Target {
  std::optional<std::int64_t> sockets = {};
  std::optional<Bytes> guest = {};

  bool operator==(const Target&) const = default;
};

// What is known at the moment a change is considered. Null: there is none, or it was not read.
struct Situation {
  const VmFacts* vm = nullptr;  // never null
  const InstanceFacts* vmi = nullptr;
  const KubeVirtFacts* kubevirt = nullptr;
  bool migration_in_flight = false;  // a migration object of this VM that has not ended
  int other_nodes = 0;               // ready for VMs, besides the one it runs on
  std::optional<Bytes> used = {};    // what the guest cannot do without now
  Target target;

  // The parts that differ from what the template has; only these are judged.
  bool changes_sockets() const;
  bool changes_guest() const;
};

struct Refusal {
  std::string_view code;  // CamelCase, the reason of a condition
  std::string text;       // KubeVirt's own words where it has some, else ours
  std::string remedy;     // what to do; may be empty

  std::string Message() const { return remedy.empty() ? text : text + "; " + remedy; }
};

struct Rule {
  std::string_view code;
  std::optional<Refusal> (*check)(const Situation&);
};

// In the order they are asked: the first refusal is the one people read. First
// what the cluster cannot do at all, then what the VM cannot, then the amounts.
std::span<const Rule> Rules();

// nullopt: allowed.
std::optional<Refusal> WhyNot(const Situation& situation);

// Whole blocks memory is plugged in: 2 MiB, or 1 GiB with pages of that size.
Bytes Alignment(const VmFacts& vm);

}  // namespace whorl::controller::hotplug
