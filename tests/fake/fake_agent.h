#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "operator/controller/ingest/node_client.h"
#include "tests/core/simulated_vm.h"

namespace whorl::fake {

namespace api = whorl::node::v1;

// A node with simulated guests and an agent that obeys plans as the real one
// does: epoch and sequence first, then each directive; a pod held and not named
// is restored. Every call can be made to fail. Time is told to it. It outlives
// the clients that dial it. Not thread-safe.
class FakeNode {
 public:
  struct Guest {
    std::unique_ptr<test::SimulatedVm> vm;
    api::CpuKnobs found;
    api::CpuKnobs now;
    api::Mode mode = api::MODE_UNSPECIFIED;
    bool held = false;
    bool present = true;  // pod cgroup with a QEMU in it
  };

  explicit FakeNode(std::string name) : name_(std::move(name)) {}

  Guest& Add(const std::string& pod_uid, std::uint64_t seed) {
    Guest& guest = guests[pod_uid];
    guest.vm = std::make_unique<test::SimulatedVm>(VmHandle{}, seed);
    guest.found.set_shares(102);
    guest.found.set_quota_us(-1);
    guest.found.set_period_us(100'000);
    guest.now = guest.found;
    return guest;
  }

  api::NodeDescription Description() const {
    api::NodeDescription d;
    d.set_api_version(1);
    d.set_node_name(name_);
    d.set_agent_version("fake");
    d.set_highest_epoch(epoch);
    d.set_last_sequence(sequence);
    return d;
  }

  Result<api::EnrolReply> Enrol(const api::EnrolRequest& request) {
    if (request.epoch() < epoch) return Fail(Code::kRefused, "OldEpoch: epoch is below " + std::to_string(epoch));
    epoch = request.epoch();
    ++enrolments;
    for (auto& [uid, guest] : guests) guest.mode = api::MODE_UNSPECIFIED;
    api::EnrolReply reply;
    for (const auto& pod : request.pods()) {
      auto* row = reply.add_pods();
      row->set_pod_uid(pod.pod_uid());
      const auto guest = guests.find(pod.pod_uid());
      if (guest == guests.end() || !guest->second.present) {
        row->set_reason("no QEMU runs in the pod's cgroup");
        continue;
      }
      guest->second.mode = pod.mode();
      row->set_found(true);
      *row->mutable_cpu() = guest->second.found;
    }
    for (auto& [uid, guest] : guests) {
      if (guest.mode != api::MODE_ENFORCE) Restore(guest);
    }
    return reply;
  }

  // One second passes; the frame at its end.
  api::Frame Second() {
    now += Seconds{1};
    api::Frame frame;
    frame.set_sequence(++frames);
    frame.set_sampled_unix_millis(ToUnixMillis(now));
    frame.set_highest_epoch(epoch);
    if (other_cpu) frame.set_other_cpu_millicores(*other_cpu);
    for (auto& [uid, guest] : guests) {
      const auto& sample = guest.vm->Second(now);
      if (guest.mode == api::MODE_UNSPECIFIED || !guest.present || silent) continue;
      auto* row = frame.add_vms();
      row->set_pod_uid(uid);
      row->set_sampled_unix_millis(ToUnixMillis(now));
      row->set_valid_features(sample.valid.bits());
      for (const double raw : sample.raw) row->add_raw(raw);
      if (guest.now.quota_us() > 0) row->set_cpu_quota_millicores(guest.now.quota_us() / 100);
      row->set_cpu_shares(guest.now.shares());
    }
    return frame;
  }

  Result<api::Receipt> Apply(const api::Plan& plan) {
    plans.push_back(plan);
    api::Receipt receipt;
    receipt.set_epoch(plan.epoch());
    receipt.set_sequence(plan.sequence());
    receipt.set_highest_epoch(epoch);
    if (plan.epoch() < epoch || plan.sequence() <= sequence) {
      receipt.set_refusal_reason(plan.epoch() < epoch ? "OldEpoch" : "OldSequence");
      receipt.set_refusal_message("told by the fake");
      return receipt;
    }
    sequence = plan.sequence();
    receipt.set_accepted(true);
    receipt.set_in_force_unix_millis(ToUnixMillis(now) + 2);
    std::map<std::string, bool> named;
    for (const auto& directive : plan.directives()) {
      named[directive.pod_uid()] = true;
      auto* outcome = receipt.add_outcomes();
      outcome->set_pod_uid(directive.pod_uid());
      auto& guest = guests.at(directive.pod_uid());
      if (!refuse_reason.empty()) {
        outcome->set_refusal_reason(refuse_reason);
        outcome->set_refusal_message("told by the fake");
        continue;
      }
      if (directive.has_shares()) guest.now.set_shares(directive.shares());
      guest.now.set_quota_us(directive.has_quota_millicores() ? directive.quota_millicores() * 100
                                                              : guest.found.quota_us());
      guest.vm->quota.reset();
      if (directive.has_quota_millicores()) guest.vm->quota = static_cast<double>(directive.quota_millicores());
      guest.held = true;
      outcome->set_applied(true);
      *outcome->mutable_written() = guest.now;
      *outcome->mutable_read_back() = guest.now;
      if (!refuse_knob.empty()) {
        auto* knob = outcome->add_knobs();
        knob->set_knob(refuse_knob);
        knob->set_refusal_reason("Unavailable");
        knob->set_refusal_message("told by the fake");
      }
    }
    for (auto& [uid, guest] : guests) {
      if (!named.contains(uid)) Restore(guest);
    }
    return receipt;
  }

  Result<api::StoreCheckpointsReply> Store(const api::StoreCheckpointsRequest& request) {
    if (request.epoch() < epoch) return Fail(Code::kRefused, "OldEpoch: epoch is below " + std::to_string(epoch));
    for (const auto& uid : request.set_aside()) {
      if (auto kept = checkpoints.extract(uid)) corrupt[uid] = kept.mapped();
    }
    for (const auto& uid : request.forget()) checkpoints.erase(uid);
    for (const auto& checkpoint : request.checkpoints()) checkpoints[checkpoint.vm_uid()] = checkpoint.blob();
    return api::StoreCheckpointsReply();
  }

  Result<api::FetchCheckpointsReply> Fetch(const api::FetchCheckpointsRequest& request) {
    if (request.epoch() < epoch) return Fail(Code::kRefused, "OldEpoch: epoch is below " + std::to_string(epoch));
    api::FetchCheckpointsReply reply;
    for (const auto& uid : request.vm_uids()) {
      const auto it = checkpoints.find(uid);
      if (it == checkpoints.end()) continue;
      auto* row = reply.add_checkpoints();
      row->set_vm_uid(uid);
      row->set_blob(it->second);
    }
    for (const auto& [uid, blob] : checkpoints) *reply.add_stored() = uid;
    return reply;
  }

  void Restore(Guest& guest) {
    guest.now = guest.found;
    guest.vm->quota.reset();
    guest.held = false;
  }

  // A client as the link dials it. Frames() feeds one frame per second of the
  // fake's own time until `more` says no.
  std::unique_ptr<controller::NodeClient> Dial();

  std::map<std::string, Guest> guests;
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;
  std::uint64_t frames = 0;
  Time now = FromUnixMillis(1'700'000'000'000);
  std::optional<std::int64_t> other_cpu = 100;
  bool silent = false;        // frames come, without a single VM in them
  std::string refuse_reason;  // every directive is refused with it
  std::string refuse_knob;    // every directive is applied but for this knob
  std::vector<api::Plan> plans;
  int enrolments = 0;
  std::map<std::string, std::string> checkpoints, corrupt;  // by VM uid; they outlive the agent
  std::optional<Error> fail_describe, fail_enrol, fail_apply, fail_frames, fail_store, fail_fetch;
  std::function<bool()> more = [] { return false; };  // before each frame

  const std::string& name() const { return name_; }

 private:
  const std::string name_;
};

class FakeNodeClient final : public controller::NodeClient {
 public:
  explicit FakeNodeClient(FakeNode& node) : node_(node) {}
  Result<api::NodeDescription> Describe() override {
    if (node_.fail_describe) return Fail(*node_.fail_describe);
    return node_.Description();
  }
  Result<api::EnrolReply> Enrol(const api::EnrolRequest& request) override {
    if (node_.fail_enrol) return Fail(*node_.fail_enrol);
    return node_.Enrol(request);
  }
  Status Frames(const api::FramesRequest&, Millis, std::stop_token stop,
                const std::function<bool(const api::Frame&)>& on_frame) override {
    while (!stop.stop_requested() && node_.more()) {
      if (!on_frame(node_.Second())) return {};
    }
    if (node_.fail_frames) return Fail(*node_.fail_frames);
    return {};
  }
  Result<api::Receipt> Apply(const api::Plan& plan) override {
    if (node_.fail_apply) return Fail(*node_.fail_apply);
    return node_.Apply(plan);
  }

  Result<api::StoreCheckpointsReply> StoreCheckpoints(const api::StoreCheckpointsRequest& request) override {
    if (node_.fail_store) return Fail(*node_.fail_store);
    return node_.Store(request);
  }
  Result<api::FetchCheckpointsReply> FetchCheckpoints(const api::FetchCheckpointsRequest& request) override {
    if (node_.fail_fetch) return Fail(*node_.fail_fetch);
    return node_.Fetch(request);
  }

 private:
  FakeNode& node_;
};

inline std::unique_ptr<controller::NodeClient> FakeNode::Dial() { return std::make_unique<FakeNodeClient>(*this); }

}  // namespace whorl::fake
