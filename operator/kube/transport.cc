#include "operator/kube/transport.h"

#include "operator/kube/connection_error.h"

namespace whorl::kube {

std::string_view MethodName(Method method) {
  switch (method) {
    case Method::kGet: return "GET";
    case Method::kPost: return "POST";
    case Method::kPut: return "PUT";
    case Method::kPatch: return "PATCH";
    case Method::kDelete: return "DELETE";
  }
  return "GET";
}

Error ConnectionError(ConnectionTrouble trouble, const ClusterConfig& config, const std::string& detail) {
  const auto message = [&](const std::string& reason, const std::string& remedy) {
    return config.peer + " " + config.server + ": " + reason + (detail.empty() ? "" : " (" + detail + ")") +
           (remedy.empty() ? "" : "; " + remedy);
  };
  const auto where = config.origin.empty() ? std::string("the configuration") : config.origin;
  switch (trouble) {
    case ConnectionTrouble::kUnresolved:
      return {Code::kUnavailable, message("its host name cannot be resolved", "check the server in " + where)};
    case ConnectionTrouble::kRefused:
      return {Code::kUnavailable,
              message("cannot connect", "check that it runs and that the server in " + where + " is right")};
    case ConnectionTrouble::kCertificate:
      return {Code::kUnauthorized,
              message("its certificate is not accepted",
                      "check certificate-authority in " + where + ", and that the certificate names this host")};
    case ConnectionTrouble::kHandshake:
      return {
          Code::kUnavailable,
          message("TLS handshake failed",
                  "check that it speaks HTTPS on this port and that the client certificate in " + where + " is valid")};
    case ConnectionTrouble::kClosedEarly:
      return {Code::kUnavailable, message("closed the connection before answering",
                                          "it may be restarting, or want a valid client certificate from " + where)};
    case ConnectionTrouble::kBrokenOff:
      return {Code::kUnavailable, message("broke off in the middle of an answer", "")};
    case ConnectionTrouble::kSilent: return {Code::kTimeout, message("gave no whole answer in time", "")};
    case ConnectionTrouble::kStopped: return {Code::kRefused, message("request given up: we are stopping", "")};
    case ConnectionTrouble::kTooLarge: return {Code::kRefused, message("its answer is larger than we hold", "")};
    case ConnectionTrouble::kOther: return {Code::kUnavailable, message("request failed", "")};
  }
  return {Code::kInternal, message("request failed", "")};
}

Status CheckMaterial(const ClusterConfig& config) {
  for (const auto& [pem, field] :
       {std::pair{&config.ca, "certificate-authority"}, std::pair{&config.client_certificate, "client-certificate"},
        std::pair{&config.client_key, "client-key"}}) {
    if (pem->empty()) continue;
    if (auto read = pem->Read(); !read) {
      return Fail(read.error().code,
                  config.origin + ": " + field + " " + read.error().message + "; correct the path or write the file");
    }
  }
  return {};
}

std::string WarningText(std::string_view header) {
  const auto begin = header.find('"');
  const auto end = header.rfind('"');
  if (begin == header.npos || end == begin) return std::string(header);
  return std::string(header.substr(begin + 1, end - begin - 1));
}

}  // namespace whorl::kube
