#include "operator/kube/client.h"

#include <algorithm>
#include <utility>

#include "operator/kube/watch_event.h"

namespace whorl::kube {

namespace {

// RFC 3986's unreserved characters stand for themselves.
std::string Encoded(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

void AddQuery(std::string& query, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  query += query.empty() ? '?' : '&';
  query += key;
  query += '=';
  query += Encoded(value);
}

Code CodeOfStatus(int status) {
  switch (status) {
    case 400:
    case 405:
    case 406:
    case 413:
    case 415:
    case 422: return Code::kInvalid;
    case 401:
    case 403: return Code::kUnauthorized;
    case 404: return Code::kNotFound;
    case 408:
    case 504: return Code::kTimeout;
    case 409: return Code::kConflict;
    case 410: return Code::kGone;
    default: return status >= 500 || status == 429 ? Code::kUnavailable : Code::kInternal;
  }
}

std::string WriteQuery(const WriteOptions& options) {
  std::string query;
  AddQuery(query, "fieldManager", options.field_manager);
  if (options.force) AddQuery(query, "force", "true");
  if (options.dry_run) AddQuery(query, "dryRun", "All");
  return query;
}

}  // namespace

ResourcePath ResourcePath::In(std::string_view new_ns) const {
  auto path = *this;
  path.ns = new_ns;
  return path;
}

ResourcePath ResourcePath::Named(std::string_view new_ns, std::string_view new_name) const {
  auto path = *this;
  path.ns = new_ns;
  path.name = new_name;
  return path;
}

ResourcePath ResourcePath::Status() const {
  auto path = *this;
  path.subresource = "status";
  return path;
}

std::string ResourcePath::Target() const {
  std::string target = group.empty() ? "/api/" + version : "/apis/" + Encoded(group) + "/" + version;
  if (!ns.empty()) target += "/namespaces/" + Encoded(ns);
  target += "/" + plural;
  if (!name.empty()) target += "/" + Encoded(name);
  if (!subresource.empty()) target += "/" + subresource;
  return target;
}

std::string ResourcePath::Text() const {
  std::string text = plural + (group.empty() ? "" : "." + group) + (subresource.empty() ? "" : "/" + subresource);
  if (!name.empty()) return text + " " + (ns.empty() ? "" : ns + "/") + name;
  return ns.empty() ? text : text + " in " + ns;
}

Error ErrorOf(std::string_view verb, const std::string& what, const Response& response) {
  std::string message = std::string(verb) + " " + what + ": HTTP " + std::to_string(response.status);
  bool is_status_object = false;
  if (const auto document = JsonDocument::Parse(response.body)) {
    const auto root = document->root();
    if (const auto reason = root.FindString({"reason"}); reason && !reason->empty())
      message += " " + std::string(*reason);
    if (const auto text = root.FindString({"message"})) {
      is_status_object = true;
      message += ": " + std::string(text->substr(0, 2000));
    }
  } else if (!response.body.empty()) {
    auto text = response.body.substr(0, 200);
    std::replace_if(text.begin(), text.end(), [](char c) { return c >= 0 && c < 0x20; }, ' ');
    message += ": " + text;
  }
  if (response.status == 401) {
    message += "; the server does not accept our credentials: renew the expired token or use this cluster's";
  } else if (response.status == 403) {
    message += "; grant it by a Role or ClusterRole bound to this identity";
  } else if (response.status == 404 && !is_status_object) {
    message += "; the server does not know this kind: are its CRDs installed?";
  }
  auto code = CodeOfStatus(response.status);
  // Server-side apply of a field the schema does not have is answered with 500
  // (seen on 1.36), although trying again cannot help.
  if (response.status == 500 && message.find("failed to create typed patch object") != std::string::npos) {
    code = Code::kInvalid;
  }
  return Error{code, std::move(message)};
}

Client::Client(std::unique_ptr<Transport> transport, std::unique_ptr<TokenSource> token, ClientOptions options,
               WaitingClock& clock)
    : transport_(std::move(transport)), token_(std::move(token)), options_(std::move(options)), clock_(clock) {}

Result<std::unique_ptr<Client>> Client::Connect(const ClusterConfig& config, ClientOptions options,
                                                WaitingClock& clock) {
  auto transport = MakeCpprestTransport(config);
  if (!transport) return Fail(transport.error());
  auto token = std::make_unique<TokenSource>(config.token, config.token_file, clock);
  if (auto first = token->Get(); !first) return Fail(first.error());
  return std::make_unique<Client>(std::move(*transport), std::move(token), std::move(options), clock);
}

Result<Response> Client::Exchange(std::string_view verb, Request request, const std::string& what,
                                  const Attempt& attempt) {
  request.headers.emplace_back("User-Agent", options_.user_agent);
  request.headers.emplace_back("Accept", "application/json");
  const auto own_headers = request.headers.size();
  bool renewed = false;
  for (int retries = 0;;) {
    request.headers.resize(own_headers);
    const auto token = token_->Get();
    if (!token) return Fail(token.error().In(std::string(verb) + " " + what));
    if (!token->empty()) request.headers.emplace_back("Authorization", "Bearer " + *token);

    auto response = attempt(request);
    if (options_.on_request) options_.on_request(verb, response ? response->status : 0);
    if (!response) return Fail(response.error().In(std::string(verb) + " " + what));
    Warn(*response);
    const int status = response->status;
    if (status >= 200 && status < 300) return response;
    if (status == 401 && !renewed && token_->Invalidate()) {
      renewed = true;
      continue;
    }
    if ((status == 429 || status == 503) && response->retry_after && retries < options_.max_retries &&
        *response->retry_after <= options_.max_retry_wait) {
      ++retries;
      // At least a moment, or "Retry-After: 0" makes a busy loop.
      const auto wait = std::max<Millis>(*response->retry_after, Millis{100});
      if (clock_.WaitFor(wait, request.stop)) continue;
    }
    return Fail(ErrorOf(verb, what, *response));
  }
}

Result<Response> Client::Send(std::string_view verb, Request request, const std::string& what) {
  request.timeout = options_.request_timeout;
  return Exchange(verb, std::move(request), what, [this](const Request& r) { return transport_->Send(r); });
}

Result<JsonDocument> Client::Get(const ResourcePath& path, std::stop_token stop) {
  Request request;
  request.target = path.Target();
  request.stop = std::move(stop);
  const auto response = Send("GET", std::move(request), path.Text());
  if (!response) return Fail(response.error());
  auto document = JsonDocument::Parse(response->body);
  if (!document) return Fail(document.error().In("GET " + path.Text()));
  return document;
}

Result<std::string> Client::GetRaw(const std::string& target, std::stop_token stop) {
  Request request;
  request.target = target;
  request.stop = std::move(stop);
  auto response = Send("GET", std::move(request), target);
  if (!response) return Fail(response.error());
  return std::move(response->body);
}

Result<std::string> Client::List(const ResourcePath& path, const ListOptions& options,
                                 const std::function<void(JsonView)>& on_item, const std::function<void()>& on_restart,
                                 const std::stop_token& stop) {
  int page_size = options.page_size;
  std::string token;
  for (;;) {
    std::string query;
    AddQuery(query, "labelSelector", options.label_selector);
    AddQuery(query, "fieldSelector", options.field_selector);
    if (page_size > 0) AddQuery(query, "limit", std::to_string(page_size));
    AddQuery(query, "continue", token);
    Request request;
    request.target = path.Target() + query;
    request.stop = stop;
    const auto response = Send("LIST", std::move(request), path.Text());
    if (!response) {
      // The snapshot behind the pages was compacted away: everything at once.
      if (response.error().code == Code::kGone && !token.empty()) {
        page_size = 0;
        token.clear();
        on_restart();
        continue;
      }
      return Fail(response.error());
    }
    const auto document = JsonDocument::Parse(response->body);
    if (!document) return Fail(document.error().In("LIST " + path.Text()));
    const auto root = document->root();
    const auto version = root.String({"metadata", "resourceVersion"});
    if (!version) return Fail(Code::kCorrupt, "LIST " + path.Text() + ": " + version.error().message);
    // Go writes an empty list of some kinds as null.
    if (const auto items = root.At({"items"})) {
      if (!items->is_array()) return Fail(Code::kCorrupt, "LIST " + path.Text() + ": items is not an array");
      items->ForEachItem([&](JsonView item) {
        on_item(item);
        return true;
      });
    }
    token = root.FindString({"metadata", "continue"}).value_or("");
    if (token.empty()) return std::string(*version);
  }
}

Status Client::Watch(const ResourcePath& path, const WatchOptions& options,
                     const std::function<bool(std::string_view type, JsonView object)>& on_event,
                     std::stop_token stop) {
  const auto what = path.Text();
  std::string query = "?watch=true&allowWatchBookmarks=true";
  AddQuery(query, "labelSelector", options.label_selector);
  AddQuery(query, "fieldSelector", options.field_selector);
  AddQuery(query, "resourceVersion", options.resource_version);
  AddQuery(query, "timeoutSeconds", std::to_string(std::max<std::int64_t>(1, options.server_timeout.count())));
  Request request;
  request.target = path.Target() + query;
  request.timeout = options.idle_timeout;
  request.on_open = options.on_open;
  request.stop = std::move(stop);

  std::optional<Error> broken;
  const auto on_line = [&](std::string_view line) {
    const auto event = ParseWatchEvent(line);
    if (!event) {
      broken = event.error().In("WATCH " + what);
      return false;
    }
    return on_event(event->type, event->object());
  };
  const auto response =
      Exchange("WATCH", std::move(request), what, [&](const Request& r) { return transport_->Stream(r, on_line); });
  if (broken) return Fail(*broken);
  if (!response) return Fail(response.error());
  return {};
}

Result<JsonDocument> Client::Write(std::string_view verb, Method method, const ResourcePath& path,
                                   const std::string& query, std::string content_type, const nlohmann::json& body) {
  Request request;
  request.method = method;
  request.target = path.Target() + query;
  request.content_type = std::move(content_type);
  // Text from outside (a note, a name) may not be UTF-8; replacing beats throwing.
  request.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const auto response = Send(verb, std::move(request), path.Text());
  if (!response) return Fail(response.error());
  auto document = JsonDocument::Parse(response->body);
  if (!document) return Fail(document.error().In(std::string(verb) + " " + path.Text()));
  return document;
}

Result<JsonDocument> Client::Create(const ResourcePath& collection, const nlohmann::json& object,
                                    const WriteOptions& options) {
  auto query = WriteQuery(options);
  AddQuery(query, "fieldValidation", "Strict");
  return Write("CREATE", Method::kPost, collection, query, "application/json", object);
}

Status Client::Act(const ResourcePath& subresource, const nlohmann::json& options) {
  Request request;
  request.method = Method::kPut;
  request.target = subresource.Target();
  request.content_type = "application/json";
  request.body = options.dump();
  const auto response = Send("UPDATE", std::move(request), subresource.Text());
  if (!response) return Fail(response.error());
  return {};
}

Result<JsonDocument> Client::Replace(const ResourcePath& path, const nlohmann::json& object,
                                     const WriteOptions& options) {
  return Write("UPDATE", Method::kPut, path, WriteQuery(options), "application/json", object);
}

Result<JsonDocument> Client::MergePatch(const ResourcePath& path, const nlohmann::json& patch,
                                        const WriteOptions& options) {
  return Write("PATCH", Method::kPatch, path, WriteQuery(options), "application/merge-patch+json", patch);
}

Result<JsonDocument> Client::JsonPatch(const ResourcePath& path, const nlohmann::json& operations,
                                       const WriteOptions& options) {
  return Write("PATCH", Method::kPatch, path, WriteQuery(options), "application/json-patch+json", operations);
}

Result<JsonDocument> Client::Apply(const ResourcePath& path, const nlohmann::json& object,
                                   const WriteOptions& options) {
  if (options.field_manager.empty()) {
    return Fail(Code::kInvalid, "APPLY " + path.Text() + ": a field manager must be named");
  }
  auto query = WriteQuery(options);
  AddQuery(query, "fieldValidation", "Strict");
  // JSON is YAML, which is what this content type asks for.
  return Write("APPLY", Method::kPatch, path, query, "application/apply-patch+yaml", object);
}

Status Client::Delete(const ResourcePath& path, const DeleteOptions& options) {
  Request request;
  request.method = Method::kDelete;
  request.target = path.Target();
  nlohmann::json body{{"apiVersion", "v1"}, {"kind", "DeleteOptions"}};
  if (!options.uid.empty()) body["preconditions"]["uid"] = options.uid;
  if (!options.resource_version.empty()) body["preconditions"]["resourceVersion"] = options.resource_version;
  request.content_type = "application/json";
  request.body = body.dump();
  const auto response = Send("DELETE", std::move(request), path.Text());
  if (!response && response.error().code != Code::kNotFound) return Fail(response.error());
  return {};
}

void Client::Warn(const Response& response) {
  if (response.warnings.empty() || !options_.on_warning) return;
  constexpr std::size_t kRemembered = 256;
  for (const auto& text : response.warnings) {
    {
      std::scoped_lock lock(warned_mu_);
      if (std::find(warned_.begin(), warned_.end(), text) != warned_.end()) continue;
      if (warned_.size() >= kRemembered) warned_.erase(warned_.begin());
      warned_.push_back(text);
    }
    options_.on_warning(text);
  }
}

}  // namespace whorl::kube
