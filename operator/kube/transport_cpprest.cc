// The only file that knows cpprestsdk. Its traps (measured on 2.10.18) and what
// is done about each:
//  - its thread pool starts 40 threads unless told a number before first use;
//  - a timeout of 0 cancels at once, and a timeout is an idle timer that every
//    chunk resets: zero is refused, and deadlines are kept here;
//  - a task whose exception nobody observes ends the process: every chain ends
//    in Await's continuation, which catches everything;
//  - TLS errors arrive as one of two sentences: the reason is taken from
//    OpenSSL while it verifies;
//  - the system's CAs are trusted beside ours unless the store is replaced;
//  - certificates are loaded per connection, so rotated files are picked up.
#include <cpprest/containerstream.h>
#include <cpprest/http_client.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pplx/threadpool.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

#include "operator/kube/connection_error.h"
#include "operator/kube/line_splitter.h"
#include "operator/kube/transport.h"

namespace whorl::kube {

namespace {

using SteadyClock = std::chrono::steady_clock;
using web::http::http_request;
using web::http::http_response;
using web::http::client::http_client;
using web::http::client::http_client_config;

constexpr int kPoolThreads = 4;
constexpr std::size_t kReadBlock = 64u << 10;
// cpprest's own idle timer only has to be longer than our deadline.
constexpr std::chrono::seconds kSlack{30};

void StartPoolOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    try {
      crossplat::threadpool::initialize_with_threads(kPoolThreads);
    } catch (const std::exception&) {
      return;  // somebody used cpprest before us: its pool stays as it is
    }
  });
}

// What the verification of the last server certificate found. OpenSSL calls
// from cpprest's threads.
class TlsFindings {
 public:
  void Set(std::string text) {
    std::scoped_lock lock(mu_);
    text_ = std::move(text);
  }
  std::string text() const {
    std::scoped_lock lock(mu_);
    return text_;
  }

 private:
  mutable std::mutex mu_;
  std::string text_;
};

int VerifyAndRemember(X509_STORE_CTX* context, void* findings) {
  const int ok = X509_verify_cert(context);
  const int reason = X509_STORE_CTX_get_error(context);
  std::string text;
  if (ok != 1) {
    // cpprest's name check says no without saying why.
    text = reason == X509_V_ERR_UNSPECIFIED || reason == X509_V_OK ? "it does not name this host"
                                                                   : X509_verify_cert_error_string(reason);
  }
  static_cast<TlsFindings*>(findings)->Set(std::move(text));
  return ok;
}

// Adds every certificate of a PEM bundle; how many.
int AddAuthorities(X509_STORE* store, const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  int count = 0;
  while (X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr)) {
    count += X509_STORE_add_cert(store, certificate);
    X509_free(certificate);
  }
  ERR_clear_error();
  BIO_free(bio);
  return count;
}

// What a connection's TLS needs and what came of it. Shared with cpprest's
// threads, which may still hold a connection when the transport has gone.
struct TlsState {
  explicit TlsState(ClusterConfig c) : config(std::move(c)) {}

  // Runs on cpprest's threads for each new connection; must not throw. What
  // cannot be loaded is told by the failing handshake, with this reason.
  void Prepare(boost::asio::ssl::context& context) {
    SSL_CTX* native = context.native_handle();
    SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
    SSL_CTX_set_cert_verify_callback(native, VerifyAndRemember, &findings);
    std::string trouble;
    if (!config.ca.empty()) {
      X509_STORE* store = X509_STORE_new();
      const auto pem = config.ca.Read();
      if (!pem) {
        trouble = pem.error().message;
      } else if (AddAuthorities(store, *pem) == 0) {
        trouble = "certificate-authority holds no certificate that can be read";
      }
      SSL_CTX_set_cert_store(native, store);
    }
    if (!config.client_certificate.empty()) {
      const auto certificate = config.client_certificate.Read();
      const auto key = config.client_key.Read();
      boost::system::error_code bad;
      if (!certificate || !key) {
        trouble = !certificate ? certificate.error().message : key.error().message;
      } else {
        bad = context.use_certificate_chain(boost::asio::buffer(*certificate), bad);
        if (!bad) bad = context.use_private_key(boost::asio::buffer(*key), boost::asio::ssl::context::pem, bad);
        if (bad) trouble = "client certificate and key: " + bad.message();
      }
    }
    material.Set(std::move(trouble));
  }

  const ClusterConfig config;
  TlsFindings findings;  // of the last handshake
  TlsFindings material;  // what of our own certificates could not be loaded
};

// The outcome of one pplx task, handed from cpprest's thread to the waiting one.
template <typename T>
struct Outcome {
  std::mutex mu;
  std::condition_variable_any ready;
  bool done = false;
  std::optional<T> value;
  std::string error;
};

struct Failure {
  enum class Kind { kFailed, kDeadline, kStopped } kind = Kind::kFailed;
  std::string what;
};

// Waits for `task`; past the deadline or when stopped it cancels and gives up.
// The continuation owns what it writes to, so a late outcome harms nobody.
template <typename T>
tl::expected<T, Failure> Await(const pplx::task<T>& task, const pplx::cancellation_token_source& cancel,
                               SteadyClock::time_point deadline, const std::stop_token& stop) {
  auto outcome = std::make_shared<Outcome<T>>();
  task.then([outcome](const pplx::task<T>& finished) {
    std::optional<T> value;
    std::string error;
    try {
      value = finished.get();
    } catch (const web::http::http_exception& e) {
      error = e.what();
      const auto detail = e.error_code().message();
      if (e.error_code() && error.find(detail) == std::string::npos) error += ": " + detail;
    } catch (const std::exception& e) {
      error = e.what();
    } catch (...) {
      error = "unknown exception";
    }
    const std::scoped_lock lock(outcome->mu);
    outcome->value = std::move(value);
    outcome->error = error.empty() ? "no reason given" : std::move(error);
    outcome->done = true;
    outcome->ready.notify_all();
  });
  std::unique_lock lock(outcome->mu);
  const bool done = outcome->ready.wait_until(lock, stop, deadline, [&] { return outcome->done; });
  if (!done) {
    const bool stopped = stop.stop_requested();
    lock.unlock();
    cancel.cancel();
    lock.lock();
    // Cancelling closes the connection, which ends the task soon.
    outcome->ready.wait_for(lock, std::chrono::seconds(2), [&] { return outcome->done; });
    return tl::unexpected(Failure{stopped ? Failure::Kind::kStopped : Failure::Kind::kDeadline, {}});
  }
  if (!outcome->value) return tl::unexpected(Failure{Failure::Kind::kFailed, outcome->error});
  return std::move(*outcome->value);
}

using ByteBuffer = concurrency::streams::streambuf<std::uint8_t>;

// Whatever has arrived of a body, at least one byte; empty at its end.
pplx::task<std::string> ReadSome(ByteBuffer buffer) {
  // getc waits for a byte and leaves it there; what came with it is then read
  // without waiting.
  return buffer.getc().then([buffer](ByteBuffer::int_type first) mutable {
    if (first == ByteBuffer::traits::eof()) return pplx::task_from_result(std::string());
    const auto size = std::min(std::max<std::size_t>(buffer.in_avail(), 1), kReadBlock);
    auto block = std::make_shared<std::string>(size, '\0');
    return buffer.getn(reinterpret_cast<std::uint8_t*>(block->data()), size).then([block](std::size_t count) {
      block->resize(count);
      return std::move(*block);
    });
  });
}

class CpprestTransport final : public Transport {
 public:
  explicit CpprestTransport(ClusterConfig config)
      : tls_(std::make_shared<TlsState>(std::move(config))), config_(tls_->config) {}

  Result<Response> Send(const Request& request) override {
    if (request.timeout <= Millis{0}) return RefuseTimeout();
    return Guarded([&] {
      const auto deadline = SteadyClock::now() + request.timeout;
      const pplx::cancellation_token_source cancel;
      return Start(request, deadline, cancel, Shared(request.timeout)).and_then([&](http_response answer) {
        return Finish(answer, request, deadline, cancel, kMaxBody);
      });
    });
  }

  Result<Response> Stream(const Request& request, const OnLine& on_line) override {
    if (request.timeout <= Millis{0}) return RefuseTimeout();
    return Guarded([&]() -> Result<Response> {
      const pplx::cancellation_token_source cancel;
      auto deadline = SteadyClock::now() + request.timeout;
      // A client of its own: a watch takes a connection for itself anyway.
      auto started = Start(request, deadline, cancel, NewClient(request.timeout));
      if (!started) return Fail(started.error());
      auto answer = std::move(*started);
      if (answer.status_code() != 200) return Finish(answer, request, deadline, cancel, kMaxErrorBody);
      if (request.on_open) request.on_open();
      LineSplitter lines;
      auto buffer = answer.body().streambuf();
      for (;;) {
        auto block = Await(ReadSome(buffer), cancel, deadline, request.stop);
        if (!block) return Fail(Explain(block.error(), ConnectionTrouble::kBrokenOff));
        if (block->empty()) {
          // The end as the server meant it, or a connection that broke: cpprest
          // tells by how the body ended.
          auto whole = Await(answer.content_ready().then([](const http_response&) { return true; }), cancel, deadline,
                             request.stop);
          if (!whole) return Fail(Explain(whole.error(), ConnectionTrouble::kBrokenOff));
          if (!lines.rest().empty()) {
            return Fail(ConnectionError(ConnectionTrouble::kBrokenOff, config_, "its last line is cut off"));
          }
          return Head(answer);
        }
        const auto more = lines.Push(*block, [&](std::string_view line) {
          deadline = SteadyClock::now() + request.timeout;
          return on_line(line);
        });
        if (!more || !*more) {
          cancel.cancel();
          if (!more) return Fail(more.error());
          return Head(answer);
        }
        if (request.stop.stop_requested()) {
          cancel.cancel();
          return Fail(ConnectionError(ConnectionTrouble::kStopped, config_, ""));
        }
      }
    });
  }

 private:
  Result<Response> RefuseTimeout() const {
    return Fail(Code::kInvalid, "a request without a timeout: it must be more than zero");
  }

  template <typename F>
  Result<Response> Guarded(F&& work) {
    try {
      return work();
    } catch (const std::exception& e) {
      return Fail(ConnectionError(ConnectionTrouble::kOther, config_, e.what()));
    }
  }

  std::shared_ptr<http_client> NewClient(Millis timeout) {
    http_client_config settings;
    settings.set_timeout(std::chrono::duration_cast<std::chrono::seconds>(timeout) + kSlack);
    settings.set_validate_certificates(true);
    settings.set_ssl_context_callback([tls = tls_](boost::asio::ssl::context& context) { tls->Prepare(context); });
    return std::make_shared<http_client>(web::uri(config_.server), settings);
  }

  // cpprest takes the timeout per client, and keeps connections per client: one
  // for each timeout in use, which are few.
  std::shared_ptr<http_client> Shared(Millis timeout) {
    constexpr std::size_t kMostClients = 8;
    const std::scoped_lock lock(mu_);
    auto& client = clients_[timeout];
    if (!client) client = NewClient(timeout);
    auto wanted = client;
    if (clients_.size() > kMostClients) clients_.clear();
    return wanted;
  }

  Result<http_response> Start(const Request& request, SteadyClock::time_point deadline,
                              const pplx::cancellation_token_source& cancel,
                              const std::shared_ptr<http_client>& client) {
    http_request out{utility::string_t(MethodName(request.method))};
    // The target comes encoded; http_client joins it to a prefix of the server.
    out.set_request_uri(web::uri(request.target));
    if (!request.body.empty() || !request.content_type.empty()) out.set_body(request.body, request.content_type);
    for (const auto& [name, value] : request.headers) {
      if (name == "Content-Type") continue;
      out.headers().add(name, value);
    }
    // cpprest checks the server's certificate against the Host header, if set.
    if (!config_.tls_server_name.empty()) out.headers().add("Host", config_.tls_server_name);
    tls_->findings.Set({});
    auto answer = Await(client->request(out, cancel.get_token()), cancel, deadline, request.stop);
    if (!answer) return Fail(Explain(answer.error(), ConnectionTrouble::kOther));
    return std::move(*answer);
  }

  Response Head(const http_response& answer) const {
    Response response;
    response.status = answer.status_code();
    for (const auto& [name, value] : answer.headers()) {
      if (utility::details::str_iequal(name, "Retry-After")) {
        long seconds = -1;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
        if (error == std::errc{} && end == value.data() + value.size() && seconds >= 0) {
          response.retry_after = Seconds{seconds};
        }
      } else if (utility::details::str_iequal(name, "Warning")) {
        response.warnings.push_back(WarningText(value));
      }
    }
    return response;
  }

  Result<Response> Finish(http_response& answer, const Request& request, SteadyClock::time_point deadline,
                          const pplx::cancellation_token_source& cancel, std::size_t most) {
    auto response = Head(answer);
    auto buffer = answer.body().streambuf();
    for (;;) {
      auto block = Await(ReadSome(buffer), cancel, deadline, request.stop);
      if (!block) return Fail(Explain(block.error(), ConnectionTrouble::kBrokenOff));
      if (block->empty()) break;
      response.body += *block;
      if (response.body.size() > most) {
        cancel.cancel();
        return Fail(ConnectionError(ConnectionTrouble::kTooLarge, config_, ""));
      }
    }
    auto whole =
        Await(answer.content_ready().then([](const http_response&) { return true; }), cancel, deadline, request.stop);
    if (!whole) return Fail(Explain(whole.error(), ConnectionTrouble::kBrokenOff));
    return response;
  }

  Error Explain(const Failure& failure, ConnectionTrouble otherwise) const {
    if (failure.kind == Failure::Kind::kStopped) return ConnectionError(ConnectionTrouble::kStopped, config_, "");
    if (failure.kind == Failure::Kind::kDeadline) return ConnectionError(ConnectionTrouble::kSilent, config_, "");
    const auto& what = failure.what;
    const auto says = [&](std::string_view part) { return what.find(part) != std::string::npos; };
    const auto material = tls_->material.text();
    const auto found = tls_->findings.text();
    if (says("SSL handshake")) {
      if (!material.empty()) return ConnectionError(ConnectionTrouble::kCertificate, config_, material);
      if (!found.empty()) return ConnectionError(ConnectionTrouble::kCertificate, config_, found);
      return ConnectionError(ConnectionTrouble::kHandshake, config_, what);
    }
    if (says("Error resolving address")) return ConnectionError(ConnectionTrouble::kUnresolved, config_, what);
    if (says("Failed to connect")) return ConnectionError(ConnectionTrouble::kRefused, config_, what);
    if (says("Failed to read HTTP status line") || says("Failed to write request")) {
      return ConnectionError(ConnectionTrouble::kClosedEarly, config_, material.empty() ? what : material);
    }
    return ConnectionError(otherwise, config_, what);
  }

  const std::shared_ptr<TlsState> tls_;
  const ClusterConfig& config_;
  std::mutex mu_;
  std::map<Millis, std::shared_ptr<http_client>> clients_;  // under mu_
};

}  // namespace

Result<std::unique_ptr<Transport>> MakeCpprestTransport(const ClusterConfig& config) {
  if (auto ok = CheckMaterial(config); !ok) return Fail(ok.error());
  StartPoolOnce();
  return std::make_unique<CpprestTransport>(config);
}

}  // namespace whorl::kube
