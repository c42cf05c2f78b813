#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/base/result.h"

namespace whorl::agent {

// Figures of the agent at one moment, as `/metrics` shows them.
struct AgentFigures {
  double sample_seconds = 0;  // of the last pass
  double cpu_seconds = 0;
  double resident_bytes = 0;
  std::uint64_t frames = 0;
  std::uint64_t vms = 0;
  std::uint64_t holdings = 0;
  std::uint64_t recalls = 0;
  std::uint64_t restores = 0;
  std::uint64_t plans = 0;
  std::uint64_t refused_plans = 0;
  std::uint64_t write_errors = 0;
  bool ready = false;
};

// Serves /metrics, /livez and /readyz over plain HTTP. Asks for the figures
// only when somebody looks.
class MetricsServer {
 public:
  // kConflict when the address is taken.
  static Result<std::unique_ptr<MetricsServer>> Start(const std::string& listen, std::function<AgentFigures()> figures);
  ~MetricsServer();
  int port() const;

 private:
  struct Impl;
  explicit MetricsServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace whorl::agent
