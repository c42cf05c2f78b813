#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "operator/controller/ingest/node_link.h"
#include "operator/controller/ingest/report.h"
#include "operator/controller/map/picture.h"

namespace whorl::controller {

// Everything the controller counts; docs/reference/metrics.md lists it. Per-VM
// values are taken from the last report of each node, so that they end with
// the VM. Thread-safe.
class Metrics {
 public:
  Metrics();
  ~Metrics();

  void OnReport(const NodeReport& report);
  void ForgetNode(const std::string& node);
  void OnTick(const std::string& node, std::chrono::microseconds engine);
  void OnPlan(const std::string& node, std::string_view result, const std::optional<TickTimes>& times);
  void OnRecall(const std::string& node);
  void OnApiRequest(std::string_view verb, int status);
  void OnEvent(std::string_view reason);
  void OnResize(std::string_view outcome);
  void OnStatusWrite(std::string_view kind, bool ok);
  void SetLeader(bool leader, std::uint64_t epoch);
  void SetEnrolled(std::size_t vms);
  // A behaviour map was drawn just now.
  void OnMap(const FleetPicture& picture, std::chrono::microseconds took);

  std::string Render() const;  // Prometheus text format

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace whorl::controller
