#include "operator/controller/bootstrap/historian.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "operator/controller/bootstrap/history_table.h"

namespace whorl::controller {

Historian::Historian(PrometheusClient& prometheus, const Clock& clock, Options options)
    : prometheus_(prometheus), clock_(clock), options_(options) {}

Historian::~Historian() { Stop(); }

void Historian::Start() {
  for (int i = 0; i < options_.workers; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) {
      pthread_setname_np(pthread_self(), "history");
      Run(stop);
    });
  }
}

void Historian::Stop() {
  for (auto& thread : threads_) thread.request_stop();
  threads_.clear();
}

void Historian::Ask(const Subject& vm) {
  {
    std::scoped_lock lock(mu_);
    if (!asked_.emplace(vm.uid, std::nullopt).second) return;
    waiting_.push_back(vm);
  }
  changed_.notify_one();
}

std::optional<Result<HistoryAnswer>> Historian::Take(const std::string& vm_uid) {
  std::scoped_lock lock(mu_);
  const auto it = asked_.find(vm_uid);
  if (it == asked_.end() || !it->second) return std::nullopt;
  auto answer = std::move(it->second);
  asked_.erase(it);
  return answer;
}

void Historian::Forget(const std::string& vm_uid) {
  std::scoped_lock lock(mu_);
  asked_.erase(vm_uid);
  std::erase_if(waiting_, [&](const Subject& vm) { return vm.uid == vm_uid; });
}

void Historian::Run(const std::stop_token& stop) {
  for (;;) {
    Subject vm;
    {
      std::unique_lock lock(mu_);
      if (!changed_.wait(lock, stop, [this] { return !waiting_.empty(); })) return;
      vm = std::move(waiting_.front());
      waiting_.pop_front();
    }
    auto answer = Fetch(vm, stop);
    if (stop.stop_requested()) return;
    if (!answer) spdlog::warn("{}: no history: {}", vm.Text(), answer.error().message);
    std::scoped_lock lock(mu_);
    const auto it = asked_.find(vm.uid);
    if (it != asked_.end()) it->second = std::move(answer);
  }
}

Result<HistoryAnswer> Historian::Fetch(const Subject& vm, const std::stop_token& stop) {
  // On the grid of the step, so that VMs asked for together share Prometheus' cache.
  const Millis step = options_.step;
  const Time now = clock_.Now();
  const Time to{now.time_since_epoch() / step * step};
  const Time from = to - options_.past / options_.step * step;
  std::vector<HistoryPoint> points(static_cast<std::size_t>((to - from) / step) + 1);
  for (std::size_t i = 0; i < points.size(); ++i) points[i].at = from + static_cast<std::int64_t>(i) * step;

  HistoryAnswer out;
  std::uint32_t masked = 0;
  std::optional<Feature> have;
  for (const auto& row : kHistoryRows) {
    if (have == row.feature) continue;  // an earlier row of this feature had data
    // What has no CPU time has nothing: spare Prometheus the other questions.
    if (!have && row.feature != Feature::kCpuUsage) break;
    const auto query = QueryOf(row, vm.ns, vm.name, options_.step);
    if (!query) continue;
    const auto range = prometheus_.QueryRange(*query, from, to, options_.step, stop);
    if (!range) return Fail(range.error());
    masked += range->masked;
    for (const auto& warning : range->warnings) {
      if (std::find(out.warnings.begin(), out.warnings.end(), warning) == out.warnings.end())
        out.warnings.push_back(warning);
    }
    if (range->samples.empty()) continue;
    have = row.feature;
    for (const auto& sample : range->samples) {
      const auto index = (sample.at - from + step / 2) / step;
      if (index < 0 || static_cast<std::size_t>(index) >= points.size()) continue;
      points[static_cast<std::size_t>(index)].x.Put(row.feature, static_cast<float>(sample.value * row.factor));
    }
  }
  if (!have) {
    return Fail(
        Code::kNotFound,
        "Prometheus " + prometheus_.url() + " knows nothing of " + vm.Text() +
            ": neither container_cpu_usage_seconds_total nor kubevirt_vmi_cpu_usage_seconds_total in the last " +
            std::to_string(options_.past / std::chrono::hours(24)) +
            " days; if the VM is older than that, check that Prometheus scrapes KubeVirt with honorLabels");
  }
  auto prior = LearnFromHistory(points, now);
  if (!prior) return Fail(prior.error());
  out.prior = *prior;
  out.prior.counts.not_a_number += masked;
  return out;
}

}  // namespace whorl::controller
