#pragma once

#include <deque>
#include <string>
#include <vector>

#include "core/engine/engine.h"
#include "tests/core/simulated_vm.h"

namespace whorl::test {

inline const Time kStart = FromUnixMillis(1'700'000'000'000);

// A policy as the end-to-end world uses it: short learning, Hard partition.
inline Policy QuickPolicy(std::uint32_t learning_samples = 90) {
  Policy policy;
  policy.max_mode = Mode::kEnforce;
  policy.learning = Seconds{learning_samples};
  policy.learning_samples = learning_samples;
  policy.cpu.partition = PartitionKind::kHard;
  return policy;
}

inline VmSpec SpecOf(std::string id, Mode mode = Mode::kEnforce) {
  VmSpec spec;
  spec.id = std::move(id);
  spec.mode = mode;
  spec.policy = QuickPolicy();
  spec.vcpus = 1;
  spec.cpu_request = MilliCores{100};
  spec.cpu_shares_found = 102;
  return spec;
}

// One node with simulated guests that obey the plan, one tick a second.
class NodeWorld {
 public:
  explicit NodeWorld(std::int64_t capacity = 1500) { engine.SetCpuCapacity(MilliCores{capacity}); }

  SimulatedVm& Add(const VmSpec& spec, std::uint64_t seed) {
    const auto vm = engine.Enrol(spec);
    vms.emplace_back(vm.value(), seed);
    return vms.back();
  }

  const Plan& Second(Authority authority = Authority::kFull) {
    now += Seconds{1};
    frame.sequence++;
    frame.samples.clear();
    for (SimulatedVm& vm : vms) {
      if (!silent) frame.samples.push_back(vm.Second(now));
    }
    const Plan& plan = engine.Tick(now, frame, authority);
    frame.recalls.clear();
    for (SimulatedVm& vm : vms) vm.quota.reset();
    for (const CpuDirective& d : plan.directives) {
      for (SimulatedVm& vm : vms) {
        if (vm.handle() == d.vm && d.quota) vm.quota = static_cast<double>(whorl::Count(*d.quota));
      }
    }
    return plan;
  }
  const Plan& Run(int n) {
    for (int i = 1; i < n; ++i) Second();
    return Second();
  }
  const Assessment& Of(const SimulatedVm& vm) const { return *engine.Find(vm.handle()); }

  Engine engine;
  std::deque<SimulatedVm> vms;
  Frame frame;
  Time now = kStart;
  bool silent = false;
};

inline std::int64_t SumOfAllocations(const Plan& plan) {
  std::int64_t sum = 0;
  for (const CpuDirective& d : plan.directives) sum += Count(d.allocation);
  return sum;
}

}  // namespace whorl::test
