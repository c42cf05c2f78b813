#include "operator/agent/sense/text_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace whorl::agent {

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Error ErrorFromErrno(int error, std::string_view what) {
  Code code = Code::kUnavailable;
  switch (error) {
    case ENOENT: code = Code::kNotFound; break;
    case ENODEV:
    case ESRCH: code = Code::kGone; break;
    case EACCES:
    case EPERM:
    case EROFS: code = Code::kUnauthorized; break;
    case EINVAL:
    case ERANGE: code = Code::kInvalid; break;
    case EOPNOTSUPP: code = Code::kUnsupported; break;
    default: break;
  }
  return Error{code, std::string(what) + ": " + std::generic_category().message(error)};
}

Result<TextFile> TextFile::Open(const std::string& path) { return OpenAt(AT_FDCWD, path); }

Result<TextFile> TextFile::OpenAt(int dir, const std::string& path) {
  Fd fd(::openat(dir, path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Fail(ErrorFromErrno(errno, path));
  return TextFile(std::move(fd));
}

Result<std::string_view> TextFile::Read(std::span<char> buffer) const {
  std::size_t size = 0;
  while (size < buffer.size()) {
    const auto got = ::pread(fd_.get(), buffer.data() + size, buffer.size() - size, static_cast<off_t>(size));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Fail(ErrorFromErrno(errno, "read"));
    if (got == 0) return std::string_view(buffer.data(), size);
    size += static_cast<std::size_t>(got);
  }
  return Fail(Code::kInvalid, "the file is longer than " + std::to_string(buffer.size()) + " bytes");
}

Result<std::string> ReadSmallFile(const std::string& path) {
  const auto file = TextFile::Open(path);
  if (!file) return Fail(file.error());
  std::array<char, 65536> buffer;
  const auto text = file->Read(buffer);
  if (!text) return Fail(text.error().In(path));
  return std::string(*text);
}

}  // namespace whorl::agent
