#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace whorl {

// The four families of the fingerprint. A VM whose whole family is missing is
// scored on the others, and says so.
enum class Family : std::uint8_t { kSyscalls, kCpu, kMemory, kIo };

// How a raw reading becomes a feature: a counter is differenced over the time
// between two samples, a gauge is taken as it is.
enum class Kind : std::uint8_t { kCounter, kGauge };

// Every feature Whorl models, in wire order. Append only: the number is the
// field's position in node.proto frames and in checkpoints.
enum class Feature : std::uint8_t {
  kCpuUsage,
  kCpuSystem,
  kCpuThrottled,
  kVcpuRun,
  kVcpuDelay,
  kCpuPressure,
  kMemoryResident,
  kMemoryMajorFaults,
  kMemoryMinorFaults,
  kMemoryPressure,
  kBalloonCurrent,
  kGuestMemoryUsable,
  kNetReceiveBytes,
  kNetTransmitBytes,
  kNetPackets,
  kNetDrops,
  kDiskReadBytes,
  kDiskWriteBytes,
  kDiskOperations,
  kIoPressure,
  kSyscallsVcpu,
  kSyscallsWait,
  kSyscallsIo,
  kSyscallsOther,
  kMemoryRefaults,
  kGuestMajorFaults,
  kGuestSwapping,
  kDirtyRate,
  kDiskBusy,
  kDiskFlushes,
  kNetErrors,
  kExitsHalt,
  kExitsIo,
  kExitsMemory,
  kExitsInterrupt,
  kExitsMsr,
  kExitsOther,
  kSyscallsMemory,
  kSyscallsProcess,
  kSyscallsFile,
};
inline constexpr std::size_t kFeatureCount = 40;

struct FeatureInfo {
  Feature feature;
  std::string_view name;    // as users read it in status, metrics and docs
  std::string_view unit;    // of the feature, after differencing
  Family family;
  Kind kind;                // of the raw reading
  std::string_view source;  // where the agent reads it
};

// One row per feature, index = enum value. docs/reference/features.md is
// generated from it.
inline constexpr std::array<FeatureInfo, kFeatureCount> kFeatures{{
    {Feature::kCpuUsage, "cpu usage", "millicores", Family::kCpu, Kind::kCounter, "pod cgroup: cpu.stat usage_usec, or cpuacct.usage"},
    {Feature::kCpuSystem, "cpu system time", "millicores", Family::kCpu, Kind::kCounter, "pod cgroup: cpu.stat system_usec, or cpuacct.usage_sys"},
    {Feature::kCpuThrottled, "cpu throttled", "ms/s", Family::kCpu, Kind::kCounter, "pod cgroup: cpu.stat throttled_usec or throttled_time"},
    {Feature::kVcpuRun, "vcpu run time", "millicores", Family::kCpu, Kind::kCounter, "/proc/<qemu>/task/<vcpu>/schedstat field 1"},
    {Feature::kVcpuDelay, "vcpu run-queue delay", "ms/s", Family::kCpu, Kind::kCounter, "/proc/<qemu>/task/<vcpu>/schedstat field 2"},
    {Feature::kCpuPressure, "cpu pressure", "ms/s", Family::kCpu, Kind::kCounter, "pod cgroup: cpu.pressure some total"},
    {Feature::kMemoryResident, "memory resident", "bytes", Family::kMemory, Kind::kGauge, "compute container cgroup: memory.current, or memory.usage_in_bytes"},
    {Feature::kMemoryMajorFaults, "major faults", "1/s", Family::kMemory, Kind::kCounter, "compute container cgroup: memory.stat pgmajfault"},
    {Feature::kMemoryMinorFaults, "page faults", "1/s", Family::kMemory, Kind::kCounter, "compute container cgroup: memory.stat pgfault"},
    {Feature::kMemoryPressure, "memory pressure", "ms/s", Family::kMemory, Kind::kCounter, "pod cgroup: memory.pressure some total"},
    {Feature::kBalloonCurrent, "balloon size", "bytes", Family::kMemory, Kind::kGauge, "libvirt domain statistics: balloon.current"},
    {Feature::kGuestMemoryUsable, "guest usable memory", "bytes", Family::kMemory, Kind::kGauge, "libvirt domain statistics: balloon.usable"},
    {Feature::kNetReceiveBytes, "network received", "bytes/s", Family::kIo, Kind::kCounter, "tap device statistics in the pod's network namespace: tx_bytes (host's view)"},
    {Feature::kNetTransmitBytes, "network sent", "bytes/s", Family::kIo, Kind::kCounter, "tap device statistics in the pod's network namespace: rx_bytes (host's view)"},
    {Feature::kNetPackets, "network packets", "1/s", Family::kIo, Kind::kCounter, "tap device statistics in the pod's network namespace"},
    {Feature::kNetDrops, "network drops", "1/s", Family::kIo, Kind::kCounter, "tap device statistics in the pod's network namespace"},
    {Feature::kDiskReadBytes, "disk read", "bytes/s", Family::kIo, Kind::kCounter, "libvirt domain statistics: block.<n>.rd.bytes, summed"},
    {Feature::kDiskWriteBytes, "disk written", "bytes/s", Family::kIo, Kind::kCounter, "libvirt domain statistics: block.<n>.wr.bytes, summed"},
    {Feature::kDiskOperations, "disk operations", "1/s", Family::kIo, Kind::kCounter, "libvirt domain statistics: block.<n>.rd.reqs + wr.reqs + fl.reqs, summed"},
    {Feature::kIoPressure, "io pressure", "ms/s", Family::kIo, Kind::kCounter, "pod cgroup: io.pressure some total"},
    {Feature::kSyscallsVcpu, "VMM vCPU system calls", "1/s", Family::kSyscalls, Kind::kCounter, "eBPF raw_syscalls: ioctl"},
    {Feature::kSyscallsWait, "VMM wait system calls", "1/s", Family::kSyscalls, Kind::kCounter, "eBPF raw_syscalls: poll, epoll, futex, nanosleep, restart"},
    {Feature::kSyscallsIo, "VMM I/O system calls", "1/s", Family::kSyscalls, Kind::kCounter, "eBPF raw_syscalls: read, write, socket, send, receive, io_uring, sync families"},
    {Feature::kSyscallsOther, "VMM other system calls", "1/s", Family::kSyscalls, Kind::kCounter, "eBPF raw_syscalls: everything else"},
    {Feature::kMemoryRefaults, "memory refaults", "1/s", Family::kMemory, Kind::kCounter, "compute container cgroup: memory.stat workingset_refault_anon + workingset_refault_file, or workingset_refault"},
    {Feature::kGuestMajorFaults, "guest major faults", "1/s", Family::kMemory, Kind::kCounter, "libvirt domain statistics: balloon.major_fault"},
    {Feature::kGuestSwapping, "guest swapping", "bytes/s", Family::kMemory, Kind::kCounter, "libvirt domain statistics: balloon.swap_in + swap_out"},
    {Feature::kDirtyRate, "dirty rate", "bytes/s", Family::kMemory, Kind::kGauge, "libvirt: domain dirty-rate calculation by page sampling, one VM of the node a minute"},
    {Feature::kDiskBusy, "disk busy time", "ms/s", Family::kIo, Kind::kCounter, "libvirt domain statistics: block.<n>.rd.times + wr.times + fl.times, summed"},
    {Feature::kDiskFlushes, "disk flushes", "1/s", Family::kIo, Kind::kCounter, "libvirt domain statistics: block.<n>.fl.reqs, summed"},
    {Feature::kNetErrors, "network errors", "1/s", Family::kIo, Kind::kCounter, "tap device statistics in the pod's network namespace: errors of both directions"},
    {Feature::kExitsHalt, "KVM exits for halting", "1/s", Family::kSyscalls, Kind::kCounter, "eBPF kvm_exit: HLT, MWAIT, PAUSE"},
    {Feature::kExitsIo, "KVM exits for I/O", "1/s", Family::kSyscalls, Kind::kCounter, "eBPF kvm_exit: port I/O and emulated device memory"},
    {Feature::kExitsMemory, "KVM exits for memory", "1/s", Family::kSyscalls, Kind::kCounter, "eBPF kvm_exit: EPT or NPF violations"},
    {Feature::kExitsInterrupt, "KVM exits for interrupts", "1/s", Family::kSyscalls, Kind::kCounter, "eBPF kvm_exit: external interrupts, interrupt windows, APIC"},
    {Feature::kExitsMsr, "KVM exits for MSRs", "1/s", Family::kSyscalls, Kind::kCounter, "eBPF kvm_exit: MSR reads and writes"},
    {Feature::kExitsOther, "KVM exits for other reasons", "1/s", Family::kSyscalls, Kind::kCounter, "eBPF kvm_exit: everything else"},
    {Feature::kSyscallsMemory, "VMM memory system calls", "1/s", Family::kSyscalls, Kind::kCounter, "eBPF raw_syscalls: mmap, munmap, mprotect, madvise, brk families"},
    {Feature::kSyscallsProcess, "VMM process system calls", "1/s", Family::kSyscalls, Kind::kCounter, "eBPF raw_syscalls: clone, execve, exit, wait, kill, prctl families"},
    {Feature::kSyscallsFile, "VMM file system calls", "1/s", Family::kSyscalls, Kind::kCounter, "eBPF raw_syscalls: open, close, stat, unlink, rename, dup, pipe families"},
}};

constexpr const FeatureInfo& Info(Feature f) { return kFeatures[static_cast<std::size_t>(f)]; }

// The bit of a feature in a mask.
constexpr std::uint64_t Bit(Feature f) { return std::uint64_t{1} << static_cast<unsigned>(f); }
inline constexpr std::uint64_t kAllFeatures = (std::uint64_t{1} << kFeatureCount) - 1;
static_assert(kFeatureCount < 64, "masks are 64 bits wide");

// One bit per feature; a clear bit means "not measured", never zero.
class FeatureMask {
 public:
  constexpr FeatureMask() = default;
  constexpr explicit FeatureMask(std::uint64_t bits) : bits_(bits & kAllFeatures) {}
  static constexpr FeatureMask All() { return FeatureMask{kAllFeatures}; }
  constexpr bool Has(Feature f) const { return (bits_ & Bit(f)) != 0; }
  constexpr void Set(Feature f) { bits_ |= Bit(f); }
  constexpr void Clear(Feature f) { bits_ &= ~Bit(f); }
  constexpr std::uint64_t bits() const { return bits_; }
  constexpr int count() const { return std::popcount(bits_); }

 private:
  std::uint64_t bits_ = 0;
};

// Features of one VM over the interval that ends at its sample time, in the
// units of kFeatures. Only valid(f) values mean anything.
struct FeatureVector {
  std::array<float, kFeatureCount> value{};
  FeatureMask valid;

  constexpr std::optional<float> Get(Feature f) const {
    if (!valid.Has(f)) return std::nullopt;
    return value[static_cast<std::size_t>(f)];
  }
  constexpr void Put(Feature f, float v) {
    value[static_cast<std::size_t>(f)] = v;
    valid.Set(f);
  }
};

}  // namespace whorl
