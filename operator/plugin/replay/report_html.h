#pragma once

#include <string>

#include "operator/plugin/replay/report.h"

namespace whorl::plugin {

// The report as one HTML file that opens without a network: style, data, the
// charting library and the page's script are inside. Whatever came from a source
// is escaped; its verdict and tables can be read without JavaScript.
std::string RenderHtml(const Report& report, const Summary& summary);

// Text for between two tags or inside a quoted attribute.
std::string EscapeHtml(std::string_view text);

}  // namespace whorl::plugin
