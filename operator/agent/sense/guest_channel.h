#pragma once

#include <string>

#include "core/base/time.h"
#include "operator/agent/sense/guest_lines.h"
#include "operator/agent/sense/text_file.h"

namespace whorl::agent {

// Reads what a guest's `whorl-guest` says, from the socket that QEMU keeps in
// the launcher's file system for the channel dev.whorl.guest-telemetry.0. A VM
// without that socket says nothing, which is no trouble: it is opt-in. Never
// waits, never writes, and takes at most kMostBytes a tick: what a guest sends
// faster than that stops in its own port. Belongs to the sampling thread.
class GuestChannel {
 public:
  static constexpr std::size_t kMostBytes = 16384;

  GuestChannel(std::string proc_root, int pid) : proc_root_(std::move(proc_root)), pid_(pid) {}

  // The window that came since the last call, if one did; valid until the next.
  const GuestWindow* Poll(Millis now);
  // Why what the guest says is not believed; empty when it is, or is silent.
  const std::string& trouble() const { return lines_.trouble(); }

 private:
  bool Connect();

  const std::string proc_root_;
  const int pid_;
  Fd socket_;
  Millis next_try_{0};
  GuestLines lines_;
};

}  // namespace whorl::agent
