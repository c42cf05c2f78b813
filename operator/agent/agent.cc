#include "operator/agent/agent.h"

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <map>

namespace whorl::agent {
namespace {

using Steady = std::chrono::steady_clock;

// Expiry is looked at this often even when nothing is lent.
constexpr Millis kKeepPeriod{200};
constexpr Millis kCheckKnobs{1000};

}  // namespace

OwnCost MeasureOwnCost() {
  OwnCost cost;
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) {
    const auto micros = [](const timeval& t) {
      return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(t.tv_usec);
    };
    cost.cpu_micros = micros(usage.ru_utime) + micros(usage.ru_stime);
  }
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  if (const auto statm = ReadSmallFile("/proc/self/statm")) {
    // "size resident shared ..." in pages.
    const auto space = statm->find(' ');
    const auto next = statm->find(' ', space + 1);
    if (const auto pages = ParseCounter(std::string_view(*statm).substr(space + 1, next - space - 1))) {
      cost.resident_bytes = *pages * page;
    }
  }
  return cost;
}

Loops::Loops(Sampler& sampler, Holder& holder, RecallWatch& recall, FrameBoard& board, const Clock& clock)
    : sampler_(sampler), holder_(holder), recall_(recall), board_(board), clock_(clock) {
  sample_thread_ = std::jthread([this](const std::stop_token& stop) { Sample(stop); });
  ::pthread_setname_np(sample_thread_.native_handle(), "sampler");
  keep_thread_ = std::jthread([this](const std::stop_token& stop) { Keep(stop); });
  ::pthread_setname_np(keep_thread_.native_handle(), "keeper");
}

Loops::~Loops() {
  sample_thread_.request_stop();
  keep_thread_.request_stop();
  asleep_.notify_all();
}

bool Loops::SleepUntil(Steady::time_point when, const std::stop_token& stop) {
  std::unique_lock lock(mu_);
  asleep_.wait_until(lock, stop, when, [] { return false; });
  return !stop.stop_requested();
}

void Loops::Sample(const std::stop_token& stop) {
  // Sequences rise across restarts too, so that a frame is never mistaken for
  // an earlier agent's.
  std::uint64_t sequence = static_cast<std::uint64_t>(ToUnixMillis(clock_.Now()));
  std::map<std::string, std::string> told;
  auto due = Steady::now();
  do {
    const auto start = Steady::now();
    const auto pods = holder_.enrolled();
    const auto& readings = sampler_.Tick(pods);
    auto frame = std::make_shared<api::Frame>();
    frame->set_sequence(++sequence);
    frame->set_sampled_unix_millis(ToUnixMillis(clock_.Now()));
    frame->mutable_vms()->Reserve(static_cast<int>(readings.size()));
    for (const auto& vm : readings) {
      auto& sample = *frame->add_vms();
      sample.set_pod_uid(vm.pod_uid);
      sample.set_sampled_unix_millis(ToUnixMillis(vm.at));
      sample.set_valid(static_cast<std::uint32_t>(vm.reading.valid.bits()));
      sample.set_valid_features(vm.reading.valid.bits());
      sample.mutable_raw()->Add(vm.reading.raw.begin(), vm.reading.raw.end());
      if (const auto quota = QuotaMillicores(vm.cpu)) sample.set_cpu_quota_millicores(*quota);
      sample.set_cpu_shares(vm.cpu.shares.value_or(0));
      sample.set_cgroup_inode(vm.pod_inode);
      if (vm.guest != nullptr) {
        auto& guest = *sample.mutable_guest();
        guest.set_sequence(vm.guest->sequence);
        guest.set_window_millis(vm.guest->millis);
        guest.mutable_calls()->Add(vm.guest->calls.begin(), vm.guest->calls.end());
        guest.mutable_sketch()->Add(vm.guest->sketch.begin(), vm.guest->sketch.end());
      }
      if (vm.sketch != nullptr) sample.mutable_syscall_sketch()->Add(vm.sketch->begin(), vm.sketch->end());
      if (auto foreign = holder_.Foreign(vm.pod_uid)) *sample.mutable_foreign() = std::move(*foreign);
    }
    if (const auto others = sampler_.other_cpu_millicores()) frame->set_other_cpu_millicores(*others);
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Steady::now() - start).count();
    const auto cost = MeasureOwnCost();
    frame->mutable_cost()->set_cpu_micros(cost.cpu_micros);
    frame->mutable_cost()->set_rss_bytes(cost.resident_bytes);
    frame->mutable_cost()->set_sample_micros(static_cast<std::uint32_t>(took));
    sample_micros_ = static_cast<std::uint64_t>(took);
    vms_ = readings.size();
    board_.Publish(std::move(frame));
    frames_++;

    // Trouble is said once, when it changes.
    std::map<std::string, std::string> now;
    for (const auto& uid : pods) {
      now[uid] = sampler_.Trouble(uid);
      if (now[uid] == told[uid]) continue;
      if (now[uid].empty()) {
        spdlog::info("pod {}: measured in full", uid);
      } else {
        spdlog::warn("pod {}: {}", uid, now[uid]);
      }
    }
    told = std::move(now);

    due += Millis{interval_ms_.load()};
    if (due < Steady::now()) due = Steady::now();  // never catch up in a burst
  } while (SleepUntil(due, stop));
}

void Loops::Keep(const std::stop_token& stop) {
  auto check_knobs = Steady::now();
  Steady::time_point due;
  do {
    holder_.Expire();
    recall_.Check();
    if (Steady::now() >= check_knobs) {
      holder_.CheckKnobs();
      check_knobs = Steady::now() + kCheckKnobs;
    }
    due = Steady::now() + (recall_.idle() ? kKeepPeriod : RecallWatch::kPeriod);
  } while (SleepUntil(due, stop));
}

AgentFigures Loops::Figures() const {
  AgentFigures figures;
  const auto cost = MeasureOwnCost();
  figures.cpu_seconds = static_cast<double>(cost.cpu_micros) / 1e6;
  figures.resident_bytes = static_cast<double>(cost.resident_bytes);
  figures.sample_seconds = static_cast<double>(sample_micros_.load()) / 1e6;
  figures.frames = frames_;
  figures.vms = vms_;
  figures.ready = figures.frames > 0;
  figures.holdings = holder_.holdings().size();
  const auto& counters = holder_.counters();
  figures.recalls = counters.recalls;
  figures.restores = counters.restores;
  figures.plans = counters.plans;
  figures.refused_plans = counters.refused_plans;
  figures.write_errors = counters.write_errors;
  return figures;
}

}  // namespace whorl::agent
