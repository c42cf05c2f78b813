#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/time.h"
#include "operator/agent/sense/reading.h"

namespace whorl::agent {

// What libvirt says of one domain. Absent fields were not reported.
struct DomainStats {
  std::optional<std::uint64_t> balloon_bytes;  // current size
  std::optional<std::uint64_t> usable_bytes;   // by the guest's own balloon driver
  std::optional<std::int64_t> guest_updated;   // when that driver last spoke, Unix seconds
  std::optional<std::uint64_t> guest_major_faults;
  std::optional<std::uint64_t> guest_swapped_in_bytes;
  std::optional<std::uint64_t> guest_swapped_out_bytes;
  int disks = 0;
  std::uint64_t disk_read_bytes = 0;
  std::uint64_t disk_written_bytes = 0;
  std::uint64_t disk_operations = 0;
  std::uint64_t disk_flushes = 0;
  std::uint64_t disk_busy_ns = 0;  // reads, writes and flushes; more than the clock when they overlap
  // Of a calculation that was asked for: 0 not begun, 1 under way, 2 done.
  int dirty_status = 0;
  std::uint64_t dirty_bytes_per_second = 0;
  bool dirty_wanted = false;  // that calculation is this VM's newest and has not been told yet
};

// Folds libvirt's typed parameters ("balloon.current", "block.0.rd.bytes" ...)
// into DomainStats; unknown names are ignored.
void Fold(std::string_view name, std::uint64_t value, DomainStats& stats);

// Puts what the stats really say. The guest's own figures count only while its
// balloon driver reports: a silent driver leaves its last word standing in libvirt.
void Put(const DomainStats& stats, Time now, Reading& reading);

}  // namespace whorl::agent
