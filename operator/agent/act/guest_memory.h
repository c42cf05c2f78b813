#pragma once

#include <cstdint>
#include <optional>

namespace whorl::agent {

// A guest's memory as libvirt reports it. Absent was not reported. The guest's own
// figures (all but size, rss and most) are as old as `updated` says.
struct GuestMemory {
  std::uint64_t most_kib = 0;                   // <memory> of the domain; after a memory hotplug KubeVirt's maxGuest
  std::optional<std::uint64_t> size_kib;        // what the balloon leaves the guest with now; absent: no balloon
  std::optional<std::uint64_t> rss_kib;         // of QEMU
  std::optional<std::uint64_t> total_kib;       // libvirt's "available": what the guest's kernel has
  std::optional<std::uint64_t> unused_kib;      // of that, wholly free
  std::optional<std::uint64_t> usable_kib;      // of that, could be given up without swapping: page cache too
  std::optional<std::uint64_t> major_faults;    // ever
  std::optional<std::uint64_t> swapped_in_kib;  // ever
  std::optional<std::int64_t> updated;          // Unix seconds; absent or 0: the balloon's driver has never spoken
};

}  // namespace whorl::agent
