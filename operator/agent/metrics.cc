// The only file that includes prometheus-cpp and its HTTP server.
#include "operator/agent/metrics.h"

#include <CivetServer.h>
#include <prometheus/counter.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <vector>

namespace whorl::agent {
namespace {

void Reply(mg_connection* connection, int status, const char* reason, const std::string& type,
           const std::string& body) {
  const std::string head = "HTTP/1.1 " + std::to_string(status) + " " + reason + "\r\nContent-Type: " + type +
                           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n";
  mg_write(connection, head.data(), head.size());
  mg_write(connection, body.data(), body.size());
}

prometheus::MetricFamily Family(const char* name, const char* help, prometheus::MetricType type, double value) {
  prometheus::MetricFamily family{name, help, type, {}};
  auto& metric = family.metric.emplace_back();
  if (type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  return family;
}

std::string Render(const AgentFigures& f) {
  using prometheus::MetricType;
  const auto count = [](std::uint64_t n) { return static_cast<double>(n); };
  const std::vector<prometheus::MetricFamily> families{
      Family("whorl_agent_sample_seconds", "Time the last sampling pass took.", MetricType::Gauge, f.sample_seconds),
      Family("whorl_agent_cpu_seconds_total", "CPU time of the agent since its start.", MetricType::Counter,
             f.cpu_seconds),
      Family("whorl_agent_resident_bytes", "Resident memory of the agent.", MetricType::Gauge, f.resident_bytes),
      Family("whorl_agent_frames_total", "Telemetry frames made.", MetricType::Counter, count(f.frames)),
      Family("whorl_agent_vms", "Enrolled VMs that were measured by the last pass.", MetricType::Gauge, count(f.vms)),
      Family("whorl_agent_holdings", "Pods whose CPU knobs the agent holds under a lease.", MetricType::Gauge,
             count(f.holdings)),
      Family("whorl_agent_recalls_total", "Loans taken back by the plan's own rule.", MetricType::Counter,
             count(f.recalls)),
      Family("whorl_agent_restores_total", "Pods whose knobs were put back as found.", MetricType::Counter,
             count(f.restores)),
      Family("whorl_agent_plans_total", "Plans accepted.", MetricType::Counter, count(f.plans)),
      Family("whorl_agent_refused_plans_total", "Plans refused as a whole.", MetricType::Counter,
             count(f.refused_plans)),
      Family("whorl_agent_write_errors_total", "Knobs that could not be written or read back as written.",
             MetricType::Counter, count(f.write_errors)),
  };
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace

struct MetricsServer::Impl : CivetHandler {
  explicit Impl(std::function<AgentFigures()> source) : figures(std::move(source)) {}

  bool handleGet(CivetServer*, mg_connection* connection) override {
    const std::string path = mg_get_request_info(connection)->local_uri;
    if (path == "/metrics") {
      Reply(connection, 200, "OK", "text/plain; version=0.0.4; charset=utf-8", Render(figures()));
    } else if (path == "/livez") {
      Reply(connection, 200, "OK", "text/plain", "ok\n");
    } else if (path == "/readyz") {
      const bool ready = figures().ready;
      Reply(connection, ready ? 200 : 503, ready ? "OK" : "Service Unavailable", "text/plain",
            ready ? "ok\n" : "not sampling yet\n");
    } else {
      Reply(connection, 404, "Not Found", "text/plain", "try /metrics, /livez or /readyz\n");
    }
    return true;
  }

  const std::function<AgentFigures()> figures;
  std::unique_ptr<CivetServer> server;  // last: stops before what it calls goes
};

MetricsServer::MetricsServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MetricsServer::~MetricsServer() = default;

int MetricsServer::port() const {
  const auto ports = impl_->server->getListeningPorts();
  return ports.empty() ? 0 : ports.front();
}

Result<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& listen,
                                                            std::function<AgentFigures()> figures) {
  auto impl = std::make_unique<Impl>(std::move(figures));
  try {
    impl->server = std::make_unique<CivetServer>(std::vector<std::string>{
        "listening_ports", listen, "num_threads", "2", "request_timeout_ms", "5000", "enable_keep_alive", "no"});
    impl->server->addHandler("/", *impl);
  } catch (const std::exception& error) {
    return Fail(Code::kConflict, "metrics cannot listen on " + listen + ": " + error.what() +
                                     "; the port is taken? pass another --metrics-listen");
  }
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(impl)));
}

}  // namespace whorl::agent
