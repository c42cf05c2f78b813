#include "tests/operator/promql/real_prometheus.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <vector>

#include "operator/kube/transport.h"

namespace whorl::fake {
namespace {

constexpr const char* kServer = "/usr/bin/prometheus";
constexpr const char* kTool = "/usr/bin/promtool";

int FreePort() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ntohs(address.sin_port);
}

// Output goes to `log`; the child goes when we do, however we go.
pid_t Spawn(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> argv;
  for (const auto& part : command) argv.push_back(const_cast<char*>(part.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(fd, 1);
  ::dup2(fd, 2);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

std::string Tail(const std::string& path) {
  std::ifstream in(path);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  return text.size() > 1500 ? text.substr(text.size() - 1500) : text;
}

}  // namespace

bool RealPrometheus::Installed() { return ::access(kServer, X_OK) == 0 && ::access(kTool, X_OK) == 0; }

RealPrometheus::RealPrometheus(const std::string& openmetrics) {
  const auto d = dir_.path() + "/";
  std::ofstream(d + "past.txt") << openmetrics;
  std::ofstream(d + "prometheus.yml") << "scrape_configs: []\n";
  // One block per two hours would read the text anew for each of them.
  const pid_t backfill = Spawn({kTool, "tsdb", "create-blocks-from", "--max-block-duration=1000h", "openmetrics", "-q",
                                d + "past.txt", d + "data"},
                               d + "promtool.log");
  int status = 0;
  ::waitpid(backfill, &status, 0);
  if (status != 0) throw std::runtime_error("promtool: " + Tail(d + "promtool.log"));
  port_ = FreePort();
  server_ = Spawn({kServer, "--config.file=" + d + "prometheus.yml", "--storage.tsdb.path=" + d + "data",
                   "--storage.tsdb.retention.time=100y", "--log.level=warn",
                   "--web.listen-address=127.0.0.1:" + std::to_string(port_)},
                  d + "prometheus.log");
  WaitReady();
}

RealPrometheus::~RealPrometheus() { Kill(); }

void RealPrometheus::Kill() {
  if (server_ <= 0) return;
  ::kill(server_, SIGKILL);
  ::waitpid(server_, nullptr, 0);
  server_ = -1;
}

std::string RealPrometheus::url() const { return "http://127.0.0.1:" + std::to_string(port_); }

void RealPrometheus::WaitReady() {
  kube::ClusterConfig config;
  config.server = url();
  const auto transport = std::move(*kube::MakeCurlTransport(config));
  kube::Request request;
  request.target = "/-/ready";
  request.timeout = Millis(2'000);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (std::chrono::steady_clock::now() < deadline) {
    const auto answer = transport->Send(request);
    if (answer && answer->status == 200) return;
    if (::waitpid(server_, nullptr, WNOHANG) == server_) {
      server_ = -1;
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  throw std::runtime_error("prometheus is not ready: " + Tail(dir_.path() + "/prometheus.log"));
}

}  // namespace whorl::fake
