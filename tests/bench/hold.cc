// whorl-bench-hold: what a plan costs on a node. 100 pods' cgroups of its own, two
// knobs each: journalled, written and read back; then an agent that was killed is
// followed by another, and by the restorer alone. Prints figures beside what they
// must reach. Needs root and a cgroup tree that it may make directories in.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "operator/agent/act/holder.h"
#include "operator/agent/act/node_knobs.h"
#include "operator/agent/journal/restore.h"
#include "operator/agent/system_clock.h"

namespace whorl::agent {
namespace {

namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;

constexpr int kPods = 100;
constexpr int kPlans = 20;

double MillisSince(Steady::time_point start) {
  return std::chrono::duration<double, std::milli>(Steady::now() - start).count();
}

class Pods : public VmDirectory {
 public:
  Result<std::vector<VmPlace>> Scan() const override { return places; }
  bool Runs(const VmPlace&) const override { return true; }
  std::vector<VmPlace> places;
};

// Directories of pods, taken away again however it ends.
struct Tree {
  explicit Tree(std::string at) : root(std::move(at)), top(root + "/whorl-bench-" + std::to_string(::getpid())) {
    fs::create_directory(top);
    for (int i = 0; i < kPods; ++i) fs::create_directory(Dir(i));
  }
  ~Tree() {
    for (int i = 0; i < kPods; ++i) ::rmdir(Dir(i).c_str());
    ::rmdir(top.c_str());
  }
  std::string Dir(int i) const { return top + "/pod-" + std::to_string(i); }
  std::string root, top;
};

api::Plan PlanOf(std::uint64_t sequence) {
  api::Plan plan;
  plan.set_epoch(1);
  plan.set_sequence(sequence);
  plan.set_lease_millis(60000);
  plan.set_capacity_millicores(kPods * 1000);
  for (int i = 0; i < kPods; ++i) {
    auto& directive = *plan.add_directives();
    // Every plan changes both knobs of every pod.
    const auto amount = 300 + static_cast<std::int64_t>((sequence * 7 + static_cast<std::uint64_t>(i)) % 500);
    directive.set_pod_uid("pod-" + std::to_string(i));
    directive.set_allocation_millicores(amount);
    directive.set_quota_millicores(amount);
    directive.set_shares(static_cast<std::uint32_t>(amount));
  }
  return plan;
}

int Run() {
  const bool v1 = fs::exists("/sys/fs/cgroup/cpu/cpu.shares");
  const std::string root = v1 ? "/sys/fs/cgroup/cpu" : "/sys/fs/cgroup";
  const Tree tree(root);
  if (!fs::exists(tree.Dir(0) + (v1 ? "/cpu.shares" : "/cpu.weight"))) {
    fmt::print(stderr, "{} has no CPU controller for its children: nothing can be measured here\n", tree.top);
    return 1;
  }
  const std::string state = fmt::format("/dev/shm/whorl-bench-{}", ::getpid());
  const Journal journal = *Journal::Open(state);
  CgroupFiles files(root);
  TapShaper taps;
  NodeKnobs knobs(files, taps, !v1);
  Pods pods;
  api::EnrolRequest request;
  request.set_epoch(1);
  for (int i = 0; i < kPods; ++i) {
    VmPlace place;
    place.dirs.pod_uid = "pod-" + std::to_string(i);
    place.dirs.pod_cpu = tree.Dir(i);
    pods.places.push_back(place);
    auto& pod = *request.add_pods();
    pod.set_pod_uid(place.dirs.pod_uid);
    pod.set_mode(api::MODE_ENFORCE);
  }
  std::string trouble;
  EpochFile epochs = EpochFile::Open(state, trouble);
  const SystemClock clock;
  Holder::Options options;
  options.cgroup_root = root;
  options.version = v1 ? CgroupVersion::kV1 : CgroupVersion::kV2;
  options.node_millicores = kPods * 1000;
  options.most_pods = kPods;
  Holder holder(options, knobs, knobs, journal, pods, epochs, clock);
  if (const auto enrolled = holder.Enrol(request, "bench"); !enrolled) {
    fmt::print(stderr, "{}\n", enrolled.error().message);
    return 1;
  }
  std::vector<double> took;
  for (std::uint64_t sequence = 1; sequence <= kPlans; ++sequence) {
    const auto plan = PlanOf(sequence);
    const auto start = Steady::now();
    const auto receipt = holder.Apply(plan, "bench");
    took.push_back(MillisSince(start));
    for (const auto& outcome : receipt.outcomes()) {
      if (outcome.applied()) continue;
      fmt::print(stderr, "{}: {}\n", outcome.pod_uid(), outcome.refusal_message());
      return 1;
    }
  }
  const auto first = took.front();
  std::sort(took.begin(), took.end());
  fmt::print(
      "{} changes of knobs in one plan, journalled, written, read back: median {:.1f} ms, worst {:.1f} ms "
      "(must be: 20 ms); the first plan, which finds every knob: {:.1f} ms\n",
      2 * kPods, took[took.size() / 2], took.back(), first);

  // The agent is gone without a word; what it held is known by the journal only.
  auto start = Steady::now();
  Holder next(options, knobs, knobs, journal, pods, epochs, clock);
  const auto said = next.RevertJournal();
  fmt::print("{} VMs given back by the next agent: {:.1f} ms (must be: 1000 ms), {} knobs\n", kPods, MillisSince(start),
             said.size());

  holder.Apply(PlanOf(kPlans + 1), "bench");
  start = Steady::now();
  const auto looked = RestoreDue(knobs, journal, root, BootTime() + Millis{61000}, [] { return false; });
  fmt::print(
      "{} VMs given back by the restorer after their lease: {:.1f} ms, {} left; it looks every 200 ms "
      "(must be: within 1000 ms of the lease)\n",
      kPods, MillisSince(start), looked.left);
  fs::remove_all(state);
  return looked.left == 0 ? 0 : 1;
}

}  // namespace
}  // namespace whorl::agent

int main() { return whorl::agent::Run(); }
