#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "core/base/clock.h"
#include "operator/controller/bootstrap/history.h"
#include "operator/promql/client.h"

namespace whorl::controller {

using promql::PrometheusClient;

// Asks Prometheus, in the background and for few VMs at a time, and makes of
// its answers what a baseline may start from. A VM for which it fails is told
// why and learns without; nothing is asked twice for one enrolment.
class Historian final : public History {
 public:
  struct Options {
    Seconds past{14 * 86'400};
    Seconds step{300};
    int workers = 2;
  };

  // References must outlive it.
  Historian(PrometheusClient& prometheus, const Clock& clock, Options options);
  ~Historian() override;

  void Start();
  // Gives up what is under way.
  void Stop();

  void Ask(const Subject& vm) override;
  std::optional<Result<HistoryAnswer>> Take(const std::string& vm_uid) override;
  void Forget(const std::string& vm_uid) override;

  // All rows of the table for one VM; what a worker does. Blocks.
  Result<HistoryAnswer> Fetch(const Subject& vm, const std::stop_token& stop = {});

 private:
  void Run(const std::stop_token& stop);

  PrometheusClient& prometheus_;
  const Clock& clock_;
  const Options options_;

  std::mutex mu_;
  std::condition_variable_any changed_;
  std::deque<Subject> waiting_;  // under mu_
  // By VM uid; nullopt: asked for, no answer yet.
  std::map<std::string, std::optional<Result<HistoryAnswer>>> asked_;  // under mu_
  std::vector<std::jthread> threads_;
};

}  // namespace whorl::controller
