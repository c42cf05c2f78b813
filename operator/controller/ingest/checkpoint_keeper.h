#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/time.h"
#include "operator/controller/enrol/assign.h"
#include "operator/controller/ingest/baseline_bank.h"
#include "operator/controller/ingest/node_client.h"
#include "operator/controller/ingest/node_session.h"

namespace whorl::controller {

// Sees to it that what one node's session learns is also on that node's disk,
// sealed, and that a session begins with what is there. Never breaks the
// connection it works over: without checkpoints a VM learns anew, that is all.
// Not thread-safe: it belongs to the node's link.
class CheckpointKeeper {
 public:
  struct Options {
    Millis save_every{300'000};        // per VM; spread over the VMs by their uid
    Millis first_save_within{60'000};  // of a VM that has just come
    Millis look_every{5'000};          // for what other nodes want and what can go
    Millis pause_after_error{30'000};
    std::size_t most_per_turn = 8;  // checkpoints sent after one frame
    Millis most_at_end{6'000};      // for everything at the end of a connection
  };

  // `seal` null: no key, so nothing is kept. References and `seal` must outlive it.
  CheckpointKeeper(std::string node, const CheckpointSeal* seal, BaselineBank& bank, Options options);
  CheckpointKeeper(std::string node, const CheckpointSeal* seal, BaselineBank& bank);

  // A new connection under `epoch`: which VMs have a checkpoint there.
  void Begin(NodeClient& client, NodeSession& session, std::uint64_t epoch);
  // Before the session takes the assignment over: checkpoints of VMs new to it
  // go to the bank, from where it takes them.
  void Load(NodeClient& client, const NodeAssignment& assignment, const NodeSession& session);
  // After it has: tells of what could not be used.
  void Tell(NodeSession& session, Time now);
  // After a frame. `now` is monotonic.
  void Turn(NodeClient& client, NodeSession& session, Millis now);
  // The VM's baseline changed by more than learning: it is saved in the next turn.
  void SaveSoon(const std::string& vm_uid) { due_[vm_uid] = Millis{0}; }
  // The connection ends: everything that the node has not got in its newest form.
  void SaveAll(NodeClient& client, NodeSession& session);

 private:
  using Saved = std::vector<std::pair<std::string, SavedBaseline>>;

  void Fetch(NodeClient& client, const std::vector<std::string>& vm_uids);
  // False: the agent did not take it.
  bool Store(NodeClient& client, const Saved& saved, const std::vector<std::string>& forget);
  void Trouble(const Error& error);

  const std::string node_;
  const CheckpointSeal* const seal_;
  BaselineBank& bank_;
  const Options options_;

  std::uint64_t epoch_ = 0;
  bool usable_ = false;           // in this connection
  std::set<std::string> stored_;  // VM uids with a checkpoint on the node
  std::map<std::string, Millis> due_;
  Millis looked_at_{0};
  Millis paused_until_{0};
  std::vector<std::string> set_aside_;                          // to tell the agent
  std::vector<std::pair<std::string, std::string>> discarded_;  // VM uid, why: to tell the session
  std::string last_trouble_;
};

}  // namespace whorl::controller
