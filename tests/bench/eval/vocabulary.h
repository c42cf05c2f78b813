#pragma once

#include "operator/trace/series.h"
#include "operator/trace/table.h"

namespace whorl::eval {

// What traces are read into is shared with kubectl whorl replay.
using trace::Integer;
using trace::kMissing;
using trace::Number;
using trace::ReadCounts;
using trace::ReadText;
using trace::RunsOf;
using trace::Segment;
using trace::Series;
using trace::Table;

}  // namespace whorl::eval
