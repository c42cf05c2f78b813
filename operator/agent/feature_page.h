#pragma once

#include <string>

namespace whorl::agent {

// docs/reference/features.md, from core/telemetry/features.h.
std::string FeaturePage();

}  // namespace whorl::agent
