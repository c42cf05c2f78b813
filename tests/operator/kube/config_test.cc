#include "operator/kube/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "tests/fake/temp_dir.h"

namespace whorl::kube {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// base64 of "-----BEGIN CERTIFICATE-----\nx\n"
constexpr auto kPem64 = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCngK";

std::string Kubeconfig(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: c1\n"
         "contexts: [{name: c1, context: {cluster: k1, user: u1, namespace: blue}}]\n"
         "clusters: [{name: k1, cluster: {" +
         cluster +
         "}}]\n"
         "users: [{name: u1, user: {" +
         user + "}}]\n";
}

Result<ClusterConfig> Parse(const std::string& text, const std::string& context = {}) {
  return ParseKubeconfig(text, "/etc/kube", "kubeconfig /etc/kube/config", context);
}

TEST(Kubeconfig, ReadsInlineDataTokenAndNamespace) {
  const auto config =
      Parse(Kubeconfig("server: 'https://10.0.0.1:6443/', certificate-authority-data: " + std::string(kPem64) +
                           ", tls-server-name: kubernetes",
                       "token: abc"));
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->server, "https://10.0.0.1:6443");
  EXPECT_EQ(config->ca.Read().value(), "-----BEGIN CERTIFICATE-----\nx\n");
  EXPECT_EQ(config->tls_server_name, "kubernetes");
  EXPECT_EQ(config->token, "abc");
  EXPECT_EQ(config->default_namespace, "blue");
}

TEST(Kubeconfig, TakesRelativeFilesFromItsOwnFolder) {
  const auto config = Parse(Kubeconfig("server: 'https://h:1', certificate-authority: pki/ca.crt",
                                       "client-certificate: ../me.crt, client-key: /abs/me.key, tokenFile: token"));
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->ca.file, "/etc/kube/pki/ca.crt");
  EXPECT_EQ(config->client_certificate.file, "/etc/me.crt");
  EXPECT_EQ(config->client_key.file, "/abs/me.key");
  EXPECT_EQ(config->token_file, "/etc/kube/token");
}

struct Refused {
  const char* name;
  std::string text;
  Code code;
  std::vector<std::string> says;
};

class KubeconfigRefuses : public ::testing::TestWithParam<Refused> {};

TEST_P(KubeconfigRefuses, WithThingReasonAndRemedy) {
  const auto config = Parse(GetParam().text);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, GetParam().code) << config.error().message;
  EXPECT_THAT(config.error().message, HasSubstr("kubeconfig /etc/kube/config"));
  for (const auto& part : GetParam().says) EXPECT_THAT(config.error().message, HasSubstr(part));
}

INSTANTIATE_TEST_SUITE_P(
    Bad, KubeconfigRefuses,
    ::testing::Values(
        Refused{"Empty", "", Code::kInvalid, {"is not a kubeconfig", "kubectl config view"}},
        Refused{"NotYaml", "a: [1, 2", Code::kInvalid, {"line ", "correct the YAML"}},
        Refused{"AList", "- a\n", Code::kInvalid, {"is not a kubeconfig"}},
        Refused{"OtherKind", "kind: Pod\n", Code::kInvalid, {"kind is \"Pod\""}},
        Refused{"NoContext",
                "kind: Config\ncontexts: [{name: a, context: {}}]\n",
                Code::kInvalid,
                {"no current-context", "use-context", "it defines: a"}},
        Refused{
            "UnknownContext", "kind: Config\ncurrent-context: z\n", Code::kInvalid, {"context \"z\" is not defined"}},
        Refused{"UnknownCluster",
                "kind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: k}}]\n",
                Code::kInvalid,
                {"cluster \"k\" is not defined"}},
        Refused{"ClustersNoList", "kind: Config\nclusters: 7\n", Code::kInvalid, {"clusters should be a list"}},
        Refused{"ScalarAsMapping",
                "kind: Config\nclusters: [{name: k, cluster: 7}]\n",
                Code::kInvalid,
                {"has no cluster mapping"}},
        Refused{"NoServer", Kubeconfig("", "token: a"), Code::kInvalid, {"has no server", "server: https://HOST:PORT"}},
        Refused{"NoScheme", Kubeconfig("server: '10.0.0.1:6443'", ""), Code::kInvalid, {"should begin with https://"}},
        Refused{"BadPort", Kubeconfig("server: 'https://h:99999'", ""), Code::kInvalid, {"no usable host and port"}},
        Refused{"ServerIsAMap", Kubeconfig("server: {a: b}", ""), Code::kInvalid, {"unexpected form"}},
        Refused{"PlainHttp",
                Kubeconfig("server: 'http://10.0.0.1:80'", ""),
                Code::kRefused,
                {"plain HTTP", "use https://"}},
        Refused{"Insecure",
                Kubeconfig("server: 'https://h:1', insecure-skip-tls-verify: true", ""),
                Code::kRefused,
                {"insecure-skip-tls-verify is refused", "certificate-authority-data"}},
        Refused{"BadBase64",
                Kubeconfig("server: 'https://h:1', certificate-authority-data: '%%%'", ""),
                Code::kInvalid,
                {"certificate-authority-data is not base64"}},
        Refused{"NotPem",
                Kubeconfig("server: 'https://h:1', certificate-authority-data: aGVsbG8=", ""),
                Code::kInvalid,
                {"does not hold a PEM block"}},
        Refused{"Exec",
                Kubeconfig("server: 'https://h:1'", "exec: {command: aws}"),
                Code::kUnsupported,
                {"user \"u1\"", "credential plugin", "kubectl create token"}},
        Refused{"AuthProvider",
                Kubeconfig("server: 'https://h:1'", "auth-provider: {name: gcp}"),
                Code::kUnsupported,
                {"auth-provider"}},
        Refused{"Password",
                Kubeconfig("server: 'https://h:1'", "username: a, password: b"),
                Code::kUnsupported,
                {"username and password"}},
        Refused{"Impersonation",
                Kubeconfig("server: 'https://h:1'", "as: boss, token: a"),
                Code::kUnsupported,
                {"impersonation"}},
        Refused{
            "Proxy", Kubeconfig("server: 'https://h:1', proxy-url: 'http://p'", ""), Code::kUnsupported, {"proxy-url"}},
        Refused{"KeyWithoutCertificate",
                Kubeconfig("server: 'https://h:1'", "client-key: a"),
                Code::kInvalid,
                {"has client-key but no client-certificate"}},
        Refused{"TokenWithLineBreak",
                Kubeconfig("server: 'https://h:1'", "token: \"a\\nb\""),
                Code::kInvalid,
                {"token holds a space or control character"}}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(Kubeconfig, MergesTheFilesOfAListFirstOneWinning) {
  const fake::TempDir dir;
  std::ofstream(dir.path() + "/a")
      << "kind: Config\ncurrent-context: x\nclusters: [{name: k, cluster: {server: 'https://first:1'}}]\n";
  std::ofstream(dir.path() + "/b")
      << "kind: Config\ncurrent-context: y\nclusters: [{name: k, cluster: {server: 'https://second:1'}}]\n"
         "contexts: [{name: x, context: {cluster: k, user: u}}]\nusers: [{name: u, user: {tokenFile: t}}]\n";
  const auto config = LoadKubeconfig(dir.path() + "/missing:" + dir.path() + "/a:" + dir.path() + "/b");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->server, "https://first:1");
  EXPECT_EQ(config->token_file, dir.path() + "/t");
}

TEST(Kubeconfig, SaysWhichFileIsMissing) {
  const auto config = LoadKubeconfig("/nowhere/config");
  EXPECT_EQ(config.error().code, Code::kNotFound);
  EXPECT_THAT(config.error().message,
              AllOf(HasSubstr("/nowhere/config"), HasSubstr("No such file"), HasSubstr("--kubeconfig")));
  EXPECT_EQ(LoadKubeconfig("/nowhere/a:/nowhere/b").error().code, Code::kNotFound);
  const fake::TempDir dir;
  EXPECT_THAT(LoadKubeconfig(dir.path()).error().message, HasSubstr("is a directory"));
}

struct Pod {
  fake::TempDir dir;
  std::map<std::string, std::string> environment{{"KUBERNETES_SERVICE_HOST", "10.96.0.1"},
                                                 {"KUBERNETES_SERVICE_PORT", "443"}};
  Pod() {
    std::ofstream(dir.path() + "/token") << "t";
    std::ofstream(dir.path() + "/ca.crt") << "-----BEGIN CERTIFICATE-----";
    std::ofstream(dir.path() + "/namespace") << "whorl-system\n";
  }
  ConfigSources sources() const {
    ConfigSources s;
    s.environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto it = environment.find(name);
      return it == environment.end() ? std::nullopt : std::optional(it->second);
    };
    s.service_account_dir = dir.path();
    return s;
  }
};

TEST(InCluster, TakesServerTokenAuthorityAndNamespaceFromThePod) {
  const Pod pod;
  const auto config = LoadConfig("", pod.sources());
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->server, "https://10.96.0.1:443");
  EXPECT_EQ(config->token_file, pod.dir.path() + "/token");
  EXPECT_EQ(config->ca.file, pod.dir.path() + "/ca.crt");
  EXPECT_EQ(config->default_namespace, "whorl-system");
}

TEST(InCluster, PutsAnIPv6AddressInBrackets) {
  Pod pod;
  pod.environment["KUBERNETES_SERVICE_HOST"] = "fd00::1";
  EXPECT_EQ(LoadInCluster(pod.sources())->server, "https://[fd00::1]:443");
}

TEST(InCluster, SaysThatTheServiceAccountIsNotMounted) {
  const Pod pod;
  std::filesystem::remove(pod.dir.path() + "/token");
  const auto config = LoadInCluster(pod.sources());
  EXPECT_EQ(config.error().code, Code::kNotFound);
  EXPECT_THAT(config.error().message, AllOf(HasSubstr("/token"), HasSubstr("automountServiceAccountToken")));
}

TEST(Config, PrefersTheFlagThenTheVariableThenThePodThenTheHome) {
  Pod pod;
  const auto file = pod.dir.path() + "/kc";
  std::ofstream(file) << Kubeconfig("server: 'https://from-file:1'", "");
  EXPECT_EQ(LoadConfig(file, pod.sources())->server, "https://from-file:1");
  pod.environment["KUBECONFIG"] = file;
  EXPECT_EQ(LoadConfig("", pod.sources())->server, "https://from-file:1");
  EXPECT_EQ(LoadConfig("/nowhere/x", pod.sources()).error().code, Code::kNotFound) << "a flag is never passed over";
  pod.environment = {{"HOME", pod.dir.path()}};
  EXPECT_THAT(LoadConfig("", pod.sources()).error().message, HasSubstr("no API server configured"));
  std::filesystem::create_directory(pod.dir.path() + "/.kube");
  std::filesystem::copy_file(file, pod.dir.path() + "/.kube/config");
  EXPECT_EQ(LoadConfig("", pod.sources())->server, "https://from-file:1");
}

}  // namespace
}  // namespace whorl::kube
