#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/base/units.h"

namespace whorl::controller {

// A Kubernetes quantity of CPU: "250m", "2", "0.5", "1e3m" is refused by the
// API server and by us. Fractions of a millicore round up, as the kubelet does.
Result<MilliCores> ParseCpu(std::string_view text);

// A Kubernetes quantity of memory: "1Gi", "512Mi", "1G", "1073741824". Fractions
// ("1.5Gi") are taken where they make whole bytes.
Result<Bytes> ParseBytes(std::string_view text);
// The same amount in the largest unit that says it exactly: "1536Mi", "2Gi", "1000".
std::string BytesText(Bytes bytes);

}  // namespace whorl::controller
