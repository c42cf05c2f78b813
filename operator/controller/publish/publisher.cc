#include "operator/controller/publish/publisher.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "crd/annotations.h"
#include "crd/names.h"
#include "crd/text.h"
#include "operator/controller/publish/node_ledger.h"
#include "operator/kube/json.h"

namespace whorl::controller {
namespace {

constexpr Millis kStepEvery{250};
constexpr Millis kWatchLag{10'000};  // before a clean-up that the watch has not confirmed is tried again
constexpr std::size_t kHappeningsKept = 4096;

kube::ResourcePath Path(const crd::KindName& kind, const std::string& ns, const std::string& name) {
  kube::ResourcePath path;
  path.group = crd::kGroup;
  path.version = crd::kVersion;
  path.plural = kind.plural;
  path.ns = ns;
  path.name = name;
  return path;
}

kube::ResourcePath VmPath(const Subject& subject) {
  kube::ResourcePath path;
  path.group = "kubevirt.io";
  path.version = "v1";
  path.plural = "virtualmachines";
  path.ns = subject.ns;
  path.name = subject.name;
  return path;
}

kube::ObjectRef Ref(const Subject& subject) {
  return kube::ObjectRef{subject.api_version, subject.kind, subject.ns, subject.name, subject.uid};
}

kube::ResourcePath InstancePath(const std::string& ns, const std::string& name, std::string_view act) {
  kube::ResourcePath path;
  path.group = "subresources.kubevirt.io";
  path.version = "v1";
  path.plural = "virtualmachineinstances";
  path.ns = ns;
  path.name = name;
  path.subresource = act;
  return path;
}

const crd::RemedyHold* HoldOf(const std::optional<crd::RemedyView>& view, remedy::Rung rung) {
  if (!view) return nullptr;
  const auto at = std::find_if(view->held.begin(), view->held.end(),
                               [&](const crd::RemedyHold& hold) { return hold.rung == remedy::RungName(rung); });
  return at == view->held.end() ? nullptr : &*at;
}

// The uid makes the patch fail on another VM that took the name meanwhile.
nlohmann::json AnnotationsPatch(const Subject& subject, const std::optional<Annotations>& annotations) {
  nlohmann::json out = nlohmann::json::object();
  const auto put = [&](std::string_view key, const std::optional<std::string>& value) {
    out[std::string(key)] = value ? nlohmann::json(*value) : nlohmann::json(nullptr);
  };
  put(crd::kScoreKey, annotations ? annotations->score : std::nullopt);
  put(crd::kStateKey, annotations ? std::optional(annotations->state) : std::nullopt);
  put(crd::kSummaryKey, annotations ? std::optional(annotations->summary) : std::nullopt);
  // A VM that opts out while its size is changed keeps the size and loses our note about it.
  if (!annotations) put(crd::kResizingKey, std::nullopt);
  return {{"metadata", {{"uid", subject.uid}, {"annotations", std::move(out)}}}};
}

}  // namespace

kube::Event ToEvent(const Subject& subject, crd::EventReason reason, std::string note) {
  const auto& info = crd::Info(reason);
  kube::Event event;
  event.regarding = Ref(subject);
  if (subject.kind != crd::kNodePartition.kind) {
    event.related = kube::ObjectRef{
        std::string(crd::kApiVersion), std::string(crd::kBehaviorFingerprint.kind), subject.ns, subject.name, {}};
  }
  event.type = info.warning ? kube::EventType::kWarning : kube::EventType::kNormal;
  event.reason = info.name;
  event.action = info.action;
  event.note = std::move(note);
  return event;
}

void MarkDoneRequests(std::vector<Resolution>& rows,
                      const std::vector<std::shared_ptr<const FingerprintObject>>& fingerprints, Time now) {
  for (auto& row : rows) {
    if (!row.baseline_request) continue;
    for (const auto& fingerprint : fingerprints) {
      if (fingerprint->owner_uid != row.subject.uid || !fingerprint->last_request) continue;
      row.baseline_done = AlreadyDone(*row.baseline_request, *fingerprint->last_request, now);
    }
    if (row.baseline_done) row.baseline_request.reset();
  }
}

void MarkRemedies(std::vector<Resolution>& rows,
                  const std::vector<std::shared_ptr<const FingerprintObject>>& fingerprints) {
  std::map<std::string_view, const FingerprintObject*> by_owner;
  for (const auto& fingerprint : fingerprints) {
    if (fingerprint->remedy) by_owner[fingerprint->owner_uid] = fingerprint.get();
  }
  for (auto& row : rows) {
    const auto at = by_owner.find(row.subject.uid);
    if (at != by_owner.end()) row.remedy = std::make_shared<const crd::RemedyView>(*at->second->remedy);
  }
}

Publisher::Publisher(ClusterWriter& writer, Record record, std::function<bool()> may_write, const Clock& clock,
                     Options options, OnWrite on_write)
    : writer_(writer),
      record_(std::move(record)),
      may_write_(std::move(may_write)),
      clock_(clock),
      options_(std::move(options)),
      on_write_(std::move(on_write)),
      budget_(options_.writes_per_second, options_.burst) {}

Publisher::~Publisher() { Stop(); }

void Publisher::SetPass(std::shared_ptr<const Pass> pass) {
  {
    std::scoped_lock lock(mu_);
    new_pass_ = std::move(pass);
  }
  changed_.notify_all();
}

void Publisher::OnReport(NodeReport report, const std::vector<Happening>& happenings) {
  std::scoped_lock lock(mu_);
  for (const auto& h : happenings) {
    if (happenings_.size() < kHappeningsKept) happenings_.push_back(h);
  }
  auto name = report.node;
  reports_[std::move(name)] = std::move(report);
}

void Publisher::Charge(double writes) {
  std::scoped_lock lock(mu_);
  charged_ += writes;
}

void Publisher::Start() {
  thread_ = std::jthread([this](std::stop_token stop) {
    pthread_setname_np(pthread_self(), "publish");
    Run(stop);
  });
}

void Publisher::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  // Whoever leads next begins with these books.
  for (auto& [name, node] : nodes_) node.written = false;
  Step();  // what is still due, as far as the budget reaches
}

void Publisher::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    Step();
    std::unique_lock lock(mu_);
    changed_.wait_for(lock, stop, kStepEvery, [] { return false; });
  }
}

void Publisher::TakeInputs(Millis now) {
  std::map<std::string, NodeReport> reports;
  std::vector<Happening> happenings;
  {
    std::scoped_lock lock(mu_);
    if (new_pass_) pass_ = std::exchange(new_pass_, nullptr);
    reports.swap(reports_);
    happenings.swap(happenings_);
    budget_.Charge(std::exchange(charged_, 0));
  }
  for (auto& [name, report] : reports) {
    auto& node = nodes_[name];
    if (report.connected) {
      node.unseen_since.reset();
    } else if (!node.unseen_since) {
      node.unseen_since = now;
    }
    node.report = std::move(report);
  }
  for (auto& h : happenings) {
    if (h.subject.kind == crd::kNodePartition.kind) {
      // Only here it is known by its uid, which kubectl describe asks for.
      for (const auto& object : pass_ ? pass_->partitions : decltype(pass_->partitions){}) {
        if (object->node == h.subject.name) h.subject.uid = object->uid;
      }
    }
    if (!h.request.empty()) {
      auto& state = vms_[h.subject.uid];
      state.request = crd::LastBaselineRequest{.request = h.request,
                                               .done = h.reason != crd::EventReason::kInvalidBaselineRequest,
                                               .time = clock_.Now(),
                                               .message = h.note};
      state.request_pending = true;
      state.request_stands = true;
    }
    if (h.from.empty() && h.to.empty()) {
      Tell(h.subject, h.reason, h.note, h.distinct);
      continue;
    }
    auto& state = vms_[h.subject.uid];
    if (!h.rung.empty()) {
      Tell(h.subject, h.reason, h.note, h.distinct);
      crd::LastAction step;
      step.reason = crd::Info(h.reason).name;
      step.from = h.from;
      step.to = h.to;
      step.time = h.at;
      step.until = h.until;
      step.message = h.note;
      state.last_action = std::move(step);
      state.action_pending = state.remedy_pending = true;
      continue;
    }
    // Loans come and go faster than people read, and must not use up what the
    // VM may say: some moves get an Event of their own, the rest count in its series.
    state.move_budget.Refill(now);
    if (state.move_budget.Take()) ++state.moves_told;
    Tell(h.subject, h.reason, h.note, std::to_string(state.moves_told));
    crd::LastAction action;
    action.reason = crd::Info(h.reason).name;
    action.resource = "cpu";
    action.from = h.from;
    action.to = h.to;
    action.time = h.at;
    action.until = h.until;
    action.message = h.note;
    state.last_action = std::move(action);
    state.action_pending = true;
  }
}

void Publisher::Tell(const Subject& subject, crd::EventReason reason, std::string note, std::string distinct) {
  if (!record_) return;
  auto event = ToEvent(subject, reason, std::move(note));
  event.distinct = std::move(distinct);
  record_(std::move(event));
}

void Publisher::TellModes(const Resolution& row, VmState& state) {
  const auto once = [&](std::string& told, const std::string& text, crd::EventReason reason) {
    if (told == text) return;
    told = text;
    if (!text.empty()) Tell(row.subject, reason, text, text);  // another wrong word is no repeat of the first
  };
  once(state.told_mode, row.mode.invalid_modes.empty() ? std::string() : row.mode.invalid_modes.front(),
       crd::EventReason::kInvalidMode);
  once(state.told_policy, row.mode.invalid_policies.empty() ? std::string() : row.mode.invalid_policies.front(),
       crd::EventReason::kInvalidPolicy);
  once(state.told_invalid_baseline, row.invalid_baseline, crd::EventReason::kInvalidBaselineRequest);
  // An annotation outside the grammar has been told as such already.
  const bool capped = row.mode.cap != crd::Cap::kNotCapped && row.mode.cap != crd::Cap::kInvalidMode &&
                      row.mode.cap != crd::Cap::kInvalidPolicy;
  once(state.told_cap, capped ? row.mode.message : std::string(), crd::EventReason::kModeCapped);
}

std::optional<VmReport> Publisher::ReportOf(const Resolution& row, const VmState& state, Millis now) const {
  if (row.not_watched) return Unwatched(row, row.not_watched->message);
  if (!row.enrolment) return Unwatched(row, "nothing is known about its pod yet");
  const auto node = nodes_.find(row.enrolment->node);
  if (node != nodes_.end()) {
    for (const auto& vm : node->second.report.vms) {
      if (vm.resolution.subject.uid != row.subject.uid) continue;
      VmReport report = vm;
      report.resolution = row;  // mode and generation may be newer here
      return report;
    }
  }
  if (now - state.first_seen < options_.appear_after) return std::nullopt;
  std::string why = "no whorl-agent answers on node " + row.enrolment->node;
  if (node != nodes_.end() && !node->second.report.trouble.empty()) why = node->second.report.trouble;
  return Unwatched(row, why);
}

bool Publisher::StillHeld(const std::string& vm_uid, Millis now) const {
  if (const auto vm = vms_.find(vm_uid); vm != vms_.end() && vm->second.paused) return true;
  for (const auto& [name, node] : nodes_) {
    if (node.unseen_since && now - *node.unseen_since >= options_.give_up_held) continue;
    for (const auto& vm : node.report.vms) {
      if (vm.resolution.subject.uid == vm_uid && vm.held) return true;
    }
  }
  return false;
}

void Publisher::PlanVm(const Resolution& row, Millis now, std::vector<Work>& work) {
  auto& state = vms_[row.subject.uid];
  const auto report = ReportOf(row, state, now);
  if (!report) return;
  state.ns = row.subject.ns;
  state.name = row.subject.name;
  if (report->remedy) {
    state.remedy = report->remedy;
    state.remedy_seen = true;
  }
  const bool heard = row.answer && report->heard == row.answer;
  if (!row.answer) state.answer_removed.reset();
  if (heard && state.answer_removed != row.answer) {
    work.push_back({Urgency::kState, "annotations", row.subject.uid + "/answer",
                    [this, subject = row.subject, answer = *row.answer] { return RemoveAnswer(subject, answer); }});
  }
  const auto bucket = BucketOf(*report, state.fingerprinted ? state.fingerprinted : state.annotated);

  if (row.subject.patchable()) {
    const bool state_moved = !state.annotated || state.annotated->state != bucket.state ||
                             state.annotated->blind_reason != bucket.blind_reason;
    const bool other_moved =
        state.annotated && (state.annotated->score != bucket.score || state.annotated->learned != bucket.learned ||
                            state.annotated->lends != bucket.lends || state.annotated->borrows != bucket.borrows ||
                            state.annotated->nature != bucket.nature);
    if (state_moved || (other_moved && now - state.annotated_at >= options_.score_every)) {
      work.push_back({state_moved ? Urgency::kState : Urgency::kScore, "annotations", row.subject.uid,
                      [this, vm = *report, bucket, now] { return WriteAnnotations(vm, bucket, now); }});
    }
  }

  // Told in the status first, then taken away: in the other order a crash in
  // between would lose what was done.
  const bool just_removed = state.request_removed && now - *state.request_removed < kWatchLag;
  if (row.baseline_done && !just_removed) state.request_stands = true;
  if (state.request_stands && !state.request_pending && row.subject.patchable()) {
    work.push_back({Urgency::kState, "annotations", row.subject.uid + "/baseline",
                    [this, subject = row.subject] { return RemoveRequest(subject); }});
  }

  const auto age = now - state.fingerprinted_at;
  std::optional<Urgency> urgency;
  if (state.request_pending || state.remedy_pending || !state.fingerprinted ||
      state.fingerprinted->state != bucket.state || state.fingerprinted->mode != bucket.mode ||
      state.fingerprinted->episode != bucket.episode || state.fingerprinted->blind_reason != bucket.blind_reason) {
    urgency = Urgency::kStateStatus;
  } else if ((!bucket.SameForPeople(*state.fingerprinted) || state.action_pending) && age >= options_.loans_every) {
    urgency = Urgency::kStateStatus;
  } else if (bucket != *state.fingerprinted && age >= options_.score_every) {
    urgency = Urgency::kStatus;
  } else if ((bucket.lends || bucket.borrows) && age >= options_.open_loan_every) {
    urgency = Urgency::kStatus;
  } else if (age >= options_.refresh_every) {
    urgency = Urgency::kRefresh;
  }
  if (urgency) {
    work.push_back({*urgency, "fingerprint", row.subject.uid,
                    [this, vm = *report, bucket, now] { return WriteFingerprint(vm, bucket, now); }});
  }
}

Status Publisher::WriteAnnotations(const VmReport& vm, const Bucket& bucket, Millis now) {
  auto written =
      writer_.MergePatch(VmPath(vm.resolution.subject), AnnotationsPatch(vm.resolution.subject, ToAnnotations(vm)));
  if (!written && written.error().code != Code::kNotFound && written.error().code != Code::kConflict) return written;
  // Gone, or another VM of that name: the watch will tell, there is nothing to repeat.
  auto& state = vms_[vm.resolution.subject.uid];
  state.annotated = bucket;
  state.annotated_at = now;
  return {};
}

Status Publisher::RemoveRequest(const Subject& subject) {
  auto& state = vms_[subject.uid];
  if (!state.request) return {};
  // Another request that came meanwhile, or another VM of that name, is left alone.
  const std::string at = "/metadata/annotations/whorl.dev~1baseline";
  const auto operations = nlohmann::json::array({{{"op", "test"}, {"path", "/metadata/uid"}, {"value", subject.uid}},
                                                 {{"op", "test"}, {"path", at}, {"value", state.request->request}},
                                                 {{"op", "remove"}, {"path", at}}});
  auto done = writer_.JsonPatch(VmPath(subject), operations);
  if (!done && done.error().code != Code::kInvalid && done.error().code != Code::kNotFound) return done;
  state.request_stands = false;
  state.request_removed = clock_.Monotonic();
  return {};
}

Status Publisher::WriteFingerprint(const VmReport& vm, const Bucket& bucket, Millis now) {
  const auto& subject = vm.resolution.subject;
  auto& state = vms_[subject.uid];
  const auto path = Path(crd::kBehaviorFingerprint, subject.ns, subject.name);
  auto object = kube::ObjectHead(crd::kApiVersion, crd::kBehaviorFingerprint.kind, subject.ns, subject.name);
  if (!state.fingerprint_exists) {
    auto head = object;
    head["metadata"]["ownerReferences"] = nlohmann::json::array({kube::OwnerReference(Ref(subject), true)});
    if (auto made = writer_.Apply(path, head, std::string(crd::kFieldManager)); !made) return made;
    state.fingerprint_exists = true;
  }
  auto status = ToFingerprint(vm, state.last_action, state.conditions, clock_.Now());
  status.last_baseline_request = state.request;
  status.remedy = state.remedy;
  if (state.paused && !HoldOf(status.remedy, remedy::Rung::kPause)) {
    // Not forgotten before it is undone.
    if (!status.remedy) status.remedy = crd::RemedyView{};
    status.remedy->held.push_back(
        {std::string(remedy::RungName(remedy::Rung::kPause)), clock_.Now(), clock_.Now() + Seconds{1}, {}, 0, {}});
  }
  const bool says_pause = HoldOf(status.remedy, remedy::Rung::kPause) != nullptr;
  if (status.remedy && status.remedy->rung.empty()) status.remedy->rung = remedy::RungName(remedy::Rung::kObserve);
  // Who never was on the ladder has nothing there to read.
  if (status.remedy && status.remedy->rung == remedy::RungName(remedy::Rung::kObserve) && !says_pause &&
      status.remedy->history.empty() && status.remedy->next.empty()) {
    status.remedy.reset();
  }
  object["status"] = crd::ToJson(status);
  auto written = writer_.Apply(path.Status(), object, std::string(crd::kStatusFieldManager));
  if (!written) {
    if (written.error().code == Code::kNotFound) state.fingerprint_exists = false;
    return written;
  }
  state.conditions = std::move(status.conditions);
  state.fingerprinted = bucket;
  state.fingerprinted_at = now;
  state.action_pending = false;
  state.request_pending = false;
  state.remedy_pending = false;
  state.pause_recorded = says_pause;
  return {};
}

void Publisher::PlanNode(const std::string& name, NodeState& node, Millis now, std::vector<Work>& work) {
  // A newer leader keeps these books by now; ours are history.
  if (node.stored && node.report.epoch > 0 && node.stored->epoch.value_or(0) > node.report.epoch) return;
  const auto age = now - node.written_at;
  const bool loans_moved = node.loans_written != LoansKey(node.report);
  const bool connection_moved = node.connected_written != node.report.connected;
  std::optional<Urgency> urgency;
  if (!node.written || ((loans_moved || connection_moved) && age >= options_.loans_every)) {
    urgency = Urgency::kLoans;
  } else if (age >= options_.node_every) {
    urgency = Urgency::kNode;
  }
  if (urgency) work.push_back({*urgency, "nodepartition", name, [this, name, now] { return WriteNode(name, now); }});
}

Status Publisher::WriteNode(const std::string& name, Millis now) {
  auto& node = nodes_[name];
  const auto path = Path(crd::kNodePartition, {}, name);
  auto object = kube::ObjectHead(crd::kApiVersion, crd::kNodePartition.kind, {}, name);
  if (!node.exists) {
    auto head = object;
    if (const auto uid = pass_->node_uids.find(name); uid != pass_->node_uids.end()) {
      head["metadata"]["ownerReferences"] =
          nlohmann::json::array({kube::OwnerReference(kube::ObjectRef{"v1", "Node", {}, name, uid->second}, false)});
    }
    if (auto made = writer_.Apply(path, head, std::string(crd::kFieldManager)); !made) return made;
    node.exists = true;
  }
  auto status = ToNodePartition(node.report, options_.replica, node.conditions, clock_.Now(), node.stored.get());
  object["status"] = crd::ToJson(status);
  auto written = writer_.Apply(path.Status(), object, std::string(crd::kStatusFieldManager));
  if (!written) {
    if (written.error().code == Code::kNotFound) node.exists = false;
    return written;
  }
  node.conditions = std::move(status.conditions);
  node.loans_written = LoansKey(node.report);
  node.connected_written = node.report.connected;
  node.written_at = now;
  node.written = true;
  return {};
}

// What an earlier run of ours, or the leader before us, did to instances.
void Publisher::SeedRemedies() {
  for (const auto& fingerprint : pass_->fingerprints) {
    // The watch still shows for a while what has been deleted.
    if (!fingerprint->remedy || fingerprint->owner_uid.empty() || cleaned_.contains(fingerprint->uid)) continue;
    const bool paused = HoldOf(fingerprint->remedy, remedy::Rung::kPause) != nullptr;
    if (!paused && !vms_.contains(fingerprint->owner_uid)) continue;
    auto& state = vms_[fingerprint->owner_uid];
    if (state.remedy_seen) continue;
    state.remedy_seen = true;
    state.remedy = fingerprint->remedy;
    state.ns = fingerprint->ns;
    state.name = fingerprint->name;
    state.paused = state.pause_recorded = paused;
    if (const auto* hold = HoldOf(fingerprint->remedy, remedy::Rung::kMigrate)) state.migrated = hold->since;
  }
}

// Pauses and migrations are the cluster's to do. A pause ends with its time even
// when nobody reports the VM any more.
void Publisher::PlanRemedies(std::vector<Work>& work) {
  std::set<std::string_view> enforced;
  for (const auto& row : pass_->rows) {
    if (row.mode.mode == Mode::kEnforce && row.enrolment) enforced.insert(row.subject.uid);
  }
  const Time now = clock_.Now();
  for (auto& [uid, state] : vms_) {
    const auto* pause = HoldOf(state.remedy, remedy::Rung::kPause);
    const bool wanted = pause != nullptr && now < pause->until && enforced.contains(uid);
    if (wanted && !state.paused && state.pause_recorded) {
      work.push_back({Urgency::kState, "pause", uid, [this, id = uid] { return PauseOrNot(id, true); }});
    } else if (!wanted && state.paused) {
      work.push_back({Urgency::kState, "unpause", uid, [this, id = uid] { return PauseOrNot(id, false); }});
    }
    const auto* migrate = HoldOf(state.remedy, remedy::Rung::kMigrate);
    if (migrate == nullptr || !enforced.contains(uid) || now >= migrate->until) continue;
    if (state.migrated && *state.migrated >= migrate->since - Seconds{1}) continue;
    work.push_back(
        {Urgency::kState, "migration", uid, [this, id = uid, since = migrate->since] { return Migrate(id, since); }});
  }
}

Status Publisher::PauseOrNot(const std::string& uid, bool pause) {
  auto& state = vms_[uid];
  // Without an answer it may have been done: better undone once too often.
  if (pause) state.paused = true;
  auto done = writer_.Act(InstancePath(state.ns, state.name, pause ? "pause" : "unpause"));
  // Gone, or not in the state that could be left: there is nothing of ours on it.
  const bool moot = !done && (done.error().code == Code::kNotFound || done.error().code == Code::kConflict ||
                              done.error().code == Code::kInvalid);
  if (moot || (done && !pause)) {
    state.paused = false;
    state.remedy_pending = true;
    if (pause) state.pause_recorded = false;
  }
  return moot && !pause ? Status{} : done;
}

Status Publisher::Migrate(const std::string& uid, Time since) {
  auto& state = vms_[uid];
  kube::ResourcePath path;
  path.group = "kubevirt.io";
  path.version = "v1";
  path.plural = "virtualmachineinstancemigrations";
  path.ns = state.ns;
  // The name makes a second try the same migration.
  auto object = kube::ObjectHead("kubevirt.io/v1", "VirtualMachineInstanceMigration", state.ns,
                                 state.name.substr(0, 40) + "-whorl-" + std::to_string(ToUnixMillis(since) / 1000));
  object["spec"] = {{"vmiName", state.name}};
  auto done = writer_.Create(path, object);
  if (!done && done.error().code != Code::kConflict && done.error().code != Code::kInvalid) return done;
  state.migrated = since;
  return done || done.error().code == Code::kConflict ? Status{} : done;
}

Status Publisher::RemoveAnswer(const Subject& subject, const RemedyAnswer& answer) {
  const std::string at = std::string("/metadata/annotations/whorl.dev~1") + (answer.approve ? "approve" : "reject");
  const auto operations = nlohmann::json::array({{{"op", "test"}, {"path", "/metadata/uid"}, {"value", subject.uid}},
                                                 {{"op", "test"}, {"path", at}, {"value", answer.proposal}},
                                                 {{"op", "remove"}, {"path", at}}});
  auto done = writer_.JsonPatch(VmPath(subject), operations);
  if (!done && done.error().code != Code::kInvalid && done.error().code != Code::kNotFound) return done;
  vms_[subject.uid].answer_removed = answer;
  return {};
}

void Publisher::PlanCleanup(Millis now, std::vector<Work>& work) {
  std::set<std::string> opted_in;                                    // subject uid
  std::map<std::pair<std::string, std::string>, std::string> names;  // of opted-in VMs -> uid
  for (const auto& row : pass_->rows) {
    if (!row.opted_in()) continue;
    opted_in.insert(row.subject.uid);
    names[{row.subject.ns, row.subject.name}] = row.subject.uid;
  }
  const auto recently = [&](const std::string& uid) {
    const auto it = cleaned_.find(uid);
    return it != cleaned_.end() && now - it->second < kWatchLag;
  };
  for (const auto& [annotated, vm] : pass_->annotated) {
    if (opted_in.contains(annotated) || recently(annotated) || StillHeld(annotated, now)) continue;
    work.push_back(
        {Urgency::kCleanup, "annotations", annotated, [this, uid = annotated, subject = vm, now]() -> Status {
           auto done = writer_.MergePatch(VmPath(subject), AnnotationsPatch(subject, std::nullopt));
           if (!done && done.error().code != Code::kNotFound && done.error().code != Code::kConflict) return done;
           cleaned_[uid] = now;
           return {};
         }});
  }
  for (const auto& fingerprint : pass_->fingerprints) {
    const auto owner = names.find({fingerprint->ns, fingerprint->name});
    const bool wanted =
        owner != names.end() && (fingerprint->owner_uid == owner->second || fingerprint->owner_uid.empty());
    if (wanted || recently(fingerprint->uid) || StillHeld(fingerprint->owner_uid, now)) continue;
    work.push_back({Urgency::kCleanup, "fingerprint", fingerprint->uid, [this, fingerprint, now]() -> Status {
                      auto done = writer_.Delete(Path(crd::kBehaviorFingerprint, fingerprint->ns, fingerprint->name),
                                                 fingerprint->uid);
                      if (!done && done.error().code != Code::kConflict) return done;
                      cleaned_[fingerprint->uid] = now;
                      return {};
                    }});
  }
  // What is no longer opted in is forgotten here, so that opting in again starts afresh.
  for (auto it = vms_.begin(); it != vms_.end();) {
    const bool known = opted_in.contains(it->first) ||
                       std::any_of(pass_->rows.begin(), pass_->rows.end(),
                                   [&](const Resolution& row) { return row.subject.uid == it->first; });
    if (!known && !it->second.paused) {
      it = vms_.erase(it);
      continue;
    }
    if (!opted_in.contains(it->first)) {
      it->second.annotated.reset();
      it->second.fingerprinted.reset();
      it->second.fingerprint_exists = false;
      it->second.last_action.reset();
      it->second.request.reset();
      it->second.request_pending = it->second.request_stands = false;
      it->second.conditions.clear();
    }
    ++it;
  }
  std::erase_if(cleaned_, [&](const auto& entry) { return now - entry.second >= kWatchLag; });
}

void Publisher::PlanPolicies(std::vector<Work>& work) {
  std::map<std::string, std::int32_t> followers;
  for (const auto& row : pass_->rows) {
    if (row.opted_in()) ++followers[row.mode.policy];
  }
  for (const auto& policy : pass_->policies) {
    crd::PartitionPolicyStatus status;
    status.observed_generation = policy->generation;
    status.virtual_machines = followers[policy->name];
    if (policy->policy) status.conditions = policy->policy->conditions;
    crd::Condition accepted;
    accepted.type = std::string(crd::kAccepted);
    accepted.status = policy->policy ? crd::ConditionStatus::kTrue : crd::ConditionStatus::kFalse;
    accepted.reason = policy->policy ? "Valid" : "Invalid";
    accepted.message = policy->policy ? "the policy is followed" : policy->trouble;
    accepted.observed_generation = policy->generation;
    crd::SetCondition(status.conditions, accepted, clock_.Now());
    const std::string key = std::to_string(policy->generation) + "/" + std::to_string(status.virtual_machines) + "/" +
                            accepted.reason + "/" + accepted.message;
    if (policy_written_[policy->uid] == key) continue;
    work.push_back({Urgency::kPolicy, "policy", policy->uid, [this, policy, status, key] {
                      const auto path = Path(crd::kPartitionPolicy, {}, policy->name);
                      auto object = kube::ObjectHead(crd::kApiVersion, crd::kPartitionPolicy.kind, {}, policy->name);
                      object["status"] = crd::ToJson(status);
                      auto done = writer_.Apply(path.Status(), object, std::string(crd::kStatusFieldManager));
                      if (done) policy_written_[policy->uid] = key;
                      return done;
                    }});
  }
}

void Publisher::Step() {
  const Millis now = clock_.Monotonic();
  budget_.Refill(now);
  TakeInputs(now);
  if (!pass_ || !may_write_() || now < pause_until_) return;

  std::vector<Work> work;
  for (const auto& fingerprint : pass_->fingerprints) {
    if (auto it = vms_.find(fingerprint->owner_uid); it != vms_.end()) it->second.fingerprint_exists = true;
  }
  SeedRemedies();
  for (const auto& row : pass_->rows) {
    const bool first = !vms_.contains(row.subject.uid);
    auto& state = vms_[row.subject.uid];
    if (first || state.first_seen == Millis{0}) {
      state.first_seen = now;
      for (const auto& fingerprint : pass_->fingerprints) {
        if (fingerprint->owner_uid != row.subject.uid) continue;
        state.fingerprint_exists = true;
        state.conditions = fingerprint->conditions;
        if (!state.request) state.request = fingerprint->last_request;
      }
    }
    TellModes(row, state);
    if (row.opted_in()) PlanVm(row, now, work);
  }
  for (const auto& object : pass_->partitions) {
    const auto node = nodes_.find(object->node);
    if (node == nodes_.end()) continue;
    node->second.stored = object;
    if (node->second.exists) continue;
    node->second.exists = true;
    node->second.conditions = object->conditions;
  }
  for (auto& [name, node] : nodes_) {
    if (pass_->node_uids.contains(name)) PlanNode(name, node, now, work);
  }
  PlanRemedies(work);
  PlanCleanup(now, work);
  PlanPolicies(work);

  std::stable_sort(work.begin(), work.end(), [](const Work& a, const Work& b) { return a.urgency < b.urgency; });
  std::erase_if(refused_, [&](const auto& entry) { return now >= entry.second; });
  for (const auto& item : work) {
    auto key = std::string(item.kind) + "/" + item.object;
    if (refused_.contains(key)) continue;
    if (!budget_.Take()) break;
    auto done = item.write();
    if (on_write_) on_write_(item.kind, done.has_value());
    if (done) {
      pause_ = Millis{0};
      continue;
    }
    spdlog::warn("{}: {}", item.kind, done.error().message);
    // One object the server will not take must not hold up the others; a
    // server that takes nothing must not be hammered.
    const auto code = done.error().code;
    if (code != Code::kUnavailable && code != Code::kTimeout && code != Code::kUnauthorized) {
      refused_[std::move(key)] = now + options_.refused_pause;
      continue;
    }
    pause_ = std::min(options_.last_pause, pause_ == Millis{0} ? options_.first_pause : pause_ * 2);
    pause_until_ = clock_.Monotonic() + pause_;
    break;
  }
}

}  // namespace whorl::controller
