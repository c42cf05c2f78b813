#pragma once

#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "operator/trace/series.h"
#include "operator/trace/table.h"

namespace whorl::trace {

// Readers of what VMs used, one Series per VM (and node) in order of appearance.
// All refuse with kInvalid what they cannot read as a trace (a missing column, no
// rows, times in another unit), and mask and count what is wrong only here and there.

// What to do with a VM of fewer than two usable rows.
enum class Brief { kRefuse, kLeaveOut };

// azure: vm, t (s), cpu_avg_pct, cpu_max_pct.
Result<std::vector<Series>> ReadAzureTrace(Table table, Brief brief = Brief::kRefuse);
// bitbrains: vm, t_end_s, duration_s, cpu_mhz; runs that the source merged are taken apart again.
Result<std::vector<Series>> ReadBitbrainsTrace(Table table, Brief brief = Brief::kRefuse);

// Optional columns of a resource trace, in cores.
inline constexpr std::string_view kRequestColumn = "request_cores", kLimitColumn = "limit_cores",
                                  kNodeColumn = "node_cores";
// bitbrains_rnd and tables made by hand: vm, ts (s), cores (of the VM), cpu_pct; and where there are such columns
// mem_mb, disk_rd_kbs, disk_wr_kbs, net_rx_kbs, net_tx_kbs, the three above, and node (a name).
// The first column of a Series is cpu_pct, the last cores; between are those the table has.
Result<std::vector<Series>> ReadResourceTrace(Table table, Brief brief = Brief::kRefuse);

// Whichever of the three the header says it is.
Result<std::vector<Series>> ReadVmTrace(Table table, Brief brief);

}  // namespace whorl::trace
