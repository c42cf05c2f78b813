#include "operator/controller/watch/objects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <nlohmann/json.hpp>

namespace whorl::controller {
namespace {

using ::testing::HasSubstr;

// The recordings of a running KubeVirt are YAML; decoders read JSON.
nlohmann::json ToJson(const YAML::Node& node) {
  if (node.IsMap()) {
    auto out = nlohmann::json::object();
    for (const auto& item : node) out[item.first.as<std::string>()] = ToJson(item.second);
    return out;
  }
  if (node.IsSequence()) {
    auto out = nlohmann::json::array();
    for (const auto& item : node) out.push_back(ToJson(item));
    return out;
  }
  if (node.IsNull()) return nullptr;
  const auto text = node.as<std::string>();
  if (node.Tag() == "!") return text;  // quoted
  if (text == "true" || text == "false") return text == "true";
  if (!text.empty() && text.find_first_not_of("0123456789") == std::string::npos) return std::stoll(text);
  return text;
}

nlohmann::json Recording(const std::string& name) {
  return ToJson(YAML::LoadFile(std::string(WHORL_TEST_DATA) + "/kubevirt/" + name));
}

template <typename Decode>
auto Read(const nlohmann::json& json, Decode decode) {
  auto document = kube::JsonDocument::Parse(json.dump());
  EXPECT_TRUE(document);
  return decode(document->root());
}

TEST(DecodeVirtualMachine, ReadsARecordedVm) {
  const auto vm = Read(Recording("vm.yaml"), DecodeVirtualMachine);
  ASSERT_TRUE(vm) << vm.error().message;
  EXPECT_EQ(vm->ns, "default");
  EXPECT_EQ(vm->name, "db-1");
  EXPECT_EQ(vm->uid, "180b3414-ca79-47ed-a5eb-5474fe970c07");
  EXPECT_EQ(vm->mode, "observe");
  EXPECT_FALSE(vm->policy.has_value());
  EXPECT_FALSE(vm->score.has_value());
  EXPECT_FALSE(vm->deleting);
}

TEST(DecodeVirtualMachineInstance, ReadsARecordedInstance) {
  const auto vmi = Read(Recording("vmi-running.yaml"), DecodeVirtualMachineInstance);
  ASSERT_TRUE(vmi) << vmi.error().message;
  EXPECT_EQ(vmi->vm_uid, "180b3414-ca79-47ed-a5eb-5474fe970c07");
  EXPECT_EQ(vmi->node, "hostnode");
  EXPECT_EQ(vmi->phase, "Running");
  EXPECT_EQ(vmi->vcpus, 1);
  EXPECT_FALSE(vmi->dedicated_cpus);
  EXPECT_TRUE(vmi->target_pod.empty());
}

TEST(DecodeVirtualMachineInstance, CountsTheVcpusTheGuestHasNow) {
  auto json = Recording("vmi-running.yaml");
  json["status"]["currentCPUTopology"] = {{"sockets", 2}, {"cores", 3}, {"threads", 2}};
  EXPECT_EQ(Read(json, DecodeVirtualMachineInstance)->vcpus, 12);
  json["status"].erase("currentCPUTopology");
  EXPECT_EQ(Read(json, DecodeVirtualMachineInstance)->vcpus, 1);  // as asked for
  json["spec"]["domain"]["cpu"] = {{"dedicatedCpuPlacement", true}};
  EXPECT_EQ(Read(json, DecodeVirtualMachineInstance)->vcpus, 0);  // not stated
  EXPECT_TRUE(Read(json, DecodeVirtualMachineInstance)->dedicated_cpus);
}

TEST(DecodeVirtualMachineInstance, KnowsAMigrationThatEndedWellFromOneThatFailed) {
  auto json = Recording("vmi-running.yaml");
  json["status"]["migrationState"] = {{"targetPod", "t"}, {"completed", true}};
  EXPECT_TRUE(Read(json, DecodeVirtualMachineInstance)->migrated);
  json["status"]["migrationState"]["failed"] = true;
  EXPECT_FALSE(Read(json, DecodeVirtualMachineInstance)->migrated);
  EXPECT_EQ(Read(json, DecodeVirtualMachineInstance)->target_pod, "t");
}

Result<Pod> ReadPod(const nlohmann::json& json) {
  return Read(json, [](kube::JsonView view) { return DecodePod(view, "whorl-system"); });
}

TEST(DecodePod, ReadsARecordedLauncher) {
  const auto pod = ReadPod(Recording("launcher-pod-running.yaml"));
  ASSERT_TRUE(pod) << pod.error().message;
  EXPECT_EQ(pod->uid, "460bd230-bfab-4f98-9cc8-ffac27854c88");
  EXPECT_EQ(pod->vmi_uid, "9254c981-88c2-452a-8b84-ef211e747fa9");
  EXPECT_EQ(pod->node, "hostnode");
  EXPECT_EQ(pod->phase, "Running");
  EXPECT_FALSE(pod->agent);
  EXPECT_EQ(pod->priority, 0);
  ASSERT_TRUE(pod->cpu_request.has_value());
  EXPECT_GE(Count(*pod->cpu_request), 100);  // compute asks for 100m, the others for little
  EXPECT_FALSE(pod->cpu_limit.has_value());  // compute has none, whatever its neighbours have
}

TEST(DecodePod, TakesTheGuestsLimitAsTheOwnersWord) {
  auto json = Recording("launcher-pod-running.yaml");
  json["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "2";
  const auto pod = ReadPod(json);
  ASSERT_TRUE(pod);
  ASSERT_TRUE(pod->cpu_limit.has_value());
  EXPECT_GE(Count(*pod->cpu_limit), 2000);
}

TEST(DecodePod, PassesOverPodsThatOnlyBindAVolume) {
  auto json = Recording("launcher-pod-running.yaml");
  json["metadata"]["annotations"]["kubevirt.io/ephemeral-provisioning"] = "true";
  EXPECT_TRUE(ReadPod(json)->vmi_uid.empty());
}

TEST(DecodePod, KnowsOurAgentsOnlyInOurNamespace) {
  nlohmann::json json = {
      {"metadata",
       {{"name", "whorl-agent-x"},
        {"namespace", "whorl-system"},
        {"uid", "u"},
        {"labels", {{"app.kubernetes.io/name", "whorl"}, {"app.kubernetes.io/component", "agent"}}}}},
      {"spec", {{"nodeName", "node-1"}}},
      {"status", {{"podIP", "10.0.0.5"}, {"conditions", {{{"type", "Ready"}, {"status", "True"}}}}}}};
  EXPECT_TRUE(ReadPod(json)->agent);
  EXPECT_TRUE(ReadPod(json)->ready);
  json["metadata"]["namespace"] = "elsewhere";
  EXPECT_FALSE(ReadPod(json)->agent);
}

TEST(DecodePod, NamesContainerAndFieldOfAnAmountItCannotRead) {
  auto json = Recording("launcher-pod-running.yaml");
  json["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "much";
  const auto pod = ReadPod(json);
  ASSERT_FALSE(pod);
  EXPECT_THAT(pod.error().message, HasSubstr("container compute"));
  EXPECT_THAT(pod.error().message, HasSubstr("requests"));
}

TEST(Decoders, RefuseAnObjectWithoutNameOrUid) {
  const nlohmann::json no_uid = {{"metadata", {{"name", "x"}}}};
  EXPECT_FALSE(Read(no_uid, DecodeVirtualMachine));
  EXPECT_FALSE(Read(no_uid, DecodeNode));
  EXPECT_FALSE(Read(nlohmann::json{{"metadata", {{"uid", "x"}}}}, DecodeNamespace));
}

TEST(DecodeVirtualMachineInstance, AGuestsMemoryIsWhatItWasPromisedNotWhatABalloonLeft) {
  auto json = Recording("vmi-running.yaml");
  json["spec"]["domain"]["memory"] = {{"guest", "2Gi"}};
  json["status"]["memory"] = {{"guestCurrent", "512Mi"}, {"guestRequested", "2Gi"}};
  json["spec"]["domain"].erase("resources");
  EXPECT_EQ(Read(json, DecodeVirtualMachineInstance)->guest_bytes, std::int64_t{2} << 30);
  EXPECT_EQ(Read(json, DecodeVirtualMachineInstance)->guest_request_bytes, std::int64_t{2} << 30) << "all of it";
  json["spec"]["domain"]["resources"] = {{"requests", {{"memory", "1Gi"}}}};
  EXPECT_EQ(Read(json, DecodeVirtualMachineInstance)->guest_request_bytes, std::int64_t{1} << 30);
  json["status"]["memory"]["guestRequested"] = "plenty";
  EXPECT_EQ(Read(json, DecodeVirtualMachineInstance)->guest_bytes, 0);
}

TEST(DecodeNode, ReadsAllocatableAndLeavesItOpenWhereItIsMissing) {
  nlohmann::json json = {{"metadata", {{"name", "n"}, {"uid", "u"}}},
                         {"status", {{"allocatable", {{"cpu", "3920m"}, {"memory", "7833152Ki"}}}}}};
  EXPECT_EQ(Read(json, DecodeNode)->allocatable_memory, std::int64_t{7833152} * 1024);
  EXPECT_EQ(Read(json, DecodeNode)->allocatable, MilliCores{3920});
  json.erase("status");
  EXPECT_FALSE(Read(json, DecodeNode)->allocatable.has_value());
}

TEST(DecodePolicy, KeepsAPolicyThatCannotBeUsedWithTheReason) {
  const nlohmann::json json = {{"apiVersion", "whorl.dev/v1alpha1"},
                               {"kind", "PartitionPolicy"},
                               {"metadata", {{"name", "default"}, {"uid", "u"}, {"generation", 3}}},
                               {"spec", {{"leaseSeconds", 1}}}};
  const auto policy = Read(json, DecodePolicy);
  ASSERT_TRUE(policy);
  EXPECT_EQ(policy->policy, nullptr);
  EXPECT_THAT(policy->trouble, HasSubstr("leaseSeconds"));
}

}  // namespace
}  // namespace whorl::controller
