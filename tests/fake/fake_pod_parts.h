#pragma once

#include <map>
#include <string>
#include <vector>

#include "operator/agent/act/directive_knobs.h"

namespace whorl::fake {

// Taps and devices as a test says; a pod without any fails as a real one does.
class FakePodParts : public agent::PodParts {
 public:
  std::map<std::string, std::vector<std::string>> taps, devices;  // by the pod's directory

  Result<std::vector<std::string>> Taps(const std::string& dir) const override {
    const auto found = taps.find(dir);
    if (found == taps.end()) return Fail(Code::kNotFound, dir + ": no tap in the pod's network namespace");
    return found->second;
  }
  Result<std::vector<std::string>> Devices(const std::string& dir) const override {
    const auto found = devices.find(dir);
    if (found == devices.end()) return Fail(Code::kUnsupported, "no io.max on this node");
    return found->second;
  }
};

}  // namespace whorl::fake
