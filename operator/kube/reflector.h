#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/result.h"
#include "operator/kube/client.h"
#include "operator/kube/json_view.h"
#include "operator/kube/store.h"
#include "operator/kube/waiting_clock.h"

namespace whorl::kube {

struct ReflectorOptions {
  std::string label_selector;
  std::string field_selector;
  Millis min_backoff{800};
  Millis max_backoff{30'000};
  Millis healthy_after{120'000};  // a watch that lived so long resets the back-off
  Seconds min_watch{300};
  Seconds max_watch{600};
  Millis idle_timeout{120'000};  // raised to 90 s when less
  std::uint64_t seed = 0;        // of the jitter; 0: from the kernel
  // Called from the reflector's thread: what went wrong, and what of this kind
  // could not be decoded (and is therefore not in the store).
  std::function<void(const Error&)> on_trouble;
};

struct ReflectorCounters {
  std::uint64_t lists = 0;
  std::uint64_t watches = 0;
  std::uint64_t events = 0;
  std::uint64_t bookmarks = 0;
  std::uint64_t gone = 0;         // 410: the resourceVersion was too old
  std::uint64_t idle = 0;         // watches ended by us, because nothing was said for long
  std::uint64_t failures = 0;     // of lists and watches
  std::uint64_t undecodable = 0;  // objects left out of the store
};

// The loop behind every Reflector<T>, without its type: list, watch from the
// list's resourceVersion, resume where the watch ended, list again on 410. Runs
// on one thread of its own; the counters and ages may be read from any.
class ReflectorLoop {
 public:
  // What the loop does with objects. Called from the reflector's thread only.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void BeginList() = 0;  // also after a list that broke off
    virtual Status Listed(const ObjectKey& key, JsonView object) = 0;
    virtual void EndList() = 0;  // replaces the store, tells the differences
    virtual Status Put(const ObjectKey& key, JsonView object) = 0;
    virtual void Remove(const ObjectKey& key) = 0;
  };

  // All references must outlive the loop.
  ReflectorLoop(Client& client, ResourcePath path, ReflectorOptions options, WaitingClock& clock, Sink& sink);

  void Run(const std::stop_token& stop);

  bool HasSynced() const { return synced_.load(); }
  // Since the server last said anything about this kind, be it only that it
  // accepts a watch; nullopt: never. While nothing changes it stays below the
  // idle timeout.
  std::optional<Millis> AgeOfLastContact() const;
  ReflectorCounters counters() const;

 private:
  Status ListOnce(const std::stop_token& stop);
  Status WatchOnce(const std::stop_token& stop);
  Status OnEvent(std::string_view type, JsonView object);
  Millis IdleTimeout() const;
  void Touch();
  void Trouble(const Error& error);
  void Undecodable(const ObjectKey& key, const Error& error);

  Client& client_;
  const ResourcePath path_;
  const ReflectorOptions options_;
  WaitingClock& clock_;
  Sink& sink_;
  std::mt19937_64 random_;
  std::string resource_version_;  // empty: list first
  std::string newest_;            // seen of this kind, to notice a server that went back in time
  std::atomic<bool> synced_{false};
  std::atomic<std::int64_t> last_contact_{-1};
  mutable std::mutex counters_mu_;
  ReflectorCounters counters_;  // under counters_mu_
};

// Keeps a Store of one kind equal to the API server's. Handlers are told of
// changes from the reflector's thread, after the store has them, and must only
// enqueue the key; they may see a change twice but never miss the last one.
//
//   Reflector<VirtualMachine> vms(client, path, DecodeVirtualMachine, {}, clock);
//   vms.OnChange([&](ChangeKind, const ObjectKey& key) { queue.Add(key); });
//   vms.Start();
template <typename T>
class Reflector final : private ReflectorLoop::Sink {
 public:
  // Copies what it keeps out of the view.
  using Decode = std::function<Result<T>(JsonView)>;
  using Handler = std::function<void(ChangeKind, const ObjectKey&)>;

  Reflector(Client& client, ResourcePath path, Decode decode, ReflectorOptions options, WaitingClock& clock)
      : decode_(std::move(decode)), loop_(client, std::move(path), std::move(options), clock, *this) {}
  ~Reflector() override { Stop(); }

  // Before Start.
  void OnChange(Handler handler) { handlers_.push_back(std::move(handler)); }
  void Start() {
    thread_ = std::jthread([this](const std::stop_token& stop) { loop_.Run(stop); });
  }
  void RequestStop() { thread_.request_stop(); }
  void Stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
  }

  const Store<T>& store() const { return store_; }
  bool HasSynced() const { return loop_.HasSynced(); }
  std::optional<Millis> AgeOfLastContact() const { return loop_.AgeOfLastContact(); }
  ReflectorCounters counters() const { return loop_.counters(); }

 private:
  using Entry = typename Store<T>::Entry;

  Result<Entry> Make(JsonView object) const {
    auto decoded = decode_(object);
    if (!decoded) return Fail(decoded.error());
    return Entry{std::make_shared<const T>(std::move(*decoded)),
                 std::string(object.FindString({"metadata", "uid"}).value_or("")),
                 std::string(object.FindString({"metadata", "resourceVersion"}).value_or(""))};
  }
  void Tell(ChangeKind kind, const ObjectKey& key) const {
    for (const auto& handler : handlers_) handler(kind, key);
  }

  void BeginList() override { listed_.clear(); }
  Status Listed(const ObjectKey& key, JsonView object) override {
    auto entry = Make(object);
    if (!entry) return Fail(entry.error());
    listed_[key] = std::move(*entry);
    return {};
  }
  void EndList() override {
    const auto now = listed_;  // entries share their objects
    const auto before = store_.Replace(std::exchange(listed_, {}));
    for (const auto& [key, entry] : now) {
      const auto old = before.find(key);
      if (old == before.end()) {
        Tell(ChangeKind::kAdded, key);
      } else if (old->second.uid != entry.uid) {  // deleted and made again while we looked away
        Tell(ChangeKind::kDeleted, key);
        Tell(ChangeKind::kAdded, key);
      } else if (old->second.resource_version != entry.resource_version) {
        Tell(ChangeKind::kUpdated, key);
      }
    }
    for (const auto& [key, entry] : before) {
      if (!now.contains(key)) Tell(ChangeKind::kDeleted, key);
    }
  }
  Status Put(const ObjectKey& key, JsonView object) override {
    auto entry = Make(object);
    if (!entry) return Fail(entry.error());
    const auto old = store_.FindEntry(key);
    const bool other = old.object && old.uid != entry->uid;
    const bool known = old.object && !other;
    store_.Put(key, std::move(*entry));
    if (other) Tell(ChangeKind::kDeleted, key);
    Tell(known ? ChangeKind::kUpdated : ChangeKind::kAdded, key);
    return {};
  }
  void Remove(const ObjectKey& key) override {
    if (store_.Remove(key)) Tell(ChangeKind::kDeleted, key);
  }

  const Decode decode_;
  Store<T> store_;
  std::map<ObjectKey, Entry> listed_;  // reflector's thread only
  std::vector<Handler> handlers_;
  ReflectorLoop loop_;
  std::jthread thread_;  // last: stops before anything it uses goes
};

}  // namespace whorl::kube
