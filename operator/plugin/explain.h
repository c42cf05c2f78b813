#pragma once

#include <string>

#include "core/base/time.h"
#include "operator/plugin/view.h"

namespace whorl::plugin {

struct ExplainOptions {
  bool colours = false;
  Time now{};  // for "4 min ago"
};

// Why a VM is judged and treated as it is, for a person, ending with what to do
// next. Parts of which nothing is known are left out.
std::string RenderExplain(const VmView& vm, const ExplainOptions& options);

// "42 s", "4 min", "3 h 5 min", "2 d 4 h" from an RFC 3339 text to now; the
// text itself when it is none, "" for an empty one.
std::string Ago(const std::string& time, Time now);

}  // namespace whorl::plugin
