#include "operator/controller/ingest/node_link.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace whorl::controller {
namespace {

constexpr std::uint32_t kApiVersion = 1;

using Steady = std::chrono::steady_clock;

std::chrono::microseconds Since(Steady::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Steady::now() - start);
}

}  // namespace

NodeLink::NodeLink(std::string node, DialNode dial, Leadership& leadership, BaselineBank& bank, LinkListener& listener,
                   const Clock& clock, Options options)
    : node_(std::move(node)),
      dial_(std::move(dial)),
      leadership_(leadership),
      listener_(listener),
      clock_(clock),
      options_(options),
      session_(node_, bank, options_.history),
      keeper_(node_, options_.seal, bank, options_.checkpoints) {
  if (options_.recording.folder.empty()) return;
  auto recording = RecordingFile::Begin(options_.recording, node_, clock_.Now());
  if (!recording) {
    spdlog::warn("node {}: {}; nothing is recorded", node_, recording.error().message);
    return;
  }
  recording_ = std::move(*recording);
  session_.RecordTo(recording_->recorder());
  spdlog::info("node {}: recorded in {}", node_, recording_->path());
}

NodeLink::NodeLink(std::string node, DialNode dial, Leadership& leadership, BaselineBank& bank, LinkListener& listener,
                   const Clock& clock)
    : NodeLink(std::move(node), std::move(dial), leadership, bank, listener, clock, Options()) {}

NodeLink::~NodeLink() { Stop(); }

void NodeLink::Start() {
  thread_ = std::jthread([this](std::stop_token stop) {
    pthread_setname_np(pthread_self(), ("link-" + node_).substr(0, 15).c_str());
    Run(stop);
  });
}

void NodeLink::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void NodeLink::Assign(std::shared_ptr<const NodeAssignment> assignment) {
  {
    std::scoped_lock lock(mu_);
    assignment_ = std::move(assignment);
  }
  changed_.notify_all();
}

std::shared_ptr<const NodeAssignment> NodeLink::Assignment() const {
  std::scoped_lock lock(mu_);
  return assignment_;
}

void NodeLink::Wait(Millis duration, std::stop_token stop) {
  std::unique_lock lock(mu_);
  const auto before = assignment_;
  // A new assignment (another agent pod, say) is worth trying at once.
  changed_.wait_for(lock, stop, duration, [&] { return assignment_ != before; });
}

void NodeLink::Run(std::stop_token stop) {
  Millis retry = options_.first_retry;
  while (!stop.stop_requested()) {
    // Looked at often and without back-off: whoever is elected dials at once.
    if (!leadership_.Current().leading) {
      retry = options_.first_retry;
      Wait(options_.first_retry, stop);
      continue;
    }
    answered_ = false;
    const auto ended = RunOnce(stop);
    if (stop.stop_requested()) break;
    if (answered_) retry = options_.first_retry;
    if (ended) continue;  // another leader's epoch or agent: dial again at once
    if (ended.error().message != last_trouble_) {
      last_trouble_ = ended.error().message;
      spdlog::warn("node {}: {}", node_, last_trouble_);
    }
    // While it waits, its VMs must not look alive for longer than they are seen.
    for (Millis waited{0}; waited < retry && !stop.stop_requested(); waited += Millis{500}) {
      const auto before = Assignment();
      if (before && leadership_.Current().leading) {
        session_.Unseen(clock_.Now(), ended.error().message, *before);
        Post();
      }
      Wait(std::min(Millis{500}, retry), stop);
      if (Assignment() != before) break;
    }
    retry = std::min(options_.last_retry, retry * 2);
  }
}

Status NodeLink::RunOnce(std::stop_token stop) {
  const Lead lead = leadership_.Current();
  if (!lead.leading) return Fail(Code::kUnavailable, "this replica does not lead");
  const auto assignment = Assignment();
  if (!assignment) return Fail(Code::kUnavailable, "nothing is known about the node yet");
  if (assignment->agent_ip.empty()) {
    return Fail(Code::kNotFound, "no whorl-agent runs on node " + node_ +
                                     "; see kubectl get pods -l app.kubernetes.io/component=agent -o wide");
  }
  auto client = dial_(AgentAddress{node_, assignment->agent_ip, options_.agent_port});
  if (!client) return Fail(client.error());
  auto description = (*client)->Describe();
  if (!description) return Fail(description.error());
  if (description->api_version() != kApiVersion) {
    return Fail(Code::kUnsupported, "the agent of node " + node_ + " speaks version " +
                                        std::to_string(description->api_version()) +
                                        " of the node API, this controller " + std::to_string(kApiVersion) +
                                        "; bring both to the same release");
  }
  if (description->node_name() != node_) {
    return Fail(Code::kUnauthorized, "the agent at " + assignment->agent_ip + " says it is node " +
                                         description->node_name() + ", not " + node_ + "; check its --node-name");
  }
  // Under an epoch the agent would refuse anything below.
  if (description->highest_epoch() > lead.epoch) leadership_.SawEpoch(description->highest_epoch());
  const Lead now = leadership_.Current();
  if (!now.leading) return Fail(Code::kRefused, "the agent of node " + node_ + " obeys a newer controller");
  session_.Connected(*description);
  keeper_.Begin(**client, session_, now.epoch);
  if (auto enrolled = Enrol(**client, assignment, now.epoch); !enrolled) return enrolled;
  if (const auto stored = options_.stored ? options_.stored(node_) : nullptr) session_.TakeOver(*stored, clock_.Now());
  spdlog::info("node {}: connected to agent {} ({}), epoch {}, {} VMs", node_, assignment->agent_pod,
               description->agent_version(), now.epoch, assignment->vms.size());
  last_trouble_.clear();

  api::FramesRequest request;
  request.set_epoch(now.epoch);
  request.set_interval_millis(options_.interval_millis);
  broke_.reset();
  auto streamed = (*client)->Frames(request, options_.silence, stop,
                                    [&](const api::Frame& frame) { return OnFrame(**client, frame, now); });
  // When this replica stops or no longer leads, whoever leads next begins with
  // it; where the connection itself broke, the last turn's copies must do.
  if (streamed && (!broke_ || !leadership_.Current().leading)) keeper_.SaveAll(**client, session_);
  if (!streamed) return streamed;
  if (broke_) return Fail(*broke_);
  return {};
}

Status NodeLink::Enrol(NodeClient& client, const std::shared_ptr<const NodeAssignment>& assignment,
                       std::uint64_t epoch) {
  const auto request = NodeSession::ToEnrol(*assignment, epoch);
  auto reply = client.Enrol(request);
  if (!reply) {
    if (reply.error().code == Code::kRefused) leadership_.Refused(epoch, epoch);
    return Fail(reply.error());
  }
  keeper_.Load(client, *assignment, session_);
  session_.Admit(assignment, *reply, clock_.Now());
  keeper_.Tell(session_, clock_.Now());
  enrolled_ = assignment;
  enrolled_epoch_ = epoch;
  enrolled_at_ = clock_.Monotonic();
  return {};
}

bool NodeLink::OnFrame(NodeClient& client, const api::Frame& frame, const Lead& at_start) {
  const auto arrived = Steady::now();
  answered_ = true;
  if (frame.highest_epoch() > at_start.epoch) leadership_.SawEpoch(frame.highest_epoch());
  const Lead lead = leadership_.Current();
  if (!lead.leading) {
    broke_ = Error{Code::kRefused, "this replica no longer leads"};
    return false;
  }
  if (lead.epoch != at_start.epoch) return false;  // dial again under the new one
  const auto assignment = Assignment();
  if (assignment && assignment != enrolled_) {
    if (assignment->agent_ip != enrolled_->agent_ip) return false;  // the agent's pod is another one
    if (auto enrolled = Enrol(client, assignment, lead.epoch); !enrolled) {
      broke_ = enrolled.error();
      return false;
    }
  } else if (session_.SomePodMissing() && clock_.Monotonic() - enrolled_at_ >= options_.missing_retry) {
    if (auto enrolled = Enrol(client, enrolled_, lead.epoch); !enrolled) {
      broke_ = enrolled.error();
      return false;
    }
  }

  const auto engine_start = Steady::now();
  auto plan = session_.Tick(frame, lead.authority, lead.epoch);
  const auto engine_took = Since(engine_start);
  listener_.OnTick(node_, engine_took);
  for (int i = 0; i < frame.recalls_size(); ++i) listener_.OnRecall(node_);
  if (plan) {
    auto receipt = client.Apply(*plan);
    if (!receipt) {
      listener_.OnPlan(node_, "error", std::nullopt);
      broke_ = receipt.error();
      Post();
      return false;
    }
    TickTimes times;
    times.compute_and_io = Since(arrived);
    times.engine = engine_took;
    times.sample_to_limit = Millis{receipt->in_force_unix_millis() - frame.sampled_unix_millis()};
    if (receipt->accepted()) {
      const bool timed = receipt->in_force_unix_millis() > 0 && times.sample_to_limit.count() >= 0;
      listener_.OnPlan(node_, "accepted", timed ? std::optional(times) : std::nullopt);
    } else {
      listener_.OnPlan(node_, "refused", std::nullopt);
      spdlog::warn("node {}: plan {}/{} refused: {}: {}", node_, plan->epoch(), plan->sequence(),
                   receipt->refusal_reason(), receipt->refusal_message());
      if (receipt->refusal_reason() == "OldEpoch" || receipt->refusal_reason() == "SecondController") {
        leadership_.Refused(lead.epoch, receipt->highest_epoch());
      }
    }
    session_.Settle(*receipt, FromUnixMillis(frame.sampled_unix_millis()));
  }
  keeper_.Turn(client, session_, clock_.Monotonic());
  Post();
  return true;
}

void NodeLink::Post() { listener_.OnReport(session_.report(), session_.TakeHappenings()); }

}  // namespace whorl::controller
