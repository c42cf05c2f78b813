#include "operator/agent/act/node_knobs.h"

#include <sstream>

namespace whorl::agent {

Result<std::string> NodeKnobs::Read(const std::string& dir, std::string_view knob) const {
  return OnTaps(knob) ? taps_.Read(dir, knob) : files_.Read(dir, knob);
}

Status NodeKnobs::Write(const std::string& dir, std::string_view knob, std::string_view text) {
  return OnTaps(knob) ? taps_.Write(dir, knob, text) : files_.Write(dir, knob, text);
}

Result<std::vector<std::string>> NodeKnobs::Devices(const std::string& dir) const {
  if (!v2_) {
    return Fail(Code::kUnsupported,
                "cgroup v1 does not see what is written through the page cache; the VM's disks are limited by libvirt");
  }
  const auto text = files_.Text(dir, "io.stat");
  if (!text)
    return Fail(Code::kUnsupported, text.error().message + "; the node's io controller is not enabled for pods");
  std::vector<std::string> devices;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const auto space = line.find(' ');
    if (space != std::string::npos && line.find(':') < space) devices.push_back(line.substr(0, space));
  }
  if (devices.empty()) return Fail(Code::kNotFound, dir + "/io.stat: the pod has used no block device yet");
  return devices;
}

}  // namespace whorl::agent
