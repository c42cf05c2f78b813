#pragma once

#include <string>

#include "core/base/result.h"

namespace whorl::agent {

inline constexpr const char* kControllerName = "controller.whorl";

// The DNS name a node's agent certificate must carry.
std::string AgentName(const std::string& node_name);

struct TlsFiles {
  std::string certificate;  // tls.crt
  std::string key;          // tls.key
  std::string roots;        // ca.crt
};
TlsFiles TlsFilesIn(const std::string& dir);

// Whether the three files are whole, fit each other, are signed by the CA, are
// valid now and name this node's agent. The error names file, reason, remedy.
Status CheckIdentity(const TlsFiles& files, const std::string& node_name);

}  // namespace whorl::agent
