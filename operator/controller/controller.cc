#include "operator/controller/controller.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <set>
#include <utility>

namespace whorl::controller {
namespace {

constexpr Millis kSettle{100};     // changes come in bursts; one pass answers them all
constexpr Millis kAtLeast{2'000};  // between two looks at leadership and metrics without a change

kube::LeaderElectorOptions ElectorOptions(const ControllerOptions& options) {
  kube::LeaderElectorOptions out;
  out.ns = options.ns;
  out.name = "whorl-controller";
  out.identity = options.identity;
  out.on_new_leader = [](const std::string& identity) {
    spdlog::info("the leader is {}", identity.empty() ? "nobody" : identity);
  };
  out.on_trouble = [](const Error& error) { spdlog::warn("lease: {}", error.message); };
  return out;
}

kube::EventRecorderOptions RecorderOptions(const ControllerOptions& options) {
  kube::EventRecorderOptions out;
  out.controller = "whorl.dev/controller";
  out.instance = options.replica;
  out.on_trouble = [](const Error& error) { spdlog::warn("event: {}", error.message); };
  return out;
}

Publisher::Options PublisherOptions(const ControllerOptions& options) {
  Publisher::Options out;
  out.replica = options.replica;
  return out;
}

std::vector<FleetName> FleetOf(const std::vector<Resolution>& rows) {
  std::vector<FleetName> fleet;
  for (const auto& row : rows) {
    if (row.enrolment) fleet.push_back({row.subject.uid, row.subject.ns, row.subject.name, row.enrolment->node});
  }
  return fleet;
}

}  // namespace

Controller::Controller(kube::Client& client, kube::Client& lease_client, kube::WaitingClock& clock, DialNode dial,
                       Metrics& metrics, ControllerOptions options)
    : clock_(clock),
      dial_(std::move(dial)),
      metrics_(metrics),
      options_(std::move(options)),
      elector_(lease_client, clock, ElectorOptions(options_)),
      leadership_([this] { return Lease(); }),
      recorder_(client, clock, RecorderOptions(options_)),
      writer_(client),
      publisher_(
          writer_, [this](kube::Event event) { Record(std::move(event)); },
          [this] { return leadership_.Current().leading; }, clock, PublisherOptions(options_),
          [this](std::string_view kind, bool ok) { metrics_.OnStatusWrite(kind, ok); }),
      hotplug_(
          writer_, [this](kube::Event event) { Record(std::move(event)); },
          [this] { return leadership_.Current().leading; }, clock, {},
          [this](std::string_view outcome) { metrics_.OnResize(outcome); }),
      watcher_(client, clock, options_.ns,
               [this] {
                 {
                   std::scoped_lock lock(mu_);
                   dirty_ = true;
                 }
                 changed_.notify_all();
               }),
      map_(bank_, clock, [this](const FleetPicture& picture, std::chrono::microseconds took) {
        bank_.PutCohorts(std::make_shared<const Cohorts>(picture.cohorts));
        metrics_.OnMap(picture, took);
      }) {}

Controller::~Controller() { Stop(); }

LeaseView Controller::Lease() const {
  LeaseView view;
  view.held = elector_.IsLeader();
  view.renew_deadline_passed = elector_.RenewDeadlinePassed();
  const auto leader = elector_.leader();
  view.other_holder = !leader.empty() && leader != options_.identity;
  view.transitions = elector_.transitions();
  return view;
}

void Controller::Start() {
  watcher_.Start();
  elector_.Start();
  recorder_.Start();
  publisher_.Start();
  hotplug_.Start();
  map_.Start();
  thread_ = std::jthread([this](std::stop_token stop) {
    pthread_setname_np(pthread_self(), "reconcile");
    Reconcile(stop);
  });
}

void Controller::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  for (auto& [name, linked] : links_) linked.link->RequestStop();
  map_.Stop();
  links_.clear();  // each ends its stream; the agents hold on until the lease ends or the next leader comes
  hotplug_.Stop();
  publisher_.Stop();
  recorder_.Stop();
  elector_.Stop();
  watcher_.Stop();
}

std::string Controller::NotReady() const {
  const auto missing = watcher_.NotSynced();
  if (!missing.empty()) return "not synced yet: " + missing;
  if (!elector_.transitions() && elector_.leader().empty())
    return "the Lease " + options_.ns + "/whorl-controller was not read yet";
  return {};
}

void Controller::Reconcile(std::stop_token stop) {
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(mu_);
      changed_.wait_for(lock, stop, kAtLeast, [this] { return dirty_; });
      if (stop.stop_requested()) return;
      dirty_ = false;
    }
    const auto missing = watcher_.NotSynced();
    if (missing != last_missing_) {
      last_missing_ = missing;
      spdlog::info("{}", missing.empty() ? "everything is synced" : "waiting for: " + missing);
    }
    // Acting on half a picture would undo what the other half asks for.
    if (missing.empty()) RunPass();
    clock_.WaitFor(kSettle, stop);
  }
}

void Controller::RunPass() {
  // Before the first link is made: plans must rise above what any leader before us sent.
  leadership_.SawEpoch(watcher_.HighestEpoch());
  const auto lead = leadership_.Current();
  if (lead.leading != was_leading_) {
    was_leading_ = lead.leading;
    spdlog::info("{}, epoch {}", lead.leading ? "leading" : "not leading", lead.epoch);
  }
  metrics_.SetLeader(lead.leading, lead.epoch);
  if (!lead.leading) {
    for (const auto& [name, linked] : links_) metrics_.ForgetNode(name);
  }

  const auto view = watcher_.View();
  auto rows = Resolve(view);
  MarkDoneRequests(rows, watcher_.Fingerprints(), clock_.Now());
  MarkRemedies(rows, watcher_.Fingerprints());
  std::set<std::string> watched;
  for (const auto& row : rows) {
    if (row.opted_in()) watched.insert(row.subject.uid);
  }
  bank_.SetWatched(std::move(watched), clock_.Monotonic());
  auto nodes = Assign(view, rows);
  map_.SetFleet(lead.leading ? FleetOf(rows) : std::vector<FleetName>{});
  std::size_t enrolled = 0;
  for (auto& [name, assignment] : nodes) {
    enrolled += assignment.vms.size();
    auto& linked = links_[name];
    // The same orders again would make the agent look for every pod again.
    if (linked.assignment && SameOrders(*linked.assignment, assignment)) continue;
    linked.assignment = std::make_shared<const NodeAssignment>(std::move(assignment));
    const bool made = !linked.link;
    if (made) {
      NodeLink::Options options;
      options.agent_port = options_.agent_port;
      options.seal = options_.seal ? &*options_.seal : nullptr;
      options.history = options_.history;
      options.recording = options_.recording;
      options.stored = [this](const std::string& node) { return watcher_.Partition(node); };
      linked.link = std::make_unique<NodeLink>(name, dial_, leadership_, bank_, *this, clock_, options);
    }
    linked.link->Assign(linked.assignment);
    if (made) linked.link->Start();
  }
  for (auto it = links_.begin(); it != links_.end();) {
    if (nodes.contains(it->first)) {
      ++it;
      continue;
    }
    spdlog::info("node {}: no agent and no VM any more", it->first);
    metrics_.ForgetNode(it->first);
    it = links_.erase(it);
  }
  metrics_.SetEnrolled(enrolled);
  hotplug_.SetView(std::make_shared<const hotplug::View>(hotplug::View{rows, view, watcher_.Fingerprints()}));
  publisher_.SetPass(std::make_shared<const Pass>(watcher_.ToPass(view, std::move(rows))));

  const auto counters = recorder_.counters();
  const std::uint64_t written = counters.created + counters.patched;
  publisher_.Charge(static_cast<double>(written - std::exchange(events_charged_, written)));
}

void Controller::Record(kube::Event event) {
  metrics_.OnEvent(event.reason);
  spdlog::info("{}/{}: {}: {}", event.regarding.ns, event.regarding.name, event.reason, event.note);
  recorder_.Record(std::move(event));
}

void Controller::OnReport(NodeReport report, std::vector<Happening> happenings) {
  metrics_.OnReport(report);
  hotplug_.OnReport(report);
  if (options_.ledger_history) options_.ledger_history->Add(report);
  publisher_.OnReport(std::move(report), happenings);
}
void Controller::OnTick(const std::string& node, std::chrono::microseconds engine) { metrics_.OnTick(node, engine); }
void Controller::OnPlan(const std::string& node, std::string_view result, const std::optional<TickTimes>& times) {
  metrics_.OnPlan(node, result, times);
}
void Controller::OnRecall(const std::string& node) { metrics_.OnRecall(node); }

}  // namespace whorl::controller
