#include "core/base/result.h"

namespace whorl {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kInvalid: return "Invalid";
    case Code::kNotFound: return "NotFound";
    case Code::kGone: return "Gone";
    case Code::kConflict: return "Conflict";
    case Code::kUnauthorized: return "Unauthorized";
    case Code::kUnavailable: return "Unavailable";
    case Code::kTimeout: return "Timeout";
    case Code::kUnsupported: return "Unsupported";
    case Code::kRefused: return "Refused";
    case Code::kCorrupt: return "Corrupt";
    case Code::kInternal: return "Internal";
  }
  return "Unknown";
}

}  // namespace whorl
