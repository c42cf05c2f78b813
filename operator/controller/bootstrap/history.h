#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/baseline/bootstrap.h"
#include "operator/controller/enrol/resolve.h"

namespace whorl::controller {

// What the past says of one VM.
struct HistoryAnswer {
  HistoryPrior prior;
  std::vector<std::string> warnings;  // the source says that it may be incomplete
};

// Where a node's link asks for the past of a VM it knows nothing of, and
// fetches the answer when there is one. Neither call blocks. Thread-safe.
class History {
 public:
  virtual ~History() = default;
  // Asks once; asking again before the answer was taken changes nothing.
  virtual void Ask(const Subject& vm) = 0;
  // The answer, once; nullopt while there is none.
  virtual std::optional<Result<HistoryAnswer>> Take(const std::string& vm_uid) = 0;
  // Nobody waits for it any more.
  virtual void Forget(const std::string& vm_uid) = 0;
};

}  // namespace whorl::controller
