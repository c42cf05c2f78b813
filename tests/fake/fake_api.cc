#include "tests/fake/fake_api.h"

#include <algorithm>

namespace whorl::fake {

namespace {

using Json = nlohmann::json;
using kube::Request;
using kube::Response;

std::string Decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::pair<std::string, std::map<std::string, std::string>> Split(const std::string& target) {
  const auto mark = target.find('?');
  std::map<std::string, std::string> query;
  for (std::size_t at = mark; at != std::string::npos && at + 1 < target.size();) {
    const auto end = target.find('&', at + 1);
    const auto pair = target.substr(at + 1, end == std::string::npos ? end : end - at - 1);
    const auto equals = pair.find('=');
    query[Decoded(pair.substr(0, equals))] = equals == std::string::npos ? "" : Decoded(pair.substr(equals + 1));
    at = end;
  }
  return {target.substr(0, mark), query};
}

std::vector<std::string> Segments(const std::string& path) {
  std::vector<std::string> out;
  for (std::size_t at = 1; at <= path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    out.push_back(path.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

// Position of the plural among the segments of a path.
std::size_t PluralAt(const std::vector<std::string>& s) {
  const std::size_t version = s.at(0) == "api" ? 1 : 2;
  return s.size() > version + 1 && s[version + 1] == "namespaces" && s.size() > version + 3 ? version + 3 : version + 1;
}

// Whether the object at `path` belongs to `collection`, which may span namespaces.
bool In(const std::string& path, const std::string& collection) {
  if (path.starts_with(collection + "/")) return path.find('/', collection.size() + 1) == std::string::npos;
  const auto p = Segments(path), c = Segments(collection);
  const auto pp = PluralAt(p), cp = PluralAt(c);
  if (pp != cp + 2 || p.size() != pp + 2 || c.size() != cp + 1 || p[pp] != c[cp]) return false;
  return std::equal(c.begin(), c.begin() + static_cast<std::ptrdiff_t>(cp), p.begin());
}

Response StatusAnswer(int code, const std::string& reason, const std::string& message) {
  return Response{code, Json{{"kind", "Status"},
                             {"apiVersion", "v1"},
                             {"status", "Failure"},
                             {"code", code},
                             {"reason", reason},
                             {"message", message}}
                            .dump()};
}

}  // namespace

class FakeApi::InMemory final : public kube::Transport {
 public:
  explicit InMemory(FakeApi& api) : api_(api) {}
  Result<Response> Send(const Request& request) override { return api_.Send(request); }
  Result<Response> Stream(const Request& request, const OnLine& on_line) override {
    return api_.Stream(request, on_line);
  }

 private:
  FakeApi& api_;
};

std::unique_ptr<kube::Transport> FakeApi::NewTransport() { return std::make_unique<InMemory>(*this); }

std::unique_ptr<kube::Client> FakeApi::NewClient(kube::WaitingClock& clock, kube::ClientOptions options) {
  return std::make_unique<kube::Client>(NewTransport(), std::make_unique<kube::TokenSource>("", "", clock),
                                        std::move(options), clock);
}

void FakeApi::Put(const std::string& collection, Json object) {
  std::scoped_lock lock(mu_);
  const auto path = collection + "/" + object.at("metadata").at("name").get<std::string>();
  const auto s = Segments(collection);
  if (const auto plural = PluralAt(s); plural >= 3 && s[plural - 2] == "namespaces") {
    object["metadata"]["namespace"] = s[plural - 1];
  }
  const bool known = objects_.contains(path);
  if (known && !object["metadata"].contains("uid")) object["metadata"]["uid"] = objects_[path]["metadata"]["uid"];
  StoreUnlocked(path, std::move(object), known ? "MODIFIED" : "ADDED");
}

void FakeApi::Remove(const std::string& path) {
  std::scoped_lock lock(mu_);
  const auto it = objects_.find(path);
  if (it == objects_.end()) return;
  auto object = it->second;
  object["metadata"]["resourceVersion"] = std::to_string(++version_);
  objects_.erase(it);
  history_.push_back({version_, "DELETED", path, std::move(object)});
  changed_.notify_all();
}

void FakeApi::RemoveSilently(const std::string& path) {
  std::scoped_lock lock(mu_);
  ++version_;
  objects_.erase(path);
}

std::optional<Json> FakeApi::Find(const std::string& path) const {
  std::scoped_lock lock(mu_);
  const auto it = objects_.find(path);
  return it == objects_.end() ? std::nullopt : std::optional<Json>(it->second);
}

std::vector<Json> FakeApi::All(const std::string& collection) const {
  std::scoped_lock lock(mu_);
  std::vector<Json> out;
  for (const auto& [path, object] : objects_) {
    if (In(path, collection)) out.push_back(object);
  }
  return out;
}

void FakeApi::FailNext(std::string match, Failure failure, int times) {
  std::scoped_lock lock(mu_);
  planned_.push_back({std::move(match), std::move(failure), times});
}

void FakeApi::Compact() {
  std::scoped_lock lock(mu_);
  compacted_ = ++version_;
  history_.clear();
}

void FakeApi::SayOnNextWatch(std::vector<std::string> lines) {
  std::scoped_lock lock(mu_);
  say_ = std::move(lines);
}

void FakeApi::KeepWatchesOpen(bool open) {
  std::scoped_lock lock(mu_);
  keep_open_ = open;
}

void FakeApi::EndWatches() {
  std::scoped_lock lock(mu_);
  ++watch_era_;
  changed_.notify_all();
}

void FakeApi::OnRequest(std::function<void(const Request&)> hook) {
  std::scoped_lock lock(mu_);
  hook_ = std::move(hook);
}

std::vector<Request> FakeApi::requests() const {
  std::scoped_lock lock(mu_);
  return requests_;
}

int FakeApi::Count(std::string_view match) const {
  std::scoped_lock lock(mu_);
  return static_cast<int>(std::count_if(requests_.begin(), requests_.end(), [&](const Request& r) {
    return (std::string(MethodName(r.method)) + " " + r.target).find(match) != std::string::npos;
  }));
}

std::optional<FakeApi::Failure> FakeApi::Note(const Request& request) {
  std::function<void(const Request&)> hook;
  {
    std::scoped_lock lock(mu_);
    hook = hook_;
    requests_.push_back(request);
  }
  if (hook) hook(request);
  std::scoped_lock lock(mu_);
  const auto line = std::string(MethodName(request.method)) + " " + request.target;
  for (auto it = planned_.begin(); it != planned_.end(); ++it) {
    if (line.find(it->match) == std::string::npos) continue;
    auto failure = it->failure;
    if (--it->times == 0) planned_.erase(it);
    return failure;
  }
  return std::nullopt;
}

Json& FakeApi::StoreUnlocked(const std::string& path, Json object, const char* type) {
  if (!object["metadata"].contains("uid")) object["metadata"]["uid"] = "uid-" + std::to_string(next_uid_++);
  object["metadata"]["resourceVersion"] = std::to_string(++version_);
  history_.push_back({version_, type, path, object});
  changed_.notify_all();
  return objects_[path] = std::move(object);
}

Response FakeApi::ListUnlocked(const std::string& collection, const std::map<std::string, std::string>& query) {
  const auto limit = query.contains("limit") ? std::stoul(query.at("limit")) : 0;
  std::size_t begin = 0;
  auto list_version = version_;
  if (query.contains("continue")) {
    const auto& token = query.at("continue");
    const auto colon = token.find(':');
    list_version = std::stoll(token.substr(0, colon));
    begin = std::stoul(token.substr(colon + 1));
    if (list_version < compacted_) {
      return StatusAnswer(410, "Expired", "The provided continue parameter is too old to display a consistent list");
    }
  }
  auto items = Json::array();
  std::size_t at = 0;
  std::string next;
  for (const auto& [path, object] : objects_) {
    if (!In(path, collection)) continue;
    if (at++ < begin) continue;
    if (limit != 0 && items.size() == limit) {
      next = std::to_string(list_version) + ":" + std::to_string(at - 1);
      break;
    }
    items.push_back(object);
  }
  return Response{200, Json{{"kind", "List"},
                            {"metadata", {{"resourceVersion", std::to_string(list_version)}, {"continue", next}}},
                            {"items", std::move(items)}}
                           .dump()};
}

Response FakeApi::WriteUnlocked(const Request& request, const std::string& path,
                                const std::map<std::string, std::string>& query) {
  auto body = request.body.empty() ? Json::object() : Json::parse(request.body);
  const bool dry_run = query.contains("dryRun");
  if (request.method == kube::Method::kPost) {
    const auto full = path + "/" + body.at("metadata").at("name").get<std::string>();
    if (objects_.contains(full)) return StatusAnswer(409, "AlreadyExists", full + " already exists");
    return Response{201, dry_run ? body.dump() : StoreUnlocked(full, std::move(body), "ADDED").dump()};
  }
  auto full = path;
  const bool status = full.ends_with("/status");
  if (status) full.resize(full.size() - 7);
  const auto it = objects_.find(full);
  const bool apply = request.content_type == "application/apply-patch+yaml";
  if (it == objects_.end() && !(apply && !status)) return StatusAnswer(404, "NotFound", full + " not found");
  if (request.method == kube::Method::kDelete) {
    const auto& meta = it->second["metadata"];
    const auto preconditions = body.value("preconditions", Json::object());
    if ((preconditions.contains("uid") && preconditions["uid"] != meta["uid"]) ||
        (preconditions.contains("resourceVersion") && preconditions["resourceVersion"] != meta["resourceVersion"])) {
      return StatusAnswer(409, "Conflict", "Precondition failed");
    }
    auto object = it->second;
    objects_.erase(it);
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    history_.push_back({version_, "DELETED", full, std::move(object)});
    changed_.notify_all();
    return StatusAnswer(200, "", "");
  }
  const auto old = it == objects_.end() ? Json::object() : it->second;
  auto updated = old;
  if (request.method == kube::Method::kPut) {
    const auto wanted = body["metadata"].value("resourceVersion", "");
    if (!wanted.empty() && wanted != old["metadata"].value("resourceVersion", "")) {
      return StatusAnswer(409, "Conflict", "the object has been modified");
    }
    updated = body;
    updated["metadata"]["uid"] = old["metadata"]["uid"];
  } else if (request.content_type == "application/json-patch+json") {
    try {
      updated = old.patch(body);
    } catch (const Json::exception& e) {
      return StatusAnswer(422, "Invalid", e.what());
    }
  } else {
    if (body.contains("metadata") && body["metadata"].contains("resourceVersion") &&
        body["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"]) {
      return StatusAnswer(409, "Conflict", "the object has been modified");
    }
    if (status) {
      updated["status"].merge_patch(body.value("status", Json::object()));
    } else {
      updated.merge_patch(body);
    }
  }
  if (dry_run) return Response{200, updated.dump()};
  return Response{200, StoreUnlocked(full, std::move(updated), it == objects_.end() ? "ADDED" : "MODIFIED").dump()};
}

Result<Response> FakeApi::Send(const Request& request) {
  if (auto failure = Note(request)) {
    if (auto* error = std::get_if<Error>(&*failure)) return Fail(*error);
    return std::get<Response>(*failure);
  }
  const auto [path, query] = Split(request.target);
  std::scoped_lock lock(mu_);
  if (request.method != kube::Method::kGet) return WriteUnlocked(request, path, query);
  const auto s = Segments(path);
  if (s.size() < 3) return StatusAnswer(404, "NotFound", path);
  if (s.size() == PluralAt(s) + 1) return ListUnlocked(path, query);
  const auto it = objects_.find(path);
  if (it == objects_.end()) return StatusAnswer(404, "NotFound", path + " not found");
  return Response{200, it->second.dump()};
}

Result<Response> FakeApi::Stream(const Request& request, const kube::Transport::OnLine& on_line) {
  if (auto failure = Note(request)) {
    if (auto* error = std::get_if<Error>(&*failure)) return Fail(*error);
    return std::get<Response>(*failure);
  }
  if (request.on_open) request.on_open();
  const auto [collection, query] = Split(request.target);
  std::unique_lock lock(mu_);
  const auto era = watch_era_;
  const auto say = std::exchange(say_, {});
  lock.unlock();
  for (const auto& line : say) {
    if (!on_line(line)) return Response{200};
  }
  lock.lock();
  std::int64_t from = std::stoll(query.at("resourceVersion"));
  if (from < compacted_) {
    lock.unlock();
    on_line(
        Json{{"type", "ERROR"}, {"object", Json::parse(StatusAnswer(410, "Expired", "too old resource version").body)}}
            .dump());
    return Response{200};
  }
  for (;;) {
    std::vector<Change> pending;
    for (const auto& change : history_) {
      if (change.version > from && In(change.path, collection)) pending.push_back(change);
    }
    lock.unlock();
    for (const auto& change : pending) {
      from = change.version;
      if (!on_line(Json{{"type", change.type}, {"object", change.object}}.dump())) return Response{200};
    }
    lock.lock();
    if (!keep_open_ || watch_era_ != era) return Response{200};
    const auto more = [&] { return watch_era_ != era || (!history_.empty() && history_.back().version > from); };
    if (!more()) changed_.wait(lock, request.stop, more);
    if (request.stop.stop_requested()) return Fail(Code::kRefused, "stopping");
    // What came may be of another kind: do not look at it again.
    if (!history_.empty() && std::none_of(history_.begin(), history_.end(), [&](const Change& c) {
          return c.version > from && In(c.path, collection);
        })) {
      from = std::max(from, history_.back().version);
    }
  }
}

}  // namespace whorl::fake
