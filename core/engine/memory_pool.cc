#include "core/engine/memory_pool.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "core/fingerprint/lanes.h"

namespace whorl {
namespace {

partition::NodeResources Memory(std::int64_t quantum_ms) {
  partition::ResourceKind kind;
  kind.name = "memory";
  kind.unit = "MiB";
  kind.sharing = partition::Sharing::kIdleTax;
  kind.quantum_ms = quantum_ms;
  auto made = partition::NodeResources::Make({kind});
  assert(made);
  return std::move(*made);
}

}  // namespace

MemoryPool::MemoryPool(std::int64_t quantum_ms) : resources_(Memory(quantum_ms)) {}

std::span<const MemoryShare> MemoryPool::Divide(std::span<const MemoryMember> members, std::int64_t capacity,
                                                std::int64_t now_ms) {
  double weights = 0;
  for (const MemoryMember& member : members) weights += static_cast<double>(std::max<std::int64_t>(member.guest, 1));
  const auto before = [&](const MemoryMember& member) {
    const auto it = std::find_if(shares_.begin(), shares_.end(), [&](const auto& s) { return s.vm == member.vm; });
    return it == shares_.end() ? member.guest : std::min(it->entitlement, member.guest);
  };
  described_.clear();
  for (const MemoryMember& member : members) {
    partition::Member m;
    m.id = member.id;
    m.vm = member.vm;
    m.weight = static_cast<double>(std::max<std::int64_t>(member.guest, 1));
    m.limit = member.guest;
    m.floor_fraction = member.floor_fraction;
    m.ceiling_fraction = std::max(1.0, weights / m.weight);  // the limit bounds it
    m.priority_class = member.priority_class;
    m.may_lend = m.may_borrow = false;
    if (member.hold || !member.need) {
      m.request = m.limit = before(member);
    } else {
      // A need within its own share is its own: it has it back without waiting for the quantum.
      const auto base = static_cast<std::int64_t>(static_cast<double>(capacity) * m.weight / weights);
      m.need = std::min(*member.need, member.guest);
      m.request = std::min(member.guest, std::max(member.request, std::min(*m.need, std::max<std::int64_t>(base, 0))));
    }
    described_.push_back(m);
  }
  credit_.assign(members.size(), 0.0);
  const partition::ResourceDemand demand{described_, credit_, capacity};
  resources_.Plan({&demand, 1}, now_ms, false);
  kept_.clear();
  for (const MemoryMember& member : members) kept_.push_back(before(member));
  shares_.clear();
  floors_lowered_ = resources_.division(0) == partition::Division::kFloorsLowered;
  const auto divided = resources_.shares(0);
  for (std::size_t i = 0; i < members.size(); ++i) {
    // With nothing to divide, and for a member that makes no sense, nothing is taken from anybody.
    const bool known = resources_.division(0) != partition::Division::kNoCapacity && divided[i].refused.empty();
    const auto entitlement = known ? std::min(divided[i].entitlement, members[i].guest) : kept_[i];
    shares_.push_back({members[i].vm, divided[i].base, entitlement, entitlement < members[i].guest});
  }
  return shares_;
}

double MemoryNeed::Observe(double used, std::int64_t now_ms) {
  if (at_ms_ == 0 || used >= need_ || now_ms < at_ms_) {
    need_ = used;
  } else {
    const auto lives = static_cast<float>(now_ms - at_ms_) / static_cast<float>(kHalfLifeMillis);
    need_ = used + (need_ - used) * static_cast<double>(Exp(-0.6931472f * lives));
  }
  at_ms_ = now_ms;
  return need_;
}

}  // namespace whorl
