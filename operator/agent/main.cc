// whorl-agent: senses the VMs of one node, serves what it reads, and holds what
// plans allow. This file only wires.
#include <malloc.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>
#include <optional>

#include "operator/agent/act/domain_hands.h"
#include "operator/agent/act/domain_knobs.h"
#include "operator/agent/act/node_knobs.h"
#include "operator/agent/agent.h"
#include "operator/agent/feature_page.h"
#include "operator/agent/journal/agent_lock.h"
#include "operator/agent/probe.h"
#include "operator/agent/sense/launcher_libvirt.h"
#include "operator/agent/service.h"
#include "operator/agent/system_clock.h"

namespace whorl::agent {
namespace {

constexpr const char* kVersion = "0.1.0";
constexpr std::uint32_t kPodsPerCpu = 64;  // node.proto

struct Flags {
  ProbeOptions node;
  std::string node_name;
  std::string listen = "0.0.0.0:7443";
  std::string tls_dir = "/etc/whorl/tls";
  std::string metrics_listen = "0.0.0.0:9095";
  std::string syscalls = "1/5";
  std::string checkpoint_dir = "/var/lib/whorl/checkpoints";
  std::string log_level = "info";
};

// "off", "always" or "A/B": A seconds in B.
Result<std::optional<DutyCycle>> ParseDuty(const std::string& text) {
  if (text == "off") return std::optional<DutyCycle>{};
  if (text == "always") return std::optional(DutyCycle{Millis{1000}, Millis{1000}});
  const auto slash = text.find('/');
  const auto on = slash == std::string::npos ? Fail(Code::kInvalid, "") : ParseCounter(text.substr(0, slash));
  const auto period = slash == std::string::npos ? Fail(Code::kInvalid, "") : ParseCounter(text.substr(slash + 1));
  if (!on || !period || *on == 0 || *period > 3600 || *on > *period) {
    return Fail(Code::kInvalid,
                "--syscalls must be off, always, or A/B for A seconds in B (as 1/5), not \"" + text + "\"");
  }
  return std::optional(DutyCycle{Seconds{*on}, Seconds{*period}});
}

int Stop(const Error& error) {
  spdlog::critical("{}", error.message);
  return 1;
}

api::CgroupVersion OnTheWire(CgroupVersion version) {
  switch (version) {
    case CgroupVersion::kV1: return api::CGROUP_VERSION_V1;
    case CgroupVersion::kV2: return api::CGROUP_VERSION_V2;
    case CgroupVersion::kNone: break;
  }
  return api::CGROUP_VERSION_UNSPECIFIED;
}

int Serve(const Flags& flags) {
  const auto duty = ParseDuty(flags.syscalls);
  if (!duty) return Stop(duty.error());
  // Own certificate first: an agent that nobody may believe must not touch anything.
  const auto tls = TlsFilesIn(flags.tls_dir);
  if (auto identity = CheckIdentity(tls, flags.node_name); !identity) return Stop(identity.error());
  auto lock = AgentLock::Take(flags.node.state_dir);
  if (!lock) return Stop(lock.error());

  // Every thread inherits this: the signals that end us are taken by sigwait below.
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);
  // libvirt writes to sockets whose other end may be gone: an error, not our end.
  ::signal(SIGPIPE, SIG_IGN);

  if (auto joined = JoinHostCgroupNamespace(flags.node.proc_root); !joined) {
    spdlog::warn("cannot join the node's cgroup namespace ({}): VMs may stay unseen", joined.error().message);
  }
  auto layout = DetectLayout(flags.node);
  if (!layout) return Stop(layout.error());
  auto journal = Journal::Open(flags.node.state_dir);
  if (!journal) return Stop(journal.error().In("journal"));

  const SystemClock clock;
  CgroupFiles tree(flags.node.cgroup_root);
  TapShaper taps(flags.node.proc_root);
  NodeKnobs knobs(tree, taps, layout->version() == CgroupVersion::kV2);
  const VmFinder finder(flags.node.proc_root, *layout);
  std::string trouble;
  auto epochs = EpochFile::Open(flags.node.state_dir, trouble);
  if (!trouble.empty()) spdlog::warn("{}", trouble);

  Holder::Options holding;
  holding.cgroup_root = flags.node.cgroup_root;
  holding.version = layout->version();
  const auto cpus = static_cast<std::uint32_t>(::sysconf(_SC_NPROCESSORS_ONLN));
  holding.node_millicores = static_cast<std::int64_t>(cpus) * 1000;
  holding.most_pods = cpus * kPodsPerCpu;
  holding.say = [](const std::string& line) { spdlog::info("{}", line); };
  // Before other threads: it readies libvirt's library.
  DomainKnobs domain_knobs({.proc_root = flags.node.proc_root});
  auto domain_journal = Journal::Open(flags.node.state_dir + "/domains");
  if (!domain_journal) return Stop(domain_journal.error().In("journal of domains"));
  DomainHands hands({flags.node.cgroup_root, {}, holding.say},
                    {domain_knobs, [&domain_knobs](const std::string& dir) { return domain_knobs.Disks(dir); },
                     [&domain_knobs](const std::string& dir) { return domain_knobs.MemoryStats(dir); }},
                    std::move(*domain_journal), clock);
  holding.has_domain = [root = flags.node.proc_root](const VmPlace& place) {
    return FindLibvirtSocket(root, place.pid).has_value();
  };
  Holder holder(holding, knobs, knobs, *journal, finder, epochs, clock, &hands);
  for (const auto& line : hands.RevertJournal()) spdlog::warn("{}", line);
  for (const auto& line : holder.RevertJournal()) spdlog::warn("{}", line);

  std::unique_ptr<SyscallSource> source;
  std::optional<SyscallSampler> syscalls;
  std::string no_syscalls = "turned off by --syscalls=off";
  if (*duty) {
    auto loaded = LoadSyscallSource(layout->version() == CgroupVersion::kV2);
    if (loaded) {
      source = std::move(*loaded);
      syscalls.emplace(*source, **duty);
      no_syscalls.clear();
    } else {
      no_syscalls = loaded.error().message;
      spdlog::warn("system calls are not counted: {}", no_syscalls);
    }
  }
  DomainReader domains({.proc_root = flags.node.proc_root});
  Sampler sampler(finder, tree, syscalls ? &*syscalls : nullptr, &domains, clock);
  RecallWatch recall(holder, clock, flags.node.proc_root);
  FrameBoard board;
  if (source) static_cast<void>(WhyNoExits());  // asked for again with every Describe
  // Loading BPF parsed the kernel's BTF; give that memory back before settling.
  ::malloc_trim(0);

  DomainThread domain_thread(hands);
  std::optional<Loops> loops;
  loops.emplace(sampler, holder, recall, board, clock);

  Service::Options serving;
  serving.listen = flags.listen;
  serving.tls = tls;
  serving.node_name = flags.node_name;
  serving.agent_version = kVersion;
  serving.cpus = cpus;
  serving.memory_bytes =
      static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  serving.cgroup = OnTheWire(layout->version());
  if (const auto boot = ReadSmallFile(flags.node.proc_root + "/sys/kernel/random/boot_id")) {
    serving.boot_id = boot->substr(0, boot->find('\n'));
  }
  Service::Hooks hooks;
  auto known = flags.node;
  known.syscalls = no_syscalls;
  known.domains = &domain_knobs;
  hooks.capabilities = [known] { return Probe(known).capabilities; };
  hooks.set_interval = [&loops](Millis interval) { loops->set_interval(interval); };
  std::unique_ptr<CheckpointStore> checkpoints;
  if (!flags.checkpoint_dir.empty()) {
    CheckpointStore::Options keeping;
    keeping.dir = flags.checkpoint_dir;
    // Not worth refusing to serve: what is learnt then lasts as long as the controller runs.
    if (auto store = CheckpointStore::Open(std::move(keeping), clock)) {
      checkpoints = std::move(*store);
    } else {
      spdlog::warn(
          "no checkpoints of baselines are kept on this node: {}; mount a folder of the host and name it in "
          "--checkpoint-dir",
          store.error().message);
    }
  }
  hooks.checkpoints = checkpoints.get();
  auto service = Service::Start(serving, hooks, holder, board);
  if (!service) return Stop(service.error());

  auto metrics = MetricsServer::Start(flags.metrics_listen, [&loops] { return loops->Figures(); });
  if (!metrics) return Stop(metrics.error());
  spdlog::info("agent of node {} serves {} and metrics on {}; cgroup {}", flags.node_name, flags.listen,
               flags.metrics_listen, layout->version() == CgroupVersion::kV1 ? "v1" : "v2");

  int signal = 0;
  sigwait(&ending, &signal);
  spdlog::info("stopping: everything held goes back as found");
  // No new plan after this line, then restore, then the rest. The metrics ask
  // the loops: they go first.
  service->reset();
  metrics->reset();
  loops.reset();
  for (const auto& line : holder.RestoreAll()) spdlog::info("{}", line);
  domain_thread.Stop();
  for (const auto& line : hands.RestoreAll()) spdlog::info("{}", line);
  return 0;
}

int Main(int argc, char** argv) {
  // One heap: a thread of its own each would cost megabytes that stay unused.
  ::mallopt(M_ARENA_MAX, 1);  // NOLINT(concurrency-mt-unsafe): no thread runs yet
  Flags flags;
  CLI::App app{
      "whorl-agent senses the KubeVirt VMs of one node and holds the CPU limits that plans allow, as leases.\n"
      "It runs in a privileged pod with hostPID, the host's /sys/fs/cgroup and /run/whorl, and a certificate\n"
      "for agent.<node>.whorl. Its only client is the controller (controller.whorl).\n\n"
      "  whorl-agent --node-name node-1            serve\n"
      "  whorl-agent probe                         what this node can sense and set, and why not\n"
      "  whorl-agent features                      the reference page of everything measured"};
  app.get_formatter()->column_width(34);
  app.set_version_flag("--version", kVersion);
  app.add_option("--node-name", flags.node_name, "Name of this node, as Kubernetes knows it (serving needs it)");
  app.add_option("--listen", flags.listen, "host:port of the node API (gRPC, mutual TLS)")->capture_default_str();
  app.add_option("--tls-dir", flags.tls_dir, "Directory with tls.crt, tls.key and ca.crt")->capture_default_str();
  app.add_option("--metrics-listen", flags.metrics_listen, "host:port of /metrics, /livez, /readyz")
      ->capture_default_str();
  app.add_option("--cgroup-root", flags.node.cgroup_root, "Where the host's cgroups are mounted")
      ->capture_default_str();
  app.add_option("--proc-root", flags.node.proc_root, "A /proc that shows the host's processes")->capture_default_str();
  app.add_option("--state-dir", flags.node.state_dir, "Journal and lock; the host's /run/whorl (tmpfs)")
      ->capture_default_str();
  app.add_option(
         "--checkpoint-dir", flags.checkpoint_dir,
         "What VMs' baselines are kept in, sealed by the controller; a folder that survives a reboot. \"\": none")
      ->capture_default_str();
  app.add_option("--syscalls", flags.syscalls, "Count QEMU's system calls: off, always, or A/B for A seconds in B")
      ->capture_default_str();
  app.add_option("--log-level", flags.log_level, "debug, info, warn or error")
      ->capture_default_str()
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}));
  auto* probe = app.add_subcommand(
      "probe", "Print what this node can sense and set. Exit code 0: both; 2: only sense; 3: neither");
  probe->fallthrough();
  auto* features = app.add_subcommand("features", "Print docs/reference/features.md");
  CLI11_PARSE(app, argc, argv);

  spdlog::set_level(spdlog::level::from_str(flags.log_level));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  if (features->parsed()) {
    std::cout << FeaturePage();
    return 0;
  }
  if (probe->parsed()) {
    if (auto joined = JoinHostCgroupNamespace(flags.node.proc_root); !joined) {
      std::cerr << "the node's cgroup namespace cannot be joined (" << joined.error().message << "); using our own\n";
    }
    flags.node.measure_cost = true;
    const auto report = Probe(flags.node);
    std::cout << Render(report);
    return ExitCode(report);
  }
  if (flags.node_name.empty()) {
    std::cerr << "--node-name is required to serve: pass the name of this node, in a pod from spec.nodeName\n";
    return 1;
  }
  return Serve(flags);
}

}  // namespace
}  // namespace whorl::agent

int main(int argc, char** argv) {
  try {
    return whorl::agent::Main(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "whorl-agent: " << error.what() << "\n";
    return 1;
  }
}
