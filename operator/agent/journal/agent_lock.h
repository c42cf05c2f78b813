#pragma once

#include <string>

#include "core/base/result.h"

namespace whorl::agent {

// One agent per node: a lock on `state_dir`/agent.lock that ends with its
// process, however that ends. Anybody may ask without taking it.
class AgentLock {
 public:
  // kConflict when another agent runs; the message names its process.
  static Result<AgentLock> Take(const std::string& state_dir);
  // True while an agent holds it. False when none does or none ever did.
  static bool IsHeld(const std::string& state_dir);

  AgentLock(AgentLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  AgentLock& operator=(AgentLock&&) = delete;
  ~AgentLock();

 private:
  explicit AgentLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace whorl::agent
