#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operator/controller/publish/cluster_writer.h"

namespace whorl::fake {

// Takes the publisher's writes, in order, and can refuse the next ones. Not thread-safe.
class FakeClusterWriter final : public controller::ClusterWriter {
 public:
  struct Write {
    std::string verb;  // "patch", "json-patch", "apply", "act", "create", "delete"
    std::string path;  // "plural[/sub] ns/name"
    nlohmann::json body;
    std::string manager;
  };

  Status MergePatch(const kube::ResourcePath& path, const nlohmann::json& patch) override {
    return Take({"patch", Text(path), patch, {}});
  }
  Status JsonPatch(const kube::ResourcePath& path, const nlohmann::json& operations) override {
    return Take({"json-patch", Text(path), operations, {}});
  }
  Status DryRunJsonPatch(const kube::ResourcePath& path, const nlohmann::json& operations) override {
    return Take({"dry-run", Text(path), operations, {}});
  }
  Status Apply(const kube::ResourcePath& path, const nlohmann::json& object, const std::string& manager) override {
    return Take({"apply", Text(path), object, manager});
  }
  Status Act(const kube::ResourcePath& subresource) override { return Take({"act", Text(subresource), {}, {}}); }
  Status Create(const kube::ResourcePath& collection, const nlohmann::json& object) override {
    return Take({"create", Text(collection), object, {}});
  }
  Status Delete(const kube::ResourcePath& path, const std::string& uid) override {
    return Take({"delete", Text(path), uid, {}});
  }

  void FailNext(Error error, int times = 1) {
    for (int i = 0; i < times; ++i) failures_.push_back(error);
  }
  // The writes whose verb and path are these.
  std::vector<Write> Of(const std::string& verb, const std::string& path) const {
    std::vector<Write> out;
    for (const auto& write : writes) {
      if (write.verb == verb && write.path == path) out.push_back(write);
    }
    return out;
  }

  std::vector<Write> writes;  // those that were taken
  int asked = 0;

 private:
  static std::string Text(const kube::ResourcePath& path) {
    return path.plural + (path.subresource.empty() ? "" : "/" + path.subresource) + " " +
           (path.ns.empty() ? "" : path.ns + "/") + path.name;
  }
  Status Take(Write write) {
    ++asked;
    if (!failures_.empty()) {
      auto error = failures_.front();
      failures_.pop_front();
      return Fail(error);
    }
    writes.push_back(std::move(write));
    return {};
  }
  std::deque<Error> failures_;
};

}  // namespace whorl::fake
