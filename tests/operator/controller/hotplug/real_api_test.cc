// The cluster loop against a real kube-apiserver: whether it takes our patches,
// our status beside the publisher's, and what a test that does not hold becomes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "operator/controller/hotplug/loop.h"
#include "operator/controller/watch/watcher.h"
#include "operator/kube/client.h"
#include "operator/kube/json.h"
#include "tests/crd/schema.h"
#include "tests/operator/controller/hotplug/sized_cluster.h"
#include "tests/operator/kube/on_real_server.h"

namespace whorl::controller::hotplug {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// A VirtualMachine's definition as far as the loop goes: any spec.
json VmDefinition() {
  const json open = {{"type", "object"}, {"x-kubernetes-preserve-unknown-fields", true}};
  return {{"apiVersion", "apiextensions.k8s.io/v1"},
          {"kind", "CustomResourceDefinition"},
          {"metadata",
           {{"name", "virtualmachines.kubevirt.io"},
            {"annotations", {{"api-approved.kubernetes.io", "unapproved, a test"}}}}},
          {"spec",
           {{"group", "kubevirt.io"},
            {"scope", "Namespaced"},
            {"names", {{"kind", "VirtualMachine"}, {"plural", "virtualmachines"}}},
            {"versions",
             {{{"name", "v1"},
               {"served", true},
               {"storage", true},
               {"subresources", {{"status", json::object()}}},
               {"schema", {{"openAPIV3Schema", open}}}}}}}}};
}

class LoopOnARealServer : public fake::OnRealServer {
 protected:
  void SetUp() override {
    OnRealServer::SetUp();
    if (!client_) return;
    Define(VmDefinition());
    for (const auto& crd : crd::testing::Definitions()) Define(crd.document);
    cluster_.vm["metadata"].erase("uid");
    cluster_.vm["metadata"].erase("resourceVersion");
    Put(vm_, cluster_.vm);
    cluster_.uid = Get(vm_)["metadata"]["uid"];
    cluster_.vmi["metadata"]["ownerReferences"][0]["uid"] = cluster_.uid;
    auto object = kube::ObjectHead("whorl.dev/v1alpha1", "BehaviorFingerprint", "default", "db-1");
    object["metadata"]["ownerReferences"] = {
        {{"apiVersion", "kubevirt.io/v1"}, {"kind", "VirtualMachine"}, {"name", "db-1"}, {"uid", cluster_.uid}}};
    Put(fingerprint_, object);
    // What the publisher says stands beside what the loop says.
    auto status = kube::ObjectHead("whorl.dev/v1alpha1", "BehaviorFingerprint", "default", "db-1");
    status["status"] = {{"observedGeneration", 1}, {"state", "Normal"}, {"score", 7}, {"conditions", json::array()}};
    ASSERT_TRUE(writer_->Apply(fingerprint_.Status(), status, "whorl-controller-status"));
  }
  void Put(const kube::ResourcePath& path, const json& object) {
    writer_ = std::make_unique<KubeWriter>(*client_);
    for (int i = 0;; ++i) {  // it takes a moment to know a kind
      auto made = client_->Apply(path, object, {.field_manager = "test", .force = true});
      if (made) return;
      ASSERT_TRUE(made.error().code == Code::kNotFound && i < 500) << made.error().message;
      std::this_thread::sleep_for(Millis{20});
    }
  }
  json Get(const kube::ResourcePath& path) { return client_->Get(path)->root().ToJson(); }
  // One look of the loop at what the server has.
  void Step(Loop& loop) {
    auto view = std::make_shared<View>();
    auto row = controller::test::MakeRow("db-1", Mode::kEnforce, cluster_.policy);
    row.subject.uid = cluster_.uid;
    view->rows = {row};
    view->cluster.vms = {std::make_shared<const VirtualMachine>(test::Decoded(Get(vm_), DecodeVirtualMachine))};
    view->cluster.vmis = {
        std::make_shared<const VirtualMachineInstance>(test::Decoded(cluster_.vmi, DecodeVirtualMachineInstance))};
    view->cluster.kubevirts = {std::make_shared<const KubeVirtFacts>(test::Decoded(cluster_.kubevirt, DecodeKubeVirt))};
    auto other = std::make_shared<Node>();
    other->name = "node-2";
    other->takes_vms = true;
    view->cluster.nodes = {other};
    view->fingerprints = {
        std::make_shared<const FingerprintObject>(test::Decoded(Get(fingerprint_), DecodeFingerprint))};
    loop.SetView(view);
    loop.Step();
    cluster_.clock.Advance(Millis{11'000});
  }

  const kube::ResourcePath vm_{
      .group = "kubevirt.io", .version = "v1", .plural = "virtualmachines", .ns = "default", .name = "db-1"};
  const kube::ResourcePath fingerprint_{
      .group = "whorl.dev", .version = "v1alpha1", .plural = "behaviorfingerprints", .ns = "default", .name = "db-1"};
  test::SizedCluster cluster_;  // the instance, KubeVirt and the policy of its scene
  std::unique_ptr<KubeWriter> writer_;
};

TEST_F(LoopOnARealServer, CarriesAChangeFromRequestToEndAndItsStatusStandsBesideThePublishers) {
  Loop loop(*writer_, nullptr, [] { return true; }, cluster_.clock, {});
  ASSERT_TRUE(
      writer_->MergePatch(vm_, {{"metadata", {{"annotations", {{"whorl.dev/resize", "sockets=2,memory=2Gi@1"}}}}}}));
  Step(loop);
  auto vm = Get(vm_);
  const auto& domain = vm["spec"]["template"]["spec"]["domain"];
  EXPECT_EQ(domain["cpu"]["sockets"], 2);
  EXPECT_EQ(domain["memory"]["guest"], "2Gi");
  auto status = Get(fingerprint_)["status"];
  EXPECT_EQ(status["resize"]["change"]["state"], "Patched");
  EXPECT_EQ(status["score"], 7);

  cluster_.vm = vm;
  cluster_.TakeUp();
  Step(loop);
  EXPECT_EQ(Get(fingerprint_)["status"]["resize"]["change"]["state"], "Migrating");
  cluster_.Complete();
  Step(loop);
  Step(loop);
  vm = Get(vm_);
  EXPECT_FALSE(vm["metadata"]["annotations"].contains("whorl.dev/resizing"));
  EXPECT_FALSE(vm["metadata"]["annotations"].contains("whorl.dev/resize"));
  EXPECT_EQ(vm["metadata"]["annotations"]["whorl.dev/mode"], "enforce");
  status = Get(fingerprint_)["status"];
  EXPECT_EQ(status["resize"]["change"]["state"], "Done");
  EXPECT_EQ(status["resize"]["changesLastDay"].size(), 1U);
  EXPECT_EQ(status["score"], 7);
}

TEST_F(LoopOnARealServer, RevertsOnRestartRequired) {
  Loop loop(*writer_, nullptr, [] { return true; }, cluster_.clock, {});
  ASSERT_TRUE(writer_->MergePatch(vm_, {{"metadata", {{"annotations", {{"whorl.dev/resize", "sockets=3@1"}}}}}}));
  Step(loop);
  ASSERT_EQ(Get(vm_)["spec"]["template"]["spec"]["domain"]["cpu"]["sockets"], 3);
  ASSERT_TRUE(writer_->MergePatch(
      vm_.Status(),
      {{"status",
        {{"conditions", {{{"type", "RestartRequired"}, {"status", "True"}, {"message", "not on this VM"}}}}}}}));
  Step(loop);
  EXPECT_EQ(Get(vm_)["spec"]["template"]["spec"]["domain"]["cpu"]["sockets"], 1);
  ASSERT_TRUE(writer_->MergePatch(vm_.Status(), {{"status", {{"conditions", json::array()}}}}));
  Step(loop);
  Step(loop);
  const auto change = Get(fingerprint_)["status"]["resize"]["change"];
  EXPECT_EQ(change["state"], "Reverted");
  EXPECT_EQ(change["message"], "not on this VM");
  EXPECT_FALSE(Get(vm_)["metadata"]["annotations"].contains("whorl.dev/resizing"));
}

TEST_F(LoopOnARealServer, ATestThatDoesNotHoldChangesNothingNorDoesADryRun) {
  const auto facts = test::Decoded(Get(vm_), DecodeVirtualMachine).facts;
  ChangeRecord record;
  record.sockets_from = 1;
  record.sockets_to = 2;
  EXPECT_TRUE(writer_->DryRunJsonPatch(vm_, StartPatch(cluster_.uid, facts, record)));
  EXPECT_EQ(Get(vm_)["spec"]["template"]["spec"]["domain"]["cpu"]["sockets"], 1);
  record.sockets_from = 4;
  const auto refused = writer_->JsonPatch(vm_, StartPatch(cluster_.uid, facts, record));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  record.sockets_from = 1;
  EXPECT_FALSE(writer_->JsonPatch(vm_, StartPatch("another-uid", facts, record)));
  EXPECT_EQ(Get(vm_)["spec"]["template"]["spec"]["domain"]["cpu"]["sockets"], 1);
}

}  // namespace
}  // namespace whorl::controller::hotplug
