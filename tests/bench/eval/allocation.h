#pragma once

#include <filesystem>
#include <ostream>

#include "core/base/result.h"

namespace whorl::eval {

struct AllocationOptions {
  std::filesystem::path data;  // laid out as ../shared/data/vm_demand
  bool json = false;
};

// Divides nodes of 16 recorded VMs (seeded grouping, CPU) period by period with
// the shipping core/partition and with simple policies, and counts the demand
// each leaves unmet. A plan for a period knows nothing of that period.
Status RunAllocation(const AllocationOptions& options, std::ostream& out, std::ostream& log);

}  // namespace whorl::eval
