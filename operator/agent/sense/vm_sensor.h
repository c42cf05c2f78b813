#pragma once

#include <optional>
#include <span>
#include <string>

#include "operator/agent/sense/cpu_gauge.h"
#include "operator/agent/sense/reading.h"

namespace whorl::agent {

// Reads everything the kernel's files say about one VM: CPU, memory and PSI of
// its cgroups, its vCPU threads, its taps. Files are opened once. A source that
// fails leaves its bits clear and its reason in trouble(); the others go on.
// Not thread-safe: belongs to the sampling thread.
class VmSensor {
 public:
  // kGone or kNotFound when QEMU has ended meanwhile.
  static Result<VmSensor> Open(const VmPlace& place, const std::string& proc_root);

  // Fills what it owns in `reading`. kGone: this QEMU or its pod has vanished
  // and the sensor must be thrown away.
  Status Sample(std::span<char> scratch, Reading& reading);

  const VmPlace& place() const { return place_; }
  std::uint64_t pod_inode() const { return pod_inode_; }
  // Whether its vCPUs run under KVM, not emulated.
  bool kvm() const { return gauge_.kvm(); }
  // The first source that could not be read at the last sample; empty when all could.
  const std::string& trouble() const { return trouble_; }

 private:
  VmSensor(VmPlace place, CpuGauge gauge) : place_(std::move(place)), gauge_(std::move(gauge)) {}
  void Note(const Error& error, std::string_view what);
  void Pressure(const TextFile& file, Feature feature, std::string_view name, std::span<char> scratch, Reading& out);
  void Vcpus(Reading& out);
  void Throttling(std::span<char> scratch, Reading& out);
  void Memory(std::span<char> scratch, Reading& out);
  void Network(std::span<char> scratch, Reading& out);

  VmPlace place_;
  CpuGauge gauge_;
  std::uint64_t pod_inode_ = 0;
  TextFile alive_;       // /proc/<pid>/stat
  TextFile throttling_;  // cpu.stat of the hierarchy that limits
  bool throttling_nanos_ = false;
  TextFile cpu_pressure_, memory_pressure_, io_pressure_;
  TextFile memory_usage_, memory_stat_;
  bool memory_totals_ = false;  // v1: total_pgfault covers children too
  TextFile net_dev_;
  int taps_ = 0;
  int ticks_to_refresh_ = 0;
  std::string trouble_;
};

// Inode of a cgroup directory: a pod that is created anew gets another one.
Result<std::uint64_t> InodeOf(const std::string& dir);

}  // namespace whorl::agent
