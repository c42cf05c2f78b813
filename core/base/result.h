#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace whorl {

// What went wrong, in the few kinds a caller can act on. Callers branch on the
// code; people read the message.
enum class Code {
  kInvalid,       // the input itself is wrong; retrying will not help
  kNotFound,      // the thing named does not exist (HTTP 404, ENOENT)
  kGone,          // it existed and has vanished (HTTP 410, ENODEV, pod deleted)
  kConflict,      // somebody else changed it first (HTTP 409)
  kUnauthorized,  // credentials missing, expired or of the wrong role (401, 403)
  kUnavailable,   // the other side cannot be reached or is overloaded; retry
  kTimeout,       // no answer within the time given
  kUnsupported,   // this node, kernel or cluster cannot do it
  kRefused,       // understood and declined by a rule; the message says which
  kCorrupt,       // stored data failed its checksum or grammar
  kInternal,      // our own mistake
};

std::string_view CodeName(Code code);

struct Error {
  Code code = Code::kInternal;
  std::string message;

  // The same error with its place in front: Error{...}.In("memory.current").
  Error In(std::string_view place) const { return Error{code, std::string(place) + ": " + message}; }
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> Fail(Code code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}
inline tl::unexpected<Error> Fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

}  // namespace whorl
