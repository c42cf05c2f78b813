#include "operator/controller/bootstrap/history_table.h"

#include <algorithm>

namespace whorl::controller {
namespace {

constexpr std::string_view kPodPrefix = "virt-launcher-";
// Kubernetes cuts the part before its five random characters to this.
constexpr std::size_t kMaxGeneratedBase = 58;

// Namespaces and VMs are DNS-1123 subdomains. Anything else would have to come
// around the API server, and is not put into a query at all.
bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= 253 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

// A dot is the only character of a name that means something to a regular
// expression; the backslash itself must be doubled within PromQL's quotes.
std::string ForRegex(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '.') out += "\\\\";
    out += c;
  }
  return out;
}

}  // namespace

std::optional<std::string> QueryOf(const HistoryRow& row, std::string_view ns, std::string_view vm, Seconds step) {
  if (!IsName(ns) || !IsName(vm)) return std::nullopt;
  std::string labels = "{namespace=\"" + std::string(ns) + "\",";
  if (row.whose == SeriesOf::kVmi) {
    labels += "name=\"" + std::string(vm) + "\"";
  } else {
    if (kPodPrefix.size() + vm.size() + 1 > kMaxGeneratedBase) return std::nullopt;
    labels += "pod=~\"" + std::string(kPodPrefix) + ForRegex(vm) + "-[a-z0-9]{5}\",container=\"compute\"";
  }
  if (!row.matcher.empty()) labels += "," + std::string(row.matcher);
  labels += "}[" + std::to_string(step.count()) + "s]";

  std::string query;
  for (const auto metric : row.metrics) {
    if (metric.empty()) break;
    if (!query.empty()) query += " + ";
    // Around a migration two series of one gauge overlap; of counters, disks,
    // interfaces and vCPUs are added up, each rated by itself.
    query += row.kind == Kind::kCounter ? "sum(rate(" : "max(avg_over_time(";
    query += std::string(metric) + labels + "))";
  }
  return query;
}

}  // namespace whorl::controller
