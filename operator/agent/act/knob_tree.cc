#include "operator/agent/act/knob_tree.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <system_error>

namespace whorl::agent {
namespace {

Error FromErrno(int error, const std::string& what) {
  const Code code = error == ENOENT                                                          ? Code::kNotFound
                    : error == ENODEV                                                        ? Code::kGone
                    : error == EACCES || error == EROFS                                      ? Code::kUnauthorized
                    : error == EINVAL || error == ERANGE || error == ELOOP || error == EXDEV ? Code::kInvalid
                                                                                             : Code::kUnavailable;
  const auto* why = error == ELOOP   ? " (a symbolic link is in the way; a cgroup has none: see who made it)"
                    : error == EXDEV ? " (it leaves the cgroup root)"
                                     : "";
  return Error{code, what + ": " + std::generic_category().message(error) + why};
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

namespace {

constexpr std::size_t kPage = 4096;  // what a cgroup file takes and gives at most

// One file's knob: the whole file, or the line that begins with `key`.
struct Place {
  std::string_view file;
  std::string_view key;     // "" = the file is one line
  std::string_view absent;  // what the knob reads as when there is no such line
  bool keeps_key = false;   // the key is part of the knob's text
};

Place PlaceOf(std::string_view knob) {
  const auto at = knob.find('@');
  const auto file = knob.substr(0, at);
  if (at == std::string_view::npos) {
    return knob == "io.weight" ? Place{file, "default", "", true} : Place{file, "", "", false};
  }
  return {file, knob.substr(at + 1),
          file == "io.max"      ? "rbps=max wbps=max riops=max wiops=max"
          : file == "io.weight" ? "default"
                                : "0",
          false};
}

std::optional<std::string_view> LineOf(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const auto newline = text.find('\n');
    const auto line = text.substr(0, newline);
    if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == ' ') return line;
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
  }
  return std::nullopt;
}

// Opens `path` beneath the open directory `from`.
int OpenBeneath(int from, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, from, path.c_str(), &how, sizeof(how)));
}

// A directory, by its absolute path; -1 and errno where it cannot be had.
int OpenDir(const std::string& root, const std::string& dir) {
  std::string_view below = dir;
  if (!below.starts_with(root)) {
    errno = EXDEV;
    return -1;
  }
  below.remove_prefix(root.size());
  if (!below.empty() && !root.ends_with('/') && below.front() != '/') {
    errno = EXDEV;
    return -1;
  }
  while (below.starts_with('/')) below.remove_prefix(1);
  const File top{::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (top.fd < 0) return -1;
  return OpenBeneath(top.fd, below.empty() ? "." : std::string(below), O_PATH | O_DIRECTORY);
}

Result<int> OpenFile(const std::string& root, const std::string& dir, std::string_view file, int flags) {
  const std::string path = dir + "/" + std::string(file);
  if (file.empty() || file.find('/') != std::string_view::npos) return Fail(FromErrno(EXDEV, path));
  const File folder{OpenDir(root, dir)};
  if (folder.fd < 0) return Fail(FromErrno(errno, path));
  // Neither O_CREAT nor O_TRUNC: a knob exists or the pod is gone.
  const int fd = OpenBeneath(folder.fd, std::string(file), flags);
  if (fd < 0) return Fail(FromErrno(errno, path));
  return fd;
}

}  // namespace

std::string CgroupFiles::DirOf(const std::string& dir, std::string_view file) const {
  const auto controller = file.substr(0, file.find('.'));
  if (controller != "memory" && controller != "cpuset" && controller != "blkio") return dir;
  for (const auto* cpu : {"/cpu/", "/cpu,cpuacct/"}) {
    const auto mount = root_ + cpu;
    if (dir.starts_with(mount)) return root_ + "/" + std::string(controller) + "/" + dir.substr(mount.size());
  }
  return dir;
}

Result<std::string> CgroupFiles::Text(const std::string& dir, std::string_view file) const {
  const auto home = DirOf(dir, file);
  const auto fd = OpenFile(root_, home, file, O_RDONLY);
  if (!fd) return Fail(fd.error());
  const File opened{*fd};
  const std::string path = home + "/" + std::string(file);
  std::string text(kPage + 1, '\0');
  const auto size = ::read(opened.fd, text.data(), text.size());
  if (size < 0) return Fail(FromErrno(errno, path));
  text.resize(static_cast<std::size_t>(size));
  if (text.size() > kPage) return Fail(Code::kInvalid, path + ": longer than a page");
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

Result<std::string> CgroupFiles::Read(const std::string& dir, std::string_view knob) const {
  const auto place = PlaceOf(knob);
  auto text = Text(dir, place.file);
  if (!text) return text;
  const auto path = [&] { return DirOf(dir, place.file) + "/" + std::string(place.file); };
  if (place.key.empty()) {
    if (text->find('\n') != std::string::npos) return Fail(Code::kInvalid, path() + ": several lines, not a knob");
    return text;
  }
  if (const auto line = LineOf(*text, place.key)) {
    return std::string(place.keeps_key ? *line : line->substr(place.key.size() + 1));
  }
  if (place.absent.empty()) return Fail(Code::kInvalid, path() + ": no line begins with " + std::string(place.key));
  return std::string(place.absent);
}

Status CgroupFiles::Write(const std::string& dir, std::string_view knob, std::string_view text) {
  const auto place = PlaceOf(knob);
  const auto home = DirOf(dir, place.file);
  const std::string path = home + "/" + std::string(place.file);
  std::string line;
  if (!place.key.empty() && !place.keeps_key) line.append(place.key).append(" ");
  line.append(text);
  if (text.empty() || line.size() > kPage || line.find('\n') != std::string::npos) {
    return Fail(Code::kInvalid, path + ": what a knob takes is one line, not empty, of at most a page");
  }
  const auto fd = OpenFile(root_, home, place.file, O_WRONLY);
  if (!fd) return Fail(fd.error());
  const File opened{*fd};
  const auto size = ::write(opened.fd, line.data(), line.size());
  if (size < 0) return Fail(FromErrno(errno, path + " = " + line));
  if (static_cast<std::size_t>(size) != line.size()) return Fail(Code::kUnavailable, path + ": short write");
  return {};
}

Result<std::uint64_t> CgroupFiles::Inode(const std::string& dir) const {
  const File folder{OpenDir(root_, dir)};
  struct stat info{};
  if (folder.fd < 0 || ::fstat(folder.fd, &info) != 0) return Fail(FromErrno(errno, dir));
  return static_cast<std::uint64_t>(info.st_ino);
}

}  // namespace whorl::agent
