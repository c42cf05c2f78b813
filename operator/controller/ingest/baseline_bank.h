#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace whorl::controller {

// Learnt baselines by VM uid while no engine holds them: between two nodes of
// a migration, or while a VM is stopped. Bounded: the oldest goes first.
// Thread-safe.
class BaselineBank {
 public:
  explicit BaselineBank(std::size_t capacity = 4096) : capacity_(capacity) {}

  void Put(const std::string& vm_uid, std::string blob);
  std::optional<std::string> Get(const std::string& vm_uid) const;

 private:
  struct Entry {
    std::string blob;
    std::uint64_t stamp = 0;
  };
  const std::size_t capacity_;
  mutable std::mutex mu_;
  std::map<std::string, Entry> entries_;  // under mu_
  std::uint64_t stamp_ = 0;               // under mu_
};

}  // namespace whorl::controller
