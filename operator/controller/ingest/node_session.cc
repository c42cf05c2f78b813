#include "operator/controller/ingest/node_session.h"

#include <algorithm>
#include <utility>

#include "crd/names.h"
#include "crd/text.h"
#include "operator/controller/ingest/remedies.h"
#include "operator/controller/ingest/translate.h"
#include "operator/controller/publish/sentences.h"

namespace whorl::controller {
namespace {

constexpr int kCalmTicks = 10;            // without a loan before a limit counts as restored
constexpr std::uint32_t kBankEvery = 60;  // ticks between two copies of a baseline

bool MayBeHeld(const Resolution& row) {
  return row.mode.mode == Mode::kEnforce && row.enrolment && !row.enrolment->dedicated_cpus;
}

bool Soft(const Resolution& row) { return row.policy->engine.cpu.partition == PartitionKind::kSoft; }

std::string KnobText(const api::CpuKnobs& knobs, bool soft) {
  if (soft) return knobs.has_shares() ? std::to_string(knobs.shares()) : std::string("unknown");
  const auto limit = LimitOf(knobs);
  return limit.read ? crd::LimitText(limit.limit) : std::string("unknown");
}

bool Learnt(const Assessment* assessment) { return assessment != nullptr && assessment->learning.percent >= 100; }

// Orders limits: none is more than any number.
bool Above(const ReadLimit& a, const ReadLimit& b) {
  if (!a.read || !b.read) return false;
  if (!a.limit) return b.limit.has_value();
  return b.limit && Count(*a.limit) > Count(*b.limit);
}

}  // namespace

NodeSession::NodeSession(std::string node, BaselineBank& bank, History* history)
    : node_(std::move(node)), bank_(bank), history_(history) {
  report_.node = node_;
}

void NodeSession::Connected(const api::NodeDescription& description) {
  report_.agent_version = description.agent_version();
  cores_ = description.cpus();
  // Plans of ours must rise above what the agent has seen, also from a leader before us.
  sequence_ = std::max(sequence_, description.last_sequence());
  held_something_ = held_something_ || description.holdings_size() > 0;
  report_.trouble.clear();
}

void NodeSession::Unseen(Time now, const std::string& why, const NodeAssignment& assignment) {
  report_.connected = false;
  report_.trouble = why;
  report_.at = now;
  if (!unseen_since_) unseen_since_ = now;
  if (now - *unseen_since_ >= kBlindAfter) {
    for (const auto& row : assignment.vms) {
      if (!row.enrolment) continue;
      auto& vm = vms_[row.subject.uid];
      if (!vm.handle) vm.row = row;
      vm.report.resolution = row;
    }
    for (auto& [uid, vm] : vms_) {
      vm.report.blind_reason = why;
      Assessment blind = vm.report.assessment;
      blind.state = State::kBlind;
      blind.score.reset();
      blind.p_value.reset();
      blind.cpu_now.reset();
      blind.episode_opened = blind.episode_closed = blind.baseline_ready = false;
      vm.report.lent = vm.report.borrowed = {};
      AssessVm(vm, blind, now);
    }
    report_.loans.clear();
  }
  PutReport(now);
}

api::EnrolRequest NodeSession::ToEnrol(const NodeAssignment& assignment, std::uint64_t epoch) {
  api::EnrolRequest request;
  request.set_epoch(epoch);
  for (const auto& row : assignment.vms) {
    if (!row.enrolment) continue;
    auto* pod = request.add_pods();
    pod->set_pod_uid(row.enrolment->pod_uid);
    pod->set_vm_namespace(row.subject.ns);
    pod->set_vm_name(row.subject.name);
    pod->set_mode(MayBeHeld(row) ? api::MODE_ENFORCE : api::MODE_OBSERVE);
    if (row.enrolment->request) pod->set_cpu_request_millicores(Count(*row.enrolment->request));
    if (row.enrolment->limit) pod->set_cpu_limit_millicores(Count(*row.enrolment->limit));
    pod->set_memory_request_bytes(static_cast<std::uint64_t>(row.enrolment->memory_request));
    pod->set_guest_request_bytes(static_cast<std::uint64_t>(row.enrolment->guest_request_bytes));
  }
  return request;
}

VmSpec NodeSession::SpecOf(const Vm& vm) const {
  const auto& e = *vm.row.enrolment;
  VmSpec spec;
  spec.id = vm.row.subject.uid;
  spec.mode = vm.row.mode.mode;
  spec.policy = vm.row.policy->engine;
  spec.vcpus = e.vcpus;
  spec.cpu_request = e.request;
  spec.cpu_limit = e.limit;
  spec.dedicated_cpus = e.dedicated_cpus;
  spec.priority_class = e.priority_class;
  spec.can_migrate = e.can_migrate;
  spec.can_pause = e.running && !e.paused;
  // Cores that are dedicated to a VM cannot be told from the others here.
  const bool dedicated =
      assignment_ && std::any_of(assignment_->vms.begin(), assignment_->vms.end(),
                                 [](const auto& row) { return row.enrolment && row.enrolment->dedicated_cpus; });
  if (!dedicated) spec.node_cores = cores_;
  spec.guest_mib = e.guest_bytes >> 20;
  spec.guest_request_mib = e.guest_request_bytes >> 20;
  if (vm.found.has_shares()) spec.cpu_shares_found = vm.found.shares();
  return spec;
}

void NodeSession::EnterEngine(Vm& vm, Time now) {
  auto handle = engine_.Enrol(SpecOf(vm));
  if (!handle) {
    vm.engine_trouble = handle.error().message;
    return;
  }
  vm.engine_trouble.clear();
  vm.handle = *handle;
  by_handle_[*handle] = vm.row.subject.uid;
  vm.rank = {};
  vm.looked = 0;
  vm.loaded = false;
  vm.unsaved = 0;
  if (vm.row.remedy) {
    static_cast<void>(engine_.RestoreRemedy(*handle, crd::ToRecord(*vm.row.remedy)));
    vm.remedies = vm.row.remedy->history;
  }
  LoadBetter(vm, now);
  bank_.Want(vm.row.subject.uid, node_);
}

void NodeSession::ConsultHistory(Vm& vm, Time now) {
  if (!history_) return;
  if (!vm.awaits_history) {
    if (vm.loaded || ++vm.unsaved != kAskHistoryAfter) return;
    history_->Ask(vm.row.subject);
    vm.awaits_history = true;
    return;
  }
  auto answer = history_->Take(vm.row.subject.uid);
  if (!answer) return;
  vm.awaits_history = false;
  if (vm.loaded) return;  // its own past came meanwhile
  auto taken = *answer ? engine_.BootstrapBaseline(*vm.handle, (*answer)->prior) : Fail(answer->error());
  if (!taken) {
    vm.report.no_history = taken.error().message;
    return;
  }
  vm.report.no_history.clear();
  Tell(vm, crd::EventReason::kBaselineBootstrapped, BootstrappedNote((*answer)->prior, (*answer)->warnings), now);
}

void NodeSession::LoadBetter(Vm& vm, Time now) {
  const auto& uid = vm.row.subject.uid;
  const auto rank = bank_.RankOf(uid);
  if (!rank || *rank <= vm.rank) return;
  const auto saved = bank_.Get(uid);
  if (!saved) return;
  vm.rank = saved->rank();
  if (auto loaded = engine_.LoadBaseline(*vm.handle, saved->blob); !loaded) {
    // Nothing is lost but what was learnt about this VM, and nobody may load it again.
    bank_.Drop(uid);
    rejected_.push_back(uid);
    Discarded(uid, loaded.error().message, now);
    return;
  }
  vm.loaded = true;
}

void NodeSession::Bank(Vm& vm, Time now) {
  auto blob = engine_.engine().SaveBaseline(*vm.handle);
  if (!blob) return;
  SavedBaseline saved{std::move(*blob), now, Learnt(engine_.engine().Find(*vm.handle))};
  vm.rank = saved.rank();
  bank_.Put(vm.row.subject.uid, std::move(saved));
}

std::vector<std::string> NodeSession::Learning() const {
  std::vector<std::string> out;
  for (const auto& [uid, vm] : vms_) {
    if (vm.handle) out.push_back(uid);
  }
  return out;
}

bool NodeSession::Knows(const std::string& vm_uid) const {
  const auto it = vms_.find(vm_uid);
  return it != vms_.end() && it->second.handle.has_value();
}

Result<SavedBaseline> NodeSession::SaveBaseline(const std::string& vm_uid) const {
  const auto it = vms_.find(vm_uid);
  if (it == vms_.end() || !it->second.handle) return Fail(Code::kNotFound, "the VM is not watched on this node");
  auto blob = engine_.engine().SaveBaseline(*it->second.handle);
  if (!blob) return Fail(blob.error());
  return SavedBaseline{std::move(*blob), report_.at, Learnt(engine_.engine().Find(*it->second.handle))};
}

void NodeSession::LookForBetter() {
  for (auto& [uid, vm] : vms_) vm.looked = 0;
}

void NodeSession::Discarded(const std::string& vm_uid, const std::string& why, Time now) {
  const auto it = vms_.find(vm_uid);
  if (it == vms_.end()) return;
  Tell(it->second, crd::EventReason::kBaselineDiscarded, BaselineDiscardedNote(vm_uid, why, node_), now);
}

void NodeSession::Perform(Vm& vm, const crd::BaselineRequest& request, Time now) {
  vm.performed = request.text;
  const auto& uid = vm.row.subject.uid;
  const bool reset = request.verb == crd::BaselineVerb::kReset;
  const auto done = reset ? engine_.ResetBaseline(*vm.handle) : engine_.AcceptBehaviour(*vm.handle);
  const auto tell = [&](crd::EventReason reason, std::string note) {
    Tell(vm, reason, std::move(note), now);
    happenings_.back().request = request.text;
    happenings_.back().distinct = request.text;
  };
  if (!done) {
    tell(crd::EventReason::kInvalidBaselineRequest, request.text + " was not done: " + done.error().message);
    return;
  }
  if (reset) {
    // Nor may what was forgotten come back from the bank or from another node.
    bank_.Drop(uid);
    bank_.EndWant(uid);
    vm.looked = kLateBaseline;
  }
  if (vm.report.episode && !vm.report.episode->closed) vm.report.episode->closed = now;
  changed_.push_back(uid);
  tell(reset ? crd::EventReason::kBaselineReset : crd::EventReason::kBaselineAccepted,
       reset ? BaselineResetNote(request.text) : BaselineAcceptedNote(request.text));
}

void NodeSession::HearAnswer(Vm& vm, const RemedyAnswer& answer, Time now) {
  vm.report.heard = answer;
  const auto done = engine_.AnswerRemedy(*vm.handle, answer.proposal, answer.approve);
  if (done) return;
  Tell(vm, crd::EventReason::kInvalidApproval, done.error().message + ". Nothing is changed", now);
  happenings_.back().distinct = answer.proposal;
}

void NodeSession::TellRemedies(const whorl::Plan& plan) {
  for (const auto& [handle, step] : plan.remedies) {
    const auto uid = by_handle_.find(handle);
    if (uid == by_handle_.end()) continue;
    Vm& vm = vms_.at(uid->second);
    const auto reason = ReasonOf(step);
    Tell(vm, reason, NoteOf(step, vm.row.policy->engine.remediation, vm.row.subject), step.at);
    Happening& told = happenings_.back();
    told.rung = remedy::RungName(step.rung);
    told.from = remedy::RungName(step.from);
    told.to = remedy::RungName(step.to);
    told.until = step.until;
    told.distinct = told.rung + "@" + std::to_string(ToUnixMillis(step.at));
    if (vm.remedies.size() >= crd::kMostRemedyEntries) vm.remedies.pop_back();
    vm.remedies.insert(vm.remedies.begin(), {step.at, std::string(crd::Info(reason).name), told.rung, told.note});
  }
}

std::vector<std::string> NodeSession::TakeChanged() { return std::exchange(changed_, {}); }

std::vector<std::string> NodeSession::TakeRejected() { return std::exchange(rejected_, {}); }

void NodeSession::LeaveEngine(Vm& vm, Time now) {
  if (vm.report.held)
    Restored(vm, "the VM is no longer partitioned on this node; the value found before Whorl is back", now);
  if (!vm.handle) return;
  Bank(vm, now);
  if (vm.awaits_history) history_->Forget(vm.row.subject.uid);
  vm.awaits_history = false;
  engine_.Withdraw(*vm.handle);
  by_handle_.erase(*vm.handle);
  vm.handle.reset();
}

void NodeSession::Admit(std::shared_ptr<const NodeAssignment> assignment, const api::EnrolReply& reply, Time now) {
  assignment_ = std::move(assignment);
  std::unordered_map<std::string, const api::PodFound*> found;
  for (const auto& pod : reply.pods()) found[pod.pod_uid()] = &pod;

  std::map<std::string, const Resolution*> wanted;
  for (const auto& row : assignment_->vms) {
    if (row.enrolment) wanted[row.subject.uid] = &row;
  }
  for (auto it = vms_.begin(); it != vms_.end();) {
    if (wanted.contains(it->first)) {
      ++it;
      continue;
    }
    LeaveEngine(it->second, now);
    it = vms_.erase(it);
  }
  by_pod_.clear();
  some_pod_missing_ = false;
  for (const auto& [uid, row] : wanted) {
    auto& vm = vms_[uid];
    if (vm.row.enrolment && vm.row.enrolment->pod_uid != row->enrolment->pod_uid) {
      // Started anew: another cgroup, in which nothing of ours stands.
      vm.report.held = false;
      vm.report.limit_read = false;
      vm.report.weight.reset();
      vm.story = Story::kUnheld;
      vm.calm_ticks = 0;
    }
    const bool unpaused = vm.row.enrolment && vm.row.enrolment->paused && !row->enrolment->paused;
    vm.row = *row;
    const auto pod = found.find(row->enrolment->pod_uid);
    if (pod == found.end()) {
      vm.missing = "the agent did not answer for its pod";
    } else if (!pod->second->found()) {
      vm.missing = pod->second->reason().empty() ? "its pod was not found on the node" : pod->second->reason();
    } else {
      vm.missing.clear();
      vm.found = pod->second->cpu();
    }
    some_pod_missing_ = some_pod_missing_ || !vm.missing.empty();
    by_pod_[row->enrolment->pod_uid] = uid;
    if (vm.handle) {
      if (auto updated = engine_.Update(*vm.handle, SpecOf(vm)); !updated) vm.engine_trouble = updated.error().message;
    } else {
      EnterEngine(vm, now);
    }
    vm.report.resolution = vm.row;
    if (!row->baseline_request) {
      vm.performed.clear();
    } else if (vm.handle && vm.performed != row->baseline_request->text) {
      Perform(vm, *row->baseline_request, now);
    }
    if (!vm.handle) continue;
    // Somebody lets it go on: that is their word against ours.
    const auto* ladder = engine_.engine().LadderOf(*vm.handle);
    if (unpaused && ladder->hold(remedy::Rung::kPause).held) {
      static_cast<void>(engine_.UndoneRemedy(*vm.handle, remedy::Rung::kPause));
    }
    if (!row->answer) {
      vm.report.heard.reset();
    } else if (vm.report.heard != row->answer) {
      HearAnswer(vm, *row->answer, now);
    }
  }
}

NodeSession::Vm* NodeSession::ByPod(const std::string& pod_uid) {
  const auto it = by_pod_.find(pod_uid);
  if (it == by_pod_.end()) return nullptr;
  const auto vm = vms_.find(it->second);
  return vm == vms_.end() ? nullptr : &vm->second;
}

void NodeSession::SetCapacity(const api::Frame& frame) {
  if (frame.has_other_cpu_millicores()) {
    // VMs that are watched but not partitioned live outside the partition too.
    std::int64_t use = frame.other_cpu_millicores();
    for (const auto& [uid, vm] : vms_) {
      if (!MayBeHeld(vm.row) && vm.report.assessment.cpu_now) use += Count(*vm.report.assessment.cpu_now);
    }
    other_use_.Push(MilliCores{std::max<std::int64_t>(0, use)});
  }
  CapacityFacts facts;
  facts.allocatable = assignment_->allocatable;
  facts.reserve = assignment_->reserve;
  facts.cap = assignment_->cap;
  facts.other_requests = assignment_->other_requests;
  facts.other_use_p95 = other_use_.P95();
  const auto book = CpuCapacity(facts);
  engine_.SetCpuCapacity(book.capacity);
  report_.memory_capacity_mib = MemoryCapacityMib(assignment_->allocatable_memory, assignment_->memory_reserve,
                                                  assignment_->other_memory, assignment_->memory_cap);
  engine_.SetMemoryCapacity(report_.memory_capacity_mib);
  report_.allocatable = assignment_->allocatable;
  report_.reserved = assignment_->reserve;
  report_.others = book.others;
  report_.capacity = book.capacity;
}

std::optional<api::Plan> NodeSession::Tick(const api::Frame& frame, Authority authority, std::uint64_t epoch) {
  if (!assignment_) return std::nullopt;
  const Time now = FromUnixMillis(frame.sampled_unix_millis());
  unseen_since_.reset();
  report_.connected = true;
  report_.trouble.clear();
  report_.epoch = epoch;
  ledger_epoch_ = epoch;
  SetCapacity(frame);

  frame_.Clear();
  frame_.sequence = frame.sequence();
  for (const auto& sample : frame.vms()) {
    Vm* vm = ByPod(sample.pod_uid());
    if (!vm || !vm->handle) continue;
    AddSample(sample, *vm->handle, frame_);
    vm->missing.clear();
    if (sample.has_guest()) vm->guest_at = now;
    if (vm->guest_at) vm->report.guest_telemetry = now - *vm->guest_at < kGuestSilentAfter ? "Fresh" : "Silent";
    vm->report.limit_read = true;
    vm->report.limit = frame_.samples.back().cpu_limit;
    if (sample.cpu_shares() > 0) vm->report.weight = sample.cpu_shares();
    if (sample.has_foreign()) {
      const auto& f = sample.foreign();
      const std::string text =
          f.knob() + " was set to " + f.seen() + " by somebody else (expected " + f.expected() + ")";
      if (vm->foreign != text) {
        vm->foreign = text;
        Tell(*vm, crd::EventReason::kForeignWriter,
             text +
                 ". Whorl leaves it alone from now on. Find out who writes it; to let Whorl take it back, set "
                 "whorl.dev/mode to off and then to enforce again",
             now);
      }
    }
  }
  for (const auto& recall : frame.recalls()) {
    frame_.recalls.push_back(Recall{recall.loan(), FromUnixMillis(recall.at_unix_millis())});
  }
  for (const auto& expiry : frame.expiries()) {
    if (Vm* vm = ByPod(expiry.pod_uid()); vm && vm->report.held) {
      Restored(*vm, "the lease ended without being renewed; the value found before Whorl is back", now);
    }
  }

  for (auto& [uid, vm] : vms_) {
    if (!vm.handle) continue;
    if (vm.looked < kLateBaseline) {
      LoadBetter(vm, now);
      if (++vm.looked == kLateBaseline) bank_.EndWant(uid);
    }
    ConsultHistory(vm, now);
  }
  FollowTraining();
  JoinCohorts();
  const whorl::Plan& plan = engine_.Tick(now, frame_, authority);
  CollectLoans(plan);
  Assess(now);
  TellRemedies(plan);
  for (auto& [uid, vm] : vms_) {
    vm.report.remedy.reset();
    if (!vm.handle) continue;
    vm.report.remedy = ViewOf(*engine_.engine().LadderOf(*vm.handle), vm.row.policy->engine.remediation,
                              vm.report.assessment, vm.row.subject, vm.remedies);
  }
  FollowFloors(now);
  for (auto& [uid, vm] : vms_) {
    if (vm.handle && ++vm.ticks % kBankEvery == 0) Bank(vm, now);
  }
  PutReport(now);

  if (plan.directives.empty() && !held_something_) {
    sent_.reset();
    return std::nullopt;
  }
  const auto pod_of = [this](VmHandle handle) -> const std::string* {
    const auto uid = by_handle_.find(handle);
    if (uid == by_handle_.end()) return nullptr;
    const auto vm = vms_.find(uid->second);
    return vm == vms_.end() || !vm->second.row.enrolment ? nullptr : &vm->second.row.enrolment->pod_uid;
  };
  sent_ = ToWire(plan, PlanHead{epoch, ++sequence_, assignment_->lease, cores_}, pod_of);
  return sent_;
}

// Whom each VM resembles is news a few times an hour; a new VM joins when the next map is drawn.
void NodeSession::JoinCohorts() {
  const auto cohorts = bank_.cohorts();
  if (!cohorts || cohorts == cohorts_) return;
  cohorts_ = cohorts;
  for (auto& [uid, vm] : vms_) {
    if (!vm.handle) continue;
    const auto of = cohorts->of.find(uid);
    const CohortModel* model = of == cohorts->of.end() ? nullptr : cohorts->Find(of->second);
    static_cast<void>(engine_.AdoptCohort(*vm.handle, model ? *model : CohortModel{}));
    vm.report.cohort = model ? model->id : 0;
  }
}

// One-class machines are trained beside the ticks, one at a time; the result is
// an input of the next tick, if the VM is still the one it was trained for.
void NodeSession::FollowTraining() {
  if (training_.result.valid()) {
    if (training_.result.wait_for(std::chrono::seconds{0}) != std::future_status::ready) return;
    const auto machine = training_.result.get();
    const auto still = by_handle_.find(training_.vm);
    if (machine && still != by_handle_.end() && still->second == training_.uid) {
      static_cast<void>(engine_.Adopt(training_.vm, *machine));
    }
  }
  const auto due = engine_.NextTraining();
  if (!due) return;
  const auto vm = by_handle_.find(due->vm);
  if (vm == by_handle_.end()) return;
  training_.vm = due->vm;
  training_.uid = vm->second;
  training_.result = std::async(std::launch::async, [work = *due] { return TrainOneClass(work.points()); });
}

void NodeSession::CollectLoans(const whorl::Plan& plan) {
  for (auto& [uid, vm] : vms_) vm.report.lent = vm.report.borrowed = {};
  const auto add = [](LoanSpan& span, const whorl::Loan& loan) {
    span.since = span.open() ? std::min(span.since, loan.since) : loan.since;
    span.until = span.open() ? std::max(span.until, loan.expires) : loan.expires;
    span.amount = span.amount + loan.amount;
  };
  for (const auto& closed : plan.closed) {
    const auto known =
        std::find_if(open_.begin(), open_.end(), [&](const LoanReport& loan) { return loan.id == closed.loan.id; });
    if (known == open_.end()) continue;
    crd::ClosedLoan row;
    row.number = static_cast<std::int64_t>(closed.loan.id);
    row.resource = "cpu";
    row.lender = known->lender;
    row.borrower = known->borrower;
    row.amount = crd::Quantity(closed.loan.amount);
    row.reason = NameOf(closed.loan.reason);
    row.forecast = crd::Quantity(closed.loan.borrower_need);
    row.lender_forecast = crd::Quantity(closed.loan.lender_need);
    row.since = closed.loan.since;
    row.end = closed.ended;
    row.outcome = NameOf(closed.outcome);
    row.message = SentenceOf(closed.outcome);
    row.moved = closed.moved / 1000;
    Remember(std::move(row));
  }
  open_.clear();
  for (const auto& loan : plan.loans) {
    const auto lender = by_handle_.find(loan.lender);
    const auto borrower = by_handle_.find(loan.borrower);
    if (lender == by_handle_.end() || borrower == by_handle_.end()) continue;
    Vm& from = vms_.at(lender->second);
    Vm& to = vms_.at(borrower->second);
    add(from.report.lent, loan);
    add(to.report.borrowed, loan);
    LoanReport row;
    row.id = loan.id;
    row.lender = from.row.subject.Text();
    row.borrower = to.row.subject.Text();
    row.amount = loan.amount;
    row.reason = loan.reason;
    row.lender_need = loan.lender_need;
    row.borrower_need = loan.borrower_need;
    row.since = loan.since;
    row.expires = loan.expires;
    open_.push_back(std::move(row));
  }
  report_.loans = open_;
}

void NodeSession::Remember(crd::ClosedLoan loan) {
  auto& closed = report_.closed;
  if (closed.size() >= crd::kMostClosedLoans) closed.pop_back();
  closed.insert(closed.begin(), std::move(loan));
}

void NodeSession::TakeOver(const crd::NodePartitionRecord& stored, Time now) {
  // What we wrote ourselves is older than what is in the engine.
  if (ledger_epoch_ && stored.epoch.value_or(0) <= *ledger_epoch_) return;
  LedgerRecord record;
  for (const auto& loan : stored.open_loans)
    record.next_loan = std::max(record.next_loan, static_cast<std::uint64_t>(loan.number) + 1);
  for (const auto& loan : stored.closed_loans)
    record.next_loan = std::max(record.next_loan, static_cast<std::uint64_t>(loan.number) + 1);
  const LedgerRecord blank{{}, 0, record.next_loan};
  record.house = stored.house_credits * 1000;
  for (const auto& credit : stored.credits) record.balances.push_back({credit.uid, credit.credits * 1000});
  auto taken = stored.trouble.empty() ? engine_.RestoreLedger(record) : Fail(Code::kCorrupt, stored.trouble);
  if (!taken) {
    static_cast<void>(engine_.RestoreLedger(blank));
    TellOfNode(crd::EventReason::kLedgerSetAside, LedgerSetAsideNote(node_, taken.error().message), now);
  }
  report_.closed = stored.closed_loans;
  if (report_.closed.size() > crd::kMostClosedLoans) report_.closed.resize(crd::kMostClosedLoans);
  // The agent keeps loans only to recall them and does not report them: the
  // next plan lends anew.
  for (const auto& loan : stored.open_loans) {
    Remember({.number = loan.number,
              .resource = loan.resource,
              .lender = loan.lender,
              .borrower = loan.borrower,
              .amount = loan.amount,
              .reason = loan.reason,
              .forecast = loan.forecast,
              .lender_forecast = loan.lender_forecast,
              .since = loan.since,
              .end = now,
              .outcome = std::string(NameOf(LoanOutcome::kHandedOver)),
              .message = std::string(SentenceOf(LoanOutcome::kHandedOver))});
  }
}

// Told when it begins; while it lasts, the condition FloorsFit says so.
void NodeSession::FollowFloors(Time now) {
  std::vector<LoweredFloor> lowered;
  for (const auto& [uid, vm] : vms_) {
    const MilliCores cut = vm.handle ? vm.report.assessment.cpu_floor_cut : MilliCores{0};
    if (Count(cut) > 0) lowered.push_back({vm.row.enrolment->priority_class, vm.row.subject.Text(), cut});
  }
  std::sort(lowered.begin(), lowered.end());
  const bool fitted = report_.floors_trouble.empty();
  report_.floors_trouble =
      lowered.empty() ? std::string() : FloorsText(lowered, report_.capacity.value_or(MilliCores{0}));
  if (fitted && !lowered.empty()) TellOfNode(crd::EventReason::kFloorsDoNotFit, report_.floors_trouble, now);
}

void NodeSession::Assess(Time now) {
  for (auto& [uid, vm] : vms_) {
    const Assessment* assessment = vm.handle ? engine_.engine().Find(*vm.handle) : nullptr;
    if (assessment) {
      vm.report.blind_reason = vm.missing;
      AssessVm(vm, *assessment, now);
      continue;
    }
    Assessment none;
    none.state = State::kBlind;
    vm.report.blind_reason = vm.engine_trouble;
    AssessVm(vm, none, now);
  }
}

void NodeSession::AssessVm(Vm& vm, const Assessment& assessment, Time now) {
  auto& report = vm.report;
  report.assessment = assessment;
  for (std::size_t r = 0; r < kResources; ++r) {
    report.prospects[r].reset();
    if (vm.handle) report.prospects[r] = engine_.engine().Foretold(*vm.handle, static_cast<Resource>(r));
  }
  if (assessment.episode) report.episode = assessment.episode;
  const bool blind = assessment.state == State::kBlind;
  if (!blind) {
    report.blind_reason.clear();
  } else if (assessment.frozen) {
    report.blind_reason =
        "samples come and no counter in them moves: QEMU is stopped, or its source has stopped looking";
  } else if (report.blind_reason.empty()) {
    report.blind_reason = "no sample with fresh counters came for " + std::to_string(kBlindAfter.count()) + " s";
  }
  if (blind && !vm.was_blind) Tell(vm, crd::EventReason::kAgentBlind, BlindNote(report), now);
  vm.was_blind = blind;
  if (assessment.baseline_ready) Tell(vm, crd::EventReason::kBaselineReady, BaselineReadyNote(assessment), now);
  if (assessment.episode_opened) {
    Tell(vm, crd::EventReason::kBehaviorDeviating, DeviatingNote(report), now);
    vm.told_nature = assessment.nature;
  } else if (assessment.nature != vm.told_nature && assessment.nature != Nature::kNone && assessment.episode &&
             !assessment.episode->closed && assessment.score.value_or(0) >= assessment.threshold) {
    // Not while it calms down: what is left then looks like little.
    Tell(vm, crd::EventReason::kNatureChanged, NatureChangedNote(assessment, vm.told_nature), now);
    vm.told_nature = assessment.nature;
  }
  if (assessment.episode_closed) Tell(vm, crd::EventReason::kBehaviorNormal, NormalNote(assessment), now);
  if (assessment.regime_changed) Tell(vm, crd::EventReason::kRegimeChanged, RegimeChangedNote(assessment), now);
  if (assessment.moved_now && assessment.moved) {
    Tell(vm, crd::EventReason::kUsualLevelMoved, UsualLevelMovedNote(*assessment.moved), now);
  }
}

void NodeSession::Settle(const api::Receipt& receipt, Time now) {
  if (!sent_) return;
  if (!receipt.accepted()) {
    // About who may plan, not about any VM: the link settles that by itself.
    const auto& reason = receipt.refusal_reason();
    if (reason == "OldEpoch" || reason == "OldSequence" || reason == "SecondController") return;
    for (const auto& directive : sent_->directives()) {
      if (Vm* vm = ByPod(directive.pod_uid())) {
        Refused(*vm, receipt.refusal_reason().empty() ? "Refused" : receipt.refusal_reason(), receipt.refusal_message(),
                now);
      }
    }
    PutReport(now);
    return;
  }
  held_something_ = false;
  std::unordered_map<std::string, bool> named;
  for (const auto& outcome : receipt.outcomes()) {
    Vm* vm = ByPod(outcome.pod_uid());
    if (!vm) continue;
    named[outcome.pod_uid()] = true;
    if (!outcome.applied()) {
      Refused(*vm, outcome.refusal_reason().empty() ? "Refused" : outcome.refusal_reason(), outcome.refusal_message(),
              now);
      held_something_ = held_something_ || vm->report.held;
      continue;
    }
    held_something_ = true;
    vm->report.refusal.clear();
    vm->report.refusal_message.clear();
    const auto before = LimitOf(vm->found);
    const auto now_read = LimitOf(outcome.read_back());
    if (!vm->report.held) {
      vm->usual = KnobText(vm->found, Soft(vm->row));
      vm->report.held = true;
      vm->story = Story::kUnheld;
      if (!vm->report.limit_read && before.read) vm->report.limit = before.limit;
    }
    if (now_read.read) {
      vm->report.limit_read = true;
      vm->report.limit = now_read.limit;
    }
    if (outcome.read_back().has_shares()) vm->report.weight = outcome.read_back().shares();
    TellMoves(*vm, Soft(vm->row), now);
    TellKnobs(*vm, outcome, now);
  }
  // A pod held before and not in this plan has been given back by the agent.
  for (auto& [uid, vm] : vms_) {
    if (!vm.report.held || !vm.row.enrolment || named.contains(vm.row.enrolment->pod_uid)) continue;
    std::string_view why = "nothing is held for the VM any more";
    if (vm.row.policy->engine.pause == Pause::kHoldAndDrain) {
      why = "its policy is paused (HoldAndDrain); the value found before Whorl is back";
    } else if (vm.report.assessment.state == State::kBlind) {
      why = "the VM is not seen; the value found before Whorl is back";
    } else if (vm.row.mode.mode != Mode::kEnforce) {
      why = "the VM is no longer in mode enforce; the value found before Whorl is back";
    }
    Restored(vm, why, now);
  }
  PutReport(now);
}

void NodeSession::TellMoves(Vm& vm, bool soft, Time now) {
  auto& report = vm.report;
  const std::string to = soft ? (report.weight ? std::to_string(*report.weight) : std::string("unknown"))
                              : (report.limit_read ? crd::LimitText(report.limit) : std::string("unknown"));
  vm.in_force = to;
  LimitMove move{soft ? "CPU weight" : "CPU limit", vm.usual, to, std::nullopt};
  const auto tell = [&](crd::EventReason reason, std::string note) {
    Tell(vm, reason, std::move(note), now);
    happenings_.back().from = move.from;
    happenings_.back().to = move.to;
    happenings_.back().until = move.until;
  };
  const bool lending = report.lent.open();
  const bool borrowing = report.borrowed.open();
  if (borrowing) {
    vm.calm_ticks = 0;
    vm.moved_to = to;
    move.until = report.borrowed.until;
    if (vm.story != Story::kRaised && move.from != move.to) {
      vm.story = Story::kRaised;
      tell(crd::EventReason::kLimitRaised, RaisedNote(report, move));
    }
    return;
  }
  if (lending) {
    vm.calm_ticks = 0;
    vm.moved_to = to;
    move.until = report.lent.until;
    if (vm.story != Story::kLowered && move.from != move.to) {
      vm.story = Story::kLowered;
      tell(crd::EventReason::kLimitLowered, LoweredNote(report, move));
    }
    return;
  }
  switch (vm.story) {
    case Story::kRaised:
    case Story::kLowered:
      if (++vm.calm_ticks < kCalmTicks) return;
      move.from = vm.moved_to;
      tell(crd::EventReason::kLimitRestored,
           RestoredNote(move, vm.story == Story::kRaised
                                  ? "what was borrowed has been given back and the VM has its own share again"
                                  : "what was lent is back and the VM has its own share again"));
      vm.story = Story::kHeld;
      break;
    case Story::kUnheld:
      // A quota where none stood is a change to tell; a weight alone takes
      // nothing from a VM while the node has CPU to spare.
      if (!soft && Above(LimitOf(vm.found), ReadLimit{report.limit_read, report.limit})) {
        move.until = now + assignment_->lease;
        tell(crd::EventReason::kLimitLowered, LoweredNote(report, move));
      }
      vm.story = Story::kHeld;
      break;
    case Story::kHeld: break;
  }
  vm.calm_ticks = 0;
  vm.usual = to;
}

void NodeSession::Restored(Vm& vm, std::string_view why, Time now) {
  const bool soft = Soft(vm.row);
  LimitMove move{soft ? "CPU weight" : "CPU limit", vm.in_force, KnobText(vm.found, soft), std::nullopt};
  vm.report.held = false;
  vm.story = Story::kUnheld;
  vm.calm_ticks = 0;
  if (move.from == move.to) return;
  Tell(vm, crd::EventReason::kLimitRestored, RestoredNote(move, why), now);
  happenings_.back().from = move.from;
  happenings_.back().to = move.to;
  const auto found = LimitOf(vm.found);
  vm.report.limit_read = found.read;
  vm.report.limit = found.limit;
  if (vm.found.has_shares()) vm.report.weight = vm.found.shares();
}

// What the node could not set beside CPU: whoever reads that a VM is quarantined
// must read as well that it is not. A guest that cannot do with less memory is none of that.
void NodeSession::TellKnobs(Vm& vm, const api::Outcome& outcome, Time now) {
  std::set<std::string> refused;
  for (const auto& knob : outcome.knobs()) {
    const auto& reason = knob.refusal_reason();
    if (reason.empty() || reason == "BelowUse" || reason == "GuestPressure") continue;
    const auto key = knob.knob() + " " + reason;
    refused.insert(key);
    if (vm.knobs_refused.contains(key)) continue;
    Tell(vm, crd::EventReason::kPlanRefused,
         reason + ": " + knob.knob() + " is not in force: " + knob.refusal_message() + ". " + HowToStop(vm.row.subject),
         now);
    happenings_.back().distinct = key;
  }
  vm.knobs_refused = std::move(refused);
}

void NodeSession::Refused(Vm& vm, const std::string& reason, const std::string& message, Time now) {
  if (vm.report.refusal == reason) return;
  vm.report.refusal = reason;
  vm.report.refusal_message = message;
  const auto event = reason == "ForeignWriter" ? crd::EventReason::kForeignWriter : crd::EventReason::kPlanRefused;
  Tell(vm, event,
       reason + ": " + message + ". What was in force stays until its lease ends. " + HowToStop(vm.row.subject), now);
}

void NodeSession::Tell(const Vm& vm, crd::EventReason reason, std::string note, Time at) {
  Happening h;
  h.subject = vm.row.subject;
  h.reason = reason;
  h.note = std::move(note);
  h.at = at;
  const bool alarm = reason == crd::EventReason::kBehaviorDeviating || reason == crd::EventReason::kBehaviorNormal;
  if (alarm && vm.report.episode) h.distinct = std::to_string(ToUnixMillis(vm.report.episode->opened));
  if (reason == crd::EventReason::kNatureChanged) h.distinct = NatureName(vm.report.assessment.nature);
  if (reason == crd::EventReason::kPlanRefused) h.distinct = vm.report.refusal;
  happenings_.push_back(std::move(h));
}

void NodeSession::TellOfNode(crd::EventReason reason, std::string note, Time at) {
  Happening h;
  h.subject = Subject{std::string(crd::kApiVersion), std::string(crd::kNodePartition.kind), {}, node_, {}};
  h.reason = reason;
  h.note = std::move(note);
  h.at = at;
  happenings_.push_back(std::move(h));
}

std::vector<Happening> NodeSession::TakeHappenings() { return std::exchange(happenings_, {}); }

void NodeSession::PutReport(Time now) {
  report_.at = now;
  report_.vms.clear();
  for (const auto& [uid, vm] : vms_) report_.vms.push_back(vm.report);
  std::sort(report_.vms.begin(), report_.vms.end(),
            [](const VmReport& a, const VmReport& b) { return a.resolution.subject < b.resolution.subject; });
}

}  // namespace whorl::controller
