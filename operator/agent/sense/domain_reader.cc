#include "operator/agent/sense/domain_reader.h"

#include <libvirt/libvirt.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "operator/agent/sense/launcher_libvirt.h"
#include "operator/agent/sense/text_file.h"

namespace whorl::agent {
namespace {

constexpr Millis kFirstPause{5000};
constexpr Millis kLongestPause{60000};
constexpr int kDirtySeconds = 1;
constexpr Millis kDirtyRefused{600'000};

Millis Now() { return std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now().time_since_epoch()); }

// Cuts every connection of ours into that pod.
void CutConnectionsInto(const std::string& pod_uid, const std::string& proc_root) {
  CutConnectionsTo([&](int pid) {
    const auto cgroup = ReadSmallFile(proc_root + "/" + std::to_string(pid) + "/cgroup");
    if (!cgroup) return false;
    const auto lines = ParseProcCgroup(*cgroup);
    return lines && std::any_of(lines->begin(), lines->end(), [&](const CgroupMembership& line) {
             const auto pod = FindPod(line.path);
             return pod && pod->pod_uid == pod_uid;
           });
  });
}

}  // namespace

struct DomainReader::Connection {
  LauncherLibvirt libvirt;

  explicit Connection(LauncherLibvirt opened) : libvirt(std::move(opened)) {}

  // `dirty`: also what became of the last StartDirtyRate.
  Result<DomainStats> Ask(bool dirty) const {
    virDomainStatsRecordPtr* records = nullptr;
    const unsigned kinds = VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_BLOCK | (dirty ? VIR_DOMAIN_STATS_DIRTYRATE : 0);
    const int count = virConnectGetAllDomainStats(
        libvirt.get(), kinds, &records,
        VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
    if (count < 0) return Fail(Code::kUnavailable, "libvirt domain statistics: " + LibvirtSays());
    DomainStats stats;
    for (int i = 0; i < (count == 1 ? records[0]->nparams : 0); ++i) {
      const auto& parameter = records[0]->params[i];
      switch (parameter.type) {
        case VIR_TYPED_PARAM_UINT: Fold(parameter.field, parameter.value.ui, stats); break;
        case VIR_TYPED_PARAM_ULLONG: Fold(parameter.field, parameter.value.ul, stats); break;
        case VIR_TYPED_PARAM_INT:
          if (parameter.value.i >= 0) Fold(parameter.field, static_cast<std::uint64_t>(parameter.value.i), stats);
          break;
        case VIR_TYPED_PARAM_LLONG:
          if (parameter.value.l >= 0) Fold(parameter.field, static_cast<std::uint64_t>(parameter.value.l), stats);
          break;
        default: break;
      }
    }
    virDomainStatsRecordListFree(records);
    if (count != 1)
      return Fail(Code::kConflict, "the launcher's libvirt runs " + std::to_string(count) + " domains, not one");
    return stats;
  }

  // Returns at once; the guest runs on. False where this is not possible.
  bool StartDirtyRate() const {
    virDomainPtr* domains = nullptr;
    const int count = virConnectListAllDomains(libvirt.get(), &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
    bool started = false;
    for (int i = 0; i < count; ++i) {
      if (count == 1) started = virDomainStartDirtyRateCalc(domains[i], kDirtySeconds, 0) == 0;
      virDomainFree(domains[i]);
    }
    std::free(static_cast<void*>(domains));
    return started;
  }
};

DomainReader::DomainReader(Options options) : options_(std::move(options)) {
  PrepareLibvirt();
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  ::pthread_setname_np(thread_.native_handle(), "libvirt");
}

DomainReader::~DomainReader() {
  thread_.request_stop();
  wake_.notify_all();
  std::string pod;
  {
    const std::lock_guard lock(mu_);
    pod = asking_;
  }
  if (!pod.empty()) {
    CutConnectionsInto(pod, options_.proc_root);
    ::pthread_kill(thread_.native_handle(), SIGUSR1);
  }
}

void DomainReader::Watch(std::vector<VmPlace> places) {
  const std::lock_guard lock(mu_);
  std::map<std::string, Vm> next;
  for (auto& place : places) {
    const auto uid = place.dirs.pod_uid;
    const auto known = vms_.find(uid);
    if (known != vms_.end() && known->second.place.pid == place.pid &&
        known->second.place.start_ticks == place.start_ticks) {
      next.emplace(uid, std::move(known->second));
      continue;
    }
    Vm vm;
    vm.place = std::move(place);
    next.emplace(uid, std::move(vm));
  }
  // Closing a connection talks to the other end: the worker does it, unlocked.
  for (auto& [uid, vm] : vms_) {
    if (vm.connection) retired_.push_back(std::move(vm.connection));
  }
  vms_ = std::move(next);
  wake_.notify_all();
}

std::optional<DomainStats> DomainReader::Take(const std::string& pod_uid) {
  const std::lock_guard lock(mu_);
  const auto vm = vms_.find(pod_uid);
  return vm == vms_.end() ? std::nullopt : std::exchange(vm->second.fresh, std::nullopt);
}

std::string DomainReader::Trouble(const std::string& pod_uid) const {
  const std::lock_guard lock(mu_);
  const auto vm = vms_.find(pod_uid);
  return vm == vms_.end() ? "not watched" : vm->second.trouble;
}

void DomainReader::Rest(bool rest) {
  const std::lock_guard lock(mu_);
  if (std::exchange(rests_, rest) && !rest) wake_.notify_all();
}

void DomainReader::CutIfStuck() {
  std::string pod;
  {
    const std::lock_guard lock(mu_);
    if (!asking_since_ || Now() - *asking_since_ < options_.patience) return;
    pod = asking_;
    asking_since_ = Now();  // once per patience, until it lets go
  }
  CutConnectionsInto(pod, options_.proc_root);
  ::pthread_kill(thread_.native_handle(), SIGUSR1);
}

void DomainReader::Run(const std::stop_token& stop) {
  std::unique_lock lock(mu_);
  while (!stop.stop_requested()) {
    if (!retired_.empty()) {
      auto retired = std::exchange(retired_, {});
      lock.unlock();
      retired.clear();
      lock.lock();
    }
    const auto now = Now();
    auto due = vms_.end();
    Millis wait = options_.period;
    for (auto vm = vms_.begin(); vm != vms_.end() && !rests_; ++vm) {
      if (vm->second.due <= now && (due == vms_.end() || vm->second.due < due->second.due)) due = vm;
      wait = std::min(wait, std::max(vm->second.due - now, Millis{0}));
    }
    if (due == vms_.end()) {
      wake_.wait_for(lock, stop, std::max(wait, Millis{50}), [&] {
        return !rests_ && std::any_of(vms_.begin(), vms_.end(), [](const auto& vm) { return vm.second.due <= Now(); });
      });
      continue;
    }
    const auto uid = due->first;
    const auto place = due->second.place;
    const bool dirty_wanted = due->second.dirty_wanted;
    const bool dirty_turn = DirtyTurn(uid, now);
    bool dirty_started = false;
    auto connection = due->second.connection;
    asking_ = uid;
    asking_since_ = now;
    lock.unlock();

    // Everything that may block happens here, with nothing locked.
    Result<DomainStats> answer = Fail(Code::kUnavailable, "not asked");
    if (!connection) {
      if (auto opened = LauncherLibvirt::Open(options_.proc_root, place.pid)) {
        connection = std::make_shared<Connection>(std::move(*opened));
      } else {
        answer = Fail(opened.error());
      }
    }
    if (connection) answer = connection->Ask(dirty_wanted);
    if (!answer) connection.reset();
    if (connection && dirty_turn) dirty_started = connection->StartDirtyRate();

    lock.lock();
    asking_.clear();
    asking_since_.reset();
    const auto vm = vms_.find(uid);
    if (vm == vms_.end() || vm->second.place.pid != place.pid) {
      if (connection) retired_.push_back(std::move(connection));
      continue;
    }
    vm->second.connection = std::move(connection);
    if (answer) {
      answer->dirty_wanted = dirty_wanted;
      // Told once: the figure stands in libvirt until the next calculation.
      vm->second.dirty_wanted = dirty_started;
      if (dirty_turn) {
        vm->second.dirty_asked = now;
        if (dirty_started) {
          dirty_due_ = now + options_.dirty_period;
        } else {
          vm->second.dirty_refused_until = now + kDirtyRefused;
        }
      }
      vm->second.fresh = *answer;
      vm->second.trouble.clear();
      vm->second.pause = Millis{0};
      // On the period's own beat, so that differences span whole periods.
      vm->second.due = std::max(vm->second.due + options_.period, now + options_.period / 2);
    } else {
      vm->second.dirty_wanted = false;
      vm->second.trouble = answer.error().message;
      vm->second.pause = std::clamp(vm->second.pause * 2, kFirstPause, kLongestPause);
      vm->second.due = Now() + vm->second.pause;
    }
  }
}

bool DomainReader::DirtyTurn(const std::string& pod_uid, Millis now) const {
  const auto can = [&](const Vm& vm) { return now >= vm.dirty_refused_until && vm.pause == Millis{0}; };
  const auto& mine = vms_.at(pod_uid);
  if (now < dirty_due_ || mine.dirty_wanted || !can(mine)) return false;
  // The one whose last is longest ago, of those that answer.
  return std::none_of(vms_.begin(), vms_.end(), [&](const auto& other) {
    return can(other.second) && other.second.dirty_asked < mine.dirty_asked;
  });
}

}  // namespace whorl::agent
