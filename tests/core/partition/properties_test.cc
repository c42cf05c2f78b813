// What the partition must keep for any pool, tried on many random ones; and
// the literal rule it repairs, as what it must never do.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "core/partition/entitlement.h"
#include "core/partition/ledger.h"

namespace whorl::partition {
namespace {

struct Pool {
  std::vector<std::string> ids;
  std::vector<Member> members;
  std::int64_t capacity = 0;
};

Pool RandomPool(std::mt19937_64& random, std::size_t most = 24) {
  const auto in = [&](double lo, double hi) { return std::uniform_real_distribution<double>(lo, hi)(random); };
  Pool pool;
  const std::size_t n = 1 + random() % most;
  pool.capacity = static_cast<std::int64_t>(in(50, 600) * static_cast<double>(n));
  for (std::size_t i = 0; i < n; ++i) pool.ids.push_back("vm-" + std::to_string(100 + i));
  for (std::size_t i = 0; i < n; ++i) {
    Member m;
    m.id = pool.ids[i];
    m.vm = static_cast<std::uint32_t>(i);
    m.weight = in(10, 2000);
    m.request = in(0, 1) < 0.5 ? static_cast<std::int64_t>(in(0, 300)) : 0;
    if (in(0, 1) < 0.3) m.limit = m.request + 1 + static_cast<std::int64_t>(in(0, 1500));
    m.floor_fraction = in(0, 1);
    m.ceiling_fraction = in(1, 6);
    m.lendable_fraction = in(0, 1);
    m.deviation_factor = in(0, 2);
    m.max_bonus = in(0, 1);
    if (in(0, 1) < 0.9) m.need = static_cast<std::int64_t>(in(0, 1) < 0.5 ? in(0, 50) : in(0, 3000));
    m.priority = in(0, 1) < 0.3 ? in(0, 1) : 0;
    pool.members.push_back(m);
  }
  return pool;
}

struct Solved {
  std::vector<Share> shares;
  Ledger ledger;
};
Solved Solve(const Pool& pool, int ticks = 1) {
  Solved s;
  Entitlements entitlements;
  const std::vector<double> credit(pool.members.size(), 1.0);
  for (int t = 1; t <= ticks; ++t) {
    entitlements.Compute(pool.members, credit, pool.capacity, s.shares);
    s.ledger.Lend(pool.members, s.shares, 1000 * t, true);
  }
  return s;
}

constexpr int kPools = 4000;

TEST(PartitionProperties, TheSumNeverExceedsTheCapacity) {
  std::mt19937_64 random(71);
  for (int p = 0; p < kPools; ++p) {
    const Pool pool = RandomPool(random);
    const Solved s = Solve(pool, 3);
    std::int64_t entitled = 0, allocated = 0, ceilings = 0;
    for (const Share& share : s.shares) {
      entitled += share.entitlement;
      allocated += share.allocation();
      ceilings += share.ceiling;
    }
    ASSERT_LE(entitled, pool.capacity) << p;
    ASSERT_EQ(allocated, entitled) << p;
    // Nothing is left lying either, unless ceilings forbid to hand it out.
    ASSERT_EQ(entitled, std::min(pool.capacity, ceilings)) << p;
  }
}

TEST(PartitionProperties, FloorsHoldWhileTheyFitAndCeilingsAlways) {
  std::mt19937_64 random(72);
  int fitting = 0;
  for (int p = 0; p < kPools; ++p) {
    const Pool pool = RandomPool(random);
    const Solved s = Solve(pool, 2);
    bool scaled = false;
    for (const Share& share : s.shares) scaled |= share.floor_scaled;
    fitting += !scaled;
    for (std::size_t i = 0; i < s.shares.size(); ++i) {
      const Share& share = s.shares[i];
      ASSERT_GE(share.allocation(), share.floor) << p;
      ASSERT_LE(share.allocation(), share.ceiling) << p;
      ASSERT_LE(share.ceiling, std::max(pool.members[i].limit, std::int64_t{10})) << p;
      if (!scaled) {
        ASSERT_GE(share.allocation(), pool.members[i].request) << p;
      }
    }
  }
  EXPECT_GT(fitting, kPools / 4);
}

TEST(PartitionProperties, MoreWeightNeverMeansLess) {
  std::mt19937_64 random(73);
  for (int p = 0; p < kPools; ++p) {
    Pool pool = RandomPool(random);
    // Bonus and scaled floors depend on other things than weight.
    for (Member& m : pool.members) m.priority = 0;
    const std::size_t i = random() % pool.members.size();
    const auto before = Solve(pool).shares[i];
    pool.members[i].weight *= 1.5;
    const auto after = Solve(pool).shares[i];
    if (before.floor_scaled || after.floor_scaled) continue;
    ASSERT_GE(after.entitlement + 1, before.entitlement) << p;  // one for rounding
  }
}

TEST(PartitionProperties, TheOrderOfEnrolmentDoesNotMatter) {
  std::mt19937_64 random(74);
  for (int p = 0; p < 1000; ++p) {
    Pool pool = RandomPool(random);
    const Solved straight = Solve(pool, 3);
    std::map<std::string_view, std::int64_t> expected;
    for (std::size_t i = 0; i < pool.members.size(); ++i)
      expected[pool.members[i].id] = straight.shares[i].allocation();
    // Other handles for the same VMs, as if they had been enrolled in another order.
    std::vector<std::uint32_t> handles(pool.members.size());
    for (std::size_t i = 0; i < handles.size(); ++i) handles[i] = static_cast<std::uint32_t>(i);
    std::shuffle(handles.begin(), handles.end(), random);
    for (std::size_t i = 0; i < handles.size(); ++i) pool.members[i].vm = handles[i];
    const Solved shuffled = Solve(pool, 3);
    for (std::size_t i = 0; i < pool.members.size(); ++i) {
      ASSERT_EQ(shuffled.shares[i].allocation(), expected[pool.members[i].id]) << p;
    }
  }
}

TEST(PartitionProperties, UnchangedInputChangesNothing) {
  std::mt19937_64 random(75);
  for (int p = 0; p < 1000; ++p) {
    Pool pool = RandomPool(random);
    // Only where supply meets all wants; else credits rightly move what is scarce.
    for (Member& m : pool.members) {
      m.priority = 0;
      if (m.need && *m.need > 600) m.need = 60;
    }
    std::int64_t wants = 0;
    const Solved once = Solve(pool, 1);
    bool met = true;
    for (std::size_t i = 0; i < pool.members.size(); ++i) {
      const auto& m = pool.members[i];
      if (m.need)
        wants = std::max<std::int64_t>(0, std::min(*m.need, once.shares[i].ceiling) - once.shares[i].entitlement);
      met &= wants - once.shares[i].borrowed < kLeastLoan;
      wants = 0;
    }
    if (!met) continue;
    const Solved often = Solve(pool, 25);
    for (std::size_t i = 0; i < pool.members.size(); ++i) {
      ASSERT_EQ(often.shares[i].allocation(), once.shares[i].allocation()) << p;
    }
    ASSERT_EQ(often.ledger.loans().size(), once.ledger.loans().size());
    for (std::size_t l = 0; l < once.ledger.loans().size(); ++l) {
      ASSERT_EQ(often.ledger.loans()[l].id, once.ledger.loans()[l].id);
      ASSERT_EQ(often.ledger.loans()[l].amount, once.ledger.loans()[l].amount);
    }
  }
}

TEST(PartitionProperties, TheLedgerSumsToZeroWhateverHappens) {
  std::mt19937_64 random(76);
  Entitlements entitlements;
  for (int p = 0; p < 200; ++p) {
    Pool pool = RandomPool(random);
    Ledger ledger;
    std::vector<Share> shares;
    for (int t = 1; t < 60; ++t) {
      for (Member& m : pool.members) {
        if (random() % 4 == 0) m.need = static_cast<std::int64_t>(random() % 1500);
        if (random() % 9 == 0) m.priority = static_cast<double>(random() % 100) / 100;
      }
      if (!ledger.loans().empty() && random() % 5 == 0)
        ledger.Recall(ledger.loans()[random() % ledger.loans().size()].id, 1000 * t);
      if (random() % 20 == 0) ledger.Leave(static_cast<std::uint32_t>(random() % pool.members.size()));
      entitlements.Compute(pool.members, std::vector<double>(pool.members.size(), 1.0), pool.capacity, shares);
      ledger.Lend(pool.members, shares, 1000 * t, random() % 5 != 0);
      std::int64_t credits = ledger.house(), allocated = 0;
      for (std::size_t i = 0; i < pool.members.size(); ++i) {
        credits += ledger.credits(pool.members[i].vm);
        allocated += shares[i].allocation();
      }
      ASSERT_EQ(credits, 0) << p << ' ' << t;
      ASSERT_LE(allocated, pool.capacity) << p << ' ' << t;
    }
  }
}

// A crash between any two ticks: the ledger restored from its snapshot decides
// from then on exactly as the one that never stopped.
TEST(PartitionProperties, ARestoredLedgerGoesOnAsIfItHadNeverStopped) {
  std::mt19937_64 random(78);
  Entitlements entitlements;
  for (int p = 0; p < 500; ++p) {
    Pool pool = RandomPool(random);
    Ledger steady, crashing;
    std::vector<Share> a, b;
    for (int t = 1; t < 25; ++t) {
      for (Member& m : pool.members) {
        if (random() % 4 == 0) m.need = static_cast<std::int64_t>(random() % 1500);
      }
      if (random() % 3 == 0) {
        Ledger restored;
        ASSERT_TRUE(restored.Restore(crashing.Save()).has_value());
        crashing = std::move(restored);
      }
      entitlements.Compute(pool.members, std::vector<double>(pool.members.size(), 1.0), pool.capacity, a);
      b = a;
      steady.Lend(pool.members, a, 1000 * t, true);
      crashing.Lend(pool.members, b, 1000 * t, true);
      std::int64_t credits = crashing.house();
      for (std::size_t i = 0; i < pool.members.size(); ++i) {
        ASSERT_EQ(a[i].allocation(), b[i].allocation()) << p << ' ' << t;
        ASSERT_EQ(steady.credits(pool.members[i].vm), crashing.credits(pool.members[i].vm)) << p << ' ' << t;
        credits += crashing.credits(pool.members[i].vm);
      }
      ASSERT_EQ(credits, 0) << p << ' ' << t;
    }
  }
}

// A VM's useful work is what it gets of what it truly wants. Claiming more than
// that must not raise it over time.
double UsefulWork(double claim, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Entitlements entitlements;
  Ledger ledger;
  std::vector<Share> shares;
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) ids.push_back("vm-" + std::to_string(10 + i));
  std::vector<Member> members(20);
  double useful = 0;
  std::vector<std::int64_t> wants(20, 100);
  for (int t = 1; t <= 2000; ++t) {
    for (std::size_t i = 0; i < members.size(); ++i) {
      // On and off bursts of about ten seconds, on average the fair share.
      if (random() % 10 == 0) wants[i] = random() % 2 == 0 ? 30 : 970;
      Member& m = members[i];
      m.id = ids[i];
      m.vm = static_cast<std::uint32_t>(i);
      m.weight = 100;
      m.floor_fraction = 0.2;
      m.ceiling_fraction = 4;
      m.lendable_fraction = 1;
      m.need = i == 0 ? std::max(wants[i], static_cast<std::int64_t>(claim)) : wants[i];
    }
    entitlements.Compute(members, std::vector<double>(20, 1.0), 20 * 500, shares);
    ledger.Lend(members, shares, 1000 * t, true);
    useful += static_cast<double>(std::min(shares[0].allocation(), wants[0]));
  }
  return useful;
}

TEST(PartitionProperties, ClaimingMoreThanOneNeedsDoesNotPay) {
  double honest = 0, greedy = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    honest += UsefulWork(0, seed);
    greedy += UsefulWork(1000, seed);
  }
  RecordProperty("greedy_to_honest", std::to_string(greedy / honest));
  EXPECT_LE(greedy / honest, 1.05);
}

// "base + (weight - mean) * factor, clamp": what the rule says if taken at its word.
TEST(PartitionProperties, TheLiteralRuleOverCommitsAndOursNever) {
  std::mt19937_64 random(77);
  int literal_over = 0, ours_over = 0, fitting = 0;
  double worst = 0;
  for (int p = 0; p < 20'000; ++p) {
    const auto in = [&](double lo, double hi) { return std::uniform_real_distribution<double>(lo, hi)(random); };
    const std::size_t n = 2 + random() % 12;
    const double total = 1000.0 * static_cast<double>(n) * in(0.5, 1.5);
    std::vector<double> weight(n), lo(n), hi(n);
    double mean = 0, floors = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const double base = total / static_cast<double>(n);
      weight[i] = in(0, 1);
      mean += weight[i] / static_cast<double>(n);
      lo[i] = base * in(0.2, 1.0);
      hi[i] = base * in(1.0, 2.0);
      floors += lo[i];
    }
    if (floors > total) continue;
    ++fitting;
    double literal = 0;
    for (std::size_t i = 0; i < n; ++i) {
      literal += std::clamp(total / static_cast<double>(n) + (weight[i] - mean) * total / static_cast<double>(n), lo[i],
                            hi[i]);
    }
    literal_over += literal > total * (1 + 1e-9);
    worst = std::max(worst, literal / total);

    std::vector<std::string> ids;
    for (std::size_t i = 0; i < n; ++i) ids.push_back("vm-" + std::to_string(10 + i));
    std::vector<Member> members(n);
    const auto capacity = static_cast<std::int64_t>(total);
    for (std::size_t i = 0; i < n; ++i) {
      const double base = total / static_cast<double>(n);
      members[i].id = ids[i];
      members[i].vm = static_cast<std::uint32_t>(i);
      members[i].floor_fraction = lo[i] / base;
      members[i].ceiling_fraction = hi[i] / base;
      members[i].priority = weight[i];
      members[i].deviation_factor = 1;
      members[i].max_bonus = 1;
      members[i].need = static_cast<std::int64_t>(hi[i]);
    }
    std::vector<Share> shares;
    Entitlements{}.Compute(members, std::vector<double>(n, 1.0), capacity, shares);
    std::int64_t ours = 0;
    for (const Share& s : shares) ours += s.allocation();
    ours_over += ours > capacity;
  }
  RecordProperty("literal_over_commits_percent", std::to_string(100.0 * literal_over / fitting));
  RecordProperty("literal_worst_percent_of_capacity", std::to_string(100 * worst));
  EXPECT_GT(static_cast<double>(literal_over) / fitting, 0.2) << "the pools no longer show what is repaired";
  EXPECT_EQ(ours_over, 0);
}

}  // namespace
}  // namespace whorl::partition
