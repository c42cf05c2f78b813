#include "operator/controller/enrol/resolve.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace whorl::controller {
namespace {

// A policy that is gone or unreadable: the VM may still be observed, by the
// numbers every field has when nobody sets it.
std::shared_ptr<const crd::PartitionPolicy> BuiltIn(const std::string& name) {
  auto policy = std::make_shared<crd::PartitionPolicy>();
  policy->name = name;
  policy->engine.max_mode = Mode::kObserve;
  return policy;
}

class Resolver {
 public:
  explicit Resolver(const ClusterView& view) {
    for (const auto& ns : view.namespaces) namespaces_[ns->name] = ns.get();
    for (const auto& policy : view.policies) policies_[policy->name] = policy.get();
    for (const auto& pod : view.pods) {
      if (!pod->vmi_uid.empty()) launchers_[pod->vmi_uid].push_back(pod.get());
    }
  }

  // `vm` is null for a bare instance, `vmi` for a VM that does not run.
  std::optional<Resolution> Row(const VirtualMachine* vm, const VirtualMachineInstance* vmi) const {
    Resolution row;
    row.subject = vm ? Subject{"kubevirt.io/v1", "VirtualMachine", vm->ns, vm->name, vm->uid}
                     : Subject{"kubevirt.io/v1", "VirtualMachineInstance", vmi->ns, vmi->name, vmi->uid};
    row.generation = vm ? vm->generation : vmi->generation;

    crd::ModeRequest request;
    request.vm_mode = vm ? vm->mode : vmi->mode;
    request.vm_policy = vm ? vm->policy : vmi->policy;
    if (const auto ns = namespaces_.find(row.subject.ns); ns != namespaces_.end())
      request.namespace_mode = ns->second->mode;
    if (!request.vm_mode && !request.namespace_mode) return std::nullopt;

    const auto name = crd::PolicyNameOf(request);
    crd::PolicyLimit limit;
    if (name) std::tie(limit, row.policy) = Policy(*name);
    if (!row.policy) row.policy = BuiltIn(name.value_or(std::string(crd::kDefaultPolicy)));
    row.mode = crd::DecideMode(request, limit);
    if (row.opted_in()) Place(vmi, row);
    return row;
  }

 private:
  std::pair<crd::PolicyLimit, std::shared_ptr<const crd::PartitionPolicy>> Policy(const std::string& name) const {
    crd::PolicyLimit limit;
    const auto found = policies_.find(name);
    if (found == policies_.end()) return {limit, nullptr};
    if (!found->second->policy) {
      limit.state = crd::PolicyState::kInvalid;
      limit.trouble = found->second->trouble;
      return {limit, nullptr};
    }
    limit.state = crd::PolicyState::kFound;
    limit.max_mode = found->second->policy->engine.max_mode;
    limit.pause = found->second->policy->engine.pause;
    return {limit, found->second->policy};
  }

  void Place(const VirtualMachineInstance* vmi, Resolution& row) const {
    if (!vmi || vmi->deleting) {
      row.not_watched = NotWatched{"NotRunning", "the VM does not run; it is watched again when it starts"};
      return;
    }
    const auto launchers = launchers_.find(vmi->uid);
    const Pod* pod = launchers == launchers_.end() ? nullptr : ChoosePod(*vmi, launchers->second);
    if (!pod) {
      row.not_watched = NotWatched{"NoLauncherPod", "no launcher pod of the VM runs yet; its instance is " +
                                                        (vmi->phase.empty() ? "Pending" : vmi->phase)};
      return;
    }
    Enrolment e;
    e.pod_uid = pod->uid;
    e.pod_name = pod->name;
    e.node = pod->node;
    e.vcpus = std::max(1, vmi->vcpus);
    e.request = pod->cpu_request;
    e.limit = pod->cpu_limit;
    // Containers without a limit of their own can ask for more than the first
    // one's limit: what is asked for must never be undercut.
    if (e.limit && e.request && Count(*e.limit) < Count(*e.request)) e.limit = e.request;
    e.dedicated_cpus = vmi->dedicated_cpus;
    e.guest_bytes = vmi->guest_bytes;
    e.guest_request_bytes = vmi->guest_request_bytes;
    e.memory_request = pod->memory_request;
    e.priority_class = pod->priority;
    e.running = vmi->phase == "Running";
    e.paused = vmi->paused;
    e.can_migrate = e.running && vmi->live_migratable && !vmi->migrating;
    row.enrolment = std::move(e);
  }

  std::unordered_map<std::string_view, const Namespace*> namespaces_;
  std::unordered_map<std::string_view, const PolicyObject*> policies_;
  std::unordered_map<std::string_view, std::vector<const Pod*>> launchers_;
};

}  // namespace

const Pod* ChoosePod(const VirtualMachineInstance& vmi, const std::vector<const Pod*>& launchers) {
  const Pod* best = nullptr;
  // Larger is better: on the node the instance names, then the side of the
  // migration that holds the guest, then the younger pod.
  const auto rank = [&](const Pod& pod) {
    const bool is_target = !vmi.target_pod.empty() && pod.name == vmi.target_pod;
    const bool holds_guest = vmi.migrated ? is_target : !is_target;
    return std::tuple(pod.node == vmi.node, holds_guest, std::string_view(pod.created), std::string_view(pod.uid));
  };
  for (const Pod* pod : launchers) {
    if (pod->phase != "Running" || pod->node.empty()) continue;
    if (!best || rank(*pod) > rank(*best)) best = pod;
  }
  return best;
}

std::vector<Resolution> Resolve(const ClusterView& view) {
  std::unordered_map<std::string_view, const VirtualMachineInstance*> of_vm;
  for (const auto& vmi : view.vmis) {
    if (!vmi->vm_uid.empty()) of_vm[vmi->vm_uid] = vmi.get();
  }
  const Resolver resolver(view);
  std::vector<Resolution> rows;
  for (const auto& vm : view.vms) {
    const auto vmi = of_vm.find(vm->uid);
    auto row = resolver.Row(vm.get(), vmi == of_vm.end() ? nullptr : vmi->second);
    if (!row) continue;
    if (vm->baseline && row->opted_in()) {
      if (auto request = crd::ParseBaselineRequest(*vm->baseline)) {
        row->baseline_request = std::move(*request);
      } else {
        row->invalid_baseline = request.error().message + ". Nothing is changed";
      }
    }
    // Who writes both has not made up their mind: the one that does less counts.
    if (row->opted_in() && vm->reject) {
      row->answer = RemedyAnswer{*vm->reject, false};
    } else if (row->opted_in() && vm->approve) {
      row->answer = RemedyAnswer{*vm->approve, true};
    }
    rows.push_back(std::move(*row));
  }
  for (const auto& vmi : view.vmis) {
    if (!vmi->vm_uid.empty()) continue;
    if (auto row = resolver.Row(nullptr, vmi.get())) rows.push_back(std::move(*row));
  }
  std::sort(rows.begin(), rows.end(), [](const Resolution& a, const Resolution& b) {
    return std::tie(a.subject.ns, a.subject.name, a.subject.uid) <
           std::tie(b.subject.ns, b.subject.name, b.subject.uid);
  });
  return rows;
}

}  // namespace whorl::controller
