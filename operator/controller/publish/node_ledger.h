#pragma once

#include <string>
#include <vector>

#include "core/base/time.h"
#include "crd/node_partition.h"
#include "operator/controller/ingest/report.h"

namespace whorl::controller {

// The NodePartition's status from a node's report. Pure. `controller` is this
// replica's name; `conditions` are those written before. While nobody has
// planned for the node yet, its books are those that are stored: they must
// survive until they are taken over.
crd::NodePartitionStatus ToNodePartition(const NodeReport& node, const std::string& controller,
                                         std::vector<crd::Condition> conditions, Time now,
                                         const crd::NodePartitionRecord* stored = nullptr);

// Which loans stand open, without their amounts and expiries: what may be
// written ahead of the minute.
std::string LoansKey(const NodeReport& node);

}  // namespace whorl::controller
