#include "operator/plugin/cluster.h"

#include <utility>

#include "crd/names.h"
#include "operator/kube/client.h"
#include "operator/kube/waiting_clock.h"

namespace whorl::plugin {
namespace {

kube::ResourcePath Path(const crd::KindName& kind, const std::string& ns, const std::string& name = {}) {
  kube::ResourcePath path;
  path.group = crd::kGroup;
  path.version = crd::kVersion;
  path.plural = kind.plural;
  path.ns = ns;
  path.name = name;
  return path;
}

kube::ResourcePath VmPath(const std::string& ns, const std::string& name) {
  kube::ResourcePath path;
  path.group = "kubevirt.io";
  path.version = "v1";
  path.plural = "virtualmachines";
  path.ns = ns;
  path.name = name;
  return path;
}

class KubeCluster final : public Cluster {
 public:
  explicit KubeCluster(std::string ns) : namespace_(ns.empty() ? "default" : std::move(ns)) {}
  Status Open(const kube::ClusterConfig& config) {
    kube::ClientOptions options;
    options.user_agent = "kubectl-whorl/0.1.0";
    options.request_timeout = Millis{15'000};
    auto client = kube::Client::Connect(config, options, clock_);
    if (!client) return Fail(client.error());
    client_ = std::move(*client);
    return {};
  }

  std::string default_namespace() const override { return namespace_; }

  Result<std::vector<nlohmann::json>> Fingerprints(const std::string& ns) override {
    return List(crd::kBehaviorFingerprint, ns);
  }
  Result<std::vector<nlohmann::json>> NodePartitions(const std::string& name) override {
    auto all = List(crd::kNodePartition, {});
    if (!all || name.empty()) return all;
    std::erase_if(*all, [&](const nlohmann::json& object) { return object["metadata"]["name"] != name; });
    if (!all->empty()) return all;
    return Fail(Code::kNotFound, "there is no NodePartition " + name +
                                     "; kubectl get npart lists them, one per node that runs an agent");
  }
  Result<std::vector<nlohmann::json>> LedgerHistories(const std::string& ns) override {
    kube::ResourcePath pods;
    pods.version = "v1";
    pods.plural = "pods";
    pods.ns = ns;
    std::vector<std::string> names;
    kube::ListOptions options;
    options.label_selector = "app.kubernetes.io/name=whorl,app.kubernetes.io/component=controller";
    auto listed = client_->List(
        pods, options,
        [&](kube::JsonView item) { names.emplace_back(item.FindString({"metadata", "name"}).value_or("")); },
        [&] { names.clear(); });
    if (!listed) return Fail(listed.error());
    std::vector<nlohmann::json> out;
    std::string why = names.empty() ? "no controller runs in namespace " + ns : std::string();
    for (const auto& name : names) {
      auto page = pods.Named(ns, name + ":9095");
      page.subresource = "proxy/ledger.json";
      auto answer = client_->Get(page);
      if (answer) {
        out.push_back(answer->root().ToJson());
      } else {
        why = answer.error().message;
      }
    }
    if (!out.empty()) return out;
    return Fail(Code::kNotFound, "no history of the ledger: " + why +
                                     "; it needs controller.history.enabled in the chart's values, a controller that "
                                     "runs, and your right to get pods/proxy in " +
                                     ns);
  }
  Result<nlohmann::json> Fingerprint(const std::string& ns, const std::string& name) override {
    return Read(client_->Get(Path(crd::kBehaviorFingerprint, ns, name)));
  }
  Result<nlohmann::json> VirtualMachine(const std::string& ns, const std::string& name) override {
    return Read(client_->Get(VmPath(ns, name)));
  }
  Status Annotate(const std::string& ns, const std::string& name, const std::string& uid, const std::string& key,
                  const std::string& value, bool dry_run) override {
    const nlohmann::json patch{{"metadata", {{"uid", uid}, {"annotations", {{key, value}}}}}};
    auto done = client_->MergePatch(VmPath(ns, name), patch,
                                    {.field_manager = "kubectl-whorl", .force = false, .dry_run = dry_run});
    if (!done) return Fail(done.error());
    return {};
  }

 private:
  Result<std::vector<nlohmann::json>> List(const crd::KindName& kind, const std::string& ns) {
    std::vector<nlohmann::json> out;
    auto listed = client_->List(
        Path(kind, ns), {}, [&](kube::JsonView item) { out.push_back(item.ToJson()); }, [&] { out.clear(); });
    if (listed) return out;
    if (listed.error().code == Code::kNotFound) {
      return Fail(Code::kNotFound, "Whorl is not installed in this cluster: it knows no " + std::string(kind.kind) +
                                       "; install the chart charts/whorl, or choose another cluster with --context");
    }
    return Fail(listed.error());
  }
  static Result<nlohmann::json> Read(Result<kube::JsonDocument> document) {
    if (!document) return Fail(document.error());
    return document->root().ToJson();
  }

  const std::string namespace_;
  kube::SystemClock clock_;  // outlives the client
  std::unique_ptr<kube::Client> client_;
};

// A context can only be chosen from a kubeconfig.
Result<kube::ClusterConfig> Configuration(const Access& access, const kube::ConfigSources& sources) {
  if (access.context.empty()) return kube::LoadConfig(access.kubeconfig, sources);
  std::string paths = access.kubeconfig;
  if (paths.empty()) paths = sources.environment("KUBECONFIG").value_or("");
  if (paths.empty()) paths = sources.environment("HOME").value_or("") + "/.kube/config";
  return kube::LoadKubeconfig(paths, access.context);
}

}  // namespace

Result<std::unique_ptr<Cluster>> Connect(const Access& access, const kube::ConfigSources& sources) {
  const auto config = Configuration(access, sources);
  if (!config) return Fail(config.error());
  auto cluster = std::make_unique<KubeCluster>(config->default_namespace);
  if (auto open = cluster->Open(*config); !open) return Fail(open.error());
  return std::unique_ptr<Cluster>(std::move(cluster));
}

}  // namespace whorl::plugin
