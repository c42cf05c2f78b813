#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/split_mix.h"
#include "core/partition/entitlement.h"

namespace whorl::partition {

// A pool of VMs on one node, and the seed of what happens to it.
struct Pool {
  std::vector<Member> members;
  std::int64_t capacity = 0;
  std::uint64_t events = 0;
};

// Names that live as long as the tests do, in order.
inline std::string_view IdOf(std::size_t i) {
  static const std::vector<std::string> ids = [] {
    std::vector<std::string> all;
    for (int k = 100; k < 200; ++k) all.push_back("vm-" + std::to_string(k));
    return all;
  }();
  return ids.at(i);
}

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  double In(double lo, double hi) { return lo + (hi - lo) * static_cast<double>(SplitMix(state_) >> 11) * 0x1.0p-53; }
  std::int64_t Whole(std::int64_t lo, std::int64_t hi) {  // lo..hi, both included
    return lo + static_cast<std::int64_t>(SplitMix(state_) % static_cast<std::uint64_t>(hi - lo + 1));
  }
  bool Chance(double p) { return In(0, 1) < p; }
  std::uint64_t Seed() { return SplitMix(state_); }

 private:
  std::uint64_t state_;
};

// A throw for one VM at one tick, whoever else is in the pool: taking a member
// away while shrinking changes nothing for those that stay.
inline Dice EventOf(const Pool& pool, const Member& m, int tick) {
  return Dice(pool.events + 0x9e3779b97f4a7c15u * (m.vm + 1) + 0xbf58476d1ce4e5b9u * static_cast<std::uint64_t>(tick));
}

inline Pool RandomPool(Dice& dice) {
  Pool pool;
  const auto n = static_cast<std::size_t>(dice.Chance(0.5) ? dice.Whole(1, 6) : dice.Whole(1, 24));
  pool.capacity = static_cast<std::int64_t>(dice.In(50, 600) * static_cast<double>(n));
  pool.events = dice.Seed();
  for (std::size_t i = 0; i < n; ++i) {
    Member m;
    m.id = IdOf(i);
    m.vm = static_cast<std::uint32_t>(i);
    m.weight = dice.In(10, 2000);
    m.request = dice.Chance(0.5) ? dice.Whole(0, 300) : 0;
    if (dice.Chance(0.3)) m.limit = m.request + 1 + dice.Whole(0, 1500);
    m.floor_fraction = dice.In(0, 1);
    m.ceiling_fraction = dice.In(1, 6);
    m.lendable_fraction = dice.In(0, 1);
    m.deviation_factor = dice.In(0, 2);
    m.max_bonus = dice.In(0, 1);
    if (dice.Chance(0.9)) m.need = dice.Chance(0.5) ? dice.Whole(0, 50) : dice.Whole(0, 3000);
    m.priority = dice.Chance(0.3) ? dice.In(0, 1) : 0;
    m.priority_class = static_cast<std::int32_t>(dice.Whole(-1, 1));
    pool.members.push_back(m);
  }
  return pool;
}

// The pool as a test would write it.
inline std::string AsCode(const Pool& pool) {
  const Member usual;
  std::ostringstream out;
  out.precision(17);
  out << "Pool pool;\npool.capacity = " << pool.capacity << ";\npool.events = " << pool.events << "u;\n";
  for (const Member& m : pool.members) {
    out << "{\n  Member m;\n  m.id = \"" << m.id << "\";\n  m.vm = " << m.vm << ";\n";
    const auto put = [&](const char* name, auto value, auto otherwise) {
      if (!(value == otherwise)) out << "  m." << name << " = " << value << ";\n";
    };
    put("weight", m.weight, usual.weight);
    put("request", m.request, usual.request);
    put("limit", m.limit, usual.limit);
    put("floor_fraction", m.floor_fraction, usual.floor_fraction);
    put("ceiling_fraction", m.ceiling_fraction, usual.ceiling_fraction);
    put("lendable_fraction", m.lendable_fraction, usual.lendable_fraction);
    put("deviation_factor", m.deviation_factor, usual.deviation_factor);
    put("max_bonus", m.max_bonus, usual.max_bonus);
    if (m.need) out << "  m.need = " << *m.need << ";\n";
    put("priority", m.priority, usual.priority);
    put("priority_class", m.priority_class, usual.priority_class);
    out << "  pool.members.push_back(m);\n}\n";
  }
  return out.str();
}

// What is wrong with the pool; nothing = the property holds.
using Property = std::function<std::optional<std::string>(const Pool&)>;

// The smallest pool that the property still fails for: fewer members, then
// plainer numbers, then a smaller capacity, over and over until nothing helps.
inline Pool Shrink(Pool pool, const Property& property) {
  const auto accept = [&](const Pool& smaller) {
    if (!property(smaller)) return false;
    pool = smaller;
    return true;
  };
  for (bool shrunk = true; shrunk;) {
    shrunk = false;
    for (std::size_t i = pool.members.size(); i-- > 0;) {
      if (pool.members.size() == 1) break;
      Pool smaller = pool;
      smaller.members.erase(smaller.members.begin() + static_cast<std::ptrdiff_t>(i));
      shrunk |= accept(smaller);
    }
    const auto change = [&](auto&& edit) {
      for (std::size_t i = 0; i < pool.members.size(); ++i) {
        Pool smaller = pool;
        Member& m = smaller.members[i];
        const std::string before = AsCode(pool);
        edit(m);
        if (AsCode(smaller) != before) shrunk |= accept(smaller);
      }
    };
    const Member usual;
    change([&](Member& m) { m.limit = usual.limit; });
    change([&](Member& m) { m.request = 0; });
    change([&](Member& m) { m.request /= 2; });
    change([&](Member& m) { m.priority = 0; });
    change([&](Member& m) { m.priority_class = 0; });
    change([&](Member& m) { m.need.reset(); });
    change([&](Member& m) {
      if (m.need) *m.need /= 2;
    });
    change([&](Member& m) { m.weight = usual.weight; });
    for (double Member::* field : {&Member::floor_fraction, &Member::ceiling_fraction, &Member::lendable_fraction,
                                   &Member::deviation_factor, &Member::max_bonus}) {
      change([&](Member& m) { m.*field = usual.*field; });
    }
    for (const std::int64_t capacity : {std::int64_t{1000}, pool.capacity / 2}) {
      if (capacity >= pool.capacity || capacity < 1) continue;
      Pool smaller = pool;
      smaller.capacity = capacity;
      shrunk |= accept(smaller);
    }
  }
  return pool;
}

// Tries the property on `cases` random pools; a failure is shown at its smallest,
// as code to paste into a test.
inline void ForAllPools(std::uint64_t seed, int cases, const Property& property) {
  Dice dice(seed);
  for (int c = 0; c < cases; ++c) {
    const Pool pool = RandomPool(dice);
    if (!property(pool)) continue;
    const Pool smallest = Shrink(pool, property);
    ADD_FAILURE() << "pool " << c << " of seed " << seed << ": " << *property(smallest) << "\nsmallest such pool:\n"
                  << AsCode(smallest);
    return;
  }
}

}  // namespace whorl::partition
