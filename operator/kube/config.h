#pragma once

#include <functional>
#include <optional>
#include <string>

#include "core/base/result.h"

namespace whorl::kube {

// A certificate, key or CA bundle: inline text, or a file that is read each
// time it is needed because it may be rotated under us.
struct PemSource {
  std::string text;
  std::string file;

  bool empty() const { return text.empty() && file.empty(); }
  // kNotFound or kUnauthorized (permission) names the file.
  Result<std::string> Read() const;
};

// How to reach one API server and as whom. A value: made once at start.
struct ClusterConfig {
  std::string server;           // scheme://host[:port][/prefix], without a trailing slash
  std::string tls_server_name;  // checked in the server's certificate instead of the host, when set
  PemSource ca;                 // empty: the machine's own bundle
  PemSource client_certificate;
  PemSource client_key;
  std::string token;       // fixed bearer token
  std::string token_file;  // wins over `token`; read again while running
  std::string default_namespace;
  std::string origin;               // where this came from, for messages: "kubeconfig /x, context y"
  std::string peer = "API server";  // what stands at the other end, for messages
};

// What config loading asks of its surroundings; tests give their own.
struct ConfigSources {
  std::function<std::optional<std::string>(const std::string& name)> environment;
  std::string service_account_dir = "/var/run/secrets/kubernetes.io/serviceaccount";

  static ConfigSources Process();  // getenv
};

// `paths` may be a colon-separated list as in KUBECONFIG: files that do not
// exist are passed over unless none exists, the first definition of a name wins.
// `context` empty means current-context. Every error names file, field, reason
// and remedy. Exec and auth-provider plugins, proxies and
// insecure-skip-tls-verify are refused.
Result<ClusterConfig> LoadKubeconfig(const std::string& paths, const std::string& context = {});
// Parses one kubeconfig document; relative file names are taken from `directory`.
Result<ClusterConfig> ParseKubeconfig(const std::string& text, const std::string& directory, const std::string& origin,
                                      const std::string& context = {});
Result<ClusterConfig> LoadInCluster(const ConfigSources& sources);
// --kubeconfig flag, else KUBECONFIG, else the pod's service account, else
// ~/.kube/config.
Result<ClusterConfig> LoadConfig(const std::string& kubeconfig_flag, const ConfigSources& sources);

}  // namespace whorl::kube
