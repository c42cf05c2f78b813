#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/plugin/view.h"

namespace whorl::plugin {

enum class SortBy : std::uint8_t { kScore, kName, kCpu, kPredicted, kState };
// score, name, cpu, predicted or state.
std::optional<SortBy> ParseSortBy(std::string_view word);

struct TopOptions {
  bool all_namespaces = false;  // a column for the namespace
  bool wide = false;
  bool colours = false;
  SortBy sort_by = SortBy::kScore;
};

// Largest first; by name and state in alphabetical order. What has no such
// value comes last, equals by namespace and name.
void Sort(std::vector<VmView>& vms, SortBy by);

// One line per VM, in the order given.
std::string RenderTop(const std::vector<VmView>& vms, const TopOptions& options);
// The same as a JSON list, with what is not known left out.
std::string RenderTopJson(const std::vector<VmView>& vms);

}  // namespace whorl::plugin
