#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/time.h"
#include "core/base/units.h"
#include "core/engine/assessment.h"
#include "core/engine/policy.h"

// How values look in our objects, Events and annotations.
namespace whorl::crd {

std::string Quantity(MilliCores cpu);                  // "350m"
std::string LimitText(std::optional<MilliCores> cpu);  // "350m"; nullopt is "none": read, and no limit there
std::string RoughBytes(double bytes);                  // "240Mi": two digits that matter, 0 and more
std::string RoughCpu(double millicores);               // "120m": the same
std::string TimeText(Time t);                          // RFC 3339 in UTC, whole seconds
std::optional<Time> ParseTimeText(std::string_view text);

// The range an amount lies in, as tenants see their loans: "250m-500m".
std::string AmountRange(MilliCores cpu);

// At most `max_characters`, cut at a character boundary and ended by "..." when
// cut; what is no valid UTF-8 becomes '?', because the API server refuses it.
std::string Clip(std::string_view text, std::size_t max_characters);

std::string_view ModeName(Mode mode);                    // "Enforce", as in the CRDs
std::string_view ModeAnnotation(Mode mode);              // "enforce", as in the annotation
std::string_view PartitionKindName(PartitionKind kind);  // "Soft", "Hard"
std::string_view PauseName(Pause pause);                 // "None", "Hold", "HoldAndDrain"

}  // namespace whorl::crd
