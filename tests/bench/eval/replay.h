#pragma once

#include <iosfwd>
#include <string>

#include "core/base/result.h"

namespace whorl::eval {

struct ReplayOptions {
  std::string recording;  // file of whorl-controller --record
  bool json = false;
};

// Lives through a recording and says whether every tick was answered as it was
// when it was recorded, and how much faster than real time. kConflict when one
// was not; errors name the file.
Status RunReplay(const ReplayOptions& options, std::ostream& out, std::ostream& progress);

}  // namespace whorl::eval
