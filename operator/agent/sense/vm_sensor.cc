#include "operator/agent/sense/vm_sensor.h"

#include <sys/stat.h>

#include <cerrno>

namespace whorl::agent {
namespace {

// vCPU hotplug is rare and a listing costs a readdir: look every so many ticks.
constexpr int kThreadRefreshTicks = 10;

TextFile OpenIfThere(const std::string& dir, const char* name) {
  if (dir.empty()) return {};
  auto file = TextFile::Open(dir + "/" + name);
  return file ? std::move(*file) : TextFile{};
}

}  // namespace

Result<std::uint64_t> InodeOf(const std::string& dir) {
  struct stat info{};
  if (::stat(dir.c_str(), &info) != 0) return Fail(ErrorFromErrno(errno, dir));
  return static_cast<std::uint64_t>(info.st_ino);
}

Result<VmSensor> VmSensor::Open(const VmPlace& place, const std::string& proc_root) {
  auto gauge = CpuGauge::Open(place, proc_root);
  if (!gauge) return Fail(gauge.error());
  VmSensor sensor(place, std::move(*gauge));
  const auto& dirs = place.dirs;
  const auto inode = InodeOf(dirs.pod_cpu);
  if (!inode) return Fail(inode.error());
  sensor.pod_inode_ = *inode;

  const std::string proc = proc_root + "/" + std::to_string(place.pid);
  auto alive = TextFile::Open(proc + "/stat");
  if (!alive) return Fail(alive.error());
  sensor.alive_ = std::move(*alive);

  const bool v1 = dirs.pod_cpu != dirs.pod_v2;
  sensor.throttling_ = OpenIfThere(dirs.pod_cpu, "cpu.stat");
  sensor.throttling_nanos_ = v1;
  sensor.cpu_pressure_ = OpenIfThere(dirs.pod_v2, "cpu.pressure");
  sensor.memory_pressure_ = OpenIfThere(dirs.pod_v2, "memory.pressure");
  sensor.io_pressure_ = OpenIfThere(dirs.pod_v2, "io.pressure");
  if (!dirs.container_memory.empty()) {
    sensor.memory_usage_ = OpenIfThere(dirs.container_memory, "memory.usage_in_bytes");
    sensor.memory_stat_ = OpenIfThere(dirs.container_memory, "memory.stat");
    sensor.memory_totals_ = true;
  } else {
    sensor.memory_usage_ = OpenIfThere(dirs.container_v2, "memory.current");
    sensor.memory_stat_ = OpenIfThere(dirs.container_v2, "memory.stat");
  }
  sensor.net_dev_ = OpenIfThere(proc, "net/dev");
  return sensor;
}

void VmSensor::Note(const Error& error, std::string_view what) {
  if (trouble_.empty()) trouble_ = error.In(what).message;
}

Status VmSensor::Sample(std::span<char> scratch, Reading& out) {
  trouble_.clear();
  // A zombie keeps its /proc files; one that is gone answers ESRCH.
  const auto stat = alive_.Read(scratch);
  if (!stat) return Fail(Code::kGone, "QEMU pid " + std::to_string(place_.pid) + " has ended");
  const auto bracket = stat->rfind(')');
  const bool zombie = bracket != std::string_view::npos && stat->substr(bracket).starts_with(") Z");
  if (zombie) return Fail(Code::kGone, "QEMU pid " + std::to_string(place_.pid) + " has ended");

  if (const auto usage = gauge_.UsageMicros()) {
    out.Put(Feature::kCpuUsage, static_cast<double>(*usage));
  } else if (usage.error().code == Code::kGone) {
    return Fail(usage.error());
  } else {
    Note(usage.error(), "cpu usage");
  }
  if (const auto system = gauge_.SystemMicros()) {
    out.Put(Feature::kCpuSystem, static_cast<double>(*system));
  } else {
    Note(system.error(), "cpu system time");
  }
  Throttling(scratch, out);
  Vcpus(out);
  Pressure(cpu_pressure_, Feature::kCpuPressure, "cpu.pressure", scratch, out);
  Pressure(memory_pressure_, Feature::kMemoryPressure, "memory.pressure", scratch, out);
  Pressure(io_pressure_, Feature::kIoPressure, "io.pressure", scratch, out);
  Memory(scratch, out);
  Network(scratch, out);
  return {};
}

void VmSensor::Throttling(std::span<char> scratch, Reading& out) {
  if (!throttling_.is_open()) return Note({Code::kNotFound, "not there"}, "cpu.stat");
  const auto text = throttling_.Read(scratch);
  if (!text) return Note(text.error(), "cpu.stat");
  const auto value = ParseKeyed(*text, throttling_nanos_ ? "throttled_time" : "throttled_usec");
  if (!value) return Note(value.error(), "cpu.stat");
  out.Put(Feature::kCpuThrottled, static_cast<double>(*value) / (throttling_nanos_ ? 1000.0 : 1.0));
}

void VmSensor::Vcpus(Reading& out) {
  bool another_source = false;
  auto sum = gauge_.ReadVcpus();
  if (!sum || ticks_to_refresh_-- <= 0) {
    ticks_to_refresh_ = kThreadRefreshTicks;
    const auto changed = gauge_.RefreshThreads();
    if (!changed) return Note(changed.error(), "vCPU threads");
    another_source = *changed;
    sum = gauge_.ReadVcpus();
  }
  if (!sum) return Note(sum.error(), "vCPU threads");
  // Sums over two different sets of threads must not meet in one difference.
  if (another_source) return Note({Code::kConflict, "the set of vCPU threads changed"}, "vCPU threads");
  out.Put(Feature::kVcpuRun, static_cast<double>(sum->run_us));
  out.Put(Feature::kVcpuDelay, static_cast<double>(sum->delay_us));
}

void VmSensor::Pressure(const TextFile& file, Feature feature, std::string_view name, std::span<char> scratch,
                        Reading& out) {
  if (!file.is_open()) return Note({Code::kUnsupported, "the kernel offers no PSI for the pod"}, name);
  const auto text = file.Read(scratch);
  if (!text) return Note(text.error(), name);
  const auto total = ParsePressureTotal(*text);
  if (!total) return Note(total.error(), name);
  out.Put(feature, static_cast<double>(*total));
}

void VmSensor::Memory(std::span<char> scratch, Reading& out) {
  if (!memory_usage_.is_open() || !memory_stat_.is_open()) {
    return Note({Code::kNotFound, "the compute container has no memory files"}, "memory");
  }
  if (const auto text = memory_usage_.Read(scratch); !text) {
    Note(text.error(), "memory usage");
  } else if (const auto value = ParseCounter(*text); !value) {
    Note(value.error(), "memory usage");
  } else {
    out.Put(Feature::kMemoryResident, static_cast<double>(*value));
  }
  const auto text = memory_stat_.Read(scratch);
  if (!text) return Note(text.error(), "memory.stat");
  const auto minor = ParseKeyed(*text, memory_totals_ ? "total_pgfault" : "pgfault");
  const auto major = ParseKeyed(*text, memory_totals_ ? "total_pgmajfault" : "pgmajfault");
  if (!minor || !major) return Note(minor ? major.error() : minor.error(), "memory.stat");
  out.Put(Feature::kMemoryMinorFaults, static_cast<double>(*minor));
  out.Put(Feature::kMemoryMajorFaults, static_cast<double>(*major));
  // An old kernel's v1 does not count them: no trouble, only not measured.
  if (const auto refaults = ParseRefaults(*text, memory_totals_)) {
    out.Put(Feature::kMemoryRefaults, static_cast<double>(*refaults));
  } else if (refaults.error().code != Code::kNotFound) {
    Note(refaults.error(), "memory.stat");
  }
}

void VmSensor::Network(std::span<char> scratch, Reading& out) {
  if (!net_dev_.is_open()) return Note({Code::kNotFound, "not readable"}, "net/dev");
  const auto text = net_dev_.Read(scratch);
  if (!text) return Note(text.error(), "net/dev");
  const auto taps = ParseTaps(*text);
  if (!taps) return Note(taps.error(), "net/dev");
  // A NIC that was plugged or pulled makes the sum another source.
  if (taps_ != 0 && std::exchange(taps_, taps->taps) != taps->taps) {
    return Note({Code::kConflict, "the number of taps changed"}, "net/dev");
  }
  taps_ = taps->taps;
  out.Put(Feature::kNetReceiveBytes, static_cast<double>(taps->guest_received_bytes));
  out.Put(Feature::kNetTransmitBytes, static_cast<double>(taps->guest_sent_bytes));
  out.Put(Feature::kNetPackets, static_cast<double>(taps->packets));
  out.Put(Feature::kNetDrops, static_cast<double>(taps->drops));
  out.Put(Feature::kNetErrors, static_cast<double>(taps->errors));
}

}  // namespace whorl::agent
