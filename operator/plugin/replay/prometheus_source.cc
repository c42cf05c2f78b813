#include "operator/plugin/replay/prometheus_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "operator/kube/json.h"

namespace whorl::plugin {
namespace {

using promql::MatrixAnswer;

// Of thousands of VMs an answer would not fit into memory otherwise.
constexpr std::size_t kPage = 288;
constexpr Seconds kSlowStep{3600};  // for what seldom changes

constexpr std::string_view kUsed = "kubevirt_vmi_cpu_usage_seconds_total";
// By the name of its launcher pod, virt-launcher-NAME-abcde.
constexpr std::string_view kOfLauncher =
    R"(max by (namespace, name) (label_replace({}{{resource="cpu",container="compute",pod=~"virt-launcher-.+"}},)"
    R"("name", "$1", "pod", "virt-launcher-(.+)-[a-z0-9]{{5}}")))";

using Key = std::pair<std::string, std::string>;  // namespace, name
Key KeyOf(const MatrixAnswer::Series& series) {
  return {std::string(series.Label("namespace")), std::string(series.Label("name"))};
}

// Asks one question after the other and keeps the first failure.
class Questions {
 public:
  Questions(promql::PrometheusClient& prometheus, const Span& span,
            const std::function<void(const std::string&)>& progress)
      : prometheus_(prometheus), span_(span), progress_(progress) {}

  std::vector<MatrixAnswer::Series> Ask(const std::string& what, const std::string& query, Seconds step) {
    if (error_) return {};
    progress_("asking " + prometheus_.url() + " for " + what);
    auto answer = prometheus_.QuerySeries(query, span_.from, span_.to, step, kPage);
    if (!answer) {
      error_ = answer.error();
      return {};
    }
    masked_ += answer->masked;
    for (auto& warning : answer->warnings) warnings_.push_back("Prometheus warns: " + warning);
    return std::move(answer->series);
  }
  // The newest finite value of each series.
  std::map<Key, double> Newest(const std::string& what, const std::string& query) {
    std::map<Key, double> values;
    for (const auto& series : Ask(what, query, std::max(span_.step, kSlowStep))) {
      if (!series.samples.empty()) values[KeyOf(series)] = series.samples.back().value;
    }
    return values;
  }

  const std::optional<Error>& error() const { return error_; }
  std::uint64_t masked() const { return masked_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  promql::PrometheusClient& prometheus_;
  const Span& span_;
  const std::function<void(const std::string&)>& progress_;
  std::optional<Error> error_;
  std::uint64_t masked_ = 0;
  std::vector<std::string> warnings_;
};

std::optional<double> Find(const std::map<Key, double>& values, const Key& key) {
  const auto found = values.find(key);
  return found != values.end() && found->second > 0 ? std::optional(found->second) : std::nullopt;
}

}  // namespace

bool IsUrl(std::string_view source) { return source.starts_with("http://") || source.starts_with("https://"); }

Result<Time> ParseWhen(std::string_view text, Time now) {
  if (text == "now") return now;
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error == std::errc{} && end + 1 == text.data() + text.size() && count > 0 && count <= 100'000) {
    if (*end == 'd') return now - std::chrono::hours{24 * count};
    if (*end == 'h') return now - std::chrono::hours{count};
    if (*end == 'm') return now - std::chrono::minutes{count};
  }
  const std::string whole = std::string(text) + (text.size() == 10 ? "T00:00:00Z" : "");
  if (auto time = kube::ParseRfc3339(whole)) return *time;
  return Fail(Code::kInvalid, "\"" + std::string(text) +
                                  "\" is no time; write how long ago (7d, 36h, 90m), now, 2026-01-31 or "
                                  "2026-01-31T12:00:00Z");
}

Result<History> ReadPrometheus(promql::PrometheusClient& prometheus, const Span& span,
                               const std::function<void(const std::string&)>& progress) {
  Questions questions(prometheus, span, progress);
  const auto used =
      questions.Ask("the CPU of all VMs",
                    fmt::format("sum by (node, namespace, name) (rate({}[{}s]))", kUsed, span.step.count()), span.step);
  if (!questions.error() && used.empty()) {
    return Fail(
        Code::kNotFound,
        fmt::format("Prometheus {} has no {} from {} to {}: does it scrape KubeVirt's virt-handler, more than once in "
                    "{} s (--step), and so far back (--from)?",
                    prometheus.url(), kUsed, kube::Rfc3339(span.from), kube::Rfc3339(span.to), span.step.count()));
  }
  const auto vcpus = questions.Newest(
      "their cores", "count by (namespace, name) (count by (namespace, name, id) (kubevirt_vmi_vcpu_seconds_total))");
  const auto requests = questions.Newest(
      "their requests", fmt::format(fmt::runtime(kOfLauncher), "kube_pod_container_resource_requests"));
  const auto limits =
      questions.Newest("their limits", fmt::format(fmt::runtime(kOfLauncher), "kube_pod_container_resource_limits"));
  std::map<std::string, double> capacity;
  const Seconds slow = std::max(span.step, kSlowStep);
  for (const auto& series :
       questions.Ask("the nodes' CPU", R"(max by (node) (kube_node_status_allocatable{resource="cpu"}))", slow)) {
    if (!series.samples.empty()) capacity[std::string(series.Label("node"))] = series.samples.back().value;
  }
  for (const auto& series : questions.Ask(
           "what other pods request",
           R"(sum by (node) (kube_pod_container_resource_requests{resource="cpu",pod!~"virt-launcher-.+"}))", slow)) {
    const auto node = capacity.find(std::string(series.Label("node")));
    if (node != capacity.end() && !series.samples.empty()) node->second -= series.samples.back().value;
  }
  if (questions.error()) return Fail(*questions.error());

  History history;
  bool guessed = false;
  for (const auto& series : used) {
    const Key key = KeyOf(series);
    whatif::Track track;
    track.vm = key.first + "/" + key.second;
    track.node = series.Label("node");
    double most = 0;
    for (const auto& sample : series.samples) {
      // A rate is that of the step before.
      track.samples.push_back({sample.at - span.step, static_cast<float>(sample.value)});
      most = std::max(most, sample.value);
    }
    const auto cores = Find(vcpus, key);
    guessed = guessed || !cores;
    track.size = cores.value_or(std::max(1.0, std::ceil(most)));
    track.request = Find(requests, key);
    track.limit = Find(limits, key);
    const auto node = capacity.find(track.node);
    if (node != capacity.end() && node->second > 0) track.node_capacity = node->second;
    history.tracks.push_back(std::move(track));
  }
  if (guessed) {
    history.assumed.emplace_back(
        "Some VMs' cores are in no series (kubevirt_vmi_vcpu_seconds_total): they have as many as their highest use "
        "fills.");
  }
  if (!capacity.empty()) {
    history.assumed.emplace_back(
        "A node's capacity for VMs is what is allocatable less what other pods request, as it was last.");
  }
  history.assumed.emplace_back(
      "Requests and limits of a VM are those of its launcher pod's container compute, as they were last.");
  if (questions.masked() > 0) {
    history.noticed.push_back(std::to_string(questions.masked()) + " values that are no numbers were masked.");
  }
  for (const std::string& warning : questions.warnings()) {
    if (std::find(history.noticed.begin(), history.noticed.end(), warning) == history.noticed.end())
      history.noticed.push_back(warning);
  }
  return history;
}

}  // namespace whorl::plugin
