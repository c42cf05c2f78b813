// The libcurl twin of transport_cpprest.cc; the only file that knows libcurl.
#include <curl/curl.h>
#include <strings.h>

#include <charconv>
#include <chrono>
#include <mutex>
#include <utility>

#include "operator/kube/connection_error.h"
#include "operator/kube/line_splitter.h"
#include "operator/kube/transport.h"

namespace whorl::kube {

namespace {

using SteadyClock = std::chrono::steady_clock;

struct SlistFree {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Slist = std::unique_ptr<curl_slist, SlistFree>;

void Append(Slist& list, const std::string& text) { list.reset(curl_slist_append(list.release(), text.c_str())); }

// A multi handle keeps the connections, an easy handle runs one request; both
// are used by one thread at a time and then go back to the transport's shelf.
struct Handle {
  CURLM* multi = curl_multi_init();
  CURL* easy = curl_easy_init();

  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }
};

// One request under way. libcurl calls back on the thread that performs it.
struct Exchange {
  Response response;
  const Transport::OnLine* on_line = nullptr;  // null: collect the body
  const std::function<void()>* on_open = nullptr;
  LineSplitter lines;
  std::optional<Error> broken;
  bool closed_by_us = false;
  bool too_large = false;
  SteadyClock::time_point deadline;
  Millis timeout{0};
};

std::size_t OnHeader(char* data, std::size_t size, std::size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  std::string_view line(data, size * count);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {  // also after an interim answer: what came before is void
    exchange.response = {};
    const auto space = line.find(' ');
    if (space != line.npos) {
      std::from_chars(line.data() + space + 1, line.data() + line.size(), exchange.response.status);
    }
    return size * count;
  }
  // The empty line after the headers.
  if (line.empty() && exchange.response.status == 200 && exchange.on_line != nullptr && *exchange.on_open) {
    (*exchange.on_open)();
  }
  const auto colon = line.find(':');
  if (colon == line.npos) return size * count;
  const std::string name(line.substr(0, colon));
  auto value = line.substr(colon + 1);
  while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  if (strcasecmp(name.c_str(), "Retry-After") == 0) {
    long seconds = -1;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (error == std::errc{} && end == value.data() + value.size() && seconds >= 0) {
      exchange.response.retry_after = Seconds{seconds};
    }
  } else if (strcasecmp(name.c_str(), "Warning") == 0) {
    exchange.response.warnings.push_back(WarningText(value));
  }
  return size * count;
}

std::size_t OnBody(char* data, std::size_t size, std::size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::string_view block(data, size * count);
  if (exchange.on_line == nullptr || exchange.response.status != 200) {
    const auto most = exchange.on_line == nullptr ? kMaxBody : kMaxErrorBody;
    if (exchange.response.body.size() + block.size() > most) {
      exchange.too_large = true;
      return 0;
    }
    exchange.response.body += block;
    return block.size();
  }
  const auto more = exchange.lines.Push(block, [&](std::string_view line) {
    exchange.deadline = SteadyClock::now() + exchange.timeout;
    return (*exchange.on_line)(line);
  });
  if (!more) exchange.broken = more.error();
  if (more && !*more) exchange.closed_by_us = true;
  return more && *more ? block.size() : 0;
}

void SetPem(CURL* easy, CURLoption option, const std::string& pem) {
  curl_blob blob{const_cast<char*>(pem.data()), pem.size(), CURL_BLOB_COPY};
  curl_easy_setopt(easy, option, &blob);
}

class CurlTransport final : public Transport {
 public:
  explicit CurlTransport(ClusterConfig config) : config_(std::move(config)) {
    // tls-server-name: ask for that name and connect to the real host.
    const auto scheme_end = config_.server.find("://") + 3;
    const auto path = config_.server.find('/', scheme_end);
    const auto authority = config_.server.substr(scheme_end, path == std::string::npos ? path : path - scheme_end);
    base_url_ = config_.server;
    if (!config_.tls_server_name.empty()) {
      const auto colon = authority.ends_with(']') ? std::string::npos : authority.rfind(':');
      const auto port = colon == std::string::npos ? std::string("443") : authority.substr(colon + 1);
      const auto host = authority.substr(0, colon);
      base_url_ = config_.server.substr(0, scheme_end) + config_.tls_server_name + ":" + port +
                  (path == std::string::npos ? "" : config_.server.substr(path));
      connect_to_ = config_.tls_server_name + ":" + port + ":" + host + ":" + port;
    }
  }

  Result<Response> Send(const Request& request) override { return Perform(request, nullptr); }
  Result<Response> Stream(const Request& request, const OnLine& on_line) override { return Perform(request, &on_line); }

 private:
  std::unique_ptr<Handle> Take() {
    const std::scoped_lock lock(mu_);
    if (shelf_.empty()) return std::make_unique<Handle>();
    auto handle = std::move(shelf_.back());
    shelf_.pop_back();
    return handle;
  }
  void PutBack(std::unique_ptr<Handle> handle) {
    constexpr std::size_t kMostIdle = 4;
    const std::scoped_lock lock(mu_);
    if (shelf_.size() < kMostIdle) shelf_.push_back(std::move(handle));
  }

  Result<Response> Perform(const Request& request, const OnLine* on_line) {
    if (request.timeout <= Millis{0}) {
      return Fail(Code::kInvalid, "a request without a timeout: it must be more than zero");
    }
    auto handle = Take();
    CURL* easy = handle->easy;
    if (easy == nullptr || handle->multi == nullptr) return Fail(Code::kInternal, "libcurl gave no handle");
    Exchange exchange;
    exchange.on_line = on_line;
    exchange.on_open = &request.on_open;
    exchange.timeout = request.timeout;
    exchange.deadline = SteadyClock::now() + request.timeout;

    curl_easy_reset(easy);
    char explanation[CURL_ERROR_SIZE] = "";
    const auto url = base_url_ + request.target;
    Slist headers;
    std::string header;
    for (const auto& [name, value] : request.headers) {
      header = name;
      header += ": ";
      header += value;
      Append(headers, header);
    }
    if (!request.content_type.empty()) Append(headers, "Content-Type: " + request.content_type);
    Append(headers, "Expect:");  // no 100-continue: it costs a round trip or a second
    Slist connect_to;
    if (!connect_to_.empty()) Append(connect_to, connect_to_);

    const std::string method(MethodName(request.method));
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, explanation);
    curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");  // kubeconfig's proxies are refused, so none by surprise
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method.c_str());
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
    if (connect_to) curl_easy_setopt(easy, CURLOPT_CONNECT_TO, connect_to.get());
    if (!request.body.empty() || !request.content_type.empty()) {
      curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
    }
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, OnHeader);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &exchange);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, OnBody);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange);
    // Half-open connections: without an answer for half a minute they end.
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 15L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 5L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (!config_.ca.empty()) {
      const auto pem = config_.ca.Read();
      if (!pem) return Fail(ConnectionError(ConnectionTrouble::kCertificate, config_, pem.error().message));
      SetPem(easy, CURLOPT_CAINFO_BLOB, *pem);
      curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);  // ours only
    }
    if (!config_.client_certificate.empty()) {
      const auto certificate = config_.client_certificate.Read();
      const auto key = config_.client_key.Read();
      if (!certificate || !key) {
        return Fail(ConnectionError(ConnectionTrouble::kCertificate, config_,
                                    !certificate ? certificate.error().message : key.error().message));
      }
      SetPem(easy, CURLOPT_SSLCERT_BLOB, *certificate);
      SetPem(easy, CURLOPT_SSLKEY_BLOB, *key);
    }

    auto result = Run(*handle, exchange, request.stop);
    if (!result) return Fail(result.error());  // the handle goes, its connection with it
    if (exchange.broken) return Fail(*exchange.broken);
    if (exchange.too_large) return Fail(ConnectionError(ConnectionTrouble::kTooLarge, config_, ""));
    if (exchange.closed_by_us) return std::move(exchange.response);
    if (*result != CURLE_OK) return Fail(Explain(*result, explanation, exchange));
    if (!exchange.lines.rest().empty()) {
      return Fail(ConnectionError(ConnectionTrouble::kBrokenOff, config_, "its last line is cut off"));
    }
    PutBack(std::move(handle));
    return std::move(exchange.response);
  }

  // Drives the request to its end, the deadline or the stop.
  Result<CURLcode> Run(Handle& handle, Exchange& exchange, const std::stop_token& stop) {
    curl_multi_add_handle(handle.multi, handle.easy);
    const std::stop_callback wake(stop, [&handle] { curl_multi_wakeup(handle.multi); });
    Result<CURLcode> result = CURLE_OK;
    for (;;) {
      int running = 0;
      if (curl_multi_perform(handle.multi, &running) != CURLM_OK) {
        result = Fail(ConnectionError(ConnectionTrouble::kOther, config_, "libcurl failed"));
        break;
      }
      if (running == 0) {
        int left = 0;
        while (const auto* message = curl_multi_info_read(handle.multi, &left)) {
          if (message->msg == CURLMSG_DONE) result = message->data.result;
        }
        break;
      }
      if (stop.stop_requested()) {
        result = Fail(ConnectionError(ConnectionTrouble::kStopped, config_, ""));
        break;
      }
      const auto left = std::chrono::ceil<Millis>(exchange.deadline - SteadyClock::now());
      if (left <= Millis{0}) {
        result = Fail(ConnectionError(ConnectionTrouble::kSilent, config_, ""));
        break;
      }
      curl_multi_poll(handle.multi, nullptr, 0, static_cast<int>(std::min<std::int64_t>(left.count(), 10'000)),
                      nullptr);
    }
    curl_multi_remove_handle(handle.multi, handle.easy);
    return result;
  }

  Error Explain(CURLcode code, const char* explanation, const Exchange& exchange) const {
    const std::string detail = *explanation != '\0' ? explanation : curl_easy_strerror(code);
    const bool answered = exchange.response.status != 0;
    switch (code) {
      case CURLE_COULDNT_RESOLVE_HOST: return ConnectionError(ConnectionTrouble::kUnresolved, config_, detail);
      case CURLE_COULDNT_CONNECT: return ConnectionError(ConnectionTrouble::kRefused, config_, detail);
      case CURLE_PEER_FAILED_VERIFICATION:
      case CURLE_SSL_CACERT_BADFILE:
      case CURLE_SSL_CERTPROBLEM: return ConnectionError(ConnectionTrouble::kCertificate, config_, detail);
      case CURLE_SSL_CONNECT_ERROR: return ConnectionError(ConnectionTrouble::kHandshake, config_, detail);
      case CURLE_GOT_NOTHING:
      case CURLE_SEND_ERROR: return ConnectionError(ConnectionTrouble::kClosedEarly, config_, detail);
      case CURLE_RECV_ERROR:
      case CURLE_PARTIAL_FILE:
        return ConnectionError(answered ? ConnectionTrouble::kBrokenOff : ConnectionTrouble::kClosedEarly, config_,
                               detail);
      default:
        return ConnectionError(answered ? ConnectionTrouble::kBrokenOff : ConnectionTrouble::kOther, config_, detail);
    }
  }

  const ClusterConfig config_;
  std::string base_url_;
  std::string connect_to_;
  std::mutex mu_;
  std::vector<std::unique_ptr<Handle>> shelf_;  // under mu_: idle, with live connections
};

}  // namespace

Result<std::unique_ptr<Transport>> MakeCurlTransport(const ClusterConfig& config) {
  if (auto ok = CheckMaterial(config); !ok) return Fail(ok.error());
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  return std::make_unique<CurlTransport>(config);
}

}  // namespace whorl::kube
