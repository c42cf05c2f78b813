#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "operator/kube/token.h"
#include "operator/kube/transport.h"
#include "operator/kube/waiting_clock.h"

namespace whorl::promql {

struct PrometheusOptions {
  std::string named = "--prometheus";      // where the URL was given, for messages
  std::string agent = "whorl-controller";  // User-Agent
  std::string url;                         // http or https, with a path prefix if there is one
  std::string token_file;                  // bearer token, read again while running; empty: none
  std::string ca_file;                     // PEM; empty: the machine's own bundle
  Millis timeout{20'000};                  // of one request
  int max_retries = 4;                     // after no answer, 429 and 5xx
  Millis first_retry{500};
  Millis last_retry{8'000};
  Millis spacing{100};              // between two requests: whose Prometheus this is has other users
  std::size_t max_points = 11'000;  // of one answer; Prometheus refuses more
};

// What one range query gave.
struct RangeAnswer {
  struct Sample {
    Time at{};
    double value = 0;  // finite
  };
  std::vector<Sample> samples;        // as they came; nothing: Prometheus has no such series
  std::uint32_t masked = 0;           // NaN, stale markers, infinite: left out
  std::vector<std::string> warnings;  // the answer may be incomplete; each once
};

// Likewise of a query that gives any number of series.
struct MatrixAnswer {
  struct Series {
    std::vector<std::pair<std::string, std::string>> labels;  // as they came
    std::vector<RangeAnswer::Sample> samples;

    std::string_view Label(std::string_view name) const;  // empty: it has none
  };
  std::vector<Series> series;
  std::uint32_t masked = 0;
  std::vector<std::string> warnings;
};

// Reads the body of an answer of query_range. kInvalid of what is no answer of
// Prometheus'; an answer with status "error" becomes an Error with its words
// (kTimeout, kUnavailable or kRefused by its errorType).
Result<MatrixAnswer> ParseMatrixAnswer(std::string_view body);

// The same where one series at most is expected. kInvalid: not what Prometheus
// says, or more than one series.
Result<RangeAnswer> ParseRangeAnswer(std::string_view body);

// The little of Prometheus' HTTP API that is needed here. Thread-safe; calls
// block, and requests of all callers share one spacing.
class PrometheusClient {
 public:
  // kInvalid says what about the options is wrong: a URL that is none, a token
  // over plain http to another machine. Files that cannot be read are told too.
  // `clock` must outlive it.
  static Result<std::unique_ptr<PrometheusClient>> Connect(const PrometheusOptions& options, kube::WaitingClock& clock);
  PrometheusClient(std::unique_ptr<kube::Transport> transport, PrometheusOptions options, kube::WaitingClock& clock);

  // Values of `query`, which must give one series at most, at from, from + step
  // ... up to `to`, in as many requests as it takes. Errors name the URL, what
  // is wrong and what to look at: kUnauthorized (401, 403), kUnavailable,
  // kTimeout, kInvalid (nothing that speaks like a Prometheus), kRefused (it
  // understood and declined; or we are stopping).
  Result<RangeAnswer> QueryRange(std::string_view query, Time from, Time to, Seconds step,
                                 const std::stop_token& stop = {});
  // The same for a query of any number of series, told apart by their labels; in
  // pages of `page` points each.
  Result<MatrixAnswer> QuerySeries(std::string_view query, Time from, Time to, Seconds step, std::size_t page,
                                   const std::stop_token& stop = {});

  const std::string& url() const { return options_.url; }

 private:
  struct Range {
    Time from, to;
    Seconds step;
    std::size_t points;  // of one request
  };
  Status EachPage(std::string_view query, const Range& range, const std::stop_token& stop,
                  const std::function<Status(MatrixAnswer&&)>& take);
  Result<MatrixAnswer> Ask(const std::string& target, const std::stop_token& stop);
  Result<MatrixAnswer> Read(const kube::Response& response) const;
  Status AwaitTurn(const std::stop_token& stop);

  const std::unique_ptr<kube::Transport> transport_;
  const PrometheusOptions options_;
  kube::WaitingClock& clock_;
  kube::TokenSource token_;
  std::mutex mu_;
  Millis next_turn_{0};  // under mu_
};

}  // namespace whorl::promql
