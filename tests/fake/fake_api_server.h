#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/fake/fake_api_pki.h"

namespace whorl::fake {

// An HTTP server on loopback that misbehaves on the wire as its script says:
// stalls, drips, breaks off, sends rubbish. Plain sockets, a thread for each
// connection; with TLS when given a certificate.
class HostileServer {
 public:
  struct Tls {
    Issued identity;
    std::string client_authority = {};  // PEM: a client certificate of it is demanded
  };
  class Connection;
  // Called for each request that arrives; returning keeps the connection for
  // the next one. What throws or returns false closes it.
  using Script = std::function<bool(Connection&, const std::string& request)>;

  explicit HostileServer(Script script);
  HostileServer(Script script, Tls tls);
  ~HostileServer();

  int port() const { return port_; }
  std::string url() const;
  int connections() const { return connections_.load(); }
  std::vector<std::string> requests() const;
  // Waits until the peer of some connection has closed while a script was in
  // AwaitClose; false after ten seconds.
  bool SawClose();

 private:
  void Listen();
  void Accept(std::stop_token stop);
  void Serve(int fd);

  const Script script_;
  struct TlsContext;
  std::unique_ptr<TlsContext> tls_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> connections_{0};
  mutable std::mutex mu_;
  std::condition_variable changed_;
  int closes_ = 0;                     // under mu_
  std::vector<std::string> requests_;  // under mu_
  std::vector<int> open_;              // under mu_: shut down at the end
  std::vector<std::jthread> threads_;  // under mu_
  std::jthread acceptor_;
};

class HostileServer::Connection {
 public:
  Connection(HostileServer& server, int fd, void* ssl) : server_(server), fd_(fd), ssl_(ssl) {}

  bool Write(std::string_view text);
  // A complete answer.
  bool Answer(int status, std::string_view body, std::string_view extra_headers = {});
  // The head of a chunked 200, then chunks.
  bool BeginChunked();
  bool Chunk(std::string_view data);
  bool EndChunked() { return Write("0\r\n\r\n"); }
  // Waits for so long; false as soon as the server is being destroyed or the
  // peer has closed.
  bool Pause(int milliseconds);
  // Says nothing until the peer closes.
  void AwaitClose();
  // Closes with a reset instead of in good order.
  void Reset();
  std::string peer_name() const;  // common name of the client's certificate

 private:
  friend class HostileServer;
  std::string ReadRequest();
  bool Fill();

  HostileServer& server_;
  int fd_;
  void* ssl_;
  std::string pending_;
};

}  // namespace whorl::fake
