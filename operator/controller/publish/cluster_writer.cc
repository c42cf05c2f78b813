#include "operator/controller/publish/cluster_writer.h"

#include "crd/names.h"

namespace whorl::controller {
namespace {

Status Drop(const Result<kube::JsonDocument>& result) {
  if (!result) return Fail(result.error());
  return {};
}

}  // namespace

Status KubeWriter::MergePatch(const kube::ResourcePath& path, const nlohmann::json& patch) {
  return Drop(client_.MergePatch(path, patch, {.field_manager = std::string(crd::kFieldManager)}));
}

Status KubeWriter::JsonPatch(const kube::ResourcePath& path, const nlohmann::json& operations) {
  return Drop(client_.JsonPatch(path, operations, {.field_manager = std::string(crd::kFieldManager)}));
}

Status KubeWriter::DryRunJsonPatch(const kube::ResourcePath& path, const nlohmann::json& operations) {
  return Drop(client_.JsonPatch(path, operations,
                                {.field_manager = std::string(crd::kFieldManager), .force = false, .dry_run = true}));
}

Status KubeWriter::Apply(const kube::ResourcePath& path, const nlohmann::json& object,
                         const std::string& field_manager) {
  // Nobody else has a claim on these fields; one edited by hand is taken back.
  return Drop(client_.Apply(path, object, {.field_manager = field_manager, .force = true}));
}

Status KubeWriter::Act(const kube::ResourcePath& subresource) {
  return client_.Act(subresource, nlohmann::json::object());
}

Status KubeWriter::Create(const kube::ResourcePath& collection, const nlohmann::json& object) {
  return Drop(client_.Create(collection, object, {.field_manager = std::string(crd::kFieldManager)}));
}

Status KubeWriter::Delete(const kube::ResourcePath& path, const std::string& uid) {
  return client_.Delete(path, {.uid = uid, .resource_version = {}});
}

}  // namespace whorl::controller
