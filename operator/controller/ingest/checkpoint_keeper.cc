#include "operator/controller/ingest/checkpoint_keeper.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <functional>

namespace whorl::controller {
namespace {

// Of node.proto.
constexpr std::size_t kMostCheckpoints = 32;
constexpr std::size_t kMostNames = 4096;
constexpr std::size_t kMostBlob = 64 * 1024;

// Where in a period a VM's turn comes: the same for every controller, spread over the VMs.
Millis Offset(const std::string& vm_uid, Millis period) {
  std::uint32_t hash = 2166136261u;  // FNV-1a
  for (const char c : vm_uid) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return Millis{
      static_cast<std::int64_t>(hash % static_cast<std::uint32_t>(std::max<std::int64_t>(1, period.count())))};
}

}  // namespace

CheckpointKeeper::CheckpointKeeper(std::string node, const CheckpointSeal* seal, BaselineBank& bank, Options options)
    : node_(std::move(node)), seal_(seal), bank_(bank), options_(options) {}

CheckpointKeeper::CheckpointKeeper(std::string node, const CheckpointSeal* seal, BaselineBank& bank)
    : CheckpointKeeper(std::move(node), seal, bank, Options()) {}

void CheckpointKeeper::Begin(NodeClient& client, NodeSession& session, std::uint64_t epoch) {
  const bool other_leader_meanwhile = epoch_ != 0 && epoch != epoch_;
  epoch_ = epoch;
  stored_.clear();
  usable_ = seal_ != nullptr;
  if (!usable_) return;
  Fetch(client, {});
  if (!usable_ || !other_leader_meanwhile) return;
  // What this session knows may be older than what the other one saved.
  session.LookForBetter();
  std::vector<std::string> known;
  for (const auto& vm_uid : session.Learning()) {
    if (stored_.contains(vm_uid)) known.push_back(vm_uid);
  }
  Fetch(client, known);
}

void CheckpointKeeper::Load(NodeClient& client, const NodeAssignment& assignment, const NodeSession& session) {
  std::vector<std::string> fresh;
  for (const auto& row : assignment.vms) {
    const auto& vm_uid = row.subject.uid;
    if (row.enrolment && !session.Knows(vm_uid) && stored_.contains(vm_uid)) fresh.push_back(vm_uid);
  }
  if (!fresh.empty()) Fetch(client, fresh);
}

void CheckpointKeeper::Tell(NodeSession& session, Time now) {
  for (const auto& [vm_uid, why] : std::exchange(discarded_, {})) session.Discarded(vm_uid, why, now);
}

void CheckpointKeeper::Fetch(NodeClient& client, const std::vector<std::string>& vm_uids) {
  for (std::size_t from = 0; usable_ && (from == 0 || from < vm_uids.size()); from += kMostCheckpoints) {
    api::FetchCheckpointsRequest request;
    request.set_epoch(epoch_);
    for (std::size_t i = from; i < std::min(vm_uids.size(), from + kMostCheckpoints); ++i) {
      request.add_vm_uids(vm_uids[i]);
    }
    auto reply = client.FetchCheckpoints(request);
    if (!reply) {
      usable_ = reply.error().code != Code::kUnsupported;
      Trouble(reply.error());
      return;
    }
    stored_ = {reply->stored().begin(), reply->stored().end()};
    for (const auto& checkpoint : reply->checkpoints()) {
      auto opened = seal_->Open(checkpoint.vm_uid(), checkpoint.blob());
      if (opened) {
        bank_.Put(checkpoint.vm_uid(), std::move(*opened));
        continue;
      }
      spdlog::warn("node {}: the checkpoint of VM {} is set aside: {}", node_, checkpoint.vm_uid(),
                   opened.error().message);
      set_aside_.push_back(checkpoint.vm_uid());
      stored_.erase(checkpoint.vm_uid());
      discarded_.emplace_back(checkpoint.vm_uid(), opened.error().message);
    }
  }
}

void CheckpointKeeper::Turn(NodeClient& client, NodeSession& session, Millis now) {
  if (!usable_) return;
  Tell(session, session.report().at);
  for (auto& vm_uid : session.TakeRejected()) {
    stored_.erase(vm_uid);
    set_aside_.push_back(std::move(vm_uid));
  }
  for (const auto& vm_uid : session.TakeChanged()) SaveSoon(vm_uid);
  // What took an hour to learn does not wait for its turn.
  for (const auto& vm : session.report().vms) {
    if (vm.assessment.baseline_ready) SaveSoon(vm.resolution.subject.uid);
  }
  if (now < paused_until_) return;

  Saved saved;
  const auto enrolled = session.Learning();
  for (const auto& vm_uid : enrolled) {
    const auto due = due_.try_emplace(vm_uid, now + Offset(vm_uid, options_.first_save_within)).first->second;
    if (due > now || saved.size() >= options_.most_per_turn) continue;
    if (auto baseline = session.SaveBaseline(vm_uid)) saved.emplace_back(vm_uid, std::move(*baseline));
    due_[vm_uid] = now + options_.save_every;
  }
  std::vector<std::string> forget;
  if (now - looked_at_ >= options_.look_every) {
    looked_at_ = now;
    std::erase_if(
        due_, [&](const auto& entry) { return !std::binary_search(enrolled.begin(), enrolled.end(), entry.first); });
    forget = bank_.Forgettable(stored_, node_, now);
    if (forget.size() > kMostNames) forget.resize(kMostNames);
    auto wanted = bank_.Wanted(stored_, node_);
    if (wanted.size() > kMostCheckpoints) wanted.resize(kMostCheckpoints);
    if (!wanted.empty()) {
      Fetch(client, wanted);
      for (const auto& vm_uid : wanted) bank_.Supplied(vm_uid, node_);
    }
  }
  if (saved.empty() && forget.empty() && set_aside_.empty()) return;
  if (Store(client, saved, forget)) return;
  paused_until_ = now + options_.pause_after_error;
  for (const auto& [vm_uid, baseline] : saved) due_[vm_uid] = now;
}

void CheckpointKeeper::SaveAll(NodeClient& client, NodeSession& session) {
  if (!usable_) return;
  const auto begun = std::chrono::steady_clock::now();
  const auto enrolled = session.Learning();
  for (std::size_t from = 0; from < enrolled.size(); from += kMostCheckpoints) {
    Saved saved;
    for (std::size_t i = from; i < std::min(enrolled.size(), from + kMostCheckpoints); ++i) {
      if (auto baseline = session.SaveBaseline(enrolled[i])) saved.emplace_back(enrolled[i], std::move(*baseline));
    }
    if (!Store(client, saved, {})) return;
    if (std::chrono::steady_clock::now() - begun >= options_.most_at_end) return;
  }
}

bool CheckpointKeeper::Store(NodeClient& client, const Saved& saved, const std::vector<std::string>& forget) {
  api::StoreCheckpointsRequest request;
  request.set_epoch(epoch_);
  for (const auto& [vm_uid, baseline] : saved) {
    if (baseline.blob.size() > kMostBlob) {
      Trouble({Code::kInternal, "the baseline of VM " + vm_uid + " has " + std::to_string(baseline.blob.size()) +
                                    " bytes and cannot be kept; at most 65536 can"});
      continue;
    }
    auto* row = request.add_checkpoints();
    row->set_vm_uid(vm_uid);
    row->set_blob(seal_->Seal(vm_uid, baseline));
  }
  for (const auto& vm_uid : forget) request.add_forget(vm_uid);
  for (const auto& vm_uid : set_aside_) request.add_set_aside(vm_uid);
  auto reply = client.StoreCheckpoints(request);
  if (!reply) {
    usable_ = reply.error().code != Code::kUnsupported;
    // Refused: somebody newer leads and has what it needs.
    if (reply.error().code != Code::kRefused) Trouble(reply.error());
    return false;
  }
  std::set<std::string> refused;
  for (const auto& row : reply->refused()) {
    refused.insert(row.vm_uid());
    Trouble({Code::kRefused,
             "the checkpoint of VM " + row.vm_uid() + " was not stored: " + row.reason() + ": " + row.message()});
  }
  set_aside_.clear();
  for (const auto& vm_uid : forget) stored_.erase(vm_uid);
  for (const auto& checkpoint : request.checkpoints()) {
    if (refused.contains(checkpoint.vm_uid())) continue;
    stored_.insert(checkpoint.vm_uid());
    bank_.StoredAt(checkpoint.vm_uid(), node_);
  }
  if (refused.empty()) last_trouble_.clear();
  return true;
}

void CheckpointKeeper::Trouble(const Error& error) {
  if (error.message == last_trouble_) return;
  last_trouble_ = error.message;
  spdlog::warn("node {}: checkpoints of baselines: {}", node_, error.message);
}

}  // namespace whorl::controller
