#include "operator/promql/client.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "operator/kube/json_view.h"

namespace whorl::promql {
namespace {

// Longest Retry-After that is obeyed; beyond it the VM learns without history.
constexpr Seconds kLongestWait{60};
constexpr const char* kOneSeries = "more than one series came where one was asked for";
// 1970 to 9999, so that no time overflows.
constexpr double kLatestSeconds = 253'402'300'799.0;

std::string Encode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
        c == '.' || c == '~') {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15u]};
    }
  }
  return out;
}

// Prometheus' numbers are strings: "1.5e-05", "NaN", "+Inf". nullopt: no
// finite number; an error: no number at all.
Result<std::optional<double>> ParseValue(std::string_view text) {
  if (text == "NaN" || text == "+Inf" || text == "-Inf" || text == "Inf") return std::optional<double>();
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) return std::optional<double>();
  if (error != std::errc{} || end != text.data() + text.size()) {
    return Fail(Code::kInvalid, "a value of the series is no number");
  }
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

Status AddSample(kube::JsonView pair, MatrixAnswer& answer) {
  std::optional<double> seconds;
  std::optional<std::string_view> text;
  int items = 0;
  pair.ForEachItem([&](kube::JsonView item) {
    if (items == 0) {
      if (auto at = item.Double({})) seconds = *at;
    } else if (items == 1) {
      text = item.FindString({});
    }
    return ++items < 3;
  });
  if (items != 2 || !seconds || !text || !(*seconds >= 0 && *seconds <= kLatestSeconds)) {
    return Fail(Code::kInvalid, "a value of the series is not [time, \"number\"]");
  }
  auto value = ParseValue(*text);
  if (!value) return Fail(value.error());
  if (*value) {
    answer.series.back().samples.push_back({FromUnixMillis(std::llround(*seconds * 1000)), **value});
  } else {
    ++answer.masked;
  }
  return {};
}

void AddWarning(std::vector<std::string>& warnings, std::string_view text) {
  constexpr std::size_t kMost = 5, kLongest = 200;
  const auto shortened = std::string(text.substr(0, kLongest));
  if (warnings.size() < kMost && std::find(warnings.begin(), warnings.end(), shortened) == warnings.end()) {
    warnings.push_back(shortened);
  }
}

Error Declined(const kube::JsonView& root) {
  const auto type = root.FindString({"errorType"}).value_or("unknown");
  const auto text = std::string(root.FindString({"error"}).value_or("no reason given")).substr(0, 300);
  Code code = Code::kRefused;
  if (type == "timeout" || type == "canceled") code = Code::kTimeout;
  if (type == "unavailable" || type == "internal") code = Code::kUnavailable;
  return {code, "it says " + std::string(type) + ": " + text};
}

bool WorthAnotherTry(const Error& error) { return error.code == Code::kUnavailable || error.code == Code::kTimeout; }

// `host` with port and path.
bool OnThisMachine(std::string_view host) {
  for (const std::string_view here : {"127.0.0.1", "localhost", "[::1]"}) {
    if (host.starts_with(here) && (host.size() == here.size() || host[here.size()] == ':' || host[here.size()] == '/'))
      return true;
  }
  return false;
}

Status CheckUrl(const PrometheusOptions& options) {
  const std::string_view url = options.url;
  const bool tls = url.starts_with("https://");
  const auto wrong = [&](const std::string& why) {
    return Fail(Code::kInvalid, options.named + " " + options.url + ": " + why);
  };
  if (!tls && !url.starts_with("http://")) return wrong("must begin with http:// or https://");
  const auto host = url.substr(tls ? 8 : 7);
  if (host.empty() || host.front() == '/' || host.front() == ':') return wrong("must name a host");
  if (host.find_first_of("?#@ ") != host.npos) {
    return wrong("must be scheme, host, port and path alone; credentials belong in --prometheus-token-file");
  }
  if (!tls && !options.token_file.empty() && !OnThisMachine(host)) {
    return wrong("a bearer token must not travel over plain http; use https, or leave --prometheus-token-file out");
  }
  if (!tls && !options.ca_file.empty()) return wrong("--prometheus-ca-file needs https");
  return {};
}

}  // namespace

std::string_view MatrixAnswer::Series::Label(std::string_view name) const {
  for (const auto& [label, value] : labels) {
    if (label == name) return value;
  }
  return {};
}

Result<MatrixAnswer> ParseMatrixAnswer(std::string_view body) {
  const auto document = kube::JsonDocument::Parse(body);
  if (!document) return Fail(Code::kInvalid, "the answer is not JSON, so this is no Prometheus");
  const auto root = document->root();
  const auto status = root.FindString({"status"});
  if (status == "error") return Fail(Declined(root));
  if (status != "success") return Fail(Code::kInvalid, "the answer has no status, so this is no Prometheus");
  if (root.FindString({"data", "resultType"}) != "matrix") {
    return Fail(Code::kInvalid, "the answer is no range of values (resultType matrix)");
  }
  MatrixAnswer answer;
  Status read;
  const auto result = root.At({"data", "result"});
  if (!result || !result->is_array()) return Fail(Code::kInvalid, "the answer has no result");
  result->ForEachItem([&](kube::JsonView one) {
    const auto values = one.At({"values"});
    if (!values || !values->is_array()) {
      read = Fail(Code::kInvalid, "a series without values");
      return false;
    }
    auto& series = answer.series.emplace_back();
    if (const auto metric = one.At({"metric"})) {
      metric->ForEachMember([&](std::string_view name, kube::JsonView value) {
        if (const auto text = value.FindString({})) series.labels.emplace_back(name, *text);
        return true;
      });
    }
    values->ForEachItem([&](kube::JsonView pair) { return (read = AddSample(pair, answer)).has_value(); });
    return read.has_value();
  });
  if (!read) return Fail(read.error());
  if (const auto warnings = root.At({"warnings"})) {
    warnings->ForEachItem([&](kube::JsonView text) {
      if (const auto words = text.FindString({})) AddWarning(answer.warnings, *words);
      return true;
    });
  }
  return answer;
}

Result<RangeAnswer> ParseRangeAnswer(std::string_view body) {
  auto matrix = ParseMatrixAnswer(body);
  if (!matrix) return Fail(matrix.error());
  if (matrix->series.size() > 1) return Fail(Code::kInvalid, kOneSeries);
  RangeAnswer answer;
  if (!matrix->series.empty()) answer.samples = std::move(matrix->series.front().samples);
  answer.masked = matrix->masked;
  answer.warnings = std::move(matrix->warnings);
  return answer;
}

Result<std::unique_ptr<PrometheusClient>> PrometheusClient::Connect(const PrometheusOptions& options,
                                                                    kube::WaitingClock& clock) {
  auto checked = options;
  if (auto ok = CheckUrl(checked); !ok) return Fail(ok.error());
  while (checked.url.ends_with('/')) checked.url.pop_back();
  kube::ClusterConfig config;
  config.server = checked.url;
  config.ca.file = checked.ca_file;
  config.origin = "the " + checked.named + " flags";
  config.peer = "Prometheus";
  auto transport = kube::MakeCpprestTransport(config);
  if (!transport) return Fail(transport.error());
  return std::make_unique<PrometheusClient>(std::move(*transport), std::move(checked), clock);
}

PrometheusClient::PrometheusClient(std::unique_ptr<kube::Transport> transport, PrometheusOptions options,
                                   kube::WaitingClock& clock)
    : transport_(std::move(transport)),
      options_(std::move(options)),
      clock_(clock),
      token_("", options_.token_file, clock) {}

Result<RangeAnswer> PrometheusClient::QueryRange(std::string_view query, Time from, Time to, Seconds step,
                                                 const std::stop_token& stop) {
  RangeAnswer all;
  auto asked = EachPage(query, {from, to, step, options_.max_points}, stop, [&](MatrixAnswer&& page) -> Status {
    if (page.series.size() > 1) return Fail(Code::kInvalid, "Prometheus " + options_.url + ": " + kOneSeries);
    for (const auto& series : page.series) {
      all.samples.insert(all.samples.end(), series.samples.begin(), series.samples.end());
    }
    all.masked += page.masked;
    for (const auto& warning : page.warnings) AddWarning(all.warnings, warning);
    return {};
  });
  if (!asked) return Fail(asked.error());
  return all;
}

Result<MatrixAnswer> PrometheusClient::QuerySeries(std::string_view query, Time from, Time to, Seconds step,
                                                   std::size_t page_points, const std::stop_token& stop) {
  MatrixAnswer all;
  std::map<std::vector<std::pair<std::string, std::string>>, std::size_t> place;
  const Range range{from, to, step, std::min(page_points, options_.max_points)};
  auto asked = EachPage(query, range, stop, [&](MatrixAnswer&& page) -> Status {
    for (auto& series : page.series) {
      const auto at = place.emplace(series.labels, all.series.size()).first->second;
      if (at == all.series.size()) {
        all.series.push_back(std::move(series));
        continue;
      }
      auto& samples = all.series[at].samples;
      samples.insert(samples.end(), series.samples.begin(), series.samples.end());
    }
    all.masked += page.masked;
    for (const auto& warning : page.warnings) AddWarning(all.warnings, warning);
    return {};
  });
  if (!asked) return Fail(asked.error());
  return all;
}

Status PrometheusClient::EachPage(std::string_view query, const Range& range, const std::stop_token& stop,
                                  const std::function<Status(MatrixAnswer&&)>& take) {
  if (range.step.count() <= 0 || range.to < range.from || range.points == 0) {
    return Fail(Code::kInvalid, "a range must end after it begins, in steps of at least a second");
  }
  const Millis page = range.step * static_cast<std::int64_t>(range.points - 1);
  for (Time begin = range.from; begin <= range.to; begin += page + range.step) {
    const Time end = std::min(range.to, begin + page);
    const auto seconds = [](Time t) { return std::to_string(ToUnixMillis(t) / 1000); };
    auto answer = Ask("/api/v1/query_range?query=" + Encode(query) + "&start=" + seconds(begin) +
                          "&end=" + seconds(end) + "&step=" + std::to_string(range.step.count()),
                      stop);
    if (!answer) return Fail(answer.error());
    if (auto taken = take(std::move(*answer)); !taken) return taken;
  }
  return {};
}

Result<MatrixAnswer> PrometheusClient::Ask(const std::string& target, const std::stop_token& stop) {
  Millis pause = options_.first_retry;
  bool renewed = false;
  for (int tried = 0;; ++tried) {
    if (auto turn = AwaitTurn(stop); !turn) return Fail(turn.error());
    kube::Request request;
    request.target = target;
    request.timeout = options_.timeout;
    request.stop = stop;
    request.headers = {{"Accept", "application/json"}, {"User-Agent", options_.agent}};
    auto token = token_.Get();
    if (!token) return Fail(token.error());
    if (!token->empty()) request.headers.emplace_back("Authorization", "Bearer " + *token);

    const auto response = transport_->Send(request);
    // The kubelet rotates tokens under us: a new one is worth one more try.
    if (response && response->status == 401 && !renewed && token_.Invalidate()) {
      renewed = true;
      continue;
    }
    auto answer = response ? Read(*response) : Result<MatrixAnswer>(Fail(response.error()));
    if (answer || !WorthAnotherTry(answer.error()) || tried >= options_.max_retries) return answer;
    Millis wait = std::exchange(pause, std::min(options_.last_retry, pause * 2));
    if (response && response->retry_after) {
      if (*response->retry_after > kLongestWait) return answer;
      wait = std::max<Millis>(wait, *response->retry_after);
    }
    if (!clock_.WaitFor(wait, stop)) return answer;
  }
}

Result<MatrixAnswer> PrometheusClient::Read(const kube::Response& response) const {
  const auto fail = [&](Code code, const std::string& what) {
    return Fail(code, "Prometheus " + options_.url + ": " + what);
  };
  const int status = response.status;
  if (status == 401 || status == 403) {
    return fail(Code::kUnauthorized,
                "it answered " + std::to_string(status) +
                    (options_.token_file.empty()
                         ? "; it wants a bearer token: give one with --prometheus-token-file"
                         : "; check the token in " + options_.token_file + " and what its owner may read"));
  }
  if (status >= 300 && status < 400) {
    return fail(Code::kInvalid, "it redirects (" + std::to_string(status) + "); give the address it redirects to");
  }
  if (status == 429) return fail(Code::kUnavailable, "it answered 429: too many requests");
  auto answer = ParseMatrixAnswer(response.body);
  if (answer && status == 200) return answer;
  // Errors of Prometheus' own are JSON with any status; a proxy's are not.
  if (!answer && answer.error().code != Code::kInvalid) return fail(answer.error().code, answer.error().message);
  if (status >= 500) return fail(Code::kUnavailable, "it answered " + std::to_string(status));
  if (status != 200) {
    return fail(Code::kInvalid, "it answered " + std::to_string(status) +
                                    " to /api/v1/query_range; check host, port and path prefix of the URL");
  }
  return fail(Code::kInvalid, answer.error().message);
}

Status PrometheusClient::AwaitTurn(const std::stop_token& stop) {
  Millis wait{0};
  {
    std::scoped_lock lock(mu_);
    const Millis now = clock_.Monotonic();
    const Millis turn = std::max(now, next_turn_);
    next_turn_ = turn + options_.spacing;
    wait = turn - now;
  }
  if (stop.stop_requested() || (wait.count() > 0 && !clock_.WaitFor(wait, stop))) {
    return Fail(Code::kRefused, "Prometheus " + options_.url + ": request given up: we are stopping");
  }
  return {};
}

}  // namespace whorl::promql
