// whorl-bench-partition [VMS]: what one core does to divide a node's four
// resources among VMS (200) VMs while needs move: claims for CPU, entitlements,
// idle tax, what can be used of all resources together, and loans.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/partition/claims.h"
#include "core/partition/resources.h"
#include "tests/bench/allocations.h"
#include "tests/bench/meter.h"

namespace {

using namespace whorl::partition;

constexpr int kWarm = 300, kTicks = 1000;

void Print(const char* what, std::vector<double>& seconds) {
  std::sort(seconds.begin(), seconds.end());
  std::printf("%s: median %.1f us, p99 %.1f us, most %.1f us a tick\n", what, seconds[kTicks / 2] * 1e6,
              seconds[kTicks * 99 / 100] * 1e6, seconds.back() * 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  const auto vms = static_cast<std::size_t>(argc > 1 ? std::max(1L, std::strtol(argv[1], nullptr, 10)) : 200);
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < vms; ++i) ids.push_back("vm-" + std::to_string(1'000'000 + i));
  ResourceKind cpu{"cpu", "m"}, memory{"memory", "MiB"}, network{"network", "Mbit/s"}, slices{"gpu-slices", "slice"};
  cpu.least_floor = 10;
  memory.grain = 16;
  memory.sharing = slices.sharing = Sharing::kIdleTax;
  auto node = NodeResources::Make({cpu, memory, network, slices});
  if (!node) {
    std::fprintf(stderr, "%s\n", node.error().message.c_str());
    return 1;
  }
  const std::size_t resources = node->kinds().size();
  std::vector<std::vector<Member>> members(resources);
  for (auto& of_one : members) {
    for (std::size_t i = 0; i < vms; ++i) {
      Member m;
      m.id = ids[i];
      m.vm = static_cast<std::uint32_t>(i);
      m.weight = 100;
      m.request = &of_one == &members[3] ? 0 : 50;
      m.floor_fraction = 0.2;
      m.ceiling_fraction = 4;
      m.lendable_fraction = 0.8;
      of_one.push_back(m);
    }
  }
  const auto count = static_cast<std::int64_t>(vms);
  const std::vector<std::int64_t> capacity{count * 300, count * 300, count * 300, count * 2};
  const std::vector<double> credit(vms, 1.0);
  std::vector<Foretold> foretold(vms);
  std::vector<std::optional<std::int64_t>> needs;
  Claims claims;
  std::vector<ResourceDemand> demands(resources);
  std::mt19937_64 random(42);
  std::vector<double> claiming, dividing;
  claiming.reserve(kTicks);
  dividing.reserve(kTicks);
  std::uint64_t allocated = 0, loans = 0, short_of = 0;
  for (int tick = 1; tick <= kWarm + kTicks; ++tick) {
    for (std::size_t i = 0; i < vms; ++i) {
      const auto at = [&](std::size_t shift) { return (i + shift + static_cast<std::size_t>(tick / 30)) % 10 == 0; };
      foretold[i].vm = static_cast<std::uint32_t>(i);
      float d = at(0) ? 800 : 120;
      for (float& share : foretold[i].demand) share = d += static_cast<float>(random() % 12);
      members[1][i].need = static_cast<std::int64_t>((at(0) ? 500 : 150) + random() % 40);
      members[2][i].need = static_cast<std::int64_t>((at(3) ? 900 : 100) + random() % 40);
      members[3][i].need = static_cast<std::int64_t>(at(0) ? 4 : random() % 2);
    }
    const std::uint64_t before = allocations.load();
    const double start = CoreSeconds();
    claims.Solve(foretold, capacity[0], 0.01, needs);
    for (std::size_t i = 0; i < vms; ++i) {
      members[0][i].need = needs[i];
      const auto& f = foretold[i];
      const double used = static_cast<double>(f.demand[3]);
      claims.Observe(f.vm, used, used, static_cast<double>(needs[i].value_or(0)), 1000);
    }
    const double middle = CoreSeconds();
    for (std::size_t r = 0; r < resources; ++r) demands[r] = {members[r], credit, capacity[r]};
    node->Plan(demands, 1000 * tick, true);
    const double end = CoreSeconds();
    if (tick <= kWarm) continue;
    claiming.push_back(middle - start);
    dividing.push_back(end - middle);
    allocated += allocations.load() - before;
    for (std::size_t r = 0; r < resources; ++r) loans += node->ledger(r).loans().size();
    for (const double x : node->progress()) short_of += x < 1;
  }
  std::printf("%zu VMs, %.0f loans, %.0f VMs short of something\n", vms, static_cast<double>(loans) / kTicks,
              static_cast<double>(short_of) / kTicks);
  Print("claims of one resource", claiming);
  Print((std::to_string(resources) + " resources divided").c_str(), dividing);
  std::printf("%llu allocations in %d ticks\n", static_cast<unsigned long long>(allocated), kTicks);
  return 0;
}
