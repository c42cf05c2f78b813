#include "tests/fake/fake_api_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace whorl::fake {

namespace {

SSL* AsSsl(void* ssl) { return static_cast<SSL*>(ssl); }

X509* ReadCertificate(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  return certificate;
}

}  // namespace

struct HostileServer::TlsContext {
  explicit TlsContext(const Tls& tls) : context(SSL_CTX_new(TLS_server_method())) {
    X509* certificate = ReadCertificate(tls.identity.certificate);
    SSL_CTX_use_certificate(context, certificate);
    X509_free(certificate);
    BIO* bio = BIO_new_mem_buf(tls.identity.key.data(), static_cast<int>(tls.identity.key.size()));
    EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    SSL_CTX_use_PrivateKey(context, key);
    EVP_PKEY_free(key);
    BIO_free(bio);
    if (!tls.client_authority.empty()) {
      X509* authority = ReadCertificate(tls.client_authority);
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority);
      X509_free(authority);
      SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
  }
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ~TlsContext() { SSL_CTX_free(context); }
  SSL_CTX* context;
};

HostileServer::HostileServer(Script script) : script_(std::move(script)) { Listen(); }
HostileServer::HostileServer(Script script, Tls tls)
    : script_(std::move(script)), tls_(std::make_unique<TlsContext>(tls)) {
  Listen();
}

void HostileServer::Listen() {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("hostile server: cannot listen on loopback");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::jthread([this](std::stop_token stop) { Accept(std::move(stop)); });
}

HostileServer::~HostileServer() {
  acceptor_.request_stop();
  acceptor_.join();
  std::vector<std::jthread> threads;
  {
    const std::scoped_lock lock(mu_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    threads.swap(threads_);
  }
  threads.clear();  // joins
  ::close(listener_);
}

std::string HostileServer::url() const {
  return (tls_ ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port_);
}

std::vector<std::string> HostileServer::requests() const {
  const std::scoped_lock lock(mu_);
  return requests_;
}

bool HostileServer::SawClose() {
  std::unique_lock lock(mu_);
  return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return closes_ > 0; });
}

void HostileServer::Accept(std::stop_token stop) {
  while (!stop.stop_requested()) {
    pollfd waiting{listener_, POLLIN, 0};
    if (::poll(&waiting, 1, 50) <= 0) continue;
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    ++connections_;
    const std::scoped_lock lock(mu_);
    open_.push_back(fd);
    threads_.emplace_back([this, fd] { Serve(fd); });
  }
}

void HostileServer::Serve(int fd) {
  // OpenSSL writes without MSG_NOSIGNAL. Only this thread, so that a client that
  // would die of it is still found out.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  SSL* ssl = nullptr;
  bool ready = true;
  if (tls_) {
    ssl = SSL_new(tls_->context);
    SSL_set_fd(ssl, fd);
    ready = SSL_accept(ssl) == 1;
  }
  Connection connection(*this, fd, ssl);
  while (ready) {
    const auto request = connection.ReadRequest();
    if (request.empty()) break;
    {
      const std::scoped_lock lock(mu_);
      requests_.push_back(request);
    }
    if (!script_(connection, request)) break;
  }
  if (ssl != nullptr) {
    SSL_shutdown(ssl);
    SSL_free(ssl);
  }
  const std::scoped_lock lock(mu_);
  std::erase(open_, fd);
  ::close(fd);
}

bool HostileServer::Connection::Write(std::string_view text) {
  while (!text.empty()) {
    long sent = 0;
    if (ssl_ != nullptr) {
      sent = SSL_write(AsSsl(ssl_), text.data(), static_cast<int>(text.size()));
    } else {
      sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
    }
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool HostileServer::Connection::Answer(int status, std::string_view body, std::string_view extra_headers) {
  return Write("HTTP/1.1 " + std::to_string(status) +
               " Whatever\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
               "\r\n" + std::string(extra_headers) + "\r\n" + std::string(body));
}

bool HostileServer::Connection::BeginChunked() {
  return Write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
}

bool HostileServer::Connection::Chunk(std::string_view data) {
  char size[32];
  std::snprintf(size, sizeof size, "%zx\r\n", data.size());
  return Write(std::string(size) + std::string(data) + "\r\n");
}

bool HostileServer::Connection::Pause(int milliseconds) {
  pollfd waiting{fd_, POLLRDHUP, 0};
  return ::poll(&waiting, 1, milliseconds) == 0;
}

void HostileServer::Connection::AwaitClose() {
  char sink[256];
  // What still comes (TLS's close, say) is read away until the end.
  for (;;) {
    pollfd waiting{fd_, POLLIN, 0};
    if (::poll(&waiting, 1, 20'000) <= 0) return;
    if (::recv(fd_, sink, sizeof sink, 0) <= 0) break;
  }
  const std::scoped_lock lock(server_.mu_);
  ++server_.closes_;
  server_.changed_.notify_all();
}

void HostileServer::Connection::Reset() {
  const linger now{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

std::string HostileServer::Connection::peer_name() const {
  if (ssl_ == nullptr) return {};
  X509* certificate = SSL_get1_peer_certificate(AsSsl(ssl_));
  if (certificate == nullptr) return {};
  char name[128] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  X509_free(certificate);
  return name;
}

bool HostileServer::Connection::Fill() {
  char block[16384];
  const long got = ssl_ != nullptr ? SSL_read(AsSsl(ssl_), block, sizeof block) : ::recv(fd_, block, sizeof block, 0);
  if (got <= 0) return false;
  pending_.append(block, static_cast<std::size_t>(got));
  return true;
}

std::string HostileServer::Connection::ReadRequest() {
  std::size_t head = 0;
  while ((head = pending_.find("\r\n\r\n")) == std::string::npos) {
    if (!Fill()) return {};
  }
  std::string lower = pending_.substr(0, head);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::size_t length = 0;
  if (const auto at = lower.find("content-length:"); at != std::string::npos)
    length = std::stoul(lower.substr(at + 15));
  while (pending_.size() < head + 4 + length) {
    if (!Fill()) return {};
  }
  auto request = pending_.substr(0, head + 4 + length);
  pending_.erase(0, request.size());
  return request;
}

}  // namespace whorl::fake
