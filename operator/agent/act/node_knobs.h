#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "operator/agent/act/knob_tree.h"
#include "operator/agent/act/pod_parts.h"
#include "operator/agent/act/tap_shaper.h"

namespace whorl::agent {

// Every knob of this node that is set at once, each by whom it belongs to: taps
// by netlink, all others are files of cgroups. libvirt's are not among them: a
// call to it may hang (domain_hands.h). Thread-safe.
class NodeKnobs : public KnobTree, public PodParts {
 public:
  // Both must outlive it.
  NodeKnobs(CgroupFiles& files, TapShaper& taps, bool v2) : files_(files), taps_(taps), v2_(v2) {}

  Result<std::string> Read(const std::string& dir, std::string_view knob) const override;
  Status Write(const std::string& dir, std::string_view knob, std::string_view text) override;
  Result<std::uint64_t> Inode(const std::string& dir) const override { return files_.Inode(dir); }

  Result<std::vector<std::string>> Taps(const std::string& dir) const override { return taps_.Taps(dir); }
  // The devices the pod has used since it began, by io.stat.
  Result<std::vector<std::string>> Devices(const std::string& dir) const override;

 private:
  static bool OnTaps(std::string_view knob) { return knob.starts_with("net."); }

  CgroupFiles& files_;
  TapShaper& taps_;
  const bool v2_;
};

}  // namespace whorl::agent
