#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/result.h"
#include "operator/kube/client.h"

namespace whorl::controller {

// The only writes the controller makes, besides Events and its Lease. Calls
// block; the threads of publisher and cluster loop are the only callers.
class ClusterWriter {
 public:
  virtual ~ClusterWriter() = default;
  virtual Status MergePatch(const kube::ResourcePath& path, const nlohmann::json& patch) = 0;
  // kInvalid when a test among the operations does not hold.
  virtual Status JsonPatch(const kube::ResourcePath& path, const nlohmann::json& operations) = 0;
  // Whether the API server, with everybody's admission, would take it; changes nothing.
  virtual Status DryRunJsonPatch(const kube::ResourcePath& path, const nlohmann::json& operations) = 0;
  virtual Status Apply(const kube::ResourcePath& path, const nlohmann::json& object,
                       const std::string& field_manager) = 0;
  // A subresource that does something, such as pause; kConflict when it does not fit what the object is doing.
  virtual Status Act(const kube::ResourcePath& subresource) = 0;
  // kConflict when one of that name exists.
  virtual Status Create(const kube::ResourcePath& collection, const nlohmann::json& object) = 0;
  // Ok when it is gone already; kConflict when another object has its name by now.
  virtual Status Delete(const kube::ResourcePath& path, const std::string& uid) = 0;
};

// Through the API server.
class KubeWriter final : public ClusterWriter {
 public:
  explicit KubeWriter(kube::Client& client) : client_(client) {}
  Status MergePatch(const kube::ResourcePath& path, const nlohmann::json& patch) override;
  Status JsonPatch(const kube::ResourcePath& path, const nlohmann::json& operations) override;
  Status DryRunJsonPatch(const kube::ResourcePath& path, const nlohmann::json& operations) override;
  Status Apply(const kube::ResourcePath& path, const nlohmann::json& object, const std::string& field_manager) override;
  Status Act(const kube::ResourcePath& subresource) override;
  Status Create(const kube::ResourcePath& collection, const nlohmann::json& object) override;
  Status Delete(const kube::ResourcePath& path, const std::string& uid) override;

 private:
  kube::Client& client_;
};

}  // namespace whorl::controller
