// The plugin's own cluster against a real kube-apiserver with our CRDs in it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <thread>

#include "operator/kube/client.h"
#include "operator/kube/json.h"
#include "operator/plugin/cli.h"
#include "tests/crd/schema.h"
#include "tests/operator/kube/on_real_server.h"
#include "tests/operator/plugin/views.h"

namespace whorl::plugin {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// KubeVirt's VirtualMachine, as far as the plugin cares.
constexpr const char* kVmDefinition = R"({
  "group": "kubevirt.io", "scope": "Namespaced",
  "names": {"plural": "virtualmachines", "singular": "virtualmachine", "kind": "VirtualMachine"},
  "versions": [{"name": "v1", "served": true, "storage": true,
    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]})";

class PluginOnARealServer : public fake::OnRealServer {
 protected:
  void SetUp() override {
    OnRealServer::SetUp();
    if (!client_) return;
    auto vms =
        kube::ObjectHead("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "virtualmachines.kubevirt.io");
    vms["spec"] = kube::Json::parse(kVmDefinition);
    Define(vms);
  }
  // The server takes a moment to know a kind.
  void Put(const kube::ResourcePath& path, const kube::Json& object) {
    Result<kube::JsonDocument> made = Fail(Code::kNotFound, "");
    for (int i = 0; i < 500 && !made; ++i) {
      made = client_->Apply(path, object, {.field_manager = "test", .force = true});
      if (!made) std::this_thread::sleep_for(Millis{20});
    }
    ASSERT_TRUE(made) << made.error().message;
  }
  int Run(std::vector<std::string> arguments) {
    out_.str("");
    err_.str("");
    arguments.insert(arguments.end(), {"--kubeconfig", server_->KubeconfigFile()});
    const auto sources = kube::ConfigSources::Process();
    Shell shell{.out = out_,
                .err = err_,
                .in = in_,
                .environment = [](const std::string&) { return std::optional<std::string>(); },
                .connect = [&](const Access& access) { return Connect(access, sources); },
                .wait = [](Seconds) { return false; },
                .clock = clock_};
    return plugin::Run(std::move(arguments), shell);
  }

  std::ostringstream out_, err_;
  std::istringstream in_;
};

TEST_F(PluginOnARealServer, ShowsExplainsAndAsks) {
  EXPECT_EQ(Run({"top"}), kMissing);
  EXPECT_THAT(err_.str(), HasSubstr("Whorl is not installed"));

  for (const auto& crd : crd::testing::Definitions()) Define(crd.document);
  const kube::ResourcePath vms{.group = "kubevirt.io", .version = "v1", .plural = "virtualmachines"};
  const kube::ResourcePath bfps{.group = "whorl.dev", .version = "v1alpha1", .plural = "behaviorfingerprints"};
  Put({.version = "v1", .plural = "namespaces", .name = "shop"}, kube::ObjectHead("v1", "Namespace", "", "shop"));
  Put(vms.Named("shop", "db-1"), kube::ObjectHead("kubevirt.io/v1", "VirtualMachine", "shop", "db-1"));
  auto object = kube::ObjectHead("whorl.dev/v1alpha1", "BehaviorFingerprint", "shop", "db-1");
  Put(bfps.Named("shop", "db-1"), object);
  object["status"] = test::Deviating()["status"];
  for (auto& condition : object["status"]["conditions"]) condition["lastTransitionTime"] = "2026-01-02T03:00:00Z";
  Put(bfps.Named("shop", "db-1").Status(), object);

  EXPECT_EQ(Run({"top", "-A"}), kOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("Runaway"));
  EXPECT_EQ(Run({"explain", "vm/db-1", "-n", "shop"}), kOk) << err_.str();
  EXPECT_THAT(out_.str(), StartsWith("shop/db-1"));
  EXPECT_THAT(out_.str(), HasSubstr("1 in 95,000"));
  EXPECT_EQ(Run({"explain", "vm/none", "-n", "shop"}), kMissing);

  EXPECT_EQ(Run({"ledger"}), kOk) << err_.str();
  EXPECT_THAT(err_.str(), HasSubstr("No node runs an agent"));
  const kube::ResourcePath nodes{.group = "whorl.dev", .version = "v1alpha1", .plural = "nodepartitions"};
  auto partition = kube::ObjectHead("whorl.dev/v1alpha1", "NodePartition", "", "node-1");
  Put(nodes.Named("", "node-1"), partition);
  partition["status"] = test::Partition()["status"];
  for (auto& condition : partition["status"]["conditions"]) condition["lastTransitionTime"] = "2026-01-02T03:00:00Z";
  Put(nodes.Named("", "node-1").Status(), partition);
  EXPECT_EQ(Run({"ledger", "node-1", "--closed"}), kOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("The books balance: 340m lent, 340m borrowed"));
  EXPECT_THAT(out_.str(), HasSubstr("Recalled"));
  EXPECT_EQ(Run({"ledger", "node-2"}), kMissing);
  EXPECT_EQ(Run({"ledger", "--history"}), kMissing);
  EXPECT_THAT(err_.str(), HasSubstr("no controller runs in namespace whorl-system"));

  const auto annotation = [&] {
    const auto vm = client_->Get(vms.Named("shop", "db-1"));
    return std::string(vm->root().FindString({"metadata", "annotations", "whorl.dev/baseline"}).value_or(""));
  };
  EXPECT_EQ(Run({"reset", "vm/db-1", "-n", "shop", "--dry-run"}), kOk) << err_.str();
  EXPECT_EQ(annotation(), "");
  EXPECT_EQ(Run({"reset", "vm/db-1", "-n", "shop", "--yes"}), kOk) << err_.str();
  EXPECT_THAT(annotation(), StartsWith("reset@"));
}

}  // namespace
}  // namespace whorl::plugin
