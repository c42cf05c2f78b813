// A kubeconfig comes from the user's disk: whatever is in it, loading ends with
// a config that holds what it promises or with a message that names the file.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "operator/kube/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto config = whorl::kube::ParseKubeconfig(text, "/etc/kube", "kubeconfig /etc/kube/config");
  if (!config) {
    if (config.error().message.find("kubeconfig /etc/kube/config") == std::string::npos) std::abort();
    return 0;
  }
  const bool https = config->server.starts_with("https://");
  if (!https && !config->server.starts_with("http://")) std::abort();
  if (config->client_certificate.empty() != config->client_key.empty()) std::abort();
  for (const char c : config->server + config->token) {
    if (c <= 0x20 || c >= 0x7f) std::abort();  // would break out of a header or a request line
  }
  return 0;
}
