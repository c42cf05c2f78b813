#include "operator/agent/act/knob_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <system_error>

namespace whorl::agent {
namespace {

Error FromErrno(int error, const std::string& what) {
  const Code code = error == ENOENT                      ? Code::kNotFound
                    : error == ENODEV                    ? Code::kGone
                    : error == EACCES || error == EROFS  ? Code::kUnauthorized
                    : error == EINVAL || error == ERANGE ? Code::kInvalid
                                                         : Code::kUnavailable;
  return Error{code, what + ": " + std::generic_category().message(error)};
}

// Closes the descriptor at the end of its scope.
struct File {
  int fd;
  ~File() {
    if (fd >= 0) ::close(fd);
  }
};

std::optional<std::uint64_t> Number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

bool Travels(std::string_view knob) { return knob == "balloon"; }

bool OnItsWay(std::string_view knob, std::string_view seen, std::initializer_list<std::string_view> ours) {
  if (!Travels(knob)) return false;
  const auto now = Number(seen);
  std::optional<std::uint64_t> least;
  std::optional<std::uint64_t> most;
  for (const auto text : ours) {
    const auto value = Number(text);
    if (!value) continue;
    least = std::min(least.value_or(*value), *value);
    most = std::max(most.value_or(*value), *value);
  }
  return now && least && *least <= *now && *now <= *most;
}

Result<std::string> CgroupFiles::Read(const std::string& dir, std::string_view file) const {
  const std::string path = dir + "/" + std::string(file);
  const File opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  if (opened.fd < 0) return Fail(FromErrno(errno, path));
  char buffer[256];
  const auto size = ::read(opened.fd, buffer, sizeof(buffer));
  if (size < 0) return Fail(FromErrno(errno, path));
  std::string text(buffer, static_cast<std::size_t>(size));
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

Status CgroupFiles::Write(const std::string& dir, std::string_view file, std::string_view text) {
  const std::string path = dir + "/" + std::string(file);
  // Neither O_CREAT nor O_TRUNC: a knob exists or the pod is gone.
  const File opened{::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW)};
  if (opened.fd < 0) return Fail(FromErrno(errno, path));
  const auto size = ::write(opened.fd, text.data(), text.size());
  if (size < 0) return Fail(FromErrno(errno, path + " = " + std::string(text)));
  if (static_cast<std::size_t>(size) != text.size()) return Fail(Code::kUnavailable, path + ": short write");
  return {};
}

Result<std::uint64_t> CgroupFiles::Inode(const std::string& dir) const {
  struct stat info{};
  if (::stat(dir.c_str(), &info) != 0) return Fail(FromErrno(errno, dir));
  return static_cast<std::uint64_t>(info.st_ino);
}

}  // namespace whorl::agent
