// kubectl-whorl: wires the command line to the terminal and the cluster; see cli.h.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "operator/kube/waiting_clock.h"
#include "operator/plugin/cli.h"

int main(int argc, char** argv) {
  using namespace whorl::plugin;
  signal(SIGPIPE, SIG_DFL);  // `| head` ends us without a word
  const auto sources = whorl::kube::ConfigSources::Process();
  whorl::kube::SystemClock clock;
  Shell shell{.out = std::cout,
              .err = std::cerr,
              .in = std::cin,
              .out_is_terminal = isatty(STDOUT_FILENO) == 1,
              .in_is_terminal = isatty(STDIN_FILENO) == 1,
              .environment = sources.environment,
              .connect = [&](const Access& access) { return Connect(access, sources); },
              .wait = [&](whorl::Seconds duration) { return clock.WaitFor(duration, {}); },
              .prometheus =
                  [&](const whorl::promql::PrometheusOptions& options) {
                    return whorl::promql::PrometheusClient::Connect(options, clock);
                  },
              .clock = clock};
  try {
    return Run(std::vector<std::string>(argv + 1, argv + argc), shell);
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return kFailure;
  }
}
