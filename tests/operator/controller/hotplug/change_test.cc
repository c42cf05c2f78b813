#include "operator/controller/hotplug/change.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/operator/controller/hotplug/sized_cluster.h"

namespace whorl::controller::hotplug {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// Watch events recorded from a running KubeVirt (tests/data/kubevirt), in the
// order of their resource versions.
struct Recorded {
  std::int64_t version = 0;
  std::string kind;
  json object;
};
std::vector<Recorded> Recording() {
  std::vector<Recorded> out;
  for (const auto* kind : {"vm", "vmi", "vmim"}) {
    std::ifstream file(std::string(WHORL_TEST_DATA) + "/kubevirt/" + kind + "-watch-hotplug.jsonl");
    for (std::string line; std::getline(file, line);) {
      auto object = json::parse(line)["object"];
      const auto version = std::stoll(object["metadata"]["resourceVersion"].get<std::string>());
      out.push_back({version, kind, std::move(object)});
    }
  }
  std::sort(out.begin(), out.end(), [](const Recorded& a, const Recorded& b) { return a.version < b.version; });
  return out;
}
const Recorded& At(const std::vector<Recorded>& recording, std::int64_t version) {
  return *std::find_if(recording.begin(), recording.end(), [&](const Recorded& r) { return r.version == version; });
}
VmFacts Vm(const json& object) { return test::Decoded(object, DecodeVirtualMachine).facts; }
InstanceFacts Vmi(const json& object) { return test::Decoded(object, DecodeVirtualMachineInstance).facts; }

ChangeRecord Sockets(std::int64_t from, std::int64_t to) {
  ChangeRecord out;
  out.sockets_from = from;
  out.sockets_to = to;
  out.since = Time{Seconds{1'795'390'000}};
  return out;
}

TEST(Change, TheRecordIsReadAgainAsItWasWritten) {
  ChangeRecord record = Sockets(1, 2);
  record.guest_from = "1Gi";
  record.guest_to = "2Gi";
  record.request = "sockets=2,memory=2Gi@x";
  EXPECT_EQ(*ParseRecord(RecordText(record)), record);
  record.reverted_for = "because";
  record.reverted = record.since + Seconds{5};
  EXPECT_EQ(*ParseRecord(RecordText(record)), record);
  EXPECT_EQ(record.From(), "1 socket, 1Gi");
  EXPECT_EQ(record.To(), "2 sockets, 2Gi");
}

TEST(Change, WhatWeDidNotWriteIsNoRecord) {
  for (const auto* text :
       {"", "{}", "null", "[1]", R"({"since":"2026-01-02T03:04:05Z"})", R"({"since":1,"sockets":{"from":1,"to":2}})",
        R"({"since":"2026-01-02T03:04:05Z","sockets":{"from":"1","to":2}})",
        R"({"since":"2026-01-02T03:04:05Z","memory":{"from":"1Gi","to":"lots"}})"}) {
    EXPECT_FALSE(ParseRecord(text)) << text;
  }
}

// The whole loop against what KubeVirt really did: sockets 1 -> 2 with two nodes.
TEST(Change, TheLoopFollowsARecordedHotplugToItsEnd) {
  const auto recording = Recording();
  ASSERT_EQ(recording.size(), 46U);
  test::SizedCluster cluster;
  cluster.vm = At(recording, 3147).object;
  cluster.vmi = At(recording, 3146).object;
  cluster.uid = cluster.vm["metadata"]["uid"];
  cluster.clock.SetWall(*kube::ParseRfc3339("2026-11-22T23:43:30Z"));
  cluster.fingerprint["metadata"]["ownerReferences"][0]["uid"] = cluster.uid;
  cluster.node_names = {"hostnode", "vmnode"};
  cluster.Ask("sockets=2@recorded");
  cluster.Step();
  // Our patch is what was recorded as the first change.
  EXPECT_EQ(cluster.vm["spec"], At(recording, 3180).object["spec"]);

  std::vector<std::string> phases{cluster.Phase()};
  for (const auto& event : recording) {
    if (event.version <= 3180 || event.version > 3298) continue;  // until Ready is True again
    if (event.kind == "vm") {
      const auto annotations = cluster.vm["metadata"]["annotations"];
      cluster.vm = event.object;
      cluster.vm["metadata"]["annotations"] = annotations;
    } else if (event.kind == "vmi") {
      cluster.vmi = event.object;
    } else {
      cluster.migrations[event.object["metadata"]["name"]] = event.object;
    }
    cluster.Soon();
    if (phases.back() != cluster.Phase()) phases.push_back(cluster.Phase());
  }
  EXPECT_THAT(phases, ::testing::ElementsAre("Patched", "Migrating", "Done"));
  EXPECT_FALSE(cluster.Annotated("whorl.dev/resizing"));
  EXPECT_FALSE(cluster.Annotated("whorl.dev/resize"));
  EXPECT_EQ(cluster.Resize()["migrationsLastDay"], json({"2026-11-22T23:43:39Z"}));
  EXPECT_EQ(cluster.Sockets(), 2);
}

// Sockets 2 -> 9, which KubeVirt answered with RestartRequired, and back.
TEST(Change, ARecordedRestartRequiredIsReverted) {
  const auto recording = Recording();
  const auto vmi = Vmi(At(recording, 3317).object);
  const auto record = Sockets(2, 9);
  EXPECT_EQ(Judge(record, Vm(At(recording, 3330).object), &vmi, {}, record.since).phase, ChangePhase::kPatched);

  auto object = At(recording, 3331).object;
  object["metadata"]["annotations"]["whorl.dev/resizing"] = RecordText(record);
  const auto refused = Judge(record, Vm(object), &vmi, {}, record.since);
  EXPECT_EQ(refused.step, ChangeStep::kRevert);
  EXPECT_EQ(refused.message, "CPU sockets updated in template spec to a value higher than what's available");

  const std::string uid = object["metadata"]["uid"];
  const auto back = object.patch(RevertPatch(uid, Vm(object), &vmi, record, refused.message, record.since));
  EXPECT_EQ(back["spec"], At(recording, 3335).object["spec"]);

  const auto reverted = ParseRecord(*Vm(back).resizing);
  ASSERT_TRUE(reverted);
  EXPECT_EQ(Judge(*reverted, Vm(At(recording, 3335).object), &vmi, {}, record.since).step, ChangeStep::kWait);
  const auto done = Judge(*reverted, Vm(At(recording, 3336).object), &vmi, {}, record.since);
  EXPECT_EQ(done.phase, ChangePhase::kReverted);
  EXPECT_EQ(done.step, ChangeStep::kClose);
}

// Before KubeVirt 1.8 the condition stays until a restart.
TEST(Change, ARestartRequiredThatStaysAfterTheRevertEndsItAllTheSame) {
  const auto recording = Recording();
  const auto vmi = Vmi(At(recording, 3317).object);
  auto record = Sockets(2, 9);
  record.reverted_for = "too many";
  record.reverted = record.since;
  const auto old = Judge(record, Vm(At(recording, 3335).object), &vmi, {}, record.since + Seconds{61});
  EXPECT_EQ(old.phase, ChangePhase::kReverted);
  EXPECT_EQ(old.step, ChangeStep::kClose);
  EXPECT_THAT(old.message, HasSubstr("RestartRequired stays until the VM is restarted"));
}

struct Live {
  VmFacts vm;
  InstanceFacts vmi;
  ChangeRecord record = Sockets(1, 2);

  Live() {
    vm.sockets = 2;
    vm.guest = Bytes{1LL << 30};
    vm.guest_text = "1Gi";
    vm.has_annotations = true;
    vm.resizing = RecordText(record);
    vmi.phase = "Running";
    vmi.sockets = 2;
    vmi.current_sockets = 1;
    vmi.conditions = {{.type = "HotVCPUChange", .is_true = true, .reason = {}, .message = {}}};
  }
  Judgement After(Seconds age, const std::vector<const Migration*>& migrations = {}) const {
    return Judge(record, vm, &vmi, migrations, record.since + age);
  }
};

TEST(Change, SocketsThatWereTakenUpAreNeverWithdrawn) {
  Live live;
  live.vm.conditions = {{.type = "RestartRequired", .is_true = true, .reason = {}, .message = "something else"}};
  const auto failed = live.After(Seconds{20});
  EXPECT_EQ(failed.phase, ChangePhase::kFailed);
  EXPECT_EQ(failed.step, ChangeStep::kClose);
  EXPECT_THAT(failed.message, HasSubstr("cannot be withdrawn"));
}

// Memory fails after the migration, the sockets of the same patch are there.
TEST(Change, OfBothOnlyTheMemoryIsTakenBackWhenKubeVirtHasTheSockets) {
  Live live;
  live.record.guest_from = "1Gi";
  live.record.guest_to = "2Gi";
  live.vm.guest = Bytes{2LL << 30};
  live.vm.guest_text = "2Gi";
  live.vmi.guest = Bytes{2LL << 30};
  live.vm.conditions = {{.type = "RestartRequired",
                         .is_true = true,
                         .reason = {},
                         .message =
                             "memory updated in template spec. Memory-hotplug failed and is not available for this "
                             "VM configuration"}};
  EXPECT_EQ(live.After(Seconds{20}).step, ChangeStep::kRevert);
  const auto patch = RevertPatch("uid", live.vm, &live.vmi, live.record, "failed", live.record.since).dump();
  EXPECT_EQ(patch.find("cpu/sockets"), std::string::npos);
  EXPECT_NE(patch.find(R"("path":"/spec/template/spec/domain/memory/guest","value":"1Gi")"), std::string::npos);
}

TEST(Change, WhatKubeVirtNeverTakesUpIsTakenBackAfterTenMinutes) {
  Live live;
  live.vmi.sockets = 1;
  live.vmi.conditions.clear();
  live.vm.conditions = {{.type = "Failure",
                         .is_true = true,
                         .reason = "HotPlugCPUError",
                         .message = "CPU hotplug is not allowed while VMI is migrating"}};
  EXPECT_EQ(live.After(Seconds{599}).step, ChangeStep::kWait);
  EXPECT_EQ(live.After(Seconds{599}).message, "CPU hotplug is not allowed while VMI is migrating");
  EXPECT_EQ(live.After(Seconds{600}).step, ChangeStep::kRevert);
}

TEST(Change, FailedMigrationsAreCountedAndGivenUpOn) {
  const Live live;
  std::vector<Migration> made;
  for (int i = 0; i < 3; ++i) {
    Migration m{
        .ns = "default", .name = "m", .uid = std::to_string(i), .vmi = "db-1", .phase = "Failed", .source_node = {}};
    m.created = live.record.since + Seconds{i};
    m.for_update = true;
    made.push_back(m);
  }
  const auto two = live.After(Seconds{60}, {&made[0], &made[1]});
  EXPECT_EQ(two.step, ChangeStep::kWait);
  EXPECT_THAT(two.message, HasSubstr("2 migrations failed before"));
  const auto three = live.After(Seconds{60}, {&made[0], &made[1], &made[2]});
  EXPECT_EQ(three.phase, ChangePhase::kFailed);
  EXPECT_EQ(three.step, ChangeStep::kClose);
  // One from before does not count.
  made[0].created = live.record.since - Seconds{60};
  EXPECT_EQ(live.After(Seconds{60}, {&made[0], &made[1], &made[2]}).step, ChangeStep::kWait);
}

TEST(Change, OneThatNeverEndsIsGivenUpOnAfterAnHour) {
  const Live live;
  EXPECT_EQ(live.After(Seconds{3599}).phase, ChangePhase::kMigrating);
  EXPECT_EQ(live.After(Seconds{3600}).phase, ChangePhase::kFailed);
}

TEST(Change, AVmThatWasStoppedHasTheSizeFromItsNextStart) {
  Live live;
  EXPECT_EQ(Judge(live.record, live.vm, nullptr, {}, live.record.since).phase, ChangePhase::kDone);
  live.vmi.deleting = true;
  EXPECT_EQ(live.After(Seconds{1}).phase, ChangePhase::kDone);
}

TEST(Change, ItIsNotDoneBeforeTheConditionsAreGone) {
  Live live;
  live.vmi.current_sockets = 2;
  EXPECT_EQ(live.After(Seconds{10}).phase, ChangePhase::kMigrating);
  live.vmi.conditions.clear();
  EXPECT_EQ(live.After(Seconds{13}).phase, ChangePhase::kDone);
  EXPECT_EQ(live.After(Seconds{13}).message, "the guest has it after 13 s");
}

}  // namespace
}  // namespace whorl::controller::hotplug
