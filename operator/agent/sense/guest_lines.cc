#include "operator/agent/sense/guest_lines.h"

#include <algorithm>
#include <utility>

namespace whorl::agent {

void GuestLines::Take(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto end = std::min(bytes.find('\n'), bytes.size());
    const auto part = bytes.substr(0, end);
    if (!skipping_ && pending_.size() + part.size() >= kLongestGuestLine) {
      skipping_ = true;
      ++refused_;
      trouble_ = "a line is too long";
    }
    if (!skipping_) pending_ += part;
    if (end == bytes.size()) return;
    bytes.remove_prefix(end + 1);
    if (!std::exchange(skipping_, false)) EndLine();
    pending_.clear();
  }
}

void GuestLines::EndLine() {
  auto parsed = ParseGuestLine(pending_);
  if (!parsed) {
    ++refused_;
    trouble_ = std::move(parsed.error().message);
    return;
  }
  trouble_.clear();
  fresh_ = fresh_ || parsed->sequence != window_.sequence;
  window_ = *parsed;
}

const GuestWindow* GuestLines::Window() { return std::exchange(fresh_, false) ? &window_ : nullptr; }

void GuestLines::Restart() {
  pending_.clear();
  skipping_ = true;
  fresh_ = false;
}

}  // namespace whorl::agent
