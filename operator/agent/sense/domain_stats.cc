#include "operator/agent/sense/domain_stats.h"

namespace whorl::agent {
namespace {

constexpr std::uint64_t kBytesPerKib = 1024;
constexpr std::uint64_t kBytesPerMib = kBytesPerKib * 1024;
constexpr double kNanosPerMicro = 1000;
constexpr int kDirtyMeasured = 2;  // VIR_DOMAIN_DIRTYRATE_MEASURED
// KubeVirt lets the balloon driver report every 10 s.
constexpr std::int64_t kGuestSilentSeconds = 45;

}  // namespace

void Fold(std::string_view name, std::uint64_t value, DomainStats& stats) {
  if (name == "balloon.current") {
    stats.balloon_bytes = value * kBytesPerKib;
  } else if (name == "balloon.usable") {
    stats.usable_bytes = value * kBytesPerKib;
  } else if (name == "balloon.last-update") {
    stats.guest_updated = static_cast<std::int64_t>(value);
  } else if (name == "balloon.major_fault") {
    stats.guest_major_faults = value;
  } else if (name == "balloon.swap_in") {
    stats.guest_swapped_in_bytes = value * kBytesPerKib;
  } else if (name == "balloon.swap_out") {
    stats.guest_swapped_out_bytes = value * kBytesPerKib;
  } else if (name == "dirtyrate.calc_status") {
    stats.dirty_status = value <= kDirtyMeasured ? static_cast<int>(value) : 0;
  } else if (name == "dirtyrate.megabytes_per_second") {
    stats.dirty_bytes_per_second = value * kBytesPerMib;
  } else if (name == "block.count") {
    stats.disks = static_cast<int>(value);
  } else if (name.starts_with("block.")) {
    if (name.ends_with(".rd.bytes")) stats.disk_read_bytes += value;
    if (name.ends_with(".wr.bytes")) stats.disk_written_bytes += value;
    if (name.ends_with(".rd.reqs") || name.ends_with(".wr.reqs") || name.ends_with(".fl.reqs")) {
      stats.disk_operations += value;
    }
    if (name.ends_with(".fl.reqs")) stats.disk_flushes += value;
    if (name.ends_with(".rd.times") || name.ends_with(".wr.times") || name.ends_with(".fl.times")) {
      stats.disk_busy_ns += value;
    }
  }
}

void Put(const DomainStats& stats, Time now, Reading& reading) {
  if (stats.balloon_bytes) reading.Put(Feature::kBalloonCurrent, static_cast<double>(*stats.balloon_bytes));
  const bool speaks = stats.guest_updated && *stats.guest_updated > 0 &&
                      ToUnixMillis(now) / 1000 - *stats.guest_updated <= kGuestSilentSeconds;
  if (stats.usable_bytes && speaks) {
    reading.Put(Feature::kGuestMemoryUsable, static_cast<double>(*stats.usable_bytes));
  }
  if (stats.guest_major_faults && speaks) {
    reading.Put(Feature::kGuestMajorFaults, static_cast<double>(*stats.guest_major_faults));
  }
  if (stats.guest_swapped_in_bytes && stats.guest_swapped_out_bytes && speaks) {
    const std::uint64_t swapped = *stats.guest_swapped_in_bytes + *stats.guest_swapped_out_bytes;
    reading.Put(Feature::kGuestSwapping, static_cast<double>(swapped));
  }
  if (stats.dirty_wanted && stats.dirty_status == kDirtyMeasured) {
    reading.Put(Feature::kDirtyRate, static_cast<double>(stats.dirty_bytes_per_second));
  }
  if (stats.disks > 0) {
    reading.Put(Feature::kDiskReadBytes, static_cast<double>(stats.disk_read_bytes));
    reading.Put(Feature::kDiskWriteBytes, static_cast<double>(stats.disk_written_bytes));
    reading.Put(Feature::kDiskOperations, static_cast<double>(stats.disk_operations));
    reading.Put(Feature::kDiskFlushes, static_cast<double>(stats.disk_flushes));
    reading.Put(Feature::kDiskBusy, static_cast<double>(stats.disk_busy_ns) / kNanosPerMicro);
  }
}

}  // namespace whorl::agent
