#include "operator/agent/journal/agent_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace whorl::agent {
namespace {

// "Open file description" locks: asking (GETLK) does not take, so that the
// restorer's question never stands in the way of an agent that starts.
struct flock Whole() {
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

std::string PathIn(const std::string& state_dir) { return state_dir + "/agent.lock"; }

}  // namespace

Result<AgentLock> AgentLock::Take(const std::string& state_dir) {
  std::error_code failed;
  std::filesystem::create_directories(state_dir, failed);
  const auto path = PathIn(state_dir);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    return Fail(Code::kUnauthorized, path + ": " + std::generic_category().message(errno) +
                                         "; the agent needs a writable state directory, the host's /run/whorl");
  }
  AgentLock lock(fd);
  auto whole = Whole();
  if (::fcntl(fd, F_OFD_SETLK, &whole) != 0) {
    char other[64] = {};
    const auto size = ::pread(fd, other, sizeof(other) - 1, 0);
    return Fail(Code::kConflict, "another whorl-agent (" +
                                     std::string(other, size > 0 ? static_cast<std::size_t>(size) : 0) +
                                     ") runs on this node and holds " + path + "; two agents must not write: stop one");
  }
  const auto self = "pid " + std::to_string(::getpid());
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, self.data(), self.size(), 0) < 0) {
    return Fail(Code::kUnavailable, path + ": " + std::generic_category().message(errno));
  }
  return lock;
}

bool AgentLock::IsHeld(const std::string& state_dir) {
  const int fd = ::open(PathIn(state_dir).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return false;
  auto whole = Whole();
  const bool held = ::fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
  ::close(fd);
  return held;
}

AgentLock::~AgentLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace whorl::agent
