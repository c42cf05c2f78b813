#include "operator/agent/sense/pods_gauge.h"

#include <array>

#include "operator/agent/sense/parse.h"

namespace whorl::agent {

Result<std::string> AllPodsOf(std::string_view pod_dir) {
  const auto level = pod_dir.find("/kubepods");
  if (level == std::string_view::npos)
    return Fail(Code::kNotFound, std::string(pod_dir) + " lies below no level named kubepods");
  return std::string(pod_dir.substr(0, pod_dir.find('/', level + 1)));
}

Result<PodsGauge> PodsGauge::Open(const VmDirs& any_pod) {
  PodsGauge gauge;
  // As for single pods: the v2 tree where there is one, on hybrid nodes too.
  gauge.keyed_ = !any_pod.pod_v2.empty();
  const auto dir = AllPodsOf(gauge.keyed_ ? any_pod.pod_v2 : any_pod.pod_cpuacct);
  if (!dir) return Fail(dir.error());
  auto file = TextFile::Open(*dir + (gauge.keyed_ ? "/cpu.stat" : "/cpuacct.usage"));
  if (!file) return Fail(file.error());
  gauge.usage_ = std::move(*file);
  return gauge;
}

Result<std::uint64_t> PodsGauge::UsageMicros() const {
  std::array<char, 1024> buffer;
  const auto text = usage_.Read(buffer);
  if (!text) return Fail(text.error().In("cpu usage of all pods"));
  if (keyed_) return ParseKeyed(*text, "usage_usec");
  const auto nanos = ParseCounter(*text);
  if (!nanos) return Fail(nanos.error().In("cpuacct.usage of all pods"));
  return *nanos / 1000;
}

}  // namespace whorl::agent
