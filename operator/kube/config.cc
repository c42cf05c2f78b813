#include "operator/kube/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <utility>
#include <vector>

namespace whorl::kube {

namespace {

constexpr std::size_t kMaxFileBytes = 4u << 20;

Result<std::string> ReadFile(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return Fail(Code::kInvalid, path + ": is a directory, not a file");
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    const int reason = errno;
    const auto code = reason == ENOENT || reason == ENOTDIR ? Code::kNotFound : Code::kUnauthorized;
    return Fail(code, path + ": " + std::generic_category().message(reason == 0 ? EIO : reason));
  }
  std::string text;
  std::vector<char> block(64 << 10);
  while (in.read(block.data(), static_cast<std::streamsize>(block.size())) || in.gcount() > 0) {
    text.append(block.data(), static_cast<std::size_t>(in.gcount()));
    if (text.size() > kMaxFileBytes) return Fail(Code::kInvalid, path + ": is larger than 4 MiB");
  }
  return text;
}

std::optional<std::string> DecodeBase64(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  bool padded = false;
  for (const char c : text) {
    int value = 0;
    if (c >= 'A' && c <= 'Z') {
      value = c - 'A';
    } else if (c >= 'a' && c <= 'z') {
      value = c - 'a' + 26;
    } else if (c >= '0' && c <= '9') {
      value = c - '0' + 52;
    } else if (c == '+') {
      value = 62;
    } else if (c == '/') {
      value = 63;
    } else if (c == '\n' || c == '\r' || c == ' ') {
      continue;
    } else if (c == '=') {
      padded = true;
      continue;
    } else {
      return std::nullopt;
    }
    if (padded) return std::nullopt;
    bits = (bits << 6) | static_cast<std::uint32_t>(value);
    if (++count == 4) {
      out += {static_cast<char>(bits >> 16), static_cast<char>(bits >> 8), static_cast<char>(bits)};
      bits = 0;
      count = 0;
    }
  }
  if (count == 1) return std::nullopt;
  if (count >= 2) out += static_cast<char>(bits >> (count == 2 ? 4 : 10));
  if (count == 3) out += static_cast<char>(bits >> 2);
  return out;
}

// One named entry of `clusters`, `users` or `contexts`, and where it stood.
struct Entry {
  YAML::Node body;
  std::string directory;
  std::string origin;
};

struct Merged {
  std::string origin;
  std::string current_context;
  std::map<std::string, Entry> clusters, users, contexts;
};

// yaml-cpp throws from nearly everything; called only inside Guarded.
std::optional<std::string> Text(const YAML::Node& node, const char* key) {
  const auto value = node[key];
  if (!value || value.IsNull()) return std::nullopt;
  return value.as<std::string>();
}

bool True(const YAML::Node& node, const char* key) {
  const auto text = Text(node, key);
  return text && (*text == "true" || *text == "True" || *text == "TRUE");
}

Status Collect(const YAML::Node& root, const char* list, const char* inner, const std::string& directory,
               const std::string& origin, std::map<std::string, Entry>& into) {
  const auto entries = root[list];
  if (!entries || entries.IsNull()) return {};
  if (!entries.IsSequence()) {
    return Fail(Code::kInvalid, origin + ": " + list + " should be a list of entries with name and " + inner);
  }
  for (const auto& entry : entries) {
    if (!entry.IsMap()) return Fail(Code::kInvalid, origin + ": an entry of " + list + " is not a mapping");
    const auto name = Text(entry, "name");
    if (!name) return Fail(Code::kInvalid, origin + ": an entry of " + std::string(list) + " has no name");
    const auto body = entry[inner];
    if (!body || !body.IsMap()) {
      return Fail(Code::kInvalid, origin + ": " + list + " entry \"" + *name + "\" has no " + inner + " mapping");
    }
    into.emplace(*name, Entry{body, directory, origin});
  }
  return {};
}

Status Parse(const std::string& text, const std::string& directory, const std::string& origin, Merged& merged) {
  const auto root = YAML::Load(text);
  if (!root.IsMap()) {
    return Fail(Code::kInvalid, origin +
                                    ": is not a kubeconfig (no YAML mapping at the top); make one with `kubectl "
                                    "config view --raw --minify`");
  }
  if (const auto kind = Text(root, "kind"); kind && *kind != "Config") {
    return Fail(Code::kInvalid, origin + ": kind is \"" + *kind + "\", a kubeconfig has kind Config");
  }
  if (merged.current_context.empty()) merged.current_context = Text(root, "current-context").value_or("");
  if (auto ok = Collect(root, "clusters", "cluster", directory, origin, merged.clusters); !ok) return ok;
  if (auto ok = Collect(root, "users", "user", directory, origin, merged.users); !ok) return ok;
  return Collect(root, "contexts", "context", directory, origin, merged.contexts);
}

std::string Names(const std::map<std::string, Entry>& entries) {
  std::string text;
  for (const auto& [name, entry] : entries) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text.empty() ? "it defines none" : "it defines: " + text;
}

std::string Resolved(const std::string& file, const std::string& directory) {
  if (file.empty() || file.front() == '/') return file;
  return (std::filesystem::path(directory) / file).lexically_normal().string();
}

// `field` as a file name, `field`-data as base64, which wins.
Result<PemSource> Pem(const Entry& entry, const std::string& field, const std::string& place) {
  PemSource pem;
  if (const auto data = Text(entry.body, (field + "-data").c_str()); data && !data->empty()) {
    const auto decoded = DecodeBase64(*data);
    if (!decoded)
      return Fail(Code::kInvalid,
                  place + ": " + field + "-data is not base64; write the PEM text through `base64 -w0`");
    if (decoded->find("-----BEGIN ") == std::string::npos) {
      return Fail(Code::kInvalid, place + ": " + field + "-data does not hold a PEM block (-----BEGIN ...)");
    }
    pem.text = *decoded;
  } else if (const auto file = Text(entry.body, field.c_str()); file && !file->empty()) {
    pem.file = Resolved(*file, entry.directory);
  }
  return pem;
}

bool IsLoopback(std::string_view host) { return host == "localhost" || host == "[::1]" || host.starts_with("127."); }

// Scheme and host must be there and plain HTTP stays on this machine, or the
// token would travel in clear.
Result<std::string> CheckServer(std::string server, const std::string& place) {
  while (!server.empty() && server.back() == '/') server.pop_back();
  const bool https = server.starts_with("https://");
  const bool http = server.starts_with("http://");
  if (!https && !http) {
    return Fail(Code::kInvalid,
                place + ": server \"" + server + "\" should begin with https:// and name host and port");
  }
  const auto rest = std::string_view(server).substr(https ? 8 : 7);
  const auto authority = rest.substr(0, rest.find('/'));
  const auto colon = authority.ends_with(']') ? std::string_view::npos : authority.rfind(':');
  const auto host = authority.substr(0, colon);
  const auto foreign = [](char c) { return c <= 0x20 || c >= 0x7f || c == '@' || c == '?' || c == '#'; };
  if (std::any_of(server.begin(), server.end(), foreign)) {
    return Fail(Code::kInvalid, place + ": server \"" + server + "\" holds a character that does not belong there");
  }
  bool port_ok = true;
  if (colon != std::string_view::npos) {
    const auto port = authority.substr(colon + 1);
    long number = 0;
    for (const char c : port) {
      port_ok = port_ok && c >= '0' && c <= '9' && number < 65536;
      number = number * 10 + (c - '0');
    }
    port_ok = port_ok && number > 0 && number < 65536;
  }
  if (host.empty() || !port_ok || (host.front() == '[' && host.back() != ']')) {
    return Fail(Code::kInvalid, place + ": server \"" + server + "\" has no usable host and port");
  }
  if (http && !IsLoopback(host)) {
    return Fail(Code::kRefused, place + ": server \"" + server +
                                    "\" is plain HTTP on another machine, which would show the token to the network; "
                                    "use https://");
  }
  return server;
}

Status RefuseUnsupportedUser(const YAML::Node& user, const std::string& place) {
  constexpr const char* kRemedy =
      "; use a service account's token instead (kubectl create token NAME) or a client certificate";
  for (const char* field : {"exec", "auth-provider"}) {
    if (user[field]) {
      return Fail(Code::kUnsupported,
                  place + ": uses " + field + ", a credential plugin, which Whorl does not run" + kRemedy);
    }
  }
  if (user["username"] || user["password"]) {
    return Fail(Code::kUnsupported, place + ": uses username and password, which API servers no longer take" + kRemedy);
  }
  for (const char* field : {"as", "as-uid", "as-groups", "as-user-extra"}) {
    if (user[field]) {
      return Fail(Code::kUnsupported, place + ": asks for impersonation (" + field +
                                          "), which Whorl does not do; give it an identity of its own");
    }
  }
  return {};
}

Result<ClusterConfig> Build(const Merged& merged, const std::string& wanted) {
  const auto& context_name = wanted.empty() ? merged.current_context : wanted;
  if (context_name.empty()) {
    return Fail(Code::kInvalid, merged.origin +
                                    ": no current-context; choose one with `kubectl config use-context NAME` (" +
                                    Names(merged.contexts) + ")");
  }
  const auto context = merged.contexts.find(context_name);
  if (context == merged.contexts.end()) {
    return Fail(Code::kInvalid,
                merged.origin + ": context \"" + context_name + "\" is not defined; " + Names(merged.contexts));
  }
  const auto context_place = context->second.origin + ", context \"" + context_name + "\"";
  const auto cluster_name = Text(context->second.body, "cluster").value_or("");
  const auto cluster = merged.clusters.find(cluster_name);
  if (cluster == merged.clusters.end()) {
    return Fail(Code::kInvalid,
                context_place + ": cluster \"" + cluster_name + "\" is not defined; " + Names(merged.clusters));
  }
  ClusterConfig config;
  config.origin = context_place;
  config.default_namespace = Text(context->second.body, "namespace").value_or("default");

  const auto& body = cluster->second.body;
  const auto cluster_place = cluster->second.origin + ", cluster \"" + cluster_name + "\"";
  if (True(body, "insecure-skip-tls-verify")) {
    return Fail(Code::kRefused, cluster_place +
                                    ": insecure-skip-tls-verify is refused, because anybody on the way could then take "
                                    "the token; put the cluster's CA into certificate-authority-data");
  }
  if (const auto proxy = Text(body, "proxy-url"); proxy && !proxy->empty()) {
    return Fail(Code::kUnsupported, cluster_place + ": proxy-url is not supported; reach the server directly");
  }
  const auto server = Text(body, "server");
  if (!server || server->empty())
    return Fail(Code::kInvalid, cluster_place + ": has no server; add server: https://HOST:PORT");
  auto checked = CheckServer(*server, cluster_place);
  if (!checked) return Fail(checked.error());
  config.server = *checked;
  config.tls_server_name = Text(body, "tls-server-name").value_or("");
  auto ca = Pem(cluster->second, "certificate-authority", cluster_place);
  if (!ca) return Fail(ca.error());
  config.ca = *ca;

  const auto user_name = Text(context->second.body, "user").value_or("");
  if (user_name.empty()) return config;  // anonymous: a server may allow it
  const auto user = merged.users.find(user_name);
  if (user == merged.users.end()) {
    return Fail(Code::kInvalid, context_place + ": user \"" + user_name + "\" is not defined; " + Names(merged.users));
  }
  const auto user_place = user->second.origin + ", user \"" + user_name + "\"";
  if (auto ok = RefuseUnsupportedUser(user->second.body, user_place); !ok) return Fail(ok.error());
  auto certificate = Pem(user->second, "client-certificate", user_place);
  if (!certificate) return Fail(certificate.error());
  auto key = Pem(user->second, "client-key", user_place);
  if (!key) return Fail(key.error());
  if (certificate->empty() != key->empty()) {
    return Fail(Code::kInvalid, user_place +
                                    (key->empty() ? ": has client-certificate but no client-key"
                                                  : ": has client-key but no client-certificate") +
                                    "; give both or neither");
  }
  config.client_certificate = *certificate;
  config.client_key = *key;
  config.token = Text(user->second.body, "token").value_or("");
  for (const char c : config.token) {
    if (c < 0x21 || c > 0x7e) return Fail(Code::kInvalid, user_place + ": token holds a space or control character");
  }
  config.token_file = Resolved(Text(user->second.body, "tokenFile").value_or(""), user->second.directory);
  return config;
}

// The boundary to yaml-cpp: nothing it throws leaves this file.
template <typename F>
auto Guarded(const std::string& origin, F&& work) -> decltype(work()) {
  try {
    return work();
  } catch (const YAML::ParserException& e) {
    return Fail(Code::kInvalid, origin + ": line " + std::to_string(e.mark.line + 1) + ", column " +
                                    std::to_string(e.mark.column + 1) + ": " + e.msg +
                                    "; correct the YAML or write it anew with `kubectl config view --raw`");
  } catch (const YAML::Exception& e) {
    return Fail(Code::kInvalid,
                origin + ": a field has an unexpected form (" + e.msg + "); compare with `kubectl config view`");
  } catch (const std::exception& e) {
    return Fail(Code::kInvalid, origin + ": cannot be read (" + e.what() + ")");
  }
}

}  // namespace

Result<std::string> PemSource::Read() const {
  if (!text.empty()) return text;
  auto read = ReadFile(file);
  if (!read) return Fail(read.error());
  if (read->find("-----BEGIN ") == std::string::npos) {
    return Fail(Code::kInvalid, file + ": does not hold a PEM block (-----BEGIN ...)");
  }
  return read;
}

ConfigSources ConfigSources::Process() {
  ConfigSources sources;
  sources.environment = [](const std::string& name) -> std::optional<std::string> {
    // Read at start, before other threads, and nobody sets variables later.
    const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe)
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
  };
  return sources;
}

Result<ClusterConfig> ParseKubeconfig(const std::string& text, const std::string& directory, const std::string& origin,
                                      const std::string& context) {
  return Guarded(origin, [&]() -> Result<ClusterConfig> {
    Merged merged;
    merged.origin = origin;
    if (auto ok = Parse(text, directory, origin, merged); !ok) return Fail(ok.error());
    return Build(merged, context);
  });
}

Result<ClusterConfig> LoadKubeconfig(const std::string& paths, const std::string& context) {
  std::vector<std::string> files;
  for (std::size_t begin = 0; begin <= paths.size();) {
    const auto end = std::min(paths.find(':', begin), paths.size());
    if (end > begin) files.push_back(paths.substr(begin, end - begin));
    begin = end + 1;
  }
  Merged merged;
  merged.origin = "kubeconfig " + paths;
  bool any = false;
  for (const auto& file : files) {
    const auto origin = "kubeconfig " + file;
    const auto text = ReadFile(file);
    if (!text) {
      if (text.error().code == Code::kNotFound && files.size() > 1) continue;
      return Fail(text.error().code,
                  "kubeconfig " + text.error().message + "; give a readable file with --kubeconfig or in KUBECONFIG");
    }
    any = true;
    const auto directory = std::filesystem::path(file).parent_path().string();
    auto ok = Guarded(origin, [&] { return Parse(*text, directory.empty() ? "." : directory, origin, merged); });
    if (!ok) return Fail(ok.error());
  }
  if (!any) {
    return Fail(Code::kNotFound, "kubeconfig " + (paths.empty() ? std::string("(empty name)") : paths) +
                                     ": no such file; give one with --kubeconfig or in KUBECONFIG");
  }
  return Guarded(merged.origin, [&] { return Build(merged, context); });
}

Result<ClusterConfig> LoadInCluster(const ConfigSources& sources) {
  const auto host = sources.environment("KUBERNETES_SERVICE_HOST");
  const auto port = sources.environment("KUBERNETES_SERVICE_PORT");
  if (!host || !port) {
    return Fail(Code::kNotFound,
                "in-cluster configuration: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not "
                "set, so this is not a pod; give --kubeconfig FILE");
  }
  ClusterConfig config;
  config.origin = "in-cluster configuration";
  const bool bare_ipv6 = host->find(':') != std::string::npos && host->front() != '[';
  auto server = CheckServer("https://" + (bare_ipv6 ? "[" + *host + "]" : *host) + ":" + *port, config.origin);
  if (!server) return Fail(server.error());
  config.server = *server;
  config.token_file = sources.service_account_dir + "/token";
  config.ca.file = sources.service_account_dir + "/ca.crt";
  for (const auto& file : {config.token_file, config.ca.file}) {
    if (auto text = ReadFile(file); !text) {
      return Fail(text.error().code, "in-cluster configuration: " + text.error().message +
                                         "; the pod needs its service account mounted (automountServiceAccountToken)");
    }
  }
  if (auto ns = ReadFile(sources.service_account_dir + "/namespace")) {
    config.default_namespace = ns->substr(0, ns->find_first_of("\r\n "));
  }
  if (config.default_namespace.empty()) config.default_namespace = "default";
  return config;
}

Result<ClusterConfig> LoadConfig(const std::string& kubeconfig_flag, const ConfigSources& sources) {
  if (!kubeconfig_flag.empty()) return LoadKubeconfig(kubeconfig_flag);
  if (const auto paths = sources.environment("KUBECONFIG")) return LoadKubeconfig(*paths);
  if (sources.environment("KUBERNETES_SERVICE_HOST")) return LoadInCluster(sources);
  const auto home = sources.environment("HOME");
  if (home) {
    const auto file = *home + "/.kube/config";
    std::error_code ignored;
    if (std::filesystem::exists(file, ignored)) return LoadKubeconfig(file);
  }
  return Fail(Code::kNotFound,
              "no API server configured: no --kubeconfig, no KUBECONFIG, not in a pod, no ~/.kube/config; "
              "give --kubeconfig FILE");
}

}  // namespace whorl::kube
