#include "operator/agent/sense/domain_stats.h"

namespace whorl::agent {
namespace {

constexpr std::uint64_t kBytesPerKib = 1024;
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
  } else if (name == "block.count") {
    stats.disks = static_cast<int>(value);
  } else if (name.starts_with("block.")) {
    if (name.ends_with(".rd.bytes")) stats.disk_read_bytes += value;
    if (name.ends_with(".wr.bytes")) stats.disk_written_bytes += value;
    if (name.ends_with(".rd.reqs") || name.ends_with(".wr.reqs") || name.ends_with(".fl.reqs")) {
      stats.disk_operations += value;
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
  if (stats.disks > 0) {
    reading.Put(Feature::kDiskReadBytes, static_cast<double>(stats.disk_read_bytes));
    reading.Put(Feature::kDiskWriteBytes, static_cast<double>(stats.disk_written_bytes));
    reading.Put(Feature::kDiskOperations, static_cast<double>(stats.disk_operations));
  }
}

}  // namespace whorl::agent
