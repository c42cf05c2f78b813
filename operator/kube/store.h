#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace whorl::kube {

// Namespace and name; ns is empty for cluster-scoped kinds.
struct ObjectKey {
  std::string ns;
  std::string name;

  auto operator<=>(const ObjectKey&) const = default;
  std::string Text() const { return ns.empty() ? name : ns + "/" + name; }
};

enum class ChangeKind { kAdded, kUpdated, kDeleted };

// The reflector's copy of one kind. Thread-safe; objects are immutable, so a
// reader keeps what it got without holding the lock.
template <typename T>
class Store {
 public:
  struct Entry {
    std::shared_ptr<const T> object;
    std::string uid;
    std::string resource_version;
  };

  std::shared_ptr<const T> Find(const ObjectKey& key) const {
    std::scoped_lock lock(mu_);
    const auto it = entries_.find(key);
    return it == entries_.end() ? nullptr : it->second.object;
  }
  // With uid and resourceVersion; object is null when there is none.
  Entry FindEntry(const ObjectKey& key) const {
    std::scoped_lock lock(mu_);
    const auto it = entries_.find(key);
    return it == entries_.end() ? Entry{} : it->second;
  }
  std::vector<std::pair<ObjectKey, std::shared_ptr<const T>>> All() const {
    std::vector<std::pair<ObjectKey, std::shared_ptr<const T>>> all;
    std::scoped_lock lock(mu_);
    all.reserve(entries_.size());
    for (const auto& [key, entry] : entries_) all.emplace_back(key, entry.object);
    return all;
  }
  std::size_t size() const {
    std::scoped_lock lock(mu_);
    return entries_.size();
  }

  // Only the reflector writes.
  void Put(const ObjectKey& key, Entry entry) {
    std::scoped_lock lock(mu_);
    entries_[key] = std::move(entry);
  }
  bool Remove(const ObjectKey& key) {
    std::scoped_lock lock(mu_);
    return entries_.erase(key) > 0;
  }
  // Everything at once, so that no reader sees a half-filled list; gives back
  // what stood before.
  std::map<ObjectKey, Entry> Replace(std::map<ObjectKey, Entry> entries) {
    std::scoped_lock lock(mu_);
    entries_.swap(entries);
    return entries;
  }

 private:
  mutable std::mutex mu_;
  std::map<ObjectKey, Entry> entries_;  // under mu_
};

}  // namespace whorl::kube
