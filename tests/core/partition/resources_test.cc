#include "core/partition/resources.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/core/partition/pools.h"

namespace whorl::partition {
namespace {

Member Of(std::size_t i, std::int64_t need) {
  Member m;
  m.id = IdOf(i);
  m.vm = static_cast<std::uint32_t>(i);
  m.weight = 100;
  m.ceiling_fraction = 10;
  m.lendable_fraction = 1;
  m.need = need;
  return m;
}

ResourceKind Lent(const char* name) { return {.name = name, .unit = "m"}; }
ResourceKind Taxed(const char* name, std::int64_t grain = 1) {
  return {.name = name, .unit = "MiB", .grain = grain, .sharing = Sharing::kIdleTax};
}

struct Node {
  explicit Node(std::vector<ResourceKind> kinds) : resources(*NodeResources::Make(std::move(kinds))) {}
  void Tick(std::int64_t ms = 1000) {
    now_ms += ms;
    demands.clear();
    credit.assign(members.front().size(), 1.0);
    for (std::size_t r = 0; r < members.size(); ++r) demands.push_back({members[r], credit, capacity[r]});
    resources.Plan(demands, now_ms, true);
  }
  NodeResources resources;
  std::vector<std::vector<Member>> members;
  std::vector<std::int64_t> capacity;
  std::vector<double> credit;
  std::vector<ResourceDemand> demands;
  std::int64_t now_ms = 0;
};

TEST(NodeResources, NobodyKeepsCpuThatItsMemoryCannotUse) {
  Node node({Lent("cpu"), Taxed("memory")});
  node.capacity = {3000, 3000};
  // The first wants twice the memory there is for it; the second wants CPU.
  node.members = {{Of(0, 1000), Of(1, 2000), Of(2, 1000)}, {Of(0, 4000), Of(1, 500), Of(2, 500)}};
  for (auto& m : node.members[1]) m.limit = 2000;
  node.Tick();
  const double x = node.resources.progress()[0];
  EXPECT_LT(x, 0.6);
  EXPECT_LE(node.resources.held(0)[0], static_cast<std::int64_t>(1000 * x) + 20) << "lends the rest";
  EXPECT_GE(node.resources.held(0)[1], 1400);
  EXPECT_EQ(node.resources.ledger(0).loans()[0].lender, 0u);
}

TEST(NodeResources, AnIdleUnitOfASlowResourceCostsMore) {
  // Waldspurger's example: two of equal shares, one idle, a tax of 75 %.
  Node node({Taxed("memory")});
  node.capacity = {256};
  node.members = {{Of(0, 0), Of(1, 256)}};
  node.Tick();
  // 4 P0 = P1, P0 + P1 = 256.
  EXPECT_NEAR(static_cast<double>(node.resources.held(0)[0]), 51.2, 1);
  EXPECT_NEAR(static_cast<double>(node.resources.held(0)[1]), 204.8, 1);
}

TEST(NodeResources, ASlowResourceIsDividedOnceAQuantum) {
  Node node({Taxed("memory")});
  node.capacity = {1000};
  node.members = {{Of(0, 800), Of(1, 100)}};
  node.Tick();
  const std::int64_t first = node.resources.held(0)[0];
  node.members[0][0].need = 100;
  node.members[0][1].need = 800;
  for (int t = 0; t < 9; ++t) node.Tick();
  EXPECT_EQ(node.resources.held(0)[0], first);
  node.Tick();
  EXPECT_LT(node.resources.held(0)[0], first);
  // Less of it cannot wait.
  node.capacity = {500};
  node.Tick();
  EXPECT_LE(node.resources.held(0)[0] + node.resources.held(0)[1], 500);
}

TEST(NodeResources, WholeCoresAreHandedOutByLargestRemainder) {
  ResourceKind cores = Taxed("cores", 1000);
  cores.idle_tax = 0;
  Node node({cores});
  node.capacity = {10'500};
  node.members = {{Of(0, 9000), Of(1, 9000), Of(2, 9000)}};
  node.Tick();
  EXPECT_EQ(node.resources.held(0)[0], 4000);
  EXPECT_EQ(node.resources.held(0)[1], 3000);
  EXPECT_EQ(node.resources.held(0)[2], 3000);
}

TEST(NodeResources, AResourceWithoutCapacityEndsNothingElse) {
  Node node({Lent("cpu"), Taxed("gpu")});
  node.capacity = {1000, 0};
  node.members = {{Of(0, 800), Of(1, 100)}, {Of(0, 2), Of(1, 0)}};
  node.members[1][1].need.reset();
  node.Tick();
  EXPECT_EQ(node.resources.division(1), Division::kNoCapacity);
  EXPECT_EQ(node.resources.held(1)[0], 0);
  EXPECT_EQ(node.resources.held(0)[0], 800);
}

TEST(NodeResources, AKindThatContradictsItselfIsRefusedByName) {
  const auto why = [](ResourceKind kind) {
    auto made = NodeResources::Make({std::move(kind)});
    return made ? std::string() : made.error().message;
  };
  ResourceKind kind = Taxed("memory");
  EXPECT_EQ(why(kind), "");
  kind.idle_tax = 1;
  EXPECT_EQ(why(kind), "resource memory: idle_tax must be from 0 to 0.99");
  kind = Lent("cpu");
  kind.grain = 1000;
  EXPECT_EQ(why(kind), "resource cpu: is lent, so its grain must be 1");
  kind = Lent("cpu");
  kind.quantum_ms = 0;
  EXPECT_EQ(why(kind), "resource cpu: quantum_ms must be above 0");
  EXPECT_FALSE(NodeResources::Make({Lent("cpu"), Lent("cpu")}));
}

// Random nodes of four resources, several ticks.
TEST(NodeResources, KeepWhatMustHoldOnRandomNodes) {
  Dice dice(91);
  double trimmed = 0;
  for (int c = 0; c < 2'000; ++c) {
    ResourceKind slices = Taxed("slices");
    slices.idle_tax = 0.5;
    Node node({Lent("cpu"), Taxed("memory", 16), Lent("network"), slices});
    const Pool pool = RandomPool(dice);
    for (std::size_t r = 0; r < 4; ++r) {
      node.members.push_back(pool.members);
      node.capacity.push_back(r == 3 ? static_cast<std::int64_t>(pool.members.size()) * 2 : pool.capacity);
    }
    for (int t = 1; t <= 4; ++t) {
      for (std::size_t r = 0; r < 4; ++r) {
        for (Member& m : node.members[r]) {
          if (r == 3) m.request = 0;
          if (dice.Chance(0.4)) m.need = r == 3 ? dice.Whole(0, 5) : dice.Whole(0, 1500);
        }
      }
      node.Tick(4000);
      for (std::size_t r = 0; r < 4; ++r) {
        const auto& kind = node.resources.kinds()[r];
        std::int64_t sum = 0, credits = node.resources.ledger(r).house();
        for (std::size_t i = 0; i < pool.members.size(); ++i) {
          const Share& s = node.resources.shares(r)[i];
          const std::int64_t held = node.resources.held(r)[i];
          sum += held;
          credits += node.resources.ledger(r).credits(pool.members[i].vm);
          ASSERT_GE(held, s.floor) << c << ' ' << kind.name;
          ASSERT_LE(held, s.ceiling) << c << ' ' << kind.name;
          ASSERT_EQ(held % kind.grain, 0) << c << ' ' << kind.name;
          trimmed += static_cast<double>(s.allocation() - held);
          // Who borrows holds no more than it can use of all together.
          if (s.borrowed == 0 || held <= s.entitlement) continue;
          const double use =
              node.resources.progress()[i] * static_cast<double>(node.members[r][i].need.value_or(0)) + 1;
          ASSERT_LE(static_cast<double>(held), std::max(use, static_cast<double>(s.floor))) << c << ' ' << kind.name;
        }
        ASSERT_LE(sum, node.capacity[r]) << c << ' ' << kind.name;
        ASSERT_EQ(credits, 0) << c << ' ' << kind.name;
      }
    }
  }
  EXPECT_GT(trimmed, 0);
}

}  // namespace
}  // namespace whorl::partition
