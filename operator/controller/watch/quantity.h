#pragma once

#include <string_view>

#include "core/base/result.h"
#include "core/base/units.h"

namespace whorl::controller {

// A Kubernetes quantity of CPU: "250m", "2", "0.5", "1e3m" is refused by the
// API server and by us. Fractions of a millicore round up, as the kubelet does.
Result<MilliCores> ParseCpu(std::string_view text);

}  // namespace whorl::controller
