#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "operator/plugin/cluster.h"
#include "operator/promql/client.h"

namespace whorl::plugin {

inline constexpr const char* kVersion = "0.1.0";

// What scripts may count on.
enum ExitCode : int { kOk = 0, kFailure = 1, kUsage = 2, kMissing = 3 };

// Everything outside: the terminal, the environment, the cluster, the time.
// References must outlive the call.
struct Shell {
  std::ostream& out;
  std::ostream& err;
  std::istream& in;
  bool out_is_terminal = false;
  bool in_is_terminal = false;
  std::function<std::optional<std::string>(const std::string& name)> environment;
  std::function<Result<std::unique_ptr<Cluster>>(const Access&)> connect;
  std::function<bool(Seconds)> wait;  // of --watch: false ends it
  // For replay; null: there is none here.
  std::function<Result<std::unique_ptr<promql::PrometheusClient>>(const promql::PrometheusOptions&)> prometheus =
      nullptr;
  const Clock& clock;
};

// Runs one command line, without the program's name; gives the exit code.
int Run(std::vector<std::string> arguments, Shell& shell);

// docs/reference/plugin.md, made from what --help says.
std::string ReferencePage();

}  // namespace whorl::plugin
