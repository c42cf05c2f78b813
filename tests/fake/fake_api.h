#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "operator/kube/client.h"
#include "operator/kube/transport.h"

namespace whorl::fake {

// An API server in memory, behind kube::Transport: collections with
// resourceVersions, paged lists, watches with history, patches (apply acts as a
// merge), preconditions. Everything can be made to fail. Thread-safe; must
// outlive its transports.
class FakeApi {
 public:
  using Json = nlohmann::json;
  // What a failing call gives instead of an answer.
  using Failure = std::variant<kube::Response, Error>;

  // A Transport onto this server; any number may exist.
  std::unique_ptr<kube::Transport> NewTransport();
  // A client over NewTransport without a token.
  std::unique_ptr<kube::Client> NewClient(kube::WaitingClock& clock, kube::ClientOptions options = {});

  // The world as a literal: sets an object under its collection ("/apis/g/v/[namespaces/ns/]plural"),
  // giving it uid and resourceVersion, and tells watchers.
  void Put(const std::string& collection, Json object);
  void Remove(const std::string& path);
  // The object at "/apis/.../name"; nullopt when there is none.
  std::optional<Json> Find(const std::string& path) const;
  std::vector<Json> All(const std::string& collection) const;

  // The next `times` requests whose "METHOD target" contains `match` fail so.
  void FailNext(std::string match, Failure failure, int times = 1);
  // Forgets history: watches from before get 410, and so do continue tokens.
  void Compact();
  // A removal watchers are not told of, as when a watch missed it.
  void RemoveSilently(const std::string& path);
  // Lines the next watch sends as they are, before anything else.
  void SayOnNextWatch(std::vector<std::string> lines);
  // true: a watch stays open for more until stopped or EndWatches; false (the
  // default): it ends in good order when it has told everything, so that a test
  // drives a reflector on its own thread.
  void KeepWatchesOpen(bool open);
  void EndWatches();
  // Called at each request before it is answered, without locks held.
  void OnRequest(std::function<void(const kube::Request&)> hook);

  std::vector<kube::Request> requests() const;
  int Count(std::string_view match) const;  // requests whose "METHOD target" contains it

 private:
  class InMemory;
  struct Change {
    std::int64_t version;
    std::string type;
    std::string path;
    Json object;
  };
  struct Planned {
    std::string match;
    Failure failure;
    int times;
  };

  Result<kube::Response> Send(const kube::Request& request);
  Result<kube::Response> Stream(const kube::Request& request, const kube::Transport::OnLine& on_line);
  std::optional<Failure> Note(const kube::Request& request);
  kube::Response ListUnlocked(const std::string& collection, const std::map<std::string, std::string>& query);
  kube::Response WriteUnlocked(const kube::Request& request, const std::string& path,
                               const std::map<std::string, std::string>& query);
  Json& StoreUnlocked(const std::string& path, Json object, const char* type);

  mutable std::mutex mu_;
  std::condition_variable_any changed_;
  std::map<std::string, Json> objects_;  // by full path
  std::vector<Change> history_;
  std::int64_t version_ = 100;
  std::int64_t compacted_ = 0;
  std::int64_t next_uid_ = 1;
  std::int64_t watch_era_ = 0;
  bool keep_open_ = false;
  std::vector<Planned> planned_;
  std::vector<std::string> say_;
  std::vector<kube::Request> requests_;
  std::function<void(const kube::Request&)> hook_;
};

}  // namespace whorl::fake
