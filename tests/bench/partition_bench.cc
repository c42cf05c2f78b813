// whorl-bench-partition [VMS]: what one core does to divide a node's four
// resources among VMS (200) VMs, entitlements and loans, while needs move.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "core/partition/entitlement.h"
#include "core/partition/ledger.h"
#include "tests/bench/allocations.h"
#include "tests/bench/meter.h"

int main(int argc, char** argv) {
  using namespace whorl::partition;
  constexpr std::size_t kResources = 4;
  constexpr int kWarm = 300, kTicks = 1000;
  const auto vms = static_cast<std::size_t>(argc > 1 ? std::max(1L, std::strtol(argv[1], nullptr, 10)) : 200);
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < vms; ++i) ids.push_back("vm-" + std::to_string(1'000'000 + i));
  struct Resource {
    Entitlements entitlements;
    Ledger ledger;
    std::vector<Member> members;
    std::vector<Share> shares;
  };
  std::vector<Resource> node(kResources);
  for (Resource& r : node) {
    for (std::size_t i = 0; i < vms; ++i) {
      Member m;
      m.id = ids[i];
      m.vm = static_cast<std::uint32_t>(i);
      m.weight = 100;
      m.request = 50;
      m.floor_fraction = 0.2;
      m.ceiling_fraction = 4;
      m.lendable_fraction = 0.8;
      r.members.push_back(m);
    }
  }
  const std::vector<double> credit(vms, 1.0);
  std::mt19937_64 random(42);
  std::vector<double> seconds;
  seconds.reserve(kTicks);
  std::uint64_t allocated = 0, loans = 0;
  for (int tick = 1; tick <= kWarm + kTicks; ++tick) {
    for (Resource& r : node) {
      for (std::size_t i = 0; i < vms; ++i) {
        const bool busy = (i + static_cast<std::size_t>(tick / 30)) % 10 == 0;
        r.members[i].need = static_cast<std::int64_t>((busy ? 900 : 150) + random() % 40);
      }
    }
    const std::uint64_t before = allocations.load();
    const double start = CoreSeconds();
    for (Resource& r : node) {
      r.entitlements.Compute(r.members, credit, static_cast<std::int64_t>(vms) * 300, r.shares);
      r.ledger.Lend(r.members, r.shares, 1000 * tick, true);
    }
    if (tick <= kWarm) continue;
    seconds.push_back(CoreSeconds() - start);
    allocated += allocations.load() - before;
    for (const Resource& r : node) loans += r.ledger.loans().size();
  }
  std::sort(seconds.begin(), seconds.end());
  std::printf(
      "partition: %zu VMs x %zu resources, %.0f loans: median %.1f us, p99 %.1f us a tick, %llu allocations in %d "
      "ticks\n",
      vms, kResources, static_cast<double>(loans) / kTicks, seconds[kTicks / 2] * 1e6, seconds[kTicks * 99 / 100] * 1e6,
      static_cast<unsigned long long>(allocated), kTicks);
  return 0;
}
