#pragma once

#include <string>

#include "core/base/time.h"
#include "operator/plugin/replay/sources.h"

namespace whorl::plugin {

// How a report says numbers.

std::string Percent(double part);     // "0.31 %", "12 %"
std::string Cores(double cores);      // "0.52", "12.3"
std::string Work(double core_hours);  // "0.54 core-h", and below a tenth "21 core-s"
std::string Duration(double hours);   // "40 s", "35 min", "3.5 h", "2.1 days"
// UTC; of traces that count from their own beginning, "day 3 12:05".
std::string When(Time at);
// Whether a recording came out as it was recorded, and how fast.
std::string Sameness(const Relived& relived);

}  // namespace whorl::plugin
