#pragma once

#include <memory>

#include "core/base/result.h"
#include "core/telemetry/guest_window.h"

namespace whorl::guest {

// Counts this machine's system calls in windows. Not thread-safe.
class CallCounter {
 public:
  virtual ~CallCounter() = default;
  // Begins a window.
  virtual Status Open() = 0;
  // Ends it: `calls` and `sketch` of what happened in it. With `detach` nothing
  // is counted, and no call pays for it, until the next one.
  virtual Status Close(bool detach, GuestWindow& window) = 0;
};

// Loads operator/guest/guest.bpf.c: needs root, and a kernel of 5.13 or later
// with its type information (CONFIG_DEBUG_INFO_BTF, as Debian 11 and later).
Result<std::unique_ptr<CallCounter>> LoadCallCounter();

}  // namespace whorl::guest
