#include "operator/agent/act/tap_shaper.h"

#include <fcntl.h>
#include <linux/pkt_sched.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <limits>
#include <optional>
#include <utility>

namespace whorl::agent {
namespace {

namespace fs = std::filesystem;

// By these `tc qdisc show` tells whose a qdisc is: "WH" and "WD". Two, because
// the kernel replaces one kind by another in one step only under a new handle.
constexpr std::uint32_t kRateHandle = 0x57480000;
constexpr std::uint32_t kDropHandle = 0x57440000;
constexpr std::uint16_t kFilterPriority = 0x5748;
// An IFB's index follows from its tap's, so that all of net.out can be asked
// for in one piece. Far above what the kernel hands out by itself.
constexpr int kFirstIfb = 0x57480000;

// A timer of the kernel may come late by some milliseconds on a busy node, and
// what a bucket cannot hold meanwhile is lost to the VM. With 10 ms of the rate TCP
// missed it by up to 9 % on two cores at a load of 6, with 20 ms by 1 %. Twice the
// longest frame, so that one fits at any rate.
constexpr std::uint64_t kBurstPerSecond = 50;
constexpr std::uint64_t kLeastBurstFrames = 2;
// Waiting for tokens: enough for TCP to keep the line full after a loss, little
// enough not to be felt.
constexpr std::uint64_t kQueuePerSecond = 20;
constexpr std::uint64_t kLeastQueueFrames = 8;
constexpr std::uint64_t kFrameHeader = 22;  // Ethernet's, with two VLAN tags

TokenBucket BucketFor(std::uint64_t bits_per_second, std::uint32_t mtu) {
  const std::uint64_t rate = bits_per_second / 8;
  const std::uint64_t frame = mtu + kFrameHeader;
  const auto field = [](std::uint64_t bytes) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, std::numeric_limits<std::uint32_t>::max()));
  };
  return {rate, field(std::max(rate / kBurstPerSecond, kLeastBurstFrames * frame)),
          field(std::max(rate / kQueuePerSecond, kLeastQueueFrames * frame))};
}

std::string IfbName(const NetLink& tap) { return "whorl" + std::to_string(tap.index); }
int IfbIndex(const NetLink& tap) { return kFirstIfb + tap.index; }

// How a direction of a tap stands.
struct Stand {
  NetLimit limit;          // in force, ours
  std::string foreign;     // kind of a qdisc that is somebody else's; empty: none
  std::uint32_t root = 0;  // handle of our root qdisc, on the tap or the IFB
  bool ingress = false;    // net.out: our ingress qdisc is on the tap
  bool ifb = false;        // net.out: our IFB exists

  bool half() const { return limit.kind == NetLimit::Kind::kNone && (ingress || ifb); }
};

std::optional<NetLimit> OurLimit(const Qdisc& root) {
  if (root.handle == kRateHandle && root.kind == "tbf") {
    return NetLimit{NetLimit::Kind::kRate, root.bytes_per_second * 8};
  }
  if (root.handle == kDropHandle && root.kind == "pfifo" && root.limit == 0) {
    return NetLimit{NetLimit::Kind::kDrop, 0};
  }
  return std::nullopt;
}

// What a link sends.
Stand RootOf(const std::vector<Qdisc>& qdiscs, int link) {
  Stand stand;
  for (const auto& qdisc : qdiscs) {
    if (qdisc.link != link || qdisc.parent == TC_H_INGRESS || qdisc.handle == 0) continue;
    const auto ours = qdisc.parent == TC_H_ROOT ? OurLimit(qdisc) : std::nullopt;
    if (!ours) {
      stand.foreign = qdisc.kind;
      return stand;
    }
    stand.limit = *ours;
    stand.root = qdisc.handle;
  }
  return stand;
}

enum class Redirect { kOurs, kEmpty, kForeign };

Result<Redirect> RedirectOf(TrafficControl& traffic, const NetLink& tap) {
  const auto filters = traffic.IngressFilters(tap.index);
  if (!filters) return Fail(filters.error());
  int redirects = 0;
  for (const auto& filter : *filters) {
    if (filter.kind != "u32" || filter.priority != kFilterPriority) return Redirect::kForeign;
    if (!filter.redirects) continue;
    // 0: our IFB was deleted, which leaves the filter and cuts the VM off.
    if (filter.redirected_to != IfbIndex(tap) && filter.redirected_to != 0) return Redirect::kForeign;
    ++redirects;
  }
  if (filters->empty()) return Redirect::kEmpty;
  return redirects == 1 ? Redirect::kOurs : Redirect::kForeign;
}

Result<Stand> LookOut(TrafficControl& traffic, const NetLink& tap, const std::vector<Qdisc>& qdiscs) {
  const auto ifb = traffic.NameOf(IfbIndex(tap));
  if (!ifb.empty() && ifb != IfbName(tap)) {
    Stand taken;
    taken.foreign = "interface " + ifb;
    return taken;
  }
  Stand stand = RootOf(qdiscs, IfbIndex(tap));
  stand.ifb = !ifb.empty();
  const auto ingress = std::find_if(qdiscs.begin(), qdiscs.end(), [&](const Qdisc& qdisc) {
    return qdisc.link == tap.index && qdisc.parent == TC_H_INGRESS;
  });
  if (ingress == qdiscs.end()) {
    stand.limit = {};  // an IFB to which nothing is sent
    return stand;
  }
  const auto redirect = ingress->kind == "ingress" ? RedirectOf(traffic, tap) : Redirect::kForeign;
  if (!redirect) return Fail(redirect.error());
  if (*redirect == Redirect::kForeign || (*redirect == Redirect::kEmpty && !stand.ifb)) {
    stand.foreign = ingress->kind;
    return stand;
  }
  stand.ingress = true;
  if (*redirect == Redirect::kEmpty) stand.limit = {};
  return stand;
}

Result<Stand> Look(TrafficControl& traffic, const NetLink& tap, NetDirection direction) {
  const auto qdiscs = traffic.Qdiscs();
  if (!qdiscs) return Fail(qdiscs.error());
  if (direction == NetDirection::kOut) return LookOut(traffic, tap, *qdiscs);
  return RootOf(*qdiscs, tap.index);
}

Status FirstFailure(const std::vector<Status>& outcomes) {
  const auto failed = std::find_if(outcomes.begin(), outcomes.end(), [](const Status& s) { return !s.has_value(); });
  return failed == outcomes.end() ? Status{} : *failed;
}

std::vector<Status> SendOne(TrafficControl& traffic, NetRequest request) {
  std::vector<NetRequest> requests;
  requests.push_back(std::move(request));
  return traffic.Send(std::move(requests));
}

// Puts a limit (not kNone) in the place of the root qdisc `before`.
NetRequest Root(int link, std::uint32_t mtu, std::uint32_t before, const NetLimit& limit) {
  if (limit.kind == NetLimit::Kind::kDrop) {
    return NetRequest::SetDropAll(link, kDropHandle, before == 0 ? Present::kMustNotBe : Present::kReplace);
  }
  const auto present = before == 0 ? Present::kMustNotBe : before == kRateHandle ? Present::kChange : Present::kReplace;
  return NetRequest::SetTokenBucket(link, kRateHandle, BucketFor(limit.bits_per_second, mtu), present);
}

Status SetIn(TrafficControl& traffic, const NetLink& tap, const Stand& now, const NetLimit& limit) {
  if (limit.kind == NetLimit::Kind::kNone) {
    return FirstFailure(SendOne(traffic, NetRequest::RemoveRoot(tap.index, now.root)));
  }
  return FirstFailure(SendOne(traffic, Root(tap.index, tap.mtu, now.root, limit)));
}

// The redirect goes first: packets sent to an IFB that is gone are lost.
Status ClearOut(TrafficControl& traffic, const NetLink& tap, bool ingress, bool ifb) {
  std::vector<NetRequest> requests;
  if (ingress) requests.push_back(NetRequest::RemoveIngress(tap.index));
  if (ifb) requests.push_back(NetRequest::RemoveLink(IfbIndex(tap)));
  if (requests.empty()) return {};
  return FirstFailure(traffic.Send(std::move(requests)));
}

Status SetOut(TrafficControl& traffic, const NetLink& tap, const Stand& now, const NetLimit& limit) {
  const bool none = limit.kind == NetLimit::Kind::kNone;
  if (none || now.half()) {
    auto cleared = ClearOut(traffic, tap, now.ingress, now.ifb);
    if (none || !cleared) return cleared;
  } else if (now.limit.kind != NetLimit::Kind::kNone) {
    return FirstFailure(SendOne(traffic, Root(IfbIndex(tap), tap.mtu, now.root, limit)));
  }
  // Packets take the new way from the last request on, when it is whole.
  std::vector<NetRequest> requests;
  requests.push_back(NetRequest::AddIfb(IfbIndex(tap), IfbName(tap)));
  requests.push_back(Root(IfbIndex(tap), tap.mtu, 0, limit));
  requests.push_back(NetRequest::AddIngress(tap.index));
  requests.push_back(NetRequest::Redirect(tap.index, IfbIndex(tap), kFilterPriority));
  const auto outcomes = traffic.Send(std::move(requests));
  auto failed = FirstFailure(outcomes);
  if (!failed) {
    // Only what this call made; an ingress qdisc that stood there is not ours.
    if (auto undone = ClearOut(traffic, tap, outcomes[2].has_value(), outcomes[0].has_value()); !undone) {
      failed.error().message += "; taking it back failed too: " + undone.error().message;
    }
  }
  return failed;
}

Status SetLimit(TrafficControl& traffic, const NetLink& tap, NetDirection direction, const NetLimit& limit) {
  const auto now = Look(traffic, tap, direction);
  if (!now) return Fail(now.error());
  if (!now->foreign.empty()) {
    return Fail(Code::kConflict, "somebody else's " + now->foreign +
                                     " stands there; left as it is. Remove it (tc qdisc del dev " + tap.name +
                                     (direction == NetDirection::kOut ? " ingress" : " root") +
                                     " in the pod's network namespace) or let it limit this VM");
  }
  if (now->limit == limit && !now->half()) return {};
  return direction == NetDirection::kOut ? SetOut(traffic, tap, *now, limit) : SetIn(traffic, tap, *now, limit);
}

bool IsTap(const NetLink& link) { return link.kind == "tun"; }

// Processes of a cgroup and those below it, in any version.
std::vector<int> ProcessesOf(const std::string& dir) {
  std::vector<int> pids;
  const auto add = [&](const fs::path& cgroup) {
    // A threaded cgroup of v2 refuses; its processes are listed above it.
    const auto text = ReadSmallFile((cgroup / "cgroup.procs").string());
    if (!text) return;
    const char* at = text->data();
    const char* const end = at + text->size();
    while (at < end) {
      int pid = 0;
      const auto parsed = std::from_chars(at, end, pid);
      // 0 is a process of another PID namespace.
      if (parsed.ec == std::errc{} && pid > 0) pids.push_back(pid);
      at = std::find(at, end, '\n');
      if (at < end) ++at;
    }
  };
  add(dir);
  std::error_code error;
  fs::recursive_directory_iterator below(dir, error);
  for (; !error && below != fs::recursive_directory_iterator(); below.increment(error)) {
    std::error_code ignored;
    if (below->is_directory(ignored) && !below->is_symlink(ignored)) add(below->path());
  }
  return pids;
}

std::optional<std::uint64_t> NetOf(int process) {
  struct stat info{};
  if (::fstatat(process, "ns/net", &info, 0) != 0) return std::nullopt;
  return info.st_ino;
}

// The node's own network, or ours, which is the node's where the agent shares it.
bool IsNodes(const std::string& proc_root, std::uint64_t net) {
  for (const char* process : {"/1/ns/net", "/self/ns/net"}) {
    struct stat info{};
    // Not even root may look at process 1 everywhere.
    if (::stat((proc_root + process).c_str(), &info) == 0 && info.st_ino == net) return true;
  }
  return false;
}

}  // namespace

Result<TapShaper::Door> TapShaper::Open(const std::string& dir, std::uint64_t cgroup) const {
  Error last{Code::kGone, "no process of this PID namespace is left in " + dir};
  for (const int pid : ProcessesOf(dir)) {
    Fd process(::open((proc_root_ + "/" + std::to_string(pid)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!process) continue;
    // The number may have been given to another process before it was opened;
    // from now on the descriptor means this one.
    const auto still = ProcessesOf(dir);
    if (std::find(still.begin(), still.end(), pid) == still.end()) continue;
    const Fd net(::openat(process.get(), "ns/net", O_RDONLY | O_CLOEXEC));
    if (!net) {
      if (errno == EACCES || errno == EPERM) {
        last = ErrorFromErrno(errno, "network namespace of process " + std::to_string(pid));
        last.message += "; it needs CAP_SYS_PTRACE";
      }
      continue;
    }
    struct stat info{};
    if (::fstat(net.get(), &info) != 0) return Fail(ErrorFromErrno(errno, "network namespace"));
    if (IsNodes(proc_root_, info.st_ino)) {
      return Fail(Code::kRefused, "the pod uses the node's own network; its interfaces are not touched");
    }
    auto traffic = TrafficControl::Enter(net.get());
    if (!traffic) return Fail(traffic.error());
    return Door{cgroup, info.st_ino, std::move(process), std::move(*traffic), {}};
  }
  return Fail(last);
}

Result<TapShaper::Door*> TapShaper::Enter(const std::string& dir) const {
  ForgetOneGone();
  const auto cgroup = Inode(dir);
  auto door = doors_.find(dir);
  if (door != doors_.end()) {
    auto& at = door->second;
    if (cgroup && *cgroup == at.cgroup && NetOf(at.process.get()) == at.net) return &at;
    doors_.erase(door);
  }
  if (!cgroup) {
    const bool gone = cgroup.error().code == Code::kNotFound;
    return Fail(gone ? Code::kGone : cgroup.error().code, cgroup.error().message);
  }
  auto opened = Open(dir, *cgroup);
  if (!opened) return Fail(opened.error());
  return &doors_.emplace(dir, std::move(*opened)).first->second;
}

// What a tap is does not change while it has its index: asked once.
Result<NetLink> TapShaper::FindTap(Door& door, const std::string& name) {
  auto link = door.traffic.Glance(name);
  if (!link) return Fail(Code::kNotFound, "no such tap in the pod's network namespace");
  if (const auto known = door.taps.find(name); known == door.taps.end() || known->second != link->index) {
    const auto whole = door.traffic.Link(name);
    if (!whole) return Fail(whole.error());
    if (!*whole) return Fail(Code::kNotFound, "no such tap in the pod's network namespace");
    if (!IsTap(**whole)) {
      return Fail(Code::kInvalid,
                  "it is " + ((*whole)->kind.empty() ? "no tap" : "of kind " + (*whole)->kind + ", no tap"));
    }
    door.taps[name] = (*whole)->index;
    link = **whole;
  }
  return std::move(*link);
}

// A socket keeps the namespace of its pod alive. One other pod is looked at per
// call, so that the sockets of pods that are gone do not stay.
void TapShaper::ForgetOneGone() const {
  if (doors_.empty()) return;
  auto door = doors_.upper_bound(looked_at_);
  if (door == doors_.end()) door = doors_.begin();
  looked_at_ = door->first;
  const auto cgroup = Inode(door->first);
  const auto& at = door->second;
  if (!cgroup || *cgroup != at.cgroup || NetOf(at.process.get()) != at.net) doors_.erase(door);
}

Result<std::uint64_t> TapShaper::Inode(const std::string& dir) const { return CgroupFiles().Inode(dir); }

Result<std::string> TapShaper::Read(const std::string& dir, std::string_view name) const {
  const auto knob = ParseNetKnob(name);
  if (!knob) return Fail(knob.error());
  const std::lock_guard lock(mu_);
  const auto door = Enter(dir);
  if (!door) return Fail(door.error().In(name));
  const auto tap = FindTap(**door, knob->tap);
  if (!tap) return Fail(tap.error().In(name));
  const auto stand = Look((*door)->traffic, *tap, knob->direction);
  if (!stand) return Fail(stand.error().In(name));
  return stand->foreign.empty() ? ToText(stand->limit) : "foreign: " + stand->foreign;
}

Status TapShaper::Write(const std::string& dir, std::string_view name, std::string_view text) {
  const auto knob = ParseNetKnob(name);
  if (!knob) return Fail(knob.error());
  const auto limit = ParseNetLimit(text);
  if (!limit) return Fail(limit.error().In(name));
  const std::lock_guard lock(mu_);
  const auto door = Enter(dir);
  if (!door) return Fail(door.error().In(name));
  const auto tap = FindTap(**door, knob->tap);
  if (!tap) return Fail(tap.error().In(name));
  const auto set = SetLimit((*door)->traffic, *tap, knob->direction, *limit);
  if (!set) return Fail(set.error().In(name));
  return {};
}

Result<std::vector<std::string>> TapShaper::Taps(const std::string& dir) const {
  const std::lock_guard lock(mu_);
  const auto door = Enter(dir);
  if (!door) return Fail(door.error());
  const auto links = (*door)->traffic.Links();
  if (!links) return Fail(links.error());
  std::vector<std::string> taps;
  for (const auto& link : *links) {
    if (IsTap(link) && IsTapName(link.name)) taps.push_back(link.name);
  }
  return taps;
}

Status CanShape(NetDirection direction) {
  auto traffic = TrafficControl::Scratch();
  if (!traffic) return Fail(traffic.error());
  // Its loopback stands for a tap: the kernel's code is the same.
  const NetLink loopback{1, "lo", "", 65536};
  for (const NetLimit& limit : {NetLimit{NetLimit::Kind::kRate, kLeastNetRate}, NetLimit{NetLimit::Kind::kDrop, 0}}) {
    if (auto set = SetLimit(*traffic, loopback, direction, limit); !set) return set;
    const auto stand = Look(*traffic, loopback, direction);
    if (!stand) return Fail(stand.error());
    if (!stand->foreign.empty() || stand->limit != limit) {
      return Fail(Code::kUnsupported, "this kernel does not keep a limit of " + ToText(limit));
    }
  }
  return {};
}

}  // namespace whorl::agent
