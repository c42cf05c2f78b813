// whorl-controller: wires the parts together; see controller.h.
#include <pthread.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdlib>
#include <memory>
#include <string>

#include "operator/controller/bootstrap/historian.h"
#include "operator/controller/controller.h"
#include "operator/controller/http/metrics.h"
#include "operator/controller/http/server.h"
#include "operator/controller/ingest/node_client.h"
#include "operator/controller/map/pages.h"
#include "operator/kube/config.h"

namespace {

using whorl::Code;
using whorl::Error;

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string HostName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "whorl-controller";
}

int Refuse(const Error& error) {
  spdlog::error("{}", error.message);
  return 1;
}

constexpr const char* kAbout =
    "Watches VirtualMachines, scores how much each behaves unlike itself, and partitions the CPU of a node among those "
    "that "
    "are in mode enforce.\n\n"
    "It runs as a Deployment (charts/whorl). From a shell, against the cluster of your kubeconfig:\n"
    "  whorl-controller --kubeconfig ~/.kube/config --tls-dir ./tls --metrics-listen 127.0.0.1:9095\n"
    "Opt a VM in with: kubectl annotate vm NAME whorl.dev/mode=observe";

}  // namespace

int main(int argc, char** argv) {
  std::string ns = Environment("POD_NAMESPACE");
  if (ns.empty()) ns = "whorl-system";
  std::string tls_dir = "/etc/whorl/tls";
  std::string metrics_listen = "0.0.0.0:9095";
  std::string kubeconfig;
  std::string log_level = "info";
  std::string checkpoint_key = "/etc/whorl/checkpoint-key/key";
  // Where Debian's libjs-chart.js puts it.
  std::string chart_js = "/usr/share/javascript/chart.js/chart.min.js";
  int agent_port = 7443;
  whorl::promql::PrometheusOptions prometheus_options;
  int history_days = 14;
  whorl::controller::RecordingFile::Options recording;
  int record_mib = 256;
  std::string history_file;

  CLI::App app{kAbout, "whorl-controller"};
  app.add_option("--namespace", ns, "Namespace of the leader Lease and of our agents")->capture_default_str();
  app.add_option("--tls-dir", tls_dir,
                 "Folder with tls.crt and tls.key (for controller.whorl) and ca.crt, read anew for each connection")
      ->capture_default_str();
  app.add_option("--metrics-listen", metrics_listen, "Address and port of /metrics, /livez, /readyz and /map.html")
      ->capture_default_str();
  app.add_option("--kubeconfig", kubeconfig,
                 "Kubeconfig to use; else KUBECONFIG, else the pod's service account, else ~/.kube/config");
  app.add_option("--agent-port", agent_port, "Port agents listen on, at their pod's address")
      ->capture_default_str()
      ->check(CLI::Range(1, 65535));
  app.add_option("--checkpoint-key", checkpoint_key,
                 "File with the key that baselines are sealed with before nodes keep them; the same for all replicas")
      ->capture_default_str();
  app.add_option("--prometheus", prometheus_options.url,
                 "URL of a Prometheus whose history a new VM's baseline starts from; none by default");
  app.add_option("--prometheus-token-file", prometheus_options.token_file,
                 "Bearer token for it, read anew while running; https only");
  app.add_option("--prometheus-ca-file", prometheus_options.ca_file, "CA bundle (PEM) for it; else the machine's own");
  app.add_option("--prometheus-days", history_days, "How far back to look")
      ->capture_default_str()
      ->check(CLI::Range(1, 90));
  app.add_option(
         "--record", recording.folder,
         "Folder for one file per node with everything its engine is told; `whorl-eval replay` lives through it "
         "again")
      ->check(CLI::ExistingDirectory);
  app.add_option("--record-mib", record_mib, "A file's size at which recording ends")
      ->capture_default_str()
      ->check(CLI::Range(1, 65536));
  app.add_option("--history", history_file,
                 "SQLite file for loans that ended and each minute's plans, shown at /ledger.json; a cache, none by "
                 "default");
  app.add_option("--chart-js", chart_js,
                 "File of Chart.js 3, which /map.html draws with; without it there is no drawing")
      ->capture_default_str();
  app.add_option("--log-level", log_level, "trace, debug, info, warn or error")
      ->capture_default_str()
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}));
  app.set_version_flag("--version", "whorl-controller 0.1.0");
  CLI11_PARSE(app, argc, argv);

  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("whorl", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  spdlog::set_level(spdlog::level::from_str(log_level));
  spdlog::flush_on(spdlog::level::trace);

  // Before the first thread: every thread inherits the mask, only sigwait below sees them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  using namespace whorl::controller;
  const auto config = whorl::kube::LoadConfig(kubeconfig, whorl::kube::ConfigSources::Process());
  if (!config) return Refuse(config.error());

  // Certificates are read per connection; a folder without them is told at once all the same.
  const auto dial = GrpcDialer(tls_dir);
  if (const auto probe = dial({"probe", "127.0.0.1", agent_port}); !probe) return Refuse(probe.error());

  whorl::kube::SystemClock clock;
  Metrics metrics;
  whorl::kube::ClientOptions client_options;
  client_options.user_agent = "whorl-controller/0.1.0";
  client_options.on_request = [&](std::string_view verb, int status) { metrics.OnApiRequest(verb, status); };
  client_options.on_warning = [](std::string_view text) { spdlog::warn("API server: {}", text); };
  auto client = whorl::kube::Client::Connect(*config, client_options, clock);
  if (!client) return Refuse(client.error());
  // The Lease must be renewed within seconds or not at all.
  client_options.request_timeout = whorl::Millis{4'000};
  client_options.max_retries = 0;
  auto lease_client = whorl::kube::Client::Connect(*config, client_options, clock);
  if (!lease_client) return Refuse(lease_client.error());

  std::unique_ptr<PrometheusClient> prometheus;
  std::unique_ptr<Historian> historian;
  if (!prometheus_options.url.empty()) {
    auto connected = PrometheusClient::Connect(prometheus_options, clock);
    if (!connected) return Refuse(connected.error());
    prometheus = std::move(*connected);
    Historian::Options history;
    history.past = whorl::Seconds{86'400} * history_days;
    historian = std::make_unique<Historian>(*prometheus, clock, history);
    spdlog::info("new VMs begin from the last {} days in Prometheus {}", history_days, prometheus->url());
  }

  std::unique_ptr<LedgerHistory> ledger_history;
  if (!history_file.empty()) {
    LedgerHistory::Options history;
    history.file = history_file;
    history.on_trouble = [](const std::string& text) { spdlog::warn("{}", text); };
    // A cache: without it everything else works.
    if (auto opened = LedgerHistory::Open(history)) {
      ledger_history = std::move(*opened);
    } else {
      spdlog::warn("{}", opened.error().message);
    }
  }

  ControllerOptions options;
  options.ledger_history = ledger_history.get();
  options.history = historian.get();
  options.recording = recording;
  options.recording.most_bytes = static_cast<std::uint64_t>(record_mib) << 20;
  options.ns = ns;
  options.replica = Environment("POD_NAME");
  if (options.replica.empty()) options.replica = HostName();
  options.identity =
      options.replica + "_" + (Environment("POD_UID").empty() ? std::to_string(getpid()) : Environment("POD_UID"));
  options.agent_port = agent_port;
  if (auto seal = CheckpointSeal::FromFile(checkpoint_key)) {
    options.seal = std::move(*seal);
  } else {
    spdlog::warn("baselines are not kept over a restart: {}", seal.error().message);
  }

  Controller controller(**client, **lease_client, clock, dial, metrics, options);
  auto pages = MapPages(controller.map(), chart_js);
  if (ledger_history) pages.push_back(ledger_history->Page());
  auto server = HttpServer::Start(
      metrics_listen, {[&] { return metrics.Render(); }, [&] { return controller.NotReady(); }, std::move(pages)});
  if (!server) return Refuse(server.error());

  spdlog::info("whorl-controller {} at {}, metrics on {}", options.identity, config->origin, metrics_listen);
  if (historian) historian->Start();
  if (ledger_history) ledger_history->Start();
  controller.Start();
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  spdlog::info("signal {}: stopping", signal_number);
  controller.Stop();
  if (historian) historian->Stop();
  if (ledger_history) ledger_history->Stop();
  spdlog::info("stopped");
  return 0;
}
