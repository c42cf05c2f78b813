#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "operator/kube/config.h"

namespace whorl::plugin {

// How a user of kubectl says which cluster and where in it.
struct Access {
  std::string kubeconfig;  // --kubeconfig; empty: KUBECONFIG, else ~/.kube/config
  std::string context;     // --context; empty: the current one
};

// The few things asked of a cluster. Calls block; errors name thing, reason and
// remedy. kNotFound: no such object, or its kind is not installed.
class Cluster {
 public:
  virtual ~Cluster() = default;
  // Of the context, or "default".
  virtual std::string default_namespace() const = 0;
  // BehaviorFingerprints as the API server has them; empty namespace: all.
  virtual Result<std::vector<nlohmann::json>> Fingerprints(const std::string& ns) = 0;
  virtual Result<nlohmann::json> Fingerprint(const std::string& ns, const std::string& name) = 0;
  virtual Result<nlohmann::json> VirtualMachine(const std::string& ns, const std::string& name) = 0;
  // By name; an empty name: all of them.
  virtual Result<std::vector<nlohmann::json>> NodePartitions(const std::string& name) = 0;
  // /ledger.json of each controller in the namespace that keeps one, through the
  // API server. kNotFound: none does, with what to do.
  virtual Result<std::vector<nlohmann::json>> LedgerHistories(const std::string& ns) = 0;
  // On the VirtualMachine with this uid and no other of its name. A dry run is
  // judged by the server and changes nothing.
  virtual Status Annotate(const std::string& ns, const std::string& name, const std::string& uid,
                          const std::string& key, const std::string& value, bool dry_run) = 0;
};

Result<std::unique_ptr<Cluster>> Connect(const Access& access, const kube::ConfigSources& sources);

}  // namespace whorl::plugin
