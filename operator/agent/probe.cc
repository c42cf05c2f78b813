#include "operator/agent/probe.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iomanip>
#include <sstream>

#include "operator/agent/act/cpu_files.h"
#include "operator/agent/act/domain_knobs.h"
#include "operator/agent/act/tap_shaper.h"
#include "operator/agent/sense/cpu_gauge.h"
#include "operator/agent/sense/launcher_libvirt.h"
#include "operator/agent/sense/syscalls.h"
#include "operator/agent/sense/text_file.h"

namespace whorl::agent {
namespace {

constexpr long kTmpfsMagic = 0x01021994;
constexpr Millis kDomainPatience{1000};

node::v1::Capability Can(const std::string& name, const std::string& detail = {}) {
  node::v1::Capability capability;
  capability.set_name(name);
  capability.set_available(true);
  capability.set_detail(detail);
  return capability;
}

node::v1::Capability Cannot(const std::string& name, const std::string& why) {
  auto capability = Can(name, why);
  capability.set_available(false);
  return capability;
}

// Where limits are when there is no VM to look at: the agent's own cgroup. On v2 the
// top has none.
std::string OwnDir(const CgroupLayout& layout, const std::string& proc_root) {
  if (const auto text = ReadSmallFile(proc_root + "/self/cgroup")) {
    if (const auto dir = layout.CountedDir(*text)) return *dir;
  }
  return layout.v2();
}

// A directory to try files on: a VM's pod when there is one, else `otherwise`.
std::string SampleDir(const std::vector<ProbedVm>& vms, std::string VmDirs::* which, const std::string& otherwise) {
  for (const auto& vm : vms) {
    if (!(vm.place.dirs.*which).empty()) return vm.place.dirs.*which;
  }
  return otherwise;
}

node::v1::Capability Knob(const std::string& name, const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0) return Cannot(name, path + " does not exist");
  if (::access(path.c_str(), W_OK) != 0) {
    return Cannot(name, path + " is not writable; mount the host's cgroups read-write and run as root");
  }
  return Can(name, path.substr(path.rfind('/') + 1));
}

node::v1::Capability Pressure(const std::string& name, const std::string& v2_dir) {
  if (v2_dir.empty()) return Cannot(name, "no cgroup v2 tree is mounted; PSI exists only there");
  const auto file = TextFile::Open(v2_dir + "/" + name);
  if (!file) return Cannot(name, file.error().message + "; boot with psi=1");
  char buffer[512];
  const auto text = file->Read(buffer);
  // CONFIG_PSI without psi=1 has the files but refuses to read them.
  if (!text) return Cannot(name, text.error().message + "; boot with psi=1");
  return Can(name);
}

node::v1::Capability HostPids(const std::string& proc_root) {
  // Process 1 of a container's own PID namespace is the container's program.
  const auto first = ReadSmallFile(proc_root + "/1/comm");
  if (!first) return Cannot("host-pids", first.error().message);
  if (first->starts_with("whorl-") || first->starts_with("pause")) {
    return Cannot("host-pids", "process 1 is " + first->substr(0, first->find('\n')) + "; set hostPID: true");
  }
  return Can("host-pids", "process 1 is " + first->substr(0, first->find('\n')));
}

// What libvirt lets us set on the domains of these pods. Judged by the first that
// answers, of a few: launchers that hang shall not hold up the agent's start.
std::vector<node::v1::Capability> DomainCapabilities(const std::vector<ProbedVm>& vms, const DomainKnobs& knobs) {
  constexpr const char* kBalloon = "memory.balloon";
  constexpr const char* kThrottle = "disk.throttle";
  constexpr std::size_t kTries = 2;
  if (vms.empty()) return {Can(kBalloon, "no VM here to try it on"), Can(kThrottle, "no VM here to try it on")};
  std::string why;
  for (std::size_t i = 0; i < vms.size() && i < kTries; ++i) {
    const auto& dir = vms[i].place.dirs.pod_cpu;
    const auto facts = knobs.Facts(dir);
    if (!facts) {
      if (why.empty()) why = facts.error().message;
      continue;
    }
    const auto memory = knobs.Read(dir, "balloon");
    const auto disk = facts->disks.empty() ? Fail(Code::kNotFound, "the VM tried has no disk")
                                           : knobs.Read(dir, "disk@" + facts->disks.front());
    auto balloon = memory ? Can(kBalloon, "through libvirt") : Cannot(kBalloon, memory.error().message);
    if (memory && !facts->pinned.empty()) {
      balloon = Cannot(kBalloon, "the memory of the VM tried is pinned by " + facts->pinned);
    }
    return {std::move(balloon),
            disk ? Can(kThrottle, "by QEMU, through libvirt") : Cannot(kThrottle, disk.error().message)};
  }
  return {Cannot(kBalloon, why), Cannot(kThrottle, why)};
}

// The limits of a VM's taps as they stand; with_tap: there is one to set.
std::string Limits(const TapShaper& shaper, const std::string& dir, bool& with_tap) {
  const auto taps = shaper.Taps(dir);
  if (!taps) return taps.error().message;
  if (taps->empty()) return "no tap in the pod's network namespace";
  with_tap = true;
  std::string text;
  for (const auto& tap : *taps) {
    const auto out = shaper.Read(dir, NetKnobName(NetDirection::kOut, tap));
    const auto in = shaper.Read(dir, NetKnobName(NetDirection::kIn, tap));
    if (!text.empty()) text += "; ";
    text += tap + ": out " + (out ? *out : out.error().message) + ", in " + (in ? *in : in.error().message);
  }
  return text;
}

node::v1::Capability Network(const std::string& name, NetDirection direction, const std::vector<ProbedVm>& vms) {
  if (const auto can = CanShape(direction); !can) return Cannot(name, can.error().message);
  if (vms.empty()) return Can(name, "no VM here to try it on");
  const auto with_tap = std::count_if(vms.begin(), vms.end(), [](const ProbedVm& vm) { return vm.has_tap; });
  if (with_tap == 0) return Cannot(name, vms.front().network);
  return Can(name, "on the taps of " + std::to_string(with_tap) + " of " + std::to_string(vms.size()) + " pods");
}

}  // namespace

Status JoinHostCgroupNamespace(const std::string& proc_root) {
  const Fd host(::open((proc_root + "/1/ns/cgroup").c_str(), O_RDONLY | O_CLOEXEC));
  if (!host) return Fail(ErrorFromErrno(errno, proc_root + "/1/ns/cgroup"));
  struct stat theirs{};
  struct stat ours{};
  if (::fstat(host.get(), &theirs) == 0 && ::stat((proc_root + "/self/ns/cgroup").c_str(), &ours) == 0 &&
      theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev) {
    return {};
  }
  if (::setns(host.get(), CLONE_NEWCGROUP) != 0)
    return Fail(ErrorFromErrno(errno, "joining the node's cgroup namespace"));
  return {};
}

Result<CgroupLayout> DetectLayout(const ProbeOptions& options) {
  const auto text = ReadSmallFile(options.proc_root + "/self/mountinfo");
  if (!text) return Fail(text.error());
  const auto mounts = ParseCgroupMounts(*text);
  if (!mounts) return Fail(mounts.error().In(options.proc_root + "/self/mountinfo"));
  return CgroupLayout::Detect(*mounts, options.cgroup_root);
}

ProbeReport Probe(const ProbeOptions& options) {
  ProbeReport report;
  auto& list = report.capabilities;
  const auto layout = DetectLayout(options);
  if (!layout) {
    list.push_back(Cannot("cgroups", layout.error().message));
    return report;
  }
  report.version = layout->version();
  const bool v1 = report.version == CgroupVersion::kV1;
  list.push_back(
      Can("cgroups", v1 ? (layout->v2().empty() ? "v1" : "v1 for limits, v2 beside it for pressure") : "v2"));
  list.push_back(HostPids(options.proc_root));

  const VmFinder finder(options.proc_root, *layout);
  const CgroupFiles tree(options.cgroup_root);
  const CpuFiles files(report.version);
  const TapShaper shaper(options.proc_root);
  auto places = finder.Scan();
  list.push_back(places ? Can("find-vms", std::to_string(places->size()) + " found")
                        : Cannot("find-vms", places.error().message));
  for (auto& place : places ? *places : std::vector<VmPlace>{}) {
    ProbedVm vm;
    vm.place = std::move(place);
    if (const auto gauge = CpuGauge::Open(vm.place, options.proc_root)) vm.vcpus = gauge->vcpus();
    if (const auto net = ReadSmallFile(options.proc_root + "/" + std::to_string(vm.place.pid) + "/net/dev")) {
      if (const auto taps = ParseTaps(*net)) vm.taps = taps->taps;
    }
    const auto socket = FindLibvirtSocket(options.proc_root, vm.place.pid);
    vm.has_libvirt = socket.has_value();
    vm.libvirt = socket ? *socket : socket.error().message;
    if (const auto cpu = files.Read(tree, vm.place.dirs.pod_cpu)) {
      vm.cpu = "shares " + std::to_string(cpu->shares.value_or(0)) + ", quota " +
               (cpu->quota_us.value_or(-1) < 0 ? "none" : std::to_string(*cpu->quota_us) + " us");
    } else {
      vm.cpu = cpu.error().message;
    }
    vm.network = Limits(shaper, vm.place.dirs.pod_cpu, vm.has_tap);
    report.vms.push_back(std::move(vm));
  }

  const auto cpu_dir = SampleDir(report.vms, &VmDirs::pod_cpu, v1 ? layout->cpu() : OwnDir(*layout, options.proc_root));
  const auto v2_dir = SampleDir(report.vms, &VmDirs::pod_v2, layout->v2());
  list.push_back(Knob("cpu.shares", cpu_dir + "/" + files.shares_file()));
  list.push_back(Knob("cpu.quota", cpu_dir + "/" + files.quota_file()));
  list.push_back(Network("network.out", NetDirection::kOut, report.vms));
  list.push_back(Network("network.in", NetDirection::kIn, report.vms));
  for (const auto* name : {"cpu.pressure", "memory.pressure", "io.pressure"}) list.push_back(Pressure(name, v2_dir));
  list.push_back(::access((options.proc_root + "/self/schedstat").c_str(), R_OK) == 0
                     ? Can("run-queue-delay")
                     : Cannot("run-queue-delay", "the kernel has no /proc/<pid>/schedstat (CONFIG_SCHED_INFO)"));
  std::string no_syscalls = options.syscalls.value_or("");
  if (!options.syscalls) {
    if (const auto source = LoadSyscallSource(!v1); !source) no_syscalls = source.error().message;
  }
  list.push_back(no_syscalls.empty() ? Can("syscalls", "eBPF CO-RE, raw_tp/sys_enter")
                                     : Cannot("syscalls", no_syscalls));
  if (no_syscalls.empty()) {
    const auto no_exits = WhyNoExits();
    list.push_back(no_exits.empty() ? Can("kvm-exits", "eBPF CO-RE, raw_tp/kvm_exit; counted for VMs under KVM")
                                    : Cannot("kvm-exits", no_exits));
  }
  if (no_syscalls.empty() && options.measure_cost) {
    if (const auto cost = MeasureSyscallCost(*layout, options.proc_root)) {
      report.cost = *cost;
    } else {
      list.push_back(Cannot("syscalls-cost", cost.error().message));
    }
  }

  const auto with_libvirt =
      std::count_if(report.vms.begin(), report.vms.end(), [](const ProbedVm& vm) { return vm.has_libvirt; });
  if (report.vms.empty()) {
    list.push_back(Can("libvirt", "no VM here to try it on"));
  } else if (with_libvirt == 0) {
    list.push_back(Cannot("libvirt", report.vms.front().libvirt));
  } else {
    list.push_back(Can("libvirt", "reached in " + std::to_string(with_libvirt) + " of " +
                                      std::to_string(report.vms.size()) + " pods"));
  }

  std::optional<DomainKnobs> own;
  if (options.domains == nullptr) {
    DomainKnobs::Options knobs;
    knobs.proc_root = options.proc_root;
    knobs.patience = kDomainPatience;
    own.emplace(knobs);
  }
  for (auto& capability : DomainCapabilities(report.vms, own ? *own : *options.domains)) {
    list.push_back(std::move(capability));
  }

  struct statfs state{};
  if (::statfs(options.state_dir.c_str(), &state) != 0) {
    list.push_back(Cannot("journal", options.state_dir + ": " + std::generic_category().message(errno) +
                                         "; mount the host's /run there"));
  } else if (::access(options.state_dir.c_str(), W_OK) != 0) {
    list.push_back(Cannot("journal", options.state_dir + " is not writable"));
  } else {
    list.push_back(Can("journal", state.f_type == kTmpfsMagic
                                      ? "on a tmpfs, as it should be"
                                      : "not on a tmpfs: after a reboot it would outlive the cgroups it speaks of"));
  }

  const auto can = [&](const char* name) {
    return std::any_of(list.begin(), list.end(), [&](const auto& c) { return c.name() == name && c.available(); });
  };
  report.can_sense = can("cgroups") && can("find-vms");
  report.can_set = report.can_sense && can("cpu.shares") && can("cpu.quota") && can("journal");
  return report;
}

namespace {

std::string RenderCost(const SyscallCost& cost) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(0) << "\ncounting system calls costs, while it is attached (1 s in 5 unless "
      << "--syscalls says otherwise)\n"
      << "  a call with nothing attached       " << std::setw(6) << cost.bare_ns << " ns (getppid)\n"
      << "  of a watched QEMU, with its sketch " << std::setw(6) << cost.watched_ns << " ns more\n"
      << "  of any other process               " << std::setw(6) << cost.bystander_ns << " ns more\n"
      << "  this node makes                    " << std::setw(6) << cost.calls_per_second
      << " calls/s: " << std::setprecision(3) << 100 * cost.core() << " % of one core\n";
  return out.str();
}

}  // namespace

std::string Render(const ProbeReport& report) {
  std::ostringstream out;
  for (const auto& capability : report.capabilities) {
    out << (capability.available() ? "  yes  " : "  NO   ") << std::left << std::setw(18) << capability.name()
        << capability.detail() << "\n";
  }
  out << "\n";
  if (report.vms.empty()) out << "no QEMU in a pod of this node\n";
  for (const auto& vm : report.vms) {
    out << "pod " << vm.place.dirs.pod_uid << "  qemu pid " << vm.place.pid << "\n"
        << "  cgroup   " << vm.place.dirs.pod_cpu << "\n"
        << "  cpu      " << vm.cpu << "\n"
        << "  vcpus    " << (vm.vcpus > 0 ? std::to_string(vm.vcpus) : "no thread is named as one") << "\n"
        << "  taps     " << (vm.taps > 0 ? std::to_string(vm.taps) : "none: network features stay unmeasured") << "\n"
        << "  network  " << vm.network << "\n"
        << "  libvirt  " << vm.libvirt << "\n";
  }
  if (report.cost) out << RenderCost(*report.cost);
  out << "\nthis node can "
      << (report.can_set     ? "sense and set"
          : report.can_sense ? "sense, but not set"
                             : "not be sensed")
      << "\n";
  return out.str();
}

int ExitCode(const ProbeReport& report) { return report.can_set ? 0 : report.can_sense ? 2 : 3; }

}  // namespace whorl::agent
