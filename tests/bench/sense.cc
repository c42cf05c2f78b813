// whorl-bench-sense [SECONDS]: what the agent reads of every VM of this node, each
// second, as rates in the units of core/telemetry/features.h: one line of JSON per
// VM and second, with only what was measured. Run it where the agent runs (in the
// world: tests/bench/live.py sense), beside a running agent if need be.

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>

#include "operator/agent/act/knob_tree.h"
#include "operator/agent/probe.h"
#include "operator/agent/sense/sampler.h"
#include "operator/agent/system_clock.h"

namespace {

using namespace whorl;
using namespace whorl::agent;

// A counter's last reading and when it was taken.
struct Last {
  double raw = 0;
  Time at{};
};

std::string LineOf(const VmReading& vm, std::map<std::string, std::array<Last, kFeatureCount>>& before) {
  auto& last = before[vm.pod_uid];
  std::string line = fmt::format("{{\"pod\":\"{}\",\"at\":{}", vm.pod_uid, ToUnixMillis(vm.at));
  for (const auto& info : kFeatures) {
    if (!vm.reading.valid.Has(info.feature)) continue;
    double value = vm.reading.Get(info.feature);
    if (info.kind == Kind::kCounter) {
      auto& earlier = last[static_cast<std::size_t>(info.feature)];
      const auto passed = std::chrono::duration<double>(vm.at - earlier.at).count();
      const double rise = value - earlier.raw;
      const bool first = earlier.at == Time{};
      earlier = {value, vm.at};
      if (first || passed <= 0 || rise < 0) continue;
      value = rise / passed;
      // Counters of time are in microseconds.
      if (info.unit == "millicores" || info.unit == "ms/s") value /= 1000;
    }
    line += fmt::format(",\"{}\":{:.6g}", info.name, value);
  }
  return line + "}";
}

int Run(int seconds) {
  const ProbeOptions node;
  if (auto joined = JoinHostCgroupNamespace(node.proc_root); !joined)
    fmt::print(stderr, "{}\n", joined.error().message);
  const auto layout = DetectLayout(node);
  if (!layout) {
    fmt::print(stderr, "{}\n", layout.error().message);
    return 1;
  }
  const SystemClock clock;
  const CgroupFiles tree;
  const VmFinder finder(node.proc_root, *layout);
  std::unique_ptr<SyscallSource> source;
  std::optional<SyscallSampler> syscalls;
  if (auto loaded = LoadSyscallSource(layout->version() == CgroupVersion::kV2)) {
    source = std::move(*loaded);
    syscalls.emplace(*source, DutyCycle{Millis{1000}, Millis{1000}});
  } else {
    fmt::print(stderr, "system calls are not counted: {}\n", loaded.error().message);
  }
  DomainReader domains({.proc_root = node.proc_root});
  Sampler sampler(finder, tree, syscalls ? &*syscalls : nullptr, &domains, clock);
  std::map<std::string, std::array<Last, kFeatureCount>> before;
  auto due = std::chrono::steady_clock::now();
  for (int i = 0; i < seconds; ++i) {
    std::vector<std::string> pods;
    if (const auto places = finder.Scan()) {
      for (const auto& place : *places) pods.push_back(place.dirs.pod_uid);
    }
    for (const auto& vm : sampler.Tick(pods)) fmt::print("{}\n", LineOf(vm, before));
    std::fflush(stdout);
    due += std::chrono::seconds(1);
    std::this_thread::sleep_until(due);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return Run(argc > 1 ? std::atoi(argv[1]) : 60); }
