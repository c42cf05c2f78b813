#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "operator/kube/config.h"

namespace whorl::kube {

enum class Method { kGet, kPost, kPut, kPatch, kDelete };

std::string_view MethodName(Method method);

struct Request {
  Method method = Method::kGet;
  std::string target;  // path and query, already encoded, beginning with '/'
  std::string content_type;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  // Send: for the whole answer. Stream: the longest time without a whole line
  // (so a server that drips bytes does not hold us). Zero and negative values
  // are refused: to cpprest zero means "cancel at once".
  Millis timeout{30'000};
  // Stream: called once the server has accepted it (200), before any line.
  std::function<void()> on_open;
  std::stop_token stop;  // closes the connection; the call then fails with kRefused
};

struct Response {
  int status = 0;
  std::string body = {};
  std::optional<Seconds> retry_after = {};
  std::vector<std::string> warnings = {};  // texts of Warning headers
};

// One API server over HTTP. What an HTTP status means is the Client's affair:
// an answer of any status is a Response; an Error means that no whole answer
// came (refused connection, TLS, silence, broken off). Thread-safe; calls block
// their caller.
class Transport {
 public:
  // Called with each line, without its end. False closes the stream.
  using OnLine = std::function<bool(std::string_view)>;

  virtual ~Transport() = default;
  virtual Result<Response> Send(const Request& request) = 0;
  // Status 200: feeds lines until the server ends the stream in good order, or
  // OnLine returns false, and then gives a Response without body. Any other
  // status: the Response with the (bounded) body and no line. A last line that
  // was cut off is not fed; the call then fails with kUnavailable.
  virtual Result<Response> Stream(const Request& request, const OnLine& on_line) = 0;
};

// Both read certificates and keys given as files anew for every connection, so
// that rotated ones are picked up.
Result<std::unique_ptr<Transport>> MakeCpprestTransport(const ClusterConfig& config);
Result<std::unique_ptr<Transport>> MakeCurlTransport(const ClusterConfig& config);

}  // namespace whorl::kube
