#include "operator/agent/act/domain_knobs.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <stop_token>
#include <thread>
#include <utility>

#include "operator/agent/sense/launcher_libvirt.h"
#include "operator/agent/sense/parse.h"
#include "operator/agent/sense/text_file.h"

namespace whorl::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBalloon = "balloon";
constexpr std::string_view kDisk = "disk@";
constexpr const char* kGroupName = VIR_DOMAIN_BLOCK_IOTUNE_GROUP_NAME;
constexpr Millis kCutEvery{50};

std::chrono::steady_clock::time_point Now() { return std::chrono::steady_clock::now(); }

// Every process in a cgroup and below it. v1 and v2 alike; a threaded cgroup has no
// list of its own, its processes stand in the one above.
std::set<int> ProcessesIn(const std::string& dir) {
  std::set<int> pids;
  const auto add = [&](const fs::path& folder) {
    const auto text = ReadSmallFile((folder / "cgroup.procs").string());
    if (!text) return;
    std::string_view rest = *text;
    while (!rest.empty()) {
      const auto end = std::min(rest.find('\n'), rest.size());
      if (const auto pid = ParseCounter(rest.substr(0, end))) pids.insert(static_cast<int>(*pid));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  };
  add(dir);
  std::error_code error;
  for (fs::recursive_directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    if (it->is_directory(gone)) add(it->path());
  }
  return pids;
}

struct Qemu {
  int pid = 0;
  std::uint64_t start_ticks = 0;
};

// The newest of a pod: while a guest restarts two may live for a moment.
Result<Qemu> FindQemu(const std::string& dir, const std::string& proc_root) {
  std::error_code error;
  if (!fs::is_directory(dir, error)) return Fail(Code::kNotFound, dir + " is gone");
  std::optional<Qemu> newest;
  const auto pids = ProcessesIn(dir);
  for (const int pid : pids) {
    const std::string proc = proc_root + "/" + std::to_string(pid);
    const auto comm = ReadSmallFile(proc + "/comm");
    if (!comm || !IsQemu(*comm)) continue;
    const auto stat = ReadSmallFile(proc + "/stat");
    const auto ticks = stat ? ParseStartTicks(*stat) : Fail(stat.error());
    if (ticks && (!newest || *ticks > newest->start_ticks)) newest = Qemu{pid, *ticks};
  }
  if (newest) return *newest;
  // What cannot be seen must not pass for a VM that has ended: its limits would be forgotten.
  if (pids.contains(0)) {
    return Fail(Code::kUnsupported, "the processes of " + dir + " live in another PID namespace; set hostPID: true");
  }
  return Fail(Code::kNotFound, "no QEMU runs in " + dir);
}

// Whether that very process still runs.
bool Runs(const Qemu& qemu, const std::string& proc_root) {
  const auto stat = ReadSmallFile(proc_root + "/" + std::to_string(qemu.pid) + "/stat");
  return stat && ParseStartTicks(*stat) == qemu.start_ticks && stat->find(") Z ") == std::string::npos;
}

Code CodeOfLibvirt() {
  const auto* error = virGetLastError();
  switch (error == nullptr ? VIR_ERR_INTERNAL_ERROR : error->code) {
    case VIR_ERR_NO_DOMAIN: return Code::kGone;
    case VIR_ERR_INVALID_ARG: return Code::kInvalid;
    case VIR_ERR_OPERATION_INVALID: return Code::kRefused;
    case VIR_ERR_NO_SUPPORT:
    case VIR_ERR_OPERATION_UNSUPPORTED:
    case VIR_ERR_CONFIG_UNSUPPORTED:
    case VIR_ERR_ARGUMENT_UNSUPPORTED: return Code::kUnsupported;
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_OPERATION_DENIED: return Code::kUnauthorized;
    default: return Code::kUnavailable;
  }
}

auto FailByLibvirt(const std::string& what) { return Fail(CodeOfLibvirt(), what + ": " + LibvirtSays()); }

// A connection and the one domain behind it, as long as its QEMU lives.
class Session {
 public:
  static Result<std::unique_ptr<Session>> Open(const Qemu& qemu, const std::string& dir, const std::string& proc_root) {
    auto link = LauncherLibvirt::Open(proc_root, qemu.pid);
    if (!link) return Fail(link.error().In("the VM of QEMU " + std::to_string(qemu.pid) + " in " + dir));
    virDomainPtr* domains = nullptr;
    const int count = virConnectListAllDomains(link->get(), &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
    const std::string place = "libvirt at " + link->socket() + " of " + dir;
    if (count < 0) return Fail(Code::kUnavailable, place + ": " + LibvirtSays());
    virDomainPtr first = count == 1 ? domains[0] : nullptr;
    for (int i = 0; i < count && first == nullptr; ++i) virDomainFree(domains[i]);
    std::free(static_cast<void*>(domains));
    if (count != 1) {
      return Fail(Code::kUnavailable, place + " runs " + std::to_string(count) + " domains, not one");
    }
    return std::unique_ptr<Session>(new Session(qemu, std::move(*link), first));
  }
  ~Session() { virDomainFree(domain_); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const Qemu& qemu() const { return qemu_; }
  virDomainPtr domain() const { return domain_; }
  std::string Label() const {
    return "VM " + std::string(virDomainGetName(domain_)) + " (libvirt at " + link_.socket() + " in its launcher)";
  }
  // How many limits this libvirt has for a disk; 0 until it was asked.
  int disk_fields = 0;

 private:
  Session(const Qemu& qemu, LauncherLibvirt link, virDomainPtr domain)
      : qemu_(qemu), link_(std::move(link)), domain_(domain) {}

  Qemu qemu_;
  LauncherLibvirt link_;
  virDomainPtr domain_;
};

// Typed parameters as libvirt gives and takes them.
class Parameters {
 public:
  Parameters() = default;
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;
  ~Parameters() { virTypedParamsFree(items_, count_); }
  void Add(const std::string& field, std::uint64_t value) {
    virTypedParamsAddULLong(&items_, &count_, &room_, field.c_str(), value);
  }
  void Add(const char* field, const std::string& value) {
    virTypedParamsAddString(&items_, &count_, &room_, field, value.c_str());
  }
  virTypedParameterPtr items() const { return items_; }
  int count() const { return count_; }

 private:
  virTypedParameterPtr items_ = nullptr;
  int count_ = 0;
  int room_ = 0;
};

Result<DomainFacts> ReadFacts(virDomainPtr domain) {
  char* xml = virDomainGetXMLDesc(domain, 0);
  if (xml == nullptr) return FailByLibvirt("the domain's XML");
  auto facts = ParseDomainXml(xml);
  std::free(xml);
  return facts;
}

// All but `most_kib`.
Result<GuestMemory> ReadStatistics(virDomainPtr domain) {
  GuestMemory memory;
  virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
  const int count = virDomainMemoryStats(domain, stats, VIR_DOMAIN_MEMORY_STAT_NR, 0);
  if (count < 0) return FailByLibvirt("the domain's memory statistics");
  for (int i = 0; i < count; ++i) {
    const auto value = stats[i].val;
    switch (stats[i].tag) {
      case VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON: memory.size_kib = value; break;
      case VIR_DOMAIN_MEMORY_STAT_RSS: memory.rss_kib = value; break;
      case VIR_DOMAIN_MEMORY_STAT_AVAILABLE: memory.total_kib = value; break;
      case VIR_DOMAIN_MEMORY_STAT_UNUSED: memory.unused_kib = value; break;
      case VIR_DOMAIN_MEMORY_STAT_USABLE: memory.usable_kib = value; break;
      case VIR_DOMAIN_MEMORY_STAT_MAJOR_FAULT: memory.major_faults = value; break;
      case VIR_DOMAIN_MEMORY_STAT_SWAP_IN: memory.swapped_in_kib = value; break;
      case VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE: memory.updated = static_cast<std::int64_t>(value); break;
      default: break;
    }
  }
  return memory;
}

Result<GuestMemory> ReadMemory(virDomainPtr domain) {
  auto memory = ReadStatistics(domain);
  if (!memory) return memory;
  memory->most_kib = virDomainGetMaxMemory(domain);
  if (memory->most_kib == 0) return FailByLibvirt("the domain's memory");
  return memory;
}

Error NoBalloon() {
  return Error{Code::kUnsupported,
               "the domain has no memory balloon; leave spec.template.spec.domain.devices.autoattachMemBalloon at its "
               "default and restart the VM, or take memory out of its policy"};
}

Result<std::uint64_t> ReadBalloon(virDomainPtr domain) {
  const auto memory = ReadStatistics(domain);
  if (!memory) return Fail(memory.error());
  if (!memory->size_kib) return Fail(NoBalloon());
  return *memory->size_kib;
}

Status WriteBalloon(virDomainPtr domain, std::uint64_t kib) {
  const auto memory = ReadMemory(domain);
  if (!memory) return Fail(memory.error());
  if (!memory->size_kib) return Fail(NoBalloon());
  if (kib > memory->most_kib) {
    return Fail(Code::kInvalid, "balloon " + std::to_string(kib) + " KiB is above the domain's memory of " +
                                    std::to_string(memory->most_kib) + " KiB");
  }
  if (kib < *memory->size_kib) {
    const auto facts = ReadFacts(domain);
    if (!facts) return Fail(facts.error());
    if (!facts->pinned.empty()) {
      return Fail(Code::kUnsupported, "its memory is pinned by " + facts->pinned +
                                          ": a balloon would free nothing; take memory out of its policy");
    }
  }
  if (virDomainSetMemoryFlags(domain, kib, VIR_DOMAIN_AFFECT_LIVE) != 0) return FailByLibvirt("balloon");
  return {};
}

Error NoDisk(const std::string& disk) {
  return Error{Code::kNotFound, "the domain has no disk \"" + disk + "\" that can be throttled: " + LibvirtSays() +
                                    "; `virsh domblklist` in the launcher names those it has"};
}

// All fields there are, also those that are 0.
Status ReadThrottle(Session& session, const std::string& disk, DiskThrottle& throttle) {
  const auto get = [&](virTypedParameterPtr fields, int& count) -> Status {
    if (virDomainGetBlockIoTune(session.domain(), disk.c_str(), fields, &count, VIR_DOMAIN_AFFECT_LIVE) == 0) return {};
    return CodeOfLibvirt() == Code::kInvalid ? Status(Fail(NoDisk(disk))) : FailByLibvirt(disk);
  };
  if (session.disk_fields == 0) {
    int count = 0;
    if (auto asked = get(nullptr, count); !asked) return asked;
    session.disk_fields = count;
  }
  int count = session.disk_fields;
  std::vector<virTypedParameter> fields(static_cast<std::size_t>(count));
  if (auto asked = get(fields.data(), count); !asked) return asked;
  for (int i = 0; i < count; ++i) {
    const auto& field = fields[static_cast<std::size_t>(i)];
    if (field.type == VIR_TYPED_PARAM_ULLONG) throttle.numbers[field.field] = field.value.ul;
    if (field.type == VIR_TYPED_PARAM_STRING && std::string_view(field.field) == kGroupName) {
      throttle.group = field.value.s;
    }
  }
  virTypedParamsClear(fields.data(), count);
  return {};
}

Result<std::string> ReadDisk(Session& session, const std::string& disk) {
  DiskThrottle throttle;
  if (auto read = ReadThrottle(session, disk, throttle); !read) return Fail(read.error());
  if (!throttle.group.empty()) {
    // QEMU makes up a group for a disk as soon as it is throttled: that is no setting.
    const auto facts = ReadFacts(session.domain());
    if (!facts) return Fail(facts.error());
    const auto alias = facts->aliases.find(disk);
    if (alias != facts->aliases.end() && IsOwnGroup(throttle.group, alias->second)) throttle.group.clear();
  }
  if (!ParseDisk(FormatDisk(throttle))) {
    return Fail(Code::kUnsupported, "disk " + disk + " is in a throttle group whose name is no plain word, \"" +
                                        throttle.group + "\"; rename it by virsh blkdeviotune --group-name");
  }
  return FormatDisk(throttle);
}

Status WriteDisk(Session& session, const std::string& disk, const DiskThrottle& wanted) {
  DiskThrottle before;
  if (auto read = ReadThrottle(session, disk, before); !read) return read;
  for (const auto& [field, value] : wanted.numbers) {
    if (!before.numbers.contains(field)) {
      return Fail(Code::kInvalid, "this libvirt does not know the disk limit \"" + field + "\"");
    }
  }
  // Every field is named: one left out would keep what stands there.
  Parameters parameters;
  for (const auto& [field, value] : before.numbers) {
    const auto found = wanted.numbers.find(field);
    parameters.Add(field, found == wanted.numbers.end() ? 0 : found->second);
  }
  if (!wanted.group.empty()) parameters.Add(kGroupName, wanted.group);
  if (virDomainSetBlockIoTune(session.domain(), disk.c_str(), parameters.items(), parameters.count(),
                              VIR_DOMAIN_AFFECT_LIVE) != 0)
    return FailByLibvirt("limits of disk " + disk);
  return {};
}

Status NoSuchKnob(std::string_view knob) {
  return Fail(Code::kNotFound,
              "\"" + std::string(knob) + "\" is no knob of a domain; there are balloon and disk@<target>");
}

// The target a disk's knob names; empty when it names none.
std::string DiskOf(std::string_view knob) {
  if (!knob.starts_with(kDisk)) return {};
  knob.remove_prefix(kDisk.size());
  const auto fine = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return knob.size() <= 32 && std::all_of(knob.begin(), knob.end(), fine) ? std::string(knob) : std::string{};
}

}  // namespace

// One VM's thread, and whoever waits for it.
class DomainKnobs::Vm {
 public:
  using Question = std::function<Status(Session&)>;

  Vm(std::string dir, const Options& options)
      : dir_(std::move(dir)),
        options_(options),
        label_("the VM in " + dir_),
        thread_([this](const std::stop_token& stop) { Run(stop); }) {
    ::pthread_setname_np(thread_.native_handle(), "libvirt-knobs");
  }

  ~Vm() {
    thread_.request_stop();
    std::unique_lock lock(mu_);
    wake_.notify_all();
    // Again until it lets go: it may be about to open the next connection.
    while (!done_.wait_for(lock, kCutEvery, [&] { return ended_; })) {
      lock.unlock();
      Cut();
      lock.lock();
    }
  }
  Vm(const Vm&) = delete;
  Vm& operator=(const Vm&) = delete;

  // Runs `question` on the VM's thread and waits for it, but not for longer than
  // patience. It may run on after that: it must own what it writes to.
  Status Ask(Question question) {
    const auto end = Now() + options_.patience;
    std::unique_lock lock(mu_);
    if (call_ && given_up_) {
      const bool cut = Now() - call_->since > options_.cut_after;
      if (cut) call_->since = Now();
      const auto hangs = Hangs();
      lock.unlock();
      if (cut) Cut();
      return Fail(hangs);
    }
    if (!done_.wait_until(lock, end, [&] { return !call_; })) return Fail(Hangs());
    const auto call = std::make_shared<Call>();
    call->question = std::move(question);
    call->since = Now();
    call_ = call;
    wake_.notify_all();
    if (!done_.wait_until(lock, end, [&] { return call->done; })) {
      given_up_ = true;
      return Fail(Hangs());
    }
    return call->answer;
  }

  // Nobody waits for it and nothing is under way.
  bool Idle() const {
    const std::lock_guard lock(mu_);
    return !call_;
  }

 private:
  struct Call {
    Question question;
    std::chrono::steady_clock::time_point since;
    Status answer;
    bool done = false;
  };

  // With mu_.
  Error Hangs() const {
    return Error{Code::kUnavailable,
                 label_ + ": libvirt has not answered for " + std::to_string(options_.patience.count()) +
                     " ms; nothing is set until it does. Look at the launcher's log (kubectl logs POD -c compute) and, "
                     "if it stays so, migrate or restart the VM"};
  }

  void Cut() {
    const auto pids = ProcessesIn(dir_);
    CutConnectionsTo([&](int pid) { return pids.contains(pid); });
    ::pthread_kill(thread_.native_handle(), SIGUSR1);
  }

  void Run(const std::stop_token& stop) {
    std::unique_lock lock(mu_);
    while (wake_.wait(lock, stop, [&] { return call_ && !call_->done; })) {
      const auto call = call_;
      lock.unlock();
      auto answer = Answer(call->question);
      lock.lock();
      call->answer = std::move(answer);
      call->done = true;
      call_.reset();
      given_up_ = false;
      done_.notify_all();
    }
    lock.unlock();
    session_.reset();  // talks to the other end
    lock.lock();
    ended_ = true;
    done_.notify_all();
  }

  // On the VM's thread, nothing locked: this is what may block.
  Status Answer(const Question& question) {
    if (session_ && !Runs(session_->qemu(), options_.proc_root)) session_.reset();
    if (!session_) {
      const auto qemu = FindQemu(dir_, options_.proc_root);
      if (!qemu) return Fail(qemu.error());
      auto opened = Session::Open(*qemu, dir_, options_.proc_root);
      if (!opened) return Fail(opened.error());
      session_ = std::move(*opened);
      const std::lock_guard lock(mu_);
      label_ = session_->Label();
    }
    auto answer = question(*session_);
    if (answer) return answer;
    answer = Fail(answer.error().In(session_->Label()));
    // What is left on a connection after an error is not worth finding out.
    const auto code = answer.error().code;
    if (code == Code::kUnavailable || code == Code::kGone) session_.reset();
    return answer;
  }

  const std::string dir_;
  const Options options_;
  mutable std::mutex mu_;
  std::condition_variable_any wake_;
  std::condition_variable done_;
  // Guarded by mu_:
  std::string label_;
  std::shared_ptr<Call> call_;  // under way, or given up and not back yet
  bool given_up_ = false;
  bool ended_ = false;
  // The thread's own:
  std::unique_ptr<Session> session_;
  std::jthread thread_;  // last: it uses the others
};

DomainKnobs::DomainKnobs(Options options) : options_(std::move(options)) { PrepareLibvirt(); }
DomainKnobs::~DomainKnobs() = default;

bool DomainKnobs::Has(std::string_view knob) { return knob == kBalloon || knob.starts_with(kDisk); }

std::shared_ptr<DomainKnobs::Vm> DomainKnobs::Find(const std::string& dir) const {
  std::vector<std::shared_ptr<Vm>> ended;  // closed without mu_
  const std::lock_guard lock(mu_);
  if (const auto known = vms_.find(dir); known != vms_.end()) return known->second;
  for (auto it = vms_.begin(); it != vms_.end();) {
    std::error_code error;
    if (it->second->Idle() && !fs::exists(it->first, error)) {
      ended.push_back(std::move(it->second));
      it = vms_.erase(it);
    } else {
      ++it;
    }
  }
  return vms_.emplace(dir, std::make_shared<Vm>(dir, options_)).first->second;
}

Result<std::string> DomainKnobs::Read(const std::string& dir, std::string_view knob) const {
  const auto disk = DiskOf(knob);
  if (disk.empty() && knob != kBalloon) return Fail(NoSuchKnob(knob).error());
  const auto text = std::make_shared<std::string>();
  const auto asked = Find(dir)->Ask([disk, text](Session& session) -> Status {
    if (disk.empty()) {
      const auto kib = ReadBalloon(session.domain());
      if (!kib) return Fail(kib.error());
      *text = std::to_string(*kib);
      return {};
    }
    auto read = ReadDisk(session, disk);
    if (!read) return Fail(read.error());
    *text = std::move(*read);
    return {};
  });
  if (!asked) return Fail(asked.error());
  return *text;
}

Status DomainKnobs::Write(const std::string& dir, std::string_view knob, std::string_view text) {
  if (knob == kBalloon) {
    const auto kib = ParseBalloonKib(text);
    if (!kib) return Fail(kib.error());
    return Find(dir)->Ask([kib = *kib](Session& session) { return WriteBalloon(session.domain(), kib); });
  }
  const auto disk = DiskOf(knob);
  if (disk.empty()) return NoSuchKnob(knob);
  const auto throttle = ParseDisk(text);
  if (!throttle) return Fail(throttle.error());
  return Find(dir)->Ask([disk, throttle = *throttle](Session& session) { return WriteDisk(session, disk, throttle); });
}

Result<std::uint64_t> DomainKnobs::Inode(const std::string& dir) const { return files_.Inode(dir); }

Result<DomainFacts> DomainKnobs::Facts(const std::string& dir) const {
  const auto facts = std::make_shared<DomainFacts>();
  const auto asked = Find(dir)->Ask([facts](Session& session) -> Status {
    auto read = ReadFacts(session.domain());
    if (!read) return Fail(read.error());
    *facts = std::move(*read);
    return {};
  });
  if (!asked) return Fail(asked.error());
  return *facts;
}

Result<std::vector<std::string>> DomainKnobs::Disks(const std::string& dir) const {
  auto facts = Facts(dir);
  if (!facts) return Fail(facts.error());
  return std::move(facts->disks);
}

Result<GuestMemory> DomainKnobs::MemoryStats(const std::string& dir) const {
  const auto memory = std::make_shared<GuestMemory>();
  const auto asked = Find(dir)->Ask([memory](Session& session) -> Status {
    const auto read = ReadMemory(session.domain());
    if (!read) return Fail(read.error());
    *memory = *read;
    return {};
  });
  if (!asked) return Fail(asked.error());
  return *memory;
}

}  // namespace whorl::agent
