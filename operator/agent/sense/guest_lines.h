#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/telemetry/guest_line.h"

namespace whorl::agent {

// Puts the bytes of a guest's channel together to lines and keeps the last good
// window. Holds at most one line of kLongestGuestLine bytes, whatever comes;
// never allocates after its construction. Not thread-safe.
class GuestLines {
 public:
  GuestLines() { pending_.reserve(kLongestGuestLine); }

  void Take(std::string_view bytes);
  // The last good window that came since the last call; null when none did, or
  // when it only repeats the one before. Stays valid until the next Take.
  const GuestWindow* Window();
  // A connection begins: the first bytes may be the rest of a line.
  void Restart();

  std::uint64_t refused() const { return refused_; }
  // Why the last line was refused; empty when it was not.
  const std::string& trouble() const { return trouble_; }

 private:
  void EndLine();

  std::string pending_;
  bool skipping_ = true;  // until the next newline
  GuestWindow window_;
  bool fresh_ = false;
  std::uint64_t refused_ = 0;
  std::string trouble_;
};

}  // namespace whorl::agent
