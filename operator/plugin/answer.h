#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/result.h"
#include "core/base/time.h"
#include "crd/remedy_view.h"

// What `kubectl whorl approve` and `reject` would answer about one VM.
namespace whorl::plugin {

enum class Verdict : std::uint8_t { kApprove, kReject };

struct ProposalAnswer {
  std::string id;           // of the proposal, the value of the annotation
  std::string consequence;  // what is proposed and what the answer does, for people
};

// From status.remedy of the VM's fingerprint. `id`: the proposal that is meant;
// empty: the open one. kRefused with the reason when none is open at `now`, or
// another one than meant.
Result<ProposalAnswer> PlanAnswer(const std::string& vm, const std::optional<crd::RemedyView>& remedy, Verdict verdict,
                                  const std::string& id, Time now);

}  // namespace whorl::plugin
