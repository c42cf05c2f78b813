#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/base/time.h"
#include "operator/plugin/replay/sources.h"
#include "operator/promql/client.h"

namespace whorl::plugin {

struct Span {
  Time from{}, to{};
  Seconds step{300};
};

// "7d", "36h", "90m" before `now`, "now", or RFC 3339 ("2026-01-02T03:04:05Z",
// or the day alone). kInvalid names what was given and what may be.
Result<Time> ParseWhen(std::string_view text, Time now);

bool IsUrl(std::string_view source);

// What a Prometheus that scrapes KubeVirt and, better still, kube-state-metrics
// remembers of all VMs: CPU used, cores, requests, limits, and the nodes' CPU
// without what other pods request. VMs are named NAMESPACE/NAME. kNotFound when it
// has no VM in that time; else errors as PrometheusClient's.
Result<History> ReadPrometheus(promql::PrometheusClient& prometheus, const Span& span,
                               const std::function<void(const std::string&)>& progress);

}  // namespace whorl::plugin
