#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace whorl::agent {

// The texts of the knobs `balloon` and `disk@<target>` and what a domain's XML says
// that matters to them. Pure; plain values.

// QEMU's largest rate, bytes or operations per second.
inline constexpr std::uint64_t kLargestRate = 1'000'000'000'000'000;

// Canonical decimal KiB, a multiple of the guest's page: what QEMU can report.
// kInvalid for anything else, 0 included.
Result<std::uint64_t> ParseBalloonKib(std::string_view text);

// How one disk is throttled by QEMU: libvirt's fields (VIR_DOMAIN_BLOCK_IOTUNE_*) by
// name, those that are 0 (no limit) left out.
struct DiskThrottle {
  std::map<std::string, std::uint64_t> numbers;
  std::string group;  // shared with other disks; empty: the disk's own

  friend bool operator==(const DiskThrottle&, const DiskThrottle&) = default;
};

// read_bytes=0 write_bytes=0 read_iops=0 write_iops=0, always those four, 0 = none;
// behind them whatever else is set (bursts, totals, size of an operation, group), by
// libvirt's names: the text of a disk that somebody else throttles carries all of it.
std::string FormatDisk(const DiskThrottle& throttle);
// kInvalid names the word that is wrong: unknown form, twice, too large, one of the four missing.
Result<DiskThrottle> ParseDisk(std::string_view text);

// Per second; nullopt: whatever stands there.
struct DiskLimits {
  std::optional<std::uint64_t> read_bytes{};
  std::optional<std::uint64_t> write_bytes{};
  std::optional<std::uint64_t> read_iops{};
  std::optional<std::uint64_t> write_iops{};
};
// `found` with our limits: a limit found stays where it is the lower one, and what we
// lower loses its burst. kInvalid: 0 or above kLargestRate. kRefused: the disk is
// limited by a total already, beside which QEMU takes no limit for reads or writes.
Result<std::string> LimitDisk(std::string_view found, const DiskLimits& limits);

struct DomainFacts {
  std::vector<std::string> disks;  // targets of disks and LUNs, not of CD-ROMs and floppies
  bool balloon = false;            // has a virtio balloon
  // Why the host cannot take the guest's memory back ("huge pages"); empty: it can.
  std::string pinned;
  std::map<std::string, std::string> aliases;  // of disks, by target
};
// kInvalid when it is no domain.
Result<DomainFacts> ParseDomainXml(const std::string& xml);

// Whether a throttle group's name is the one QEMU makes up for a disk without one.
bool IsOwnGroup(std::string_view group, std::string_view alias);

}  // namespace whorl::agent
