#pragma once

#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "operator/controller/hotplug/loop.h"
#include "operator/controller/watch/watcher.h"
#include "operator/kube/json.h"
#include "tests/fake/manual_clock.h"
#include "tests/operator/controller/rows.h"

// A cluster of one VM `db-1`, its objects as JSON, to which the cluster loop's
// patches are applied as the API server would; each test plays KubeVirt.
namespace whorl::controller::hotplug::test {

using nlohmann::json;

template <typename T>
T Decoded(const json& object, Result<T> (*decode)(kube::JsonView)) {
  const auto document = kube::JsonDocument::Parse(object.dump());
  auto read = decode(document->root());
  if (!read) throw std::runtime_error(read.error().message);
  return *read;
}

class SizedCluster final : public ClusterWriter {
 public:
  SizedCluster() {
    vm = {{"apiVersion", "kubevirt.io/v1"},
          {"kind", "VirtualMachine"},
          {"metadata",
           {{"name", "db-1"},
            {"namespace", "default"},
            {"uid", "db-1-uid"},
            {"resourceVersion", "1"},
            {"annotations", {{"whorl.dev/mode", "enforce"}}}}},
          {"spec",
           {{"template",
             {{"spec", {{"domain", {{"cpu", {{"cores", 1}, {"sockets", 1}}}, {"memory", {{"guest", "1Gi"}}}}}}}}}}}};
    vmi = {{"metadata",
            {{"name", "db-1"},
             {"namespace", "default"},
             {"uid", "vmi-uid"},
             {"ownerReferences", {{{"kind", "VirtualMachine"}, {"uid", "db-1-uid"}}}}}},
           {"spec",
            {{"architecture", "amd64"},
             {"domain",
              {{"cpu", {{"cores", 1}, {"sockets", 1}, {"maxSockets", 4}}},
               {"memory", {{"guest", "1Gi"}, {"maxGuest", "4Gi"}}}}}}},
           {"status",
            {{"phase", "Running"},
             {"nodeName", "node-1"},
             {"currentCPUTopology", {{"cores", 1}, {"sockets", 1}}},
             {"memory", {{"guestAtBoot", "1Gi"}, {"guestCurrent", "1Gi"}, {"guestRequested", "1Gi"}}},
             {"conditions", {{{"type", "LiveMigratable"}, {"status", "True"}}}}}}};
    kubevirt = {{"metadata", {{"name", "kubevirt"}, {"namespace", "kubevirt"}}},
                {"spec", {{"workloadUpdateStrategy", {{"workloadUpdateMethods", {"LiveMigrate"}}}}}},
                {"status", {{"phase", "Deployed"}}}};
    fingerprint = {{"metadata",
                    {{"name", "db-1"},
                     {"namespace", "default"},
                     {"uid", "bfp-uid"},
                     {"ownerReferences", {{{"kind", "VirtualMachine"}, {"uid", "db-1-uid"}}}}}}};
    auto allowed = std::make_shared<crd::PartitionPolicy>(*controller::test::MakePolicy());
    policy = allowed;
    NewLoop();
  }

  // As a controller that starts, or takes over.
  void NewLoop() {
    loop = std::make_unique<Loop>(
        *this, [this](kube::Event event) { events.push_back(event); }, [this] { return leading; }, clock,
        Loop::Options{});
  }

  // One look of the loop at what stands there now.
  void Step() {
    auto view = std::make_shared<View>();
    auto row = controller::test::MakeRow("db-1", mode, policy);
    row.mode.pause = pause;
    row.mode.policy = "default";
    row.subject.uid = uid;
    view->rows = {row};
    view->cluster.vms = {std::make_shared<const VirtualMachine>(Decoded(vm, DecodeVirtualMachine))};
    if (!vmi.is_null()) {
      view->cluster.vmis = {std::make_shared<const VirtualMachineInstance>(Decoded(vmi, DecodeVirtualMachineInstance))};
    }
    for (int i = 1; i <= nodes; ++i) {
      auto node = std::make_shared<Node>();
      node->name = node_names.empty() ? "node-" + std::to_string(i) : node_names.at(static_cast<std::size_t>(i - 1));
      node->takes_vms = true;
      view->cluster.nodes.push_back(node);
    }
    for (const auto& [name, migration] : migrations) {
      view->cluster.migrations.push_back(std::make_shared<const Migration>(Decoded(migration, DecodeMigration)));
    }
    if (!kubevirt.is_null())
      view->cluster.kubevirts = {std::make_shared<const KubeVirtFacts>(Decoded(kubevirt, DecodeKubeVirt))};
    if (!fingerprint.is_null())
      view->fingerprints = {std::make_shared<const FingerprintObject>(Decoded(fingerprint, DecodeFingerprint))};
    loop->SetView(view);
    loop->Step();
  }
  // The same after so long, once a minute.
  void Wait(Millis time) {
    for (const auto end = clock.Monotonic() + time; clock.Monotonic() < end;) {
      clock.Advance(std::min(Millis{60'000}, end - clock.Monotonic()));
      if (report) loop->OnReport(*report);
      Step();
    }
  }
  // Long enough for the loop to look again after a patch of its own.
  void Soon() { Wait(Millis{11'000}); }

  // What the engine foretells, and the guest could do without.
  void Foretell(float millicores, std::optional<std::int64_t> resident_mib = {}, std::int64_t usable_mib = 0) {
    NodeReport out;
    out.node = "node-1";
    VmReport row;
    row.resolution = controller::test::MakeRow("db-1", mode, policy);
    row.assessment.state = State::kNormal;
    const auto prospect = [](float x) {
      Prospect p;
      p.hour = Quantiles{.p50 = x * 0.5F, .p90 = x * 0.9F, .p95 = x, .p99 = x * 1.1F, .highest = x * 1.2F};
      p.buckets = 100;
      return p;
    };
    row.prospects[static_cast<std::size_t>(Resource::kCpu)] = prospect(millicores);
    if (resident_mib) {
      row.prospects[static_cast<std::size_t>(Resource::kMemory)] = prospect(static_cast<float>(*resident_mib << 20));
      row.assessment.memory_resident = Bytes{*resident_mib << 20};
      row.assessment.guest_usable = Bytes{usable_mib << 20};
    }
    out.vms = {row};
    report = out;
    loop->OnReport(out);
  }

  void Ask(const std::string& request) { vm["metadata"]["annotations"]["whorl.dev/resize"] = request; }
  void SetPolicy(const crd::HotplugPolicy& hotplug) {
    auto fresh = std::make_shared<crd::PartitionPolicy>(*policy);
    fresh->hotplug = hotplug;
    policy = fresh;
  }

  // KubeVirt's parts of a hotplug (kubevirt.md 1.5).
  void TakeUp() {
    const auto& domain = vm["spec"]["template"]["spec"]["domain"];
    vmi["spec"]["domain"]["cpu"]["sockets"] = domain["cpu"]["sockets"];
    vmi["spec"]["domain"]["memory"]["guest"] = domain["memory"]["guest"];
    if (vmi["spec"]["domain"]["cpu"]["sockets"] != vmi["status"]["currentCPUTopology"]["sockets"])
      vmi["status"]["conditions"].push_back({{"type", "HotVCPUChange"}, {"status", "True"}});
    if (vmi["spec"]["domain"]["memory"]["guest"] != vmi["status"]["memory"]["guestRequested"])
      vmi["status"]["conditions"].push_back({{"type", "HotMemoryChange"}, {"status", "True"}});
  }
  void Migrate(const std::string& name, const std::string& phase) {
    auto& m = migrations[name];
    if (m.is_null()) {
      m = {{"metadata",
            {{"name", name},
             {"namespace", "default"},
             {"uid", name},
             {"creationTimestamp", kube::Rfc3339(clock.Now())},
             {"annotations", {{"kubevirt.io/workloadUpdateMigration", ""}}}}},
           {"spec", {{"vmiName", "db-1"}}}};
    }
    m["status"]["phase"] = phase;
  }
  void Complete() {
    vmi["status"]["currentCPUTopology"]["sockets"] = vmi["spec"]["domain"]["cpu"]["sockets"];
    for (const auto* key : {"guestRequested", "guestCurrent"})
      vmi["status"]["memory"][key] = vmi["spec"]["domain"]["memory"]["guest"];
    vmi["status"]["conditions"] = {{{"type", "LiveMigratable"}, {"status", "True"}}};
    vmi["status"]["nodeName"] = "node-2";
  }
  void WantRestart(const std::string& message) {
    vm["status"]["conditions"] = {{{"type", "RestartRequired"}, {"status", "True"}, {"message", message}}};
  }

  std::int64_t Sockets() const { return vm["spec"]["template"]["spec"]["domain"]["cpu"]["sockets"]; }
  std::string Guest() const { return vm["spec"]["template"]["spec"]["domain"]["memory"]["guest"]; }
  bool Annotated(const std::string& key) const { return vm["metadata"]["annotations"].contains(key); }
  json Resize() const { return fingerprint.value("/status/resize"_json_pointer, json::object()); }
  std::string Phase() const { return Resize().value("/change/state"_json_pointer, ""); }
  json Possible() const {
    for (const auto& c : Resize().value("conditions", json::array())) {
      if (c["type"] == "Possible") return c;
    }
    return {};
  }
  std::vector<std::string> Reasons() const {
    std::vector<std::string> out;
    for (const auto& event : events) out.push_back(event.reason);
    return out;
  }

  // ClusterWriter.
  Status MergePatch(const kube::ResourcePath&, const json&) override { return Fail(Code::kInternal, "never asked"); }
  Status Act(const kube::ResourcePath&) override { return Fail(Code::kInternal, "never asked"); }
  Status Create(const kube::ResourcePath&, const json&) override { return Fail(Code::kInternal, "never asked"); }
  Status Delete(const kube::ResourcePath&, const std::string&) override { return Fail(Code::kInternal, "never asked"); }
  Status JsonPatch(const kube::ResourcePath& path, const json& operations) override {
    auto patched = Patched(path, operations);
    if (!patched) return Fail(patched.error());
    vm = *patched;
    patches.push_back(operations);
    return {};
  }
  Status DryRunJsonPatch(const kube::ResourcePath& path, const json& operations) override {
    ++dry_runs;
    if (!admission.empty()) return Fail(Code::kInvalid, admission);
    auto patched = Patched(path, operations);
    if (!patched) return Fail(patched.error());
    return {};
  }
  Status Apply(const kube::ResourcePath& path, const json& object, const std::string& manager) override {
    if (path.plural != "behaviorfingerprints" || path.subresource != "status" || manager != "whorl-controller-resize")
      return Fail(Code::kInternal, "another object than the loop's");
    if (refuse_status) return Fail(Code::kUnavailable, "the API server is away");
    ++status_writes;
    fingerprint["status"]["resize"] = object["status"]["resize"];
    return {};
  }

  fake::ManualClock clock;
  json vm, vmi, kubevirt, fingerprint;
  std::map<std::string, json> migrations;
  Mode mode = Mode::kEnforce;
  Pause pause = Pause::kNone;
  int nodes = 2;
  std::string uid = "db-1-uid";
  std::vector<std::string> node_names;  // empty: node-1, node-2
  bool leading = true;
  bool refuse_status = false;
  std::string admission;  // what a webhook says; empty: it admits
  std::shared_ptr<const crd::PartitionPolicy> policy;
  std::unique_ptr<Loop> loop;
  std::optional<NodeReport> report;
  std::vector<kube::Event> events;
  std::vector<json> patches;
  int dry_runs = 0;
  int status_writes = 0;

 private:
  Result<json> Patched(const kube::ResourcePath& path, const json& operations) const {
    if (path.plural != "virtualmachines" || path.name != "db-1") return Fail(Code::kNotFound, "no such VM");
    try {
      return vm.patch(operations);
    } catch (const json::exception& e) {
      return Fail(Code::kInvalid, e.what());
    }
  }
};

}  // namespace whorl::controller::hotplug::test
