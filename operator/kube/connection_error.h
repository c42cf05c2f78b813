#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "operator/kube/config.h"

namespace whorl::kube {

// Why no answer came, told apart because the remedies differ.
enum class ConnectionTrouble {
  kUnresolved,   // the host name has no address
  kRefused,      // nobody listens, or no route
  kCertificate,  // the server's certificate was not accepted
  kHandshake,    // TLS failed otherwise
  kClosedEarly,  // closed before an answer: also a refused client certificate under TLS 1.3
  kBrokenOff,    // closed within an answer
  kSilent,       // no (whole) answer in time
  kStopped,      // we were asked to stop
  kTooLarge,     // more than we are ready to hold
  kOther,
};

// The one message for all transports: server, reason, remedy.
Error ConnectionError(ConnectionTrouble trouble, const ClusterConfig& config, const std::string& detail);

// That every certificate file named can be read now: said at start rather than
// by a failing handshake.
Status CheckMaterial(const ClusterConfig& config);

// The text of `299 - "text"`; the whole value when it has another form.
std::string WarningText(std::string_view header);

// Most a response body may hold; a list page of 500 large objects fits.
inline constexpr std::size_t kMaxBody = 256u << 20;
inline constexpr std::size_t kMaxErrorBody = 1u << 20;

}  // namespace whorl::kube
