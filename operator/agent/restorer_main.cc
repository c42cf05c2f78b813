// whorl-restorer: the dead-man of a node. It shares the journal with the agent
// and puts back what was found when a lease has run out (the agent hangs) or
// when no agent runs (it was killed). It does nothing else.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "operator/agent/act/knob_tree.h"
#include "operator/agent/act/node_knobs.h"
#include "operator/agent/act/tap_shaper.h"
#include "operator/agent/journal/agent_lock.h"
#include "operator/agent/journal/journal.h"
#include "operator/agent/journal/restore.h"

namespace whorl::agent {
namespace {

constexpr Millis kPeriod{200};
// An agent that ends restores by itself: it gets this long before we do it.
constexpr Millis kGraceAtEnd{5000};
// A lease that has run out is the agent's to end first; it looks at 5 Hz.
constexpr Millis kAgentFirst{500};

volatile sig_atomic_t ending = 0;

void Say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

std::size_t Pass(KnobTree& tree, const Journal& journal, const std::string& cgroup_root, const std::string& state_dir,
                 bool agent_missed) {
  const auto looked = RestoreDue(tree, journal, cgroup_root, BootTime() - kAgentFirst,
                                 [&] { return agent_missed && !AgentLock::IsHeld(state_dir); });
  for (const auto& line : looked.said) Say(line);
  return looked.left;
}

int Run(const std::string& state_dir, const std::string& cgroup_root) {
  const auto journal = Journal::Open(state_dir);
  if (!journal) {
    Say("journal in " + state_dir + ": " + journal.error().message + "; mount the host's /run/whorl there");
    return 1;
  }
  CgroupFiles files(cgroup_root);
  TapShaper taps;
  // Which devices a pod uses is asked by whoever sets limits, never here.
  NodeKnobs tree(files, taps, false);
  Say("watching the journal in " + state_dir);
  bool agent_ran = true;
  while (ending == 0) {
    // Absent twice in a row: an agent that is just being replaced reverts the
    // journal itself before it serves.
    const bool agent_runs = AgentLock::IsHeld(state_dir);
    Pass(tree, *journal, cgroup_root, state_dir, !agent_runs && !agent_ran);
    agent_ran = agent_runs;
    ::usleep(static_cast<useconds_t>(kPeriod.count() * 1000));
  }
  const auto until = BootTime() + kGraceAtEnd;
  while (AgentLock::IsHeld(state_dir) && BootTime() < until) ::usleep(50'000);
  // An agent that still runs keeps its leases: only this container is ending.
  const auto left = Pass(tree, *journal, cgroup_root, state_dir, true);
  Say("stopping, " + std::to_string(left) + " entries left in the journal");
  return 0;
}

int Usage(int code) {
  std::fputs(
      "whorl-restorer [--state-dir DIR] [--cgroup-root DIR]\n"
      "Puts back the CPU, disk and network limits of pods that whorl-agent has set when their lease runs out or the "
      "agent is gone.\n"
      "  --state-dir DIR    journal and lock of the agent, default /run/whorl\n"
      "  --cgroup-root DIR  where the host's cgroups are mounted, default /sys/fs/cgroup\n",
      code == 0 ? stdout : stderr);
  return code;
}

int Main(int argc, char** argv) {
  std::string state_dir = "/run/whorl";
  std::string cgroup_root = "/sys/fs/cgroup";
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--help") == 0) return Usage(0);
    if (i + 1 < argc && std::strcmp(argv[i], "--state-dir") == 0) {
      state_dir = argv[++i];
    } else if (i + 1 < argc && std::strcmp(argv[i], "--cgroup-root") == 0) {
      cgroup_root = argv[++i];
    } else {
      return Usage(1);
    }
  }
  struct sigaction action{};
  action.sa_handler = [](int) { ending = 1; };
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  return Run(state_dir, cgroup_root);
}

}  // namespace
}  // namespace whorl::agent

int main(int argc, char** argv) {
  try {
    return whorl::agent::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "whorl-restorer: %s\n", error.what());
    return 1;
  }
}
