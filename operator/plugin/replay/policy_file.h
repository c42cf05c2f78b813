#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "crd/partition_policy.h"

namespace whorl::plugin {

struct PolicyFile {
  crd::PartitionPolicy policy;
  std::vector<std::string>
      unknown;  // paths of fields that this version does not know, as the API server would drop them
};

// Reads one PartitionPolicy as somebody would apply it. kInvalid for what is no
// YAML, holds several documents or another kind, or breaks a bound of the
// definition; the message names the field, why, and what to do.
Result<PolicyFile> ParsePolicyFile(std::string_view text);

// The same of a file; kNotFound when it cannot be opened. Messages begin with the path.
Result<PolicyFile> ReadPolicyFile(const std::string& path);

}  // namespace whorl::plugin
