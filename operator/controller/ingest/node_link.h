#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/base/clock.h"
#include "operator/controller/enrol/assign.h"
#include "operator/controller/ingest/checkpoint_keeper.h"
#include "operator/controller/ingest/node_client.h"
#include "operator/controller/ingest/node_session.h"
#include "operator/controller/ingest/recording_file.h"
#include "operator/controller/lead/leadership.h"

namespace whorl::controller {

// How long one answered frame took.
struct TickTimes {
  Millis sample_to_limit{};                    // kernel sample -> limit in force, both by the node's clock
  std::chrono::microseconds engine{};          // arithmetic alone
  std::chrono::microseconds compute_and_io{};  // frame in hand -> receipt in hand
};

// Where links put what they learn. Called from the links' threads; must not block.
class LinkListener {
 public:
  virtual ~LinkListener() = default;
  virtual void OnReport(NodeReport report, std::vector<Happening> happenings) = 0;
  virtual void OnTick(const std::string& node, std::chrono::microseconds engine) = 0;
  virtual void OnPlan(const std::string& node, std::string_view result, const std::optional<TickTimes>& times) = 0;
  virtual void OnRecall(const std::string& node) = 0;
};

// The connection to one node's agent: dials, enrols, answers each frame with a
// plan, and begins again when it breaks. One thread of its own, so that a slow
// node delays no other and the API server delays none.
class NodeLink {
 public:
  struct Options {
    Millis first_retry{500};
    Millis last_retry{10'000};
    Millis silence{3500};        // of the frame stream before it counts as broken
    Millis missing_retry{5000};  // between two enrolments while a pod is not found
    std::uint32_t interval_millis = 1000;
    int agent_port = 7443;
    const CheckpointSeal* seal = nullptr;  // must outlive the link; null: no checkpoints are kept
    CheckpointKeeper::Options checkpoints = {};
    History* history = nullptr;  // must outlive the link
    // The node's NodePartition as it is stored; null when there is none. Called from the link's thread.
    std::function<std::shared_ptr<const crd::NodePartitionRecord>(const std::string& node)> stored = {};
    RecordingFile::Options recording = {};  // no folder: nothing is recorded
  };

  // All references must outlive it.
  NodeLink(std::string node, DialNode dial, Leadership& leadership, BaselineBank& bank, LinkListener& listener,
           const Clock& clock, Options options);
  NodeLink(std::string node, DialNode dial, Leadership& leadership, BaselineBank& bank, LinkListener& listener,
           const Clock& clock);
  ~NodeLink();

  void Start();
  // The thread ends within a call's deadline; plans then expire by their lease.
  void Stop();
  void RequestStop() { thread_.request_stop(); }
  // The latest wins; taken over at the next frame.
  void Assign(std::shared_ptr<const NodeAssignment> assignment);

  // One connection from dialling to its end; the error is why it ended. What
  // the thread does in a loop; for tests without Start.
  Status RunOnce(std::stop_token stop);

 private:
  void Run(std::stop_token stop);
  std::shared_ptr<const NodeAssignment> Assignment() const;
  Status Enrol(NodeClient& client, const std::shared_ptr<const NodeAssignment>& assignment, std::uint64_t epoch);
  // False: this connection is over.
  bool OnFrame(NodeClient& client, const api::Frame& frame, const Lead& at_start);
  void Post();
  void Wait(Millis duration, std::stop_token stop);

  const std::string node_;
  const DialNode dial_;
  Leadership& leadership_;
  LinkListener& listener_;
  const Clock& clock_;
  const Options options_;

  // The link's thread only.
  std::unique_ptr<RecordingFile> recording_;
  NodeSession session_;
  CheckpointKeeper keeper_;
  std::shared_ptr<const NodeAssignment> enrolled_;
  std::uint64_t enrolled_epoch_ = 0;
  Millis enrolled_at_{0};
  std::optional<Error> broke_;
  std::string last_trouble_;
  bool answered_ = false;  // this connection has carried a frame

  mutable std::mutex mu_;
  std::condition_variable_any changed_;
  std::shared_ptr<const NodeAssignment> assignment_;  // under mu_
  std::jthread thread_;
};

}  // namespace whorl::controller
