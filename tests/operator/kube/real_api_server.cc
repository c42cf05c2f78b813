#include "tests/operator/kube/real_api_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <vector>

#include "operator/kube/transport.h"

namespace whorl::fake {

namespace {

namespace fs = std::filesystem;

void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

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

void End(pid_t& pid, int signal) {
  if (pid <= 0) return;
  ::kill(pid, signal);
  ::waitpid(pid, nullptr, 0);
  pid = -1;
}

std::string Tail(const std::string& path) {
  std::ifstream in(path);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  return text.size() > 1500 ? text.substr(text.size() - 1500) : text;
}

}  // namespace

std::optional<std::string> RealApiServer::FindTools() {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  const auto complete = [](const fs::path& dir) {
    return ::access((dir / "etcd").c_str(), X_OK) == 0 && ::access((dir / "kube-apiserver").c_str(), X_OK) == 0;
  };
  if (const auto named = variable("WHORL_TOOLS"); !named.empty()) {
    return complete(named) ? std::optional(named) : std::nullopt;
  }
  auto cache = variable("WHORL_CACHE");
  if (cache.empty()) {
    const auto base = variable("XDG_CACHE_HOME");
    cache = (base.empty() ? variable("HOME") + "/.cache" : base) + "/whorl";
  }
  std::optional<fs::path> newest;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(cache + "/tools", ignored)) {
    if (!complete(entry.path())) continue;
    if (!newest || fs::last_write_time(entry.path()) > fs::last_write_time(*newest)) newest = entry.path();
  }
  return newest ? std::optional(newest->string()) : std::nullopt;
}

RealApiServer::RealApiServer(const std::string& tools) : tools_(tools) {
  const auto pki = dir_.path() + "/";
  const auto serving = authority_.Issue("kube-apiserver", "", {"IP:127.0.0.1", "DNS:kubernetes.default.svc"});
  Write(pki + "ca.crt", authority_.certificate());
  Write(pki + "api.crt", serving.certificate);
  Write(pki + "api.key", serving.key);
  Write(pki + "sa.key", account_key_.private_key);
  Write(pki + "sa.pub", account_key_.public_key);
  Write(pki + "tokens.csv", std::string(kAdmin) + ",admin,admin,system:masters\n" + kNobody + ",nobody,nobody\n");
  Write(KubeconfigFile(), "");
  StartEtcd();
  port_ = FreePort();
  Write(KubeconfigFile(),
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "clusters: [{name: c, cluster: {server: '" +
            url() +
            "', certificate-authority: ca.crt}}]\n"
            "users: [{name: u, user: {token: " +
            kAdmin +
            "}}]\n"
            "contexts: [{name: c, context: {cluster: c, user: u}}]\n");
  StartServer();
}

RealApiServer::~RealApiServer() {
  // The server first: without etcd it would not end in good order.
  if (server_ > 0) ::kill(server_, SIGCONT);
  End(server_, SIGKILL);
  End(etcd_, SIGKILL);
}

void RealApiServer::StartEtcd() {
  etcd_port_ = FreePort();
  etcd_peer_port_ = FreePort();
  const auto client = "http://127.0.0.1:" + std::to_string(etcd_port_);
  const auto peer = "http://127.0.0.1:" + std::to_string(etcd_peer_port_);
  etcd_ = Spawn({tools_ + "/etcd", "--data-dir", dir_.path() + "/etcd", "--listen-client-urls", client,
                 "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", "default=" + peer, "--unsafe-no-fsync",
                 // As kubeadm sets it: without, a kind that does not change gets no bookmarks.
                 "--watch-progress-notify-interval=1s"},
                dir_.path() + "/etcd.log");
}

void RealApiServer::StartServer() {
  const auto d = dir_.path() + "/";
  server_ = Spawn(
      {tools_ + "/kube-apiserver", "--etcd-servers=http://127.0.0.1:" + std::to_string(etcd_port_),
       "--secure-port=" + std::to_string(port_), "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
       "--endpoint-reconciler-type=none", "--tls-cert-file=" + d + "api.crt", "--tls-private-key-file=" + d + "api.key",
       "--client-ca-file=" + d + "ca.crt", "--service-account-key-file=" + d + "sa.pub",
       "--service-account-signing-key-file=" + d + "sa.key", "--service-account-issuer=https://real.test",
       "--token-auth-file=" + d + "tokens.csv", "--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16",
       "--shutdown-delay-duration=0s", "--cert-dir=" + d + "certs"},
      dir_.path() + "/api.log");
  WaitReady();
}

void RealApiServer::KillServer() { End(server_, SIGKILL); }
void RealApiServer::Freeze() { ::kill(server_, SIGSTOP); }
void RealApiServer::Thaw() { ::kill(server_, SIGCONT); }

void RealApiServer::WaitReady() {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto transport = std::move(*kube::MakeCurlTransport(Config()));
  kube::Request request;
  request.target = "/readyz";
  request.headers = {{"Authorization", std::string("Bearer ") + kAdmin}};
  request.timeout = Millis(2'000);
  std::string last;
  while (std::chrono::steady_clock::now() < deadline) {
    const auto answer = transport->Send(request);
    if (answer && answer->status == 200) return;
    last = answer ? answer->body : answer.error().message;
    if (::waitpid(server_, nullptr, WNOHANG) == server_) {
      server_ = -1;
      throw std::runtime_error("kube-apiserver ended: " + Tail(dir_.path() + "/api.log"));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  throw std::runtime_error("kube-apiserver not ready after 60 s: " + last + "\n" + Tail(dir_.path() + "/api.log"));
}

kube::ClusterConfig RealApiServer::Config(const std::string& token) const {
  kube::ClusterConfig config;
  config.server = url();
  config.ca.text = authority_.certificate();
  config.token = token;
  config.origin = "the test's configuration";
  config.default_namespace = "default";
  return config;
}

std::string RealApiServer::KubeconfigFile() const { return dir_.path() + "/admin.kubeconfig"; }

std::string RealApiServer::ServiceAccountToken(const std::string& ns, const std::string& name, const std::string& uid,
                                               long expires_in_seconds) const {
  const long now = static_cast<long>(std::time(nullptr));
  const auto text = [](long n) { return std::to_string(n); };
  return account_key_.SignJwt(
      R"({"iss":"https://real.test","aud":["https://real.test"],"sub":"system:serviceaccount:)" + ns + ":" + name +
      R"(","iat":)" + text(now - 7200) + R"(,"nbf":)" + text(now - 7200) + R"(,"exp":)" +
      text(now + expires_in_seconds) + R"(,"kubernetes.io":{"namespace":")" + ns + R"(","serviceaccount":{"name":")" +
      name + R"(","uid":")" + uid + R"("}}})");
}

}  // namespace whorl::fake
