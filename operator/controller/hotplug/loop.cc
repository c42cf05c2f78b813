#include "operator/controller/hotplug/loop.h"

#include <fmt/format.h>
#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "crd/names.h"
#include "crd/text.h"
#include "operator/controller/watch/quantity.h"
#include "operator/kube/json.h"

namespace whorl::controller::hotplug {
namespace {

constexpr Millis kStepEvery{5'000};

kube::ResourcePath VmPath(const Subject& subject) {
  kube::ResourcePath path;
  path.group = "kubevirt.io";
  path.version = "v1";
  path.plural = "virtualmachines";
  path.ns = subject.ns;
  path.name = subject.name;
  return path;
}

crd::ResizeView ToView(std::string_view name, const std::optional<Range>& range, const std::string& why,
                       const std::function<std::string(std::int64_t)>& text) {
  crd::ResizeView out;
  out.name = name;
  if (!range) {
    out.why = why;
    return out;
  }
  out.current = text(range->current);
  out.target = text(range->target);
  out.lower = text(range->lower);
  out.upper = text(range->upper);
  out.why = range->why;
  return out;
}

std::string TargetText(const Target& target) {
  std::string out;
  if (target.sockets) out = fmt::format("{} socket{}", *target.sockets, *target.sockets == 1 ? "" : "s");
  if (target.guest) out += (out.empty() ? "" : ", ") + BytesText(*target.guest);
  return out;
}

// Without what only explains, which changes every five minutes.
crd::ResizeStatus ForPeople(crd::ResizeStatus status) {
  for (auto& view : status.recommendation) {
    view.why.clear();
    view.lower.clear();
    view.upper.clear();
  }
  for (auto& c : status.conditions) {
    c.last_transition = {};
    c.message.clear();
  }
  return status;
}

void Condition(crd::ResizeStatus& status, std::string_view type, bool holds, std::string_view reason,
               std::string message, std::int64_t generation, Time now) {
  crd::Condition c;
  c.type = type;
  c.status = holds ? crd::ConditionStatus::kTrue : crd::ConditionStatus::kFalse;
  c.reason = reason;
  c.message = std::move(message);
  c.observed_generation = generation;
  crd::SetCondition(status.conditions, std::move(c), now);
}

crd::EventReason ReasonOf(ChangePhase phase) {
  switch (phase) {
    case ChangePhase::kDone: return crd::EventReason::kResizeDone;
    case ChangePhase::kReverted: return crd::EventReason::kResizeReverted;
    default: return crd::EventReason::kResizeFailed;
  }
}

// What passes by itself: a request waits for it.
bool Passes(const Refusal& refusal) {
  for (const auto* code :
       {"Migrating", "HotplugInProgress", "NodeBusy", "ClusterBusy", "KubeVirtUpdating", "Ballooned", "Paused"}) {
    if (refusal.code == code) return true;
  }
  return false;
}

// With a mark (...@...) that is certain; a bare wish counts as the same within a minute.
bool Answered(const std::optional<crd::ResizeChange>& change, const std::string& request, Time now) {
  if (!change || !change->ended || change->request != request) return false;
  return request.find('@') != std::string::npos || now - *change->ended < Seconds{60};
}

}  // namespace

Loop::Loop(ClusterWriter& writer, Record record, std::function<bool()> may_write, const Clock& clock, Options options,
           OnOutcome on_outcome)
    : writer_(writer),
      record_(std::move(record)),
      may_write_(std::move(may_write)),
      clock_(clock),
      options_(options),
      on_outcome_(std::move(on_outcome)),
      budget_(options_.writes_per_second, options_.burst) {}

Loop::~Loop() { Stop(); }

void Loop::SetView(std::shared_ptr<const View> view) {
  {
    std::scoped_lock lock(mu_);
    view_ = std::move(view);
    fresh_ = true;
  }
  changed_.notify_all();
}

void Loop::OnReport(const NodeReport& report) {
  std::map<std::string, Seen> seen;
  for (const auto& vm : report.vms) {
    if (vm.assessment.state == State::kBlind) continue;
    Seen s;
    const auto of = [&](Resource resource) -> const std::optional<Prospect>& {
      return vm.prospects[static_cast<std::size_t>(resource)];
    };
    if (const auto& cpu = of(Resource::kCpu)) {
      s.foreseen.cpu = cpu->hour;
      s.foreseen.buckets = cpu->buckets;
    }
    if (const auto& memory = of(Resource::kMemory)) s.foreseen.memory = memory->hour;
    s.foreseen.guest_usable = vm.assessment.guest_usable;
    if (vm.assessment.memory_resident && vm.assessment.guest_usable) {
      s.used = Bytes{std::max<std::int64_t>(0, Count(*vm.assessment.memory_resident - *vm.assessment.guest_usable))};
    }
    seen[vm.resolution.subject.uid] = s;
  }
  std::scoped_lock lock(mu_);
  seen_[report.node] = std::move(seen);
}

void Loop::Start() {
  thread_ = std::jthread([this](std::stop_token stop) {
    pthread_setname_np(pthread_self(), "hotplug");
    Run(stop);
  });
}

void Loop::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Loop::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    Step();
    std::unique_lock lock(mu_);
    changed_.wait_for(lock, stop, kStepEvery, [this] { return fresh_; });
  }
}

void Loop::Step() {
  std::shared_ptr<const View> view;
  std::map<std::string, Seen> seen;
  {
    std::scoped_lock lock(mu_);
    view = view_;
    fresh_ = false;
    for (const auto& [node, vms] : seen_) seen.insert(vms.begin(), vms.end());
  }
  if (!view) return;
  if (!may_write_()) {
    vms_.clear();  // another leader's words stand there by the time it is our turn again
    return;
  }
  budget_.Refill(clock_.Monotonic());

  std::unordered_map<std::string, const VirtualMachine*> vms;
  std::unordered_map<std::string, const VirtualMachineInstance*> vmis;
  std::unordered_map<std::string, std::vector<const Migration*>> migrations;
  std::unordered_map<std::string, const FingerprintObject*> fingerprints;
  std::vector<const Migration*> all;
  std::map<std::string, std::string> node_of;
  for (const auto& vm : view->cluster.vms) vms[vm->uid] = vm.get();
  for (const auto& vmi : view->cluster.vmis) {
    if (!vmi->vm_uid.empty()) vmis[vmi->vm_uid] = vmi.get();
    node_of[vmi->ns + "/" + vmi->name] = vmi->node;
  }
  for (const auto& m : view->cluster.migrations) {
    migrations[m->ns + "/" + m->vmi].push_back(m.get());
    all.push_back(m.get());
  }
  for (const auto& f : view->fingerprints) fingerprints[f->owner_uid] = f.get();
  kubevirt_ = view->cluster.kubevirts.empty() ? nullptr : view->cluster.kubevirts.front().get();
  in_flight_ = InFlight(all, node_of);
  // A change that KubeVirt has not made a migration of yet is one to come.
  for (const auto& [uid, vm] : vms) {
    const auto vmi = vmis.find(uid);
    if (!vm->facts.resizing || vmi == vmis.end()) continue;
    const auto& own = migrations[vm->ns + "/" + vm->name];
    if (std::all_of(own.begin(), own.end(), [](const Migration* m) { return m->ended(); })) {
      ++in_flight_[vmi->second->node];
    }
  }

  std::map<std::string, VmState> kept;
  for (const auto& row : view->rows) {
    const auto vm = vms.find(row.subject.uid);
    const auto fingerprint = fingerprints.find(row.subject.uid);
    // Without a fingerprint there is nowhere to say anything: the publisher makes it first.
    if (!row.opted_in() || !row.subject.patchable() || vm == vms.end() || vm->second->deleting ||
        fingerprint == fingerprints.end()) {
      continue;
    }
    auto& state = kept[row.subject.uid];
    if (const auto before = vms_.find(row.subject.uid); before != vms_.end()) state = std::move(before->second);
    if (!state.loaded) {
      state.status = fingerprint->second->resize;
      state.loaded = true;
      state.written_at = clock_.Monotonic();
    }
    Vm at;
    at.row = &row;
    at.vm = vm->second;
    if (const auto vmi = vmis.find(row.subject.uid); vmi != vmis.end()) at.vmi = vmi->second;
    at.migrations = migrations[row.subject.ns + "/" + row.subject.name];
    at.state = &state;
    at.next = state.status;
    at.next.mode = crd::HotplugModeName(row.policy->hotplug.mode);
    Foreseen foreseen;
    if (const auto known = seen.find(row.subject.uid); known != seen.end()) {
      foreseen = known->second.foreseen;
      at.used = known->second.used;
    }
    std::vector<Time> began;
    for (const auto* m : at.migrations) began.push_back(m->created);
    at.next.migrations = LastDay(std::move(at.next.migrations), began, clock_.Now());
    at.next.changes = LastDay(std::move(at.next.changes), {}, clock_.Now());
    if (at.vmi != nullptr && row.policy->hotplug.mode != crd::HotplugMode::kOff) {
      const auto said =
          state.recommender.Recommend(at.vm->facts, at.vmi->facts, foreseen, clock_.Monotonic(), options_.recommend);
      at.next.recommendation = {
          ToView("sockets", said.sockets, said.sockets_why, [](std::int64_t n) { return std::to_string(n); }),
          ToView("memory", said.memory, said.memory_why, [](std::int64_t n) { return BytesText(Bytes{n}); })};
      at.next.expected_migrations = said.expected_migrations();
      at.recommended = said.Change();
    } else {
      at.next.recommendation.clear();
      at.next.expected_migrations = 0;
    }
    StepVm(*view, at);
  }
  vms_ = std::move(kept);
}

void Loop::StepVm(const View& view, Vm& at) {
  Advise(view, at);
  if (clock_.Monotonic() >= at.state->look_again) {
    if (at.vm->facts.resizing) {
      Follow(at);
    } else {
      Consider(view, at);
    }
  }
  WriteStatus(at);
  CloseWhenTold(at);
}

Situation Loop::SituationOf(const View& view, const Vm& at, const Target& target) const {
  Situation out;
  out.vm = &at.vm->facts;
  out.vmi = at.vmi != nullptr ? &at.vmi->facts : nullptr;
  out.kubevirt = kubevirt_;
  out.migration_in_flight =
      std::any_of(at.migrations.begin(), at.migrations.end(), [](const Migration* m) { return !m->ended(); });
  for (const auto& node : view.cluster.nodes) {
    if (node->takes_vms && (at.vmi == nullptr || node->name != at.vmi->node)) ++out.other_nodes;
  }
  out.used = at.used;
  out.target = target;
  return out;
}

// What is recommended and whether it could be done, before anybody asks.
void Loop::Advise(const View& view, Vm& at) {
  const Time now = clock_.Now();
  const auto& change = at.recommended;
  const bool any = change.sockets || change.guest;
  const auto generation = at.row->generation;
  if (at.row->policy->hotplug.mode == crd::HotplugMode::kOff) {
    Condition(at.next, crd::kRecommended, false, "Off", "hotplug.mode of its policy is Off", generation, now);
    Condition(at.next, crd::kPossible, false, "Off", "hotplug.mode of its policy is Off", generation, now);
    return;
  }
  Condition(at.next, crd::kRecommended, any, any ? "AnotherSize" : "AsItIs",
            any ? fmt::format("{} would fit; one live migration", TargetText(change)) : "no other size is recommended",
            generation, now);
  // Where nothing is recommended people still want to know whether it could be: of one more socket.
  Target probe = change;
  if (!any) probe.sockets = at.vm->facts.sockets.value_or(0) + 1;
  const auto situation = SituationOf(view, at, probe);
  auto why = WhyNot(situation);
  if (!why) why = NotNow(at);
  Condition(at.next, crd::kPossible, !why, why ? why->code : "Allowed",
            why ? why->Message() : fmt::format("{} could be had by a live migration", TargetText(probe)), generation,
            now);
  if (any && at.state->told != change && !at.vm->facts.resizing) {
    Tell(at, crd::EventReason::kResizeRecommended,
         fmt::format("{} recommended: {}. `kubectl whorl apply vm/{}` shows and does it, by a live migration.",
                     TargetText(change), at.next.recommendation[change.sockets ? 0 : 1].why, at.row->subject.name));
    at.state->told = change;
  }
}

std::optional<Refusal> Loop::NotNow(const Vm& at) const {
  const auto& policy = at.row->policy->hotplug;
  if (at.row->mode.pause != Pause::kNone) {
    return Refusal{"Paused", fmt::format("PartitionPolicy {} is paused", at.row->mode.policy), {}};
  }
  const Budget budget{policy.changes_per_vm_and_day, policy.at_once_per_node, policy.at_once_per_cluster};
  Spent spent{at.next.changes, at.next.migrations, 0, 0};
  if (const auto here = in_flight_.find(at.vmi->node); here != in_flight_.end()) spent.on_node = here->second;
  spent.in_cluster = std::accumulate(in_flight_.begin(), in_flight_.end(), 0,
                                     [](int sum, const auto& node) { return sum + node.second; });
  return OverBudget(budget, *kubevirt_, spent, clock_.Now());
}

// A change under way: where it stands, and the next step of it.
void Loop::Follow(Vm& at) {
  const auto record = ParseRecord(*at.vm->facts.resizing);
  if (!record) {
    const std::string message = record.error().message + "; it is taken away, the size is left";
    if (at.next.change && at.next.change->message == message) return;
    const auto now = std::chrono::floor<Seconds>(clock_.Now());
    at.next.change = crd::ResizeChange{.state = "Failed", .since = now, .ended = now, .message = message};
    return;
  }
  const auto judged =
      Judge(*record, at.vm->facts, at.vmi != nullptr ? &at.vmi->facts : nullptr, at.migrations, clock_.Now());
  auto& change = at.next.change;
  const bool same = change && change->since == record->since;
  const bool ended_before = same && change->ended;
  crd::ResizeChange fresh{.state = std::string(ChangePhaseName(judged.phase)),
                          .from = record->From(),
                          .to = record->To(),
                          .request = record->request,
                          .since = record->since,
                          .ended = {},
                          .message = judged.message};
  at.next.changes = LastDay(std::move(at.next.changes), {record->since}, clock_.Now());
  if (judged.step == ChangeStep::kClose) {
    fresh.ended = ended_before ? change->ended : std::chrono::floor<Seconds>(clock_.Now());
    if (!ended_before) {
      Tell(at, ReasonOf(judged.phase), fmt::format("{} -> {}: {}", fresh.from, fresh.to, fresh.message));
      if (on_outcome_) on_outcome_(fresh.state);
    }
  }
  change = std::move(fresh);
  if (judged.step != ChangeStep::kRevert || !budget_.Take()) return;
  auto reverted = Patch(at, RevertPatch(at.row->subject.uid, at.vm->facts, at.vmi != nullptr ? &at.vmi->facts : nullptr,
                                        *record, judged.message, clock_.Now()));
  if (!reverted) change->message += "; putting the size before back failed: " + reverted.error().message;
}

// Nothing is under way: is something asked for?
void Loop::Consider(const View& view, Vm& at) {
  const auto& facts = at.vm->facts;
  const auto& change = at.next.change;
  std::string text;
  Target target;
  if (facts.resize) {
    if (Answered(change, *facts.resize, clock_.Now())) return;  // the annotation is still to go
    const auto request = crd::ParseResizeRequest(*facts.resize);
    if (!request) {
      at.next.change = crd::ResizeChange{.state = "Refused",
                                         .request = *facts.resize,
                                         .since = std::chrono::floor<Seconds>(clock_.Now()),
                                         .ended = std::chrono::floor<Seconds>(clock_.Now()),
                                         .message = request.error().message};
      Tell(at, crd::EventReason::kInvalidResizeRequest, request.error().message);
      return;
    }
    text = request->text;
    target.sockets = request->sockets;
    if (request->memory) {
      const auto bytes = ParseBytes(*request->memory);
      if (!bytes) return Refuse(at, text, {}, bytes.error().message);
      target.guest = *bytes;
    }
    if (at.row->policy->hotplug.mode == crd::HotplugMode::kOff) {
      return Refuse(at, text, TargetText(target),
                    fmt::format("hotplug.mode of PartitionPolicy {} is Off", at.row->policy->name));
    }
    if (at.row->mode.mode < Mode::kRecommend) {
      return Refuse(at, text, TargetText(target),
                    "whorl.dev/mode of the VM is observe, and then nothing is changed; set it to recommend or enforce");
    }
  } else {
    target = at.recommended;
    if ((!target.sockets && !target.guest) || at.row->policy->hotplug.mode != crd::HotplugMode::kAuto ||
        at.row->mode.mode != Mode::kEnforce) {
      return;
    }
  }
  const auto situation = SituationOf(view, at, target);
  auto why = WhyNot(situation);
  if (!why) why = NotNow(at);
  if (!why) return Begin(at, situation, text);
  if (text.empty() || Passes(*why)) return;  // the condition says it
  Refuse(at, text, TargetText(target), why->Message());
}

void Loop::Begin(Vm& at, const Situation& situation, const std::string& request) {
  if (!budget_.Take()) return;
  const auto record = MakeRecord(situation, request, clock_.Now());
  const auto patch = StartPatch(at.row->subject.uid, at.vm->facts, record);
  const auto path = VmPath(at.row->subject);
  // KubeVirt's admission and every other has its word before anything is changed.
  if (auto tried = writer_.DryRunJsonPatch(path, patch); !tried) {
    at.state->look_again = clock_.Monotonic() + (request.empty() ? options_.retry_auto_after : options_.again_after);
    if (tried.error().code == Code::kInvalid || tried.error().code == Code::kUnauthorized) {
      Refuse(at, request, record.To(), "the API server would not take it: " + tried.error().message);
    }
    return;
  }
  if (auto done = Patch(at, patch); !done) return;
  ++in_flight_[at.vmi->node];
  at.next.changes = LastDay(std::move(at.next.changes), {record.since}, clock_.Now());
  at.next.change = crd::ResizeChange{.state = "Patched",
                                     .from = record.From(),
                                     .to = record.To(),
                                     .request = request,
                                     .since = record.since,
                                     .ended = {},
                                     .message = "waiting for KubeVirt"};
  Tell(at, crd::EventReason::kResizeStarted,
       fmt::format("{} -> {}, {}; one live migration. It is taken back if KubeVirt wants a restart.", record.From(),
                   record.To(),
                   request.empty() ? fmt::format("as PartitionPolicy {} says", at.row->policy->name)
                                   : std::string("as asked for")));
  if (on_outcome_) on_outcome_("Started");
}

void Loop::Refuse(Vm& at, const std::string& request, const std::string& to, const std::string& message) {
  const auto now = std::chrono::floor<Seconds>(clock_.Now());
  const auto& change = at.next.change;
  if (change && change->state == "Refused" && change->request == request && change->message == message) return;
  at.next.change = crd::ResizeChange{
      .state = "Refused", .from = {}, .to = to, .request = request, .since = now, .ended = now, .message = message};
  Tell(at, crd::EventReason::kResizeRefused, message);
  if (on_outcome_) on_outcome_("Refused");
}

// Told in the status first, then taken away: in the other order a crash in
// between would lose what was done.
void Loop::CloseWhenTold(Vm& at) {
  const auto& told = at.state->status.change;
  const auto& facts = at.vm->facts;
  if (!told || !told->ended || clock_.Monotonic() < at.state->look_again) return;
  bool ours = facts.resizing.has_value();
  if (ours) {
    const auto record = ParseRecord(*facts.resizing);
    ours = !record || record->since == told->since;
  }
  const bool request = facts.resize && Answered(told, *facts.resize, clock_.Now());
  if (!ours && !(request && !facts.resizing)) return;
  if (!budget_.Take()) return;
  (void)Patch(at, ClosePatch(at.row->subject.uid, facts, told->request));
}

void Loop::WriteStatus(Vm& at) {
  auto& state = *at.state;
  if (at.next == state.status) return;
  const bool soon = ForPeople(at.next) != ForPeople(state.status);
  if (!soon && clock_.Monotonic() - state.written_at < options_.refresh_every) return;
  if (clock_.Monotonic() < state.write_again || !budget_.Take()) return;
  const auto& subject = at.row->subject;
  kube::ResourcePath path;
  path.group = crd::kGroup;
  path.version = crd::kVersion;
  path.plural = crd::kBehaviorFingerprint.plural;
  path.ns = subject.ns;
  path.name = subject.name;
  auto object = kube::ObjectHead(crd::kApiVersion, crd::kBehaviorFingerprint.kind, subject.ns, subject.name);
  object["status"]["resize"] = crd::ToJson(at.next);
  auto written = writer_.Apply(path.Status(), object, std::string(crd::kResizeFieldManager));
  if (!written) {
    spdlog::warn("{}: its size could not be told: {}", subject.Text(), written.error().message);
    state.write_again = clock_.Monotonic() + options_.again_after;
    return;
  }
  state.status = at.next;
  state.written_at = clock_.Monotonic();
}

Status Loop::Patch(Vm& at, const nlohmann::json& operations) {
  auto done = writer_.JsonPatch(VmPath(at.row->subject), operations);
  if (!done) spdlog::warn("{}: {}", at.row->subject.Text(), done.error().message);
  // Taken or not: look again at what the watch says by then.
  at.state->look_again = clock_.Monotonic() + options_.again_after;
  return done;
}

void Loop::Tell(const Vm& at, crd::EventReason reason, const std::string& note) {
  if (!record_) return;
  auto event = ToEvent(at.row->subject, reason, note);
  event.distinct = note;
  record_(std::move(event));
}

}  // namespace whorl::controller::hotplug
