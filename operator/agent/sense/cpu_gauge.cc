#include "operator/agent/sense/cpu_gauge.h"

#include <dirent.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

namespace whorl::agent {
namespace {

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

constexpr std::uint64_t kNanosPerMicro = 1000;

}  // namespace

Result<CpuGauge> CpuGauge::Open(const VmPlace& place, const std::string& proc_root) {
  CpuGauge gauge;
  if (!place.dirs.pod_v2.empty()) {
    if (auto file = TextFile::Open(place.dirs.pod_v2 + "/cpu.stat")) {
      gauge.usage_ = std::move(*file);
      gauge.keyed_ = true;
    }
  }
  if (!gauge.keyed_ && !place.dirs.pod_cpuacct.empty()) {
    auto usage = TextFile::Open(place.dirs.pod_cpuacct + "/cpuacct.usage");
    if (!usage) return Fail(usage.error());
    gauge.usage_ = std::move(*usage);
    if (auto system = TextFile::Open(place.dirs.pod_cpuacct + "/cpuacct.usage_sys")) gauge.system_ = std::move(*system);
  }
  if (!gauge.usage_.is_open()) {
    return Fail(Code::kUnsupported, "pod " + place.dirs.pod_uid + " has neither cpu.stat nor cpuacct.usage");
  }
  gauge.tasks_ = proc_root + "/" + std::to_string(place.pid) + "/task";
  if (auto threads = gauge.RefreshThreads(); !threads) return Fail(threads.error());
  return gauge;
}

Result<std::uint64_t> CpuGauge::UsageMicros() const {
  std::array<char, 1024> buffer;
  const auto text = usage_.Read(buffer);
  if (!text) return Fail(text.error().In("cpu usage"));
  if (keyed_) return ParseKeyed(*text, "usage_usec");
  const auto nanos = ParseCounter(*text);
  if (!nanos) return Fail(nanos.error().In("cpuacct.usage"));
  return *nanos / kNanosPerMicro;
}

Result<std::uint64_t> CpuGauge::SystemMicros() const {
  std::array<char, 1024> buffer;
  if (keyed_) {
    const auto text = usage_.Read(buffer);
    if (!text) return Fail(text.error().In("cpu.stat"));
    return ParseKeyed(*text, "system_usec");
  }
  if (!system_.is_open()) return Fail(Code::kUnsupported, "no cpuacct.usage_sys");
  const auto text = system_.Read(buffer);
  if (!text) return Fail(text.error().In("cpuacct.usage_sys"));
  const auto nanos = ParseCounter(*text);
  if (!nanos) return Fail(nanos.error().In("cpuacct.usage_sys"));
  return *nanos / kNanosPerMicro;
}

Result<CpuGauge::Vcpus> CpuGauge::ReadVcpus() const {
  if (vcpus_.empty()) {
    return Fail(Code::kNotFound, "QEMU names none of its threads as a vCPU (started without debug-threads=on?)");
  }
  Vcpus sum;
  std::uint64_t run_ns = 0;
  std::uint64_t delay_ns = 0;
  std::array<char, 128> buffer;
  for (const auto& vcpu : vcpus_) {
    const auto text = vcpu.schedstat.Read(buffer);
    if (!text) return Fail(text.error().In("schedstat of vCPU thread " + std::to_string(vcpu.tid)));
    const auto stat = ParseSchedstat(*text);
    if (!stat) return Fail(stat.error().In("schedstat of vCPU thread " + std::to_string(vcpu.tid)));
    run_ns += stat->run_ns;
    delay_ns += stat->delay_ns;
  }
  sum.run_us = run_ns / kNanosPerMicro;
  sum.delay_us = delay_ns / kNanosPerMicro;
  return sum;
}

Result<bool> CpuGauge::RefreshThreads() {
  const std::unique_ptr<DIR, CloseDir> dir(::opendir(tasks_.c_str()));
  if (!dir) return Fail(ErrorFromErrno(errno, tasks_));
  std::vector<int> tids;
  std::array<char, 64> buffer;
  while (const dirent* entry = ::readdir(dir.get())) {  // NOLINT(concurrency-mt-unsafe): a stream of our own
    const auto tid = ParseCounter(entry->d_name);
    if (!tid) continue;
    const auto comm = TextFile::OpenAt(::dirfd(dir.get()), std::string(entry->d_name) + "/comm");
    if (!comm) continue;
    const auto name = comm->Read(buffer);
    if (!name || !IsVcpuThread(*name)) continue;
    tids.push_back(static_cast<int>(*tid));
    kvm_ = name->find("/KVM") != std::string_view::npos;
  }
  std::sort(tids.begin(), tids.end());
  const bool same = std::equal(tids.begin(), tids.end(), vcpus_.begin(), vcpus_.end(),
                               [](int tid, const Vcpu& vcpu) { return tid == vcpu.tid; });
  if (same) return false;
  std::vector<Vcpu> fresh;
  for (const int tid : tids) {
    auto file = TextFile::OpenAt(::dirfd(dir.get()), std::to_string(tid) + "/schedstat");
    if (!file) return Fail(file.error().In(tasks_));
    fresh.push_back({tid, std::move(*file)});
  }
  vcpus_ = std::move(fresh);
  return true;
}

}  // namespace whorl::agent
