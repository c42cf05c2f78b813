#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace whorl::kube {

// Puts lines together from chunks as they arrive. Not thread-safe.
class LineSplitter {
 public:
  // Larger than any object etcd takes (1.5 MiB), also escaped.
  static constexpr std::size_t kMaxLine = 16u << 20;

  // Calls `on_line(std::string_view)` -> bool for each line that is complete;
  // false from it ends the walk and gives false. kCorrupt: a line without end.
  template <typename OnLine>
  Result<bool> Push(std::string_view chunk, const OnLine& on_line) {
    while (!chunk.empty()) {
      const auto end = chunk.find('\n');
      if (pending_.size() + (end == chunk.npos ? chunk.size() : end) > kMaxLine) {
        return Fail(Code::kCorrupt, "a line of the stream is longer than 16 MiB");
      }
      if (end == chunk.npos) {
        pending_ += chunk;
        return true;
      }
      auto line = chunk.substr(0, end);
      if (!pending_.empty()) {
        pending_ += line;
        line = pending_;
      }
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      const bool go_on = line.empty() || on_line(line);
      pending_.clear();
      if (pending_.capacity() > (1u << 20)) pending_.shrink_to_fit();
      if (!go_on) return false;
      chunk.remove_prefix(end + 1);
    }
    return true;
  }

  // What came after the last line end: a line that was cut off, unless empty.
  std::string_view rest() const { return pending_; }

 private:
  std::string pending_;
};

}  // namespace whorl::kube
