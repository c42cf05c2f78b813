#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>
#include <random>

#include "core/engine/frame.h"

namespace whorl::test {

inline constexpr std::uint64_t kFromLibvirt =
    Bit(Feature::kBalloonCurrent) | Bit(Feature::kGuestMemoryUsable) | Bit(Feature::kDiskReadBytes) |
    Bit(Feature::kDiskWriteBytes) | Bit(Feature::kDiskOperations) | Bit(Feature::kDiskBusy) |
    Bit(Feature::kDiskFlushes) | Bit(Feature::kGuestMajorFaults) | Bit(Feature::kGuestSwapping);
inline constexpr std::uint64_t kSyscalls = Bit(Feature::kSyscallsVcpu) | Bit(Feature::kSyscallsWait) |
                                           Bit(Feature::kSyscallsIo) | Bit(Feature::kSyscallsOther) |
                                           Bit(Feature::kSyscallsMemory) | Bit(Feature::kSyscallsProcess) |
                                           Bit(Feature::kSyscallsFile);
// Nobody measures these of it: it runs without KVM, and its dirty pages are not sampled.
inline constexpr std::uint64_t kNever = Bit(Feature::kDirtyRate) | Bit(Feature::kExitsHalt) | Bit(Feature::kExitsIo) |
                                        Bit(Feature::kExitsMemory) | Bit(Feature::kExitsInterrupt) |
                                        Bit(Feature::kExitsMsr) | Bit(Feature::kExitsOther);
inline constexpr std::uint64_t kEverySecond = kAllFeatures & ~kFromLibvirt & ~kSyscalls & ~kNever;

// A made-up guest for engine tests: wants some CPU each second, gets what its
// quota allows, and moves the kernel's counters as a real one would, with
// seeded noise. Not a model of any workload, only its rough proportions.
class SimulatedVm {
 public:
  SimulatedVm(VmHandle vm, std::uint64_t seed) : vm_(vm), random_(seed), more_(~seed) { sample_.vm = vm; }

  double demand = 20;           // millicores wanted
  double noise = 0.15;          // relative jitter of everything
  std::optional<double> quota;  // millicores, of a Hard partition
  double packets = 3;           // a second
  double crowding = 1;          // how much longer than usual its vCPUs wait for a core
  double used = 0;              // in the last second

  // One second passes; the reading at its end.
  const VmSample& Second(Time at) {
    const double wanted = std::max(demand * Jitter(), 1.0);
    used = quota ? std::min(wanted, *quota) : wanted;
    const double held_back = wanted - used;
    Count(Feature::kCpuUsage, used * 1000);
    Count(Feature::kCpuSystem, (0.15 * used + 2) * 1000 * Jitter());
    Count(Feature::kCpuThrottled, held_back > 0 ? std::min(900.0, held_back) * 1000 : 0);
    Count(Feature::kVcpuRun, 0.95 * used * 1000);
    Count(Feature::kVcpuDelay, (0.02 * used + 1) * 1000 * crowding * Jitter());
    Count(Feature::kCpuPressure, (0.02 * used + 0.5) * 1000 * crowding * Jitter());
    Gauge(Feature::kMemoryResident, 400e6 * (1 + 0.002 * Normal()));
    Count(Feature::kMemoryMajorFaults, 0);
    Count(Feature::kMemoryMinorFaults, std::floor((20 + used) * Jitter()));
    Count(Feature::kMemoryPressure, 0);
    Count(Feature::kNetPackets, std::floor(packets * Jitter() + 0.5));
    Count(Feature::kNetReceiveBytes, 80 * packets * Jitter());
    Count(Feature::kNetTransmitBytes, 60 * packets * Jitter());
    Count(Feature::kNetDrops, 0);
    Count(Feature::kIoPressure, 100 * Jitter());
    seconds_++;
    sample_.sampled_at = at;
    sample_.valid = FeatureMask{kEverySecond};
    // libvirt answers every fifth second, the syscall counters three in ten.
    if (seconds_ % 5 == 0) Add(kFromLibvirt);
    if (seconds_ % 10 < 3) Add(kSyscalls);
    Gauge(Feature::kBalloonCurrent, 512e6);
    Gauge(Feature::kGuestMemoryUsable, 300e6 * (1 + 0.005 * Normal()));
    Count(Feature::kDiskReadBytes, 0);
    Count(Feature::kDiskWriteBytes, std::floor(4096 * std::max(0.0, Normal())));
    Count(Feature::kDiskOperations, std::floor(std::max(0.0, Normal() + 0.5)));
    Count(Feature::kSyscallsVcpu, std::floor((100 + used) * Jitter()));
    Count(Feature::kSyscallsWait, std::floor((60 + 0.5 * used) * Jitter()));
    Count(Feature::kSyscallsIo, std::floor((30 + 0.2 * used) * Jitter()));
    Count(Feature::kSyscallsOther, std::floor(5 * Jitter()));
    Count(Feature::kSyscallsMemory, std::floor(3 * Noise()));
    Count(Feature::kSyscallsProcess, 0);
    Count(Feature::kSyscallsFile, std::floor(2 * Noise()));
    Count(Feature::kMemoryRefaults, 0);
    Count(Feature::kGuestMajorFaults, 0);
    Count(Feature::kGuestSwapping, 0);
    Count(Feature::kDiskBusy, std::floor(500 * Noise()));
    Count(Feature::kDiskFlushes, 0);
    Count(Feature::kNetErrors, 0);
    if (quota) sample_.cpu_limit = MilliCores{static_cast<std::int64_t>(*quota)};
    return sample_;
  }

  double Normal() { return normal_(random_); }
  VmHandle handle() const { return vm_; }
  VmSample& sample() { return sample_; }

 private:
  double Jitter() { return std::max(0.0, 1 + noise * Normal()); }
  // From a stream of its own: what the guest wants stays as it was without it.
  double Noise() { return std::max(0.0, 1 + noise * more_normal_(more_)); }
  void Add(std::uint64_t bits) { sample_.valid = FeatureMask{sample_.valid.bits() | bits}; }
  void Count(Feature f, double more) { sample_.raw[static_cast<std::size_t>(f)] += more; }
  void Gauge(Feature f, double value) { sample_.raw[static_cast<std::size_t>(f)] = value; }

  VmHandle vm_;
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
  std::mt19937_64 more_;
  std::normal_distribution<double> more_normal_;
  VmSample sample_;
  int seconds_ = 0;
};

}  // namespace whorl::test
