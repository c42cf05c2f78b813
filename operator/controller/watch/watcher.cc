#include "operator/controller/watch/watcher.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "crd/names.h"
#include "crd/node_partition.h"
#include "operator/kube/reflector.h"

namespace whorl::controller {
namespace {

kube::ResourcePath Collection(std::string_view group, std::string_view version, std::string_view plural) {
  kube::ResourcePath path;
  path.group = group;
  path.version = version;
  path.plural = plural;
  return path;
}

// Says a trouble once until it changes: a server that is away for an hour is one line, not a thousand.
class TroubleLog {
 public:
  explicit TroubleLog(std::string plural) : plural_(std::move(plural)) {}
  void Say(const Error& error) {
    std::scoped_lock lock(mu_);
    if (error.message == last_) return;
    last_ = error.message;
    const auto remedy = Remedy(plural_, error);
    spdlog::warn("watching {}: {}{}{}", plural_, error.message, remedy.empty() ? "" : "; ", remedy);
  }

 private:
  const std::string plural_;
  std::mutex mu_;
  std::string last_;  // under mu_
};

template <typename T>
struct Kind {
  Kind(kube::Client& client, kube::WaitingClock& clock, kube::ResourcePath path,
       typename kube::Reflector<T>::Decode decode, const std::function<void()>& on_change)
      : plural(path.plural),
        log(std::make_shared<TroubleLog>(path.plural)),
        reflector(client, std::move(path), std::move(decode), Options(log), clock) {
    reflector.OnChange([on_change](kube::ChangeKind, const kube::ObjectKey&) { on_change(); });
  }
  static kube::ReflectorOptions Options(const std::shared_ptr<TroubleLog>& log) {
    kube::ReflectorOptions options;
    options.on_trouble = [log](const Error& error) { log->Say(error); };
    return options;
  }
  std::vector<std::shared_ptr<const T>> All() const {
    std::vector<std::shared_ptr<const T>> out;
    for (auto& [key, object] : reflector.store().All()) out.push_back(std::move(object));
    return out;
  }

  const std::string plural;
  const std::shared_ptr<TroubleLog> log;
  kube::Reflector<T> reflector;
};

}  // namespace

std::string Remedy(std::string_view plural, const Error& error) {
  if (error.code == Code::kNotFound) {
    if (plural == "virtualmachines" || plural == "virtualmachineinstances" ||
        plural == "virtualmachineinstancemigrations" || plural == "kubevirts") {
      return "KubeVirt is not installed in this cluster; whorl waits for it";
    }
    if (plural == crd::kPartitionPolicy.plural || plural == crd::kBehaviorFingerprint.plural ||
        plural == crd::kNodePartition.plural) {
      return "Whorl's CRDs are not installed: kubectl apply -f crd/";
    }
  }
  if (error.code == Code::kUnauthorized) {
    return "the ServiceAccount whorl-controller needs get, list and watch on " + std::string(plural) +
           "; see the ClusterRole in charts/whorl";
  }
  return {};
}

Result<FingerprintObject> DecodeFingerprint(kube::JsonView object) {
  const auto name = object.String({"metadata", "name"});
  if (!name) return Fail(name.error());
  FingerprintObject out;
  out.name = *name;
  out.ns = std::string(object.FindString({"metadata", "namespace"}).value_or(""));
  out.uid = std::string(object.FindString({"metadata", "uid"}).value_or(""));
  if (const auto owners = object.At({"metadata", "ownerReferences"})) {
    owners->ForEachItem([&](kube::JsonView owner) {
      out.owner_uid = std::string(owner.FindString({"uid"}).value_or(""));
      return false;
    });
  }
  if (object.At({"status", "conditions"})) out.conditions = crd::ConditionsOf(object.ToJson());
  if (object.At({"status", "resize"})) out.resize = crd::ResizeStatusOf(object.ToJson());
  if (object.At({"status", "lastBaselineRequest"})) out.last_request = crd::LastBaselineRequestOf(object.ToJson());
  if (object.At({"status", "remedy"})) out.remedy = crd::RemedyOf(object.ToJson());
  return out;
}

Result<crd::NodePartitionRecord> DecodeNodePartition(kube::JsonView object) {
  return crd::ParseNodePartition(object.ToJson());
}

struct Watcher::Kinds {
  Kinds(kube::Client& client, kube::WaitingClock& clock, const std::string& agent_namespace,
        const std::function<void()>& on_change)
      : vms(client, clock, Collection("kubevirt.io", "v1", "virtualmachines"), DecodeVirtualMachine, on_change),
        vmis(client, clock, Collection("kubevirt.io", "v1", "virtualmachineinstances"), DecodeVirtualMachineInstance,
             on_change),
        pods(
            client, clock, Collection("", "v1", "pods"),
            [agent_namespace](kube::JsonView object) { return DecodePod(object, agent_namespace); }, on_change),
        nodes(client, clock, Collection("", "v1", "nodes"), DecodeNode, on_change),
        namespaces(client, clock, Collection("", "v1", "namespaces"), DecodeNamespace, on_change),
        policies(client, clock, Collection(crd::kGroup, crd::kVersion, crd::kPartitionPolicy.plural), DecodePolicy,
                 on_change),
        fingerprints(client, clock, Collection(crd::kGroup, crd::kVersion, crd::kBehaviorFingerprint.plural),
                     DecodeFingerprint, on_change),
        partitions(client, clock, Collection(crd::kGroup, crd::kVersion, crd::kNodePartition.plural),
                   DecodeNodePartition, on_change),
        migrations(client, clock, Collection("kubevirt.io", "v1", "virtualmachineinstancemigrations"),
                   hotplug::DecodeMigration, on_change),
        kubevirts(client, clock, Collection("kubevirt.io", "v1", "kubevirts"), hotplug::DecodeKubeVirt, on_change) {}

  // What everything else waits for.
  template <typename Self, typename Do>
  static void Needed(Self& self, const Do& call) {
    call(self.vms);
    call(self.vmis);
    call(self.pods);
    call(self.nodes);
    call(self.namespaces);
    call(self.policies);
    call(self.fingerprints);
    call(self.partitions);
  }
  // Without the rest only the cluster loop stands still.
  template <typename Self, typename Do>
  static void Each(Self& self, const Do& call) {
    Needed(self, call);
    call(self.migrations);
    call(self.kubevirts);
  }

  Kind<VirtualMachine> vms;
  Kind<VirtualMachineInstance> vmis;
  Kind<Pod> pods;
  Kind<Node> nodes;
  Kind<Namespace> namespaces;
  Kind<PolicyObject> policies;
  Kind<FingerprintObject> fingerprints;
  Kind<crd::NodePartitionRecord> partitions;
  Kind<hotplug::Migration> migrations;
  Kind<hotplug::KubeVirtFacts> kubevirts;
};

Watcher::Watcher(kube::Client& client, kube::WaitingClock& clock, std::string agent_namespace,
                 std::function<void()> on_change)
    : kinds_(std::make_unique<Kinds>(client, clock, agent_namespace, on_change)) {}

Watcher::~Watcher() { Stop(); }

void Watcher::Start() {
  Kinds::Each(*kinds_, [](auto& kind) { kind.reflector.Start(); });
}

void Watcher::Stop() {
  // All at once first, so that the waits do not add up.
  Kinds::Each(*kinds_, [](auto& kind) { kind.reflector.RequestStop(); });
  Kinds::Each(*kinds_, [](auto& kind) { kind.reflector.Stop(); });
}

bool Watcher::Synced() const { return NotSynced().empty(); }

std::string Watcher::NotSynced() const {
  std::string missing;
  Kinds::Needed(*kinds_, [&](const auto& kind) {
    if (!kind.reflector.HasSynced()) missing += (missing.empty() ? "" : ", ") + kind.plural;
  });
  return missing;
}

ClusterView Watcher::View() const {
  ClusterView view;
  view.vms = kinds_->vms.All();
  view.vmis = kinds_->vmis.All();
  view.pods = kinds_->pods.All();
  view.nodes = kinds_->nodes.All();
  view.namespaces = kinds_->namespaces.All();
  view.policies = kinds_->policies.All();
  if (kinds_->migrations.reflector.HasSynced() && kinds_->kubevirts.reflector.HasSynced()) {
    view.migrations = kinds_->migrations.All();
    view.kubevirts = kinds_->kubevirts.All();
  }
  return view;
}

std::vector<std::shared_ptr<const FingerprintObject>> Watcher::Fingerprints() const {
  return kinds_->fingerprints.All();
}

Pass Watcher::ToPass(const ClusterView& view, std::vector<Resolution> rows) const {
  Pass pass;
  pass.rows = std::move(rows);
  for (const auto& vm : view.vms) {
    if (!vm->score && !vm->state && !vm->summary) continue;
    pass.annotated[vm->uid] = Subject{"kubevirt.io/v1", "VirtualMachine", vm->ns, vm->name, vm->uid};
  }
  pass.fingerprints = kinds_->fingerprints.All();
  pass.partitions = kinds_->partitions.All();
  for (const auto& node : view.nodes) pass.node_uids[node->name] = node->uid;
  pass.policies = view.policies;
  return pass;
}

std::shared_ptr<const crd::NodePartitionRecord> Watcher::Partition(const std::string& node) const {
  return kinds_->partitions.reflector.store().Find({{}, node});
}

std::uint64_t Watcher::HighestEpoch() const {
  std::uint64_t highest = 0;
  for (const auto& object : kinds_->partitions.All()) highest = std::max(highest, object->epoch.value_or(0));
  return highest;
}

}  // namespace whorl::controller
