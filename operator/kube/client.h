#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "operator/kube/json_view.h"
#include "operator/kube/token.h"
#include "operator/kube/transport.h"
#include "operator/kube/waiting_clock.h"

namespace whorl::kube {

// A collection (name empty) or an object, and possibly a subresource of it.
struct ResourcePath {
  std::string group = {};  // empty: the core group
  std::string version = {};
  std::string plural = {};
  std::string ns = {};  // empty: cluster-scoped, or all namespaces
  std::string name = {};
  std::string subresource = {};

  ResourcePath In(std::string_view new_ns) const;
  ResourcePath Named(std::string_view new_ns, std::string_view new_name) const;
  ResourcePath Status() const;  // the status subresource
  std::string Target() const;   // percent-encoded path
  std::string Text() const;     // for messages: "virtualmachines.kubevirt.io default/db-1"
};

struct ListOptions {
  std::string label_selector = {};
  std::string field_selector = {};
  int page_size = 500;  // 0: everything at once
};

struct WatchOptions {
  std::string label_selector = {};
  std::string field_selector = {};
  std::string resource_version = {};
  Seconds server_timeout{300};         // the server ends the watch then, so that a new token is taken
  Millis idle_timeout{120'000};        // at least 90 s: bookmarks come about each minute
  std::function<void()> on_open = {};  // the server has accepted the watch
};

struct WriteOptions {
  std::string field_manager = {};  // required by Apply
  bool force = false;              // Apply only: take over fields from other managers
  bool dry_run = false;
};

struct DeleteOptions {
  std::string uid = {};               // kConflict when the object is another one by now
  std::string resource_version = {};  // likewise
};

struct ClientOptions {
  std::string user_agent = "whorl";
  Millis request_timeout{30'000};
  // A 429 (or 503) that says Retry-After is tried again this often, if the wait
  // asked for is no longer than max_retry_wait.
  int max_retries = 3;
  Millis max_retry_wait{10'000};
  // Called once per HTTP exchange from the calling thread; status 0: no answer.
  std::function<void(std::string_view verb, int status)> on_request;
  // Texts of the server's Warning headers, each once per client.
  std::function<void(std::string_view)> on_warning;
};

// Speaks Kubernetes' REST grammar over a Transport. Errors carry a Code callers
// branch on (404 kNotFound, 409 kConflict, 410 kGone, 401/403 kUnauthorized,
// 400/422 kInvalid, 429/5xx kUnavailable, 408/504 kTimeout) and a message with
// verb, object, the server's reason and, where there is one, a remedy.
// Thread-safe; calls block.
class Client {
 public:
  // `clock` must outlive the client.
  Client(std::unique_ptr<Transport> transport, std::unique_ptr<TokenSource> token, ClientOptions options,
         WaitingClock& clock);
  // cpprest transport, token from the config.
  static Result<std::unique_ptr<Client>> Connect(const ClusterConfig& config, ClientOptions options,
                                                 WaitingClock& clock);

  Result<JsonDocument> Get(const ResourcePath& path, std::stop_token stop = {});
  // The raw body of any path, for /version, /readyz and discovery.
  Result<std::string> GetRaw(const std::string& target, std::stop_token stop = {});

  // Pages through a collection, calling `on_item` for each object, and gives the
  // resourceVersion to watch from. When the pages expire half-way (410) it calls
  // `on_restart` and begins again without paging.
  Result<std::string> List(const ResourcePath& path, const ListOptions& options,
                           const std::function<void(JsonView)>& on_item, const std::function<void()>& on_restart,
                           const std::stop_token& stop = {});

  // Feeds each watch event (an object with type and object) until the server
  // ends the watch (ok), `on_event` returns false (ok), or something fails. An
  // ERROR event is given back as the Error it carries, never fed.
  Status Watch(const ResourcePath& path, const WatchOptions& options,
               const std::function<bool(std::string_view type, JsonView object)>& on_event, std::stop_token stop);

  Result<JsonDocument> Create(const ResourcePath& collection, const nlohmann::json& object,
                              const WriteOptions& options = {});
  // PUT on a subresource that does something, such as pausing; what the server
  // answers beside ok is not read.
  Status Act(const ResourcePath& subresource, const nlohmann::json& options);
  Result<JsonDocument> Replace(const ResourcePath& path, const nlohmann::json& object,
                               const WriteOptions& options = {});
  Result<JsonDocument> MergePatch(const ResourcePath& path, const nlohmann::json& patch,
                                  const WriteOptions& options = {});
  Result<JsonDocument> JsonPatch(const ResourcePath& path, const nlohmann::json& operations,
                                 const WriteOptions& options = {});
  // Server-side apply; unknown fields are refused (fieldValidation=Strict).
  Result<JsonDocument> Apply(const ResourcePath& path, const nlohmann::json& object, const WriteOptions& options);
  // Deleting what is already gone is ok.
  Status Delete(const ResourcePath& path, const DeleteOptions& options = {});

  const ClientOptions& options() const { return options_; }

 private:
  using Attempt = std::function<Result<Response>(const Request&)>;
  // One request with its credentials, and again after a 401 or a Retry-After.
  Result<Response> Exchange(std::string_view verb, Request request, const std::string& what, const Attempt& attempt);
  Result<Response> Send(std::string_view verb, Request request, const std::string& what);
  Result<JsonDocument> Write(std::string_view verb, Method method, const ResourcePath& path, const std::string& query,
                             std::string content_type, const nlohmann::json& body);
  void Warn(const Response& response);

  const std::unique_ptr<Transport> transport_;
  const std::unique_ptr<TokenSource> token_;
  const ClientOptions options_;
  WaitingClock& clock_;
  std::mutex warned_mu_;
  std::vector<std::string> warned_;  // under warned_mu_
};

// The Error a non-2xx answer stands for; reads the body's Status object.
Error ErrorOf(std::string_view verb, const std::string& what, const Response& response);

}  // namespace whorl::kube
