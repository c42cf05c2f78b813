#pragma once

#include <optional>
#include <string>

#include "core/base/result.h"
#include "crd/resize.h"

// What `kubectl whorl apply` would do to the size of one VM.
namespace whorl::plugin {

struct SizeWish {  // the user's own words instead of the recommendation
  std::optional<std::int32_t> sockets = {};
  std::optional<std::string> memory = {};
};

struct Resizing {
  crd::ResizeRequest request;
  std::string consequence;  // what would be done, for people
};

// From status.resize of the VM's fingerprint. kRefused with the reason when
// nothing is recommended, one is under way, or it cannot be done.
Result<Resizing> PlanResize(const std::string& vm, const crd::ResizeStatus& status, const SizeWish& wish);

}  // namespace whorl::plugin
