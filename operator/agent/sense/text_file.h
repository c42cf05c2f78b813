#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/result.h"

namespace whorl::agent {

// Owns a file descriptor. Movable, not copyable.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// What errno means to a caller, with the system's words.
Error ErrorFromErrno(int error, std::string_view what);

// A kernel text file that is opened once and read many times from its start.
// Reading allocates nothing. Not thread-safe with the same buffer.
class TextFile {
 public:
  TextFile() = default;
  static Result<TextFile> Open(const std::string& path);
  static Result<TextFile> OpenAt(int dir, const std::string& path);

  // Fills `buffer`; the view lives in it. kGone when the thing behind the file
  // has vanished, kInvalid when the file is longer than the buffer.
  Result<std::string_view> Read(std::span<char> buffer) const;
  bool is_open() const { return static_cast<bool>(fd_); }

 private:
  explicit TextFile(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

// Reads a whole small file once.
Result<std::string> ReadSmallFile(const std::string& path);

}  // namespace whorl::agent
