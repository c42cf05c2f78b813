#include "core/replay/recording.h"

#include <array>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace whorl {
namespace {

// Layout: magic, version, signature, then records: kind (1 byte), length (4),
// check (4: FNV-1a of kind and body, folded), body. Little endian. Bodies are the
// engine's own plain values; the signature is made of their sizes.
constexpr std::array<char, 4> kMagic{'W', 'H', 'R', 'C'};
constexpr std::uint32_t kVersion = 3;
constexpr std::size_t kHead = sizeof(kMagic) + 2 * sizeof(std::uint32_t);
constexpr std::size_t kRecordHead = 1 + 2 * sizeof(std::uint32_t);
constexpr std::uint32_t kLongest = 64u << 20;
constexpr std::uint32_t kMostItems = 1u << 20;

enum Kind : std::uint8_t {
  kCapacity = 1,
  kEnrol,
  kUpdate,
  kWithdraw,
  kAsk,
  kAdopt,
  kCohort,
  kReset,
  kAccept,
  kLoad,
  kBootstrap,
  kTick,
  kLedger,
  kRemedyAnswer,
  kRemedyRestore,
  kRemedyUndone,
  kMemoryCapacity,
};

std::uint32_t CheckOf(std::uint8_t kind, std::string_view body) {
  Digest digest;
  digest.Byte(kind);
  digest.Add(body);
  return static_cast<std::uint32_t>(digest.state ^ (digest.state >> 32));
}

// Everything of a spec but its id.
struct SpecValues {
  Policy policy;
  std::optional<MilliCores> cpu_request, cpu_limit;
  std::int32_t vcpus = 1;
  std::uint32_t cpu_shares_found = 2;
  std::int64_t guest_mib = 0, guest_request_mib = 0;
  std::int32_t priority_class = 0;
  Mode mode = Mode::kObserve;
  bool dedicated_cpus = false;
  bool can_migrate = false;
  bool can_pause = false;
  std::uint32_t node_cores = 0;
};

constexpr std::uint32_t Signature() {
  std::uint32_t s = 17;
  for (const std::size_t size :
       {sizeof(SpecValues), sizeof(VmSample), sizeof(Recall), sizeof(SketchCounts), sizeof(GuestWindow),
        sizeof(OneClass), sizeof(CohortModel), sizeof(HistoryPrior), sizeof(remedy::LadderRecord), kFeatureCount}) {
    s = s * 31 + static_cast<std::uint32_t>(size);
  }
  return s;
}

class Writer {
 public:
  template <typename T>
  Writer& operator()(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  template <typename T>
  Writer& operator()(const std::vector<T>& values) {
    (*this)(static_cast<std::uint32_t>(values.size()));
    for (const T& value : values) (*this)(value);
    return *this;
  }
  Writer& Text(std::string_view text) { return (*this)(static_cast<std::uint32_t>(text.size())).Bytes(text); }
  Writer& Bytes(std::string_view bytes) {
    out_.append(bytes);
    return *this;
  }
  const std::string& out() const { return out_; }

 private:
  std::string out_;
};

class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  template <typename T>
  Reader& operator()(T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (in_.size() < sizeof value) {
      bad_ = true;
      in_ = {};
      return *this;
    }
    std::memcpy(static_cast<void*>(&value), in_.data(), sizeof value);
    in_.remove_prefix(sizeof value);
    return *this;
  }
  template <typename T>
  Reader& operator()(std::vector<T>& values) {
    std::uint32_t count = 0;
    (*this)(count);
    if (count > kMostItems || count * sizeof(T) > in_.size()) {
      bad_ = true;
      return *this;
    }
    values.resize(count);
    for (T& value : values) (*this)(value);
    return *this;
  }
  Reader& Text(std::string& text) {
    std::uint32_t size = 0;
    (*this)(size);
    if (size > in_.size()) {
      bad_ = true;
      return *this;
    }
    text.assign(in_.substr(0, size));
    in_.remove_prefix(size);
    return *this;
  }
  bool whole() const { return !bad_ && in_.empty(); }
  bool bad() const { return bad_; }

 private:
  std::string_view in_;
  bool bad_ = false;
};

void WriteSpec(Writer& write, const VmSpec& spec) {
  write.Text(spec.id)(SpecValues{spec.policy, spec.cpu_request, spec.cpu_limit, spec.vcpus, spec.cpu_shares_found,
                                 spec.guest_mib, spec.guest_request_mib, spec.priority_class, spec.mode,
                                 spec.dedicated_cpus, spec.can_migrate, spec.can_pause, spec.node_cores});
}
void ReadSpec(Reader& read, VmSpec& spec) {
  SpecValues v;
  read.Text(spec.id)(v);
  spec.policy = v.policy;
  spec.cpu_request = v.cpu_request;
  spec.cpu_limit = v.cpu_limit;
  spec.vcpus = v.vcpus;
  spec.cpu_shares_found = v.cpu_shares_found;
  spec.guest_mib = v.guest_mib;
  spec.guest_request_mib = v.guest_request_mib;
  spec.priority_class = v.priority_class;
  spec.mode = v.mode;
  spec.dedicated_cpus = v.dedicated_cpus;
  spec.can_migrate = v.can_migrate;
  spec.can_pause = v.can_pause;
  spec.node_cores = v.node_cores;
}

void WriteLedger(Writer& write, const LedgerRecord& record) {
  write(record.house)(record.next_loan)(static_cast<std::uint32_t>(record.balances.size()));
  for (const auto& balance : record.balances) write.Text(balance.vm)(balance.credits);
}
// The reader's end bounds the count.
void ReadLedger(Reader& read, LedgerRecord& record) {
  std::uint32_t count = 0;
  read(record.house)(record.next_loan)(count);
  for (std::uint32_t i = 0; i < count && !read.bad(); ++i) {
    LedgerRecord::Balance balance;
    read.Text(balance.vm)(balance.credits);
    record.balances.push_back(std::move(balance));
  }
}

Error Damaged(std::size_t at, std::string_view what) {
  return {Code::kCorrupt, "recording: " + std::string(what) + " at byte " + std::to_string(at) +
                              "; everything before it can be replayed from a copy cut there"};
}

}  // namespace

void AddTo(Digest& digest, const Plan& plan) {
  digest.Add(Count(plan.capacity));
  for (const CpuDirective& d : plan.directives) {
    digest.Add(std::uint64_t{static_cast<std::uint32_t>(d.vm)});
    digest.Add(Count(d.entitlement));
    digest.Add(Count(d.allocation));
    digest.Add(d.quota ? Count(*d.quota) : std::int64_t{-1});
    digest.Add(std::uint64_t{d.shares});
  }
  for (const MemoryDirective& d : plan.memory) {
    digest.Add(std::uint64_t{static_cast<std::uint32_t>(d.vm)});
    digest.Add(d.guest_mib);
  }
  const auto add = [&digest](const Loan& loan) {
    digest.Add(loan.id);
    digest.Add(std::uint64_t{static_cast<std::uint32_t>(loan.lender)});
    digest.Add(std::uint64_t{static_cast<std::uint32_t>(loan.borrower)});
    digest.Add(Count(loan.amount));
    digest.Add(ToUnixMillis(loan.since));
    digest.Add(ToUnixMillis(loan.expires));
    digest.Add(std::uint64_t{static_cast<std::uint8_t>(loan.reason)});
    digest.Add(Count(loan.lender_need));
    digest.Add(Count(loan.borrower_need));
  };
  for (const Loan& loan : plan.loans) add(loan);
  for (const ClosedLoan& closed : plan.closed) {
    add(closed.loan);
    digest.Add(ToUnixMillis(closed.ended));
    digest.Add(std::uint64_t{static_cast<std::uint8_t>(closed.outcome)});
    digest.Add(closed.moved);
  }
  for (const Restraint& r : plan.restraints) {
    digest.Add(std::uint64_t{static_cast<std::uint32_t>(r.vm)});
    digest.Add(r.cpu_cap ? Count(*r.cpu_cap) : std::int64_t{-1});
    digest.Add(r.network_bits_per_second.value_or(-1));
    digest.Add(r.disk_bytes_per_second.value_or(-1));
    digest.Add(std::uint64_t{r.cores});
    digest.Add(std::uint64_t{r.raised} | std::uint64_t{r.quarantine} << 1 | std::uint64_t{r.migrate} << 2 |
               std::uint64_t{r.pause} << 3);
  }
  for (const RemedyStep& told : plan.remedies) {
    const remedy::Step& step = told.step;
    digest.Add(std::uint64_t{static_cast<std::uint32_t>(told.vm)});
    digest.Add(std::uint64_t{static_cast<std::uint8_t>(step.kind)});
    digest.Add(std::uint64_t{static_cast<std::uint8_t>(step.rung)});
    digest.Add(std::uint64_t{static_cast<std::uint8_t>(step.to)});
    digest.Add(std::uint64_t{static_cast<std::uint8_t>(step.why)});
    digest.Add(step.amount);
    digest.Add(step.refusal);
  }
}

void AddTo(Digest& digest, const Assessment& a) {
  digest.Add(std::uint64_t{static_cast<std::uint8_t>(a.state)});
  digest.Add(std::uint64_t{a.score.value_or(255)});
  digest.Add(a.p_value.value_or(-1));
  digest.Add(std::uint64_t{a.threshold});
  digest.Add(std::uint64_t{static_cast<std::uint8_t>(a.nature)});
  for (const float e : a.evidence) digest.Add(e);
  for (std::size_t i = 0; i < a.top_count; ++i) {
    digest.Add(std::uint64_t{static_cast<std::uint8_t>(a.top[i].feature)});
    digest.Add(a.top[i].sigmas);
    digest.Add(a.top[i].share);
    digest.Add(a.top[i].value);
    digest.Add(a.top[i].usual);
  }
  digest.Add(a.cpu_predicted ? Count(*a.cpu_predicted) : std::int64_t{-1});
  digest.Add(Count(a.cpu_allocation));
  digest.Add(a.cpu_credits);
}

std::uint64_t DigestOf(const Plan& plan, std::span<const Assessment> assessments) {
  Digest digest;
  AddTo(digest, plan);
  for (const Assessment& a : assessments) AddTo(digest, a);
  return digest.state;
}

Recorder::Recorder(Sink sink) : sink_(std::move(sink)) {
  Writer head;
  head(kMagic)(kVersion)(Signature());
  sink_(head.out());
}

void Recorder::Put(std::uint8_t kind, std::string_view body) {
  Writer record;
  record(kind)(static_cast<std::uint32_t>(body.size()))(CheckOf(kind, body)).Bytes(body);
  sink_(record.out());
}

void Recorder::Capacity(const std::optional<MilliCores>& capacity) { Put(kCapacity, Writer()(capacity).out()); }
void Recorder::MemoryCapacity(const std::optional<std::int64_t>& mib) { Put(kMemoryCapacity, Writer()(mib).out()); }
void Recorder::Enrol(const VmSpec& spec) {
  Writer write;
  WriteSpec(write, spec);
  Put(kEnrol, write.out());
}
void Recorder::Update(VmHandle vm, const VmSpec& spec) {
  Writer write;
  WriteSpec(write(vm), spec);
  Put(kUpdate, write.out());
}
void Recorder::Withdraw(VmHandle vm) { Put(kWithdraw, Writer()(vm).out()); }
void Recorder::Ask() { Put(kAsk, {}); }
void Recorder::Adopt(VmHandle vm, const OneClass& machine) { Put(kAdopt, Writer()(vm)(machine).out()); }
void Recorder::Cohort(VmHandle vm, const CohortModel& cohort) { Put(kCohort, Writer()(vm)(cohort).out()); }
void Recorder::Reset(VmHandle vm) { Put(kReset, Writer()(vm).out()); }
void Recorder::Accept(VmHandle vm) { Put(kAccept, Writer()(vm).out()); }
void Recorder::Load(VmHandle vm, std::string_view blob) { Put(kLoad, Writer()(vm).Text(blob).out()); }
void Recorder::Bootstrap(VmHandle vm, const HistoryPrior& prior) { Put(kBootstrap, Writer()(vm)(prior).out()); }
void Recorder::Ledger(const LedgerRecord& record) {
  Writer write;
  WriteLedger(write, record);
  Put(kLedger, write.out());
}
void Recorder::Answer(VmHandle vm, std::string_view proposal, bool approve) {
  Put(kRemedyAnswer, Writer()(vm)(approve).Text(proposal).out());
}
void Recorder::Remedy(VmHandle vm, const remedy::LadderRecord& record) {
  Put(kRemedyRestore, Writer()(vm)(record).out());
}
void Recorder::Undone(VmHandle vm, remedy::Rung rung) { Put(kRemedyUndone, Writer()(vm)(rung).out()); }
void Recorder::Tick(Time now, const Frame& frame, Authority authority, std::uint64_t digest) {
  Put(kTick,
      Writer()(now)(frame.sequence)(authority)(frame.samples)(frame.recalls)(frame.sketches)(frame.guests)(digest)
          .out());
}

// What has no effect but an error is recorded too: it has none in a replay either.
void RecordedEngine::SetCpuCapacity(std::optional<MilliCores> capacity) {
  if (recorder_ && !(told_capacity_ && capacity_ == capacity)) recorder_->Capacity(capacity);
  told_capacity_ = true;
  capacity_ = capacity;
  engine_.SetCpuCapacity(capacity);
}
void RecordedEngine::SetMemoryCapacity(std::optional<std::int64_t> mib) {
  if (recorder_ && !(told_memory_ && memory_ == mib)) recorder_->MemoryCapacity(mib);
  told_memory_ = true;
  memory_ = mib;
  engine_.SetMemoryCapacity(mib);
}
Result<VmHandle> RecordedEngine::Enrol(const VmSpec& spec) {
  if (recorder_) recorder_->Enrol(spec);
  return engine_.Enrol(spec);
}
Status RecordedEngine::Update(VmHandle vm, const VmSpec& spec) {
  if (recorder_) recorder_->Update(vm, spec);
  return engine_.Update(vm, spec);
}
void RecordedEngine::Withdraw(VmHandle vm) {
  if (recorder_) recorder_->Withdraw(vm);
  engine_.Withdraw(vm);
}
const Plan& RecordedEngine::Tick(Time now, const Frame& frame, Authority authority) {
  const Plan& plan = engine_.Tick(now, frame, authority);
  if (recorder_) recorder_->Tick(now, frame, authority, DigestOf(plan, engine_.assessments()));
  return plan;
}
std::optional<Training> RecordedEngine::NextTraining() {
  if (recorder_) recorder_->Ask();
  return engine_.NextTraining();
}
Status RecordedEngine::Adopt(VmHandle vm, const OneClass& machine) {
  if (recorder_) recorder_->Adopt(vm, machine);
  return engine_.Adopt(vm, machine);
}
Status RecordedEngine::AdoptCohort(VmHandle vm, const CohortModel& cohort) {
  if (recorder_) recorder_->Cohort(vm, cohort);
  return engine_.AdoptCohort(vm, cohort);
}
Status RecordedEngine::ResetBaseline(VmHandle vm) {
  if (recorder_) recorder_->Reset(vm);
  return engine_.ResetBaseline(vm);
}
Status RecordedEngine::AcceptBehaviour(VmHandle vm) {
  if (recorder_) recorder_->Accept(vm);
  return engine_.AcceptBehaviour(vm);
}
Status RecordedEngine::LoadBaseline(VmHandle vm, std::string_view blob) {
  if (recorder_) recorder_->Load(vm, blob);
  return engine_.LoadBaseline(vm, blob);
}
Status RecordedEngine::BootstrapBaseline(VmHandle vm, const HistoryPrior& prior) {
  if (recorder_) recorder_->Bootstrap(vm, prior);
  return engine_.BootstrapBaseline(vm, prior);
}
Status RecordedEngine::AnswerRemedy(VmHandle vm, std::string_view proposal, bool approve) {
  if (recorder_) recorder_->Answer(vm, proposal, approve);
  return engine_.AnswerRemedy(vm, proposal, approve);
}
Status RecordedEngine::RestoreRemedy(VmHandle vm, const remedy::LadderRecord& record) {
  if (recorder_) recorder_->Remedy(vm, record);
  return engine_.RestoreRemedy(vm, record);
}
Status RecordedEngine::UndoneRemedy(VmHandle vm, remedy::Rung rung) {
  if (recorder_) recorder_->Undone(vm, rung);
  return engine_.UndoneRemedy(vm, rung);
}
Status RecordedEngine::RestoreLedger(const LedgerRecord& record) {
  if (recorder_) recorder_->Ledger(record);
  return engine_.RestoreLedger(record);
}

namespace {

// One recorded call, made again. False: its body is not what its kind says.
class Player {
 public:
  Player(Replayed& result, const std::function<void(Time, const Engine&, const Plan&)>& each, const Told& told)
      : result_(result), each_(each), told_(told) {}

  bool Play(std::uint8_t kind, std::string_view body) {
    Reader read(body);
    VmHandle vm{};
    switch (kind) {
      case kCapacity: {
        std::optional<MilliCores> capacity;
        if (!read(capacity).whole()) return false;
        engine_.SetCpuCapacity(capacity);
        if (told_.capacity) told_.capacity(capacity);
        return true;
      }
      case kMemoryCapacity: {
        std::optional<std::int64_t> mib;
        if (!read(mib).whole()) return false;
        engine_.SetMemoryCapacity(mib);
        return true;
      }
      case kEnrol: {
        VmSpec spec;
        ReadSpec(read, spec);
        if (!read.whole()) return false;
        const auto enrolled = engine_.Enrol(spec);
        if (enrolled && told_.vm) told_.vm(*enrolled, spec);
        return true;
      }
      case kUpdate: {
        VmSpec spec;
        ReadSpec(read(vm), spec);
        if (!read.whole()) return false;
        if (engine_.Update(vm, spec) && told_.vm) told_.vm(vm, spec);
        return true;
      }
      case kAsk: static_cast<void>(engine_.NextTraining()); return read.whole();
      case kAdopt:
        return With<OneClass>(read, [&](VmHandle of, const OneClass& m) { static_cast<void>(engine_.Adopt(of, m)); });
      case kCohort:
        return With<CohortModel>(
            read, [&](VmHandle of, const CohortModel& c) { static_cast<void>(engine_.AdoptCohort(of, c)); });
      case kBootstrap:
        return With<HistoryPrior>(
            read, [&](VmHandle of, const HistoryPrior& p) { static_cast<void>(engine_.BootstrapBaseline(of, p)); });
      case kWithdraw:
      case kReset:
      case kAccept:
        if (!read(vm).whole()) return false;
        if (kind == kWithdraw) engine_.Withdraw(vm);
        if (kind == kReset) static_cast<void>(engine_.ResetBaseline(vm));
        if (kind == kAccept) static_cast<void>(engine_.AcceptBehaviour(vm));
        return true;
      case kLoad: {
        std::string blob;
        if (!read(vm).Text(blob).whole()) return false;
        static_cast<void>(engine_.LoadBaseline(vm, blob));
        return true;
      }
      case kLedger: {
        LedgerRecord record;
        ReadLedger(read, record);
        if (!read.whole()) return false;
        static_cast<void>(engine_.RestoreLedger(record));
        return true;
      }
      case kRemedyAnswer: {
        bool approve = false;
        std::string proposal;
        if (!read(vm)(approve).Text(proposal).whole()) return false;
        static_cast<void>(engine_.AnswerRemedy(vm, proposal, approve));
        return true;
      }
      case kRemedyRestore:
        return With<remedy::LadderRecord>(read, [&](VmHandle of, const remedy::LadderRecord& record) {
          static_cast<void>(engine_.RestoreRemedy(of, record));
        });
      case kRemedyUndone:
        return With<remedy::Rung>(
            read, [&](VmHandle of, const remedy::Rung& rung) { static_cast<void>(engine_.UndoneRemedy(of, rung)); });
      case kTick: return Tick(read);
      default: return false;
    }
  }

 private:
  template <typename T, typename Do>
  bool With(Reader& read, Do&& act) {
    VmHandle vm{};
    const auto value = std::make_unique<T>();
    if (!read(vm)(*value).whole()) return false;
    act(vm, *value);
    return true;
  }
  bool Tick(Reader& read) {
    Time now{};
    Authority authority{};
    std::uint64_t digest = 0;
    if (!read(now)(frame_.sequence)(authority)(frame_.samples)(frame_.recalls)(frame_.sketches)(frame_.guests)(digest)
             .whole())
      return false;
    if (authority != Authority::kFull && authority != Authority::kRenewOnly) return false;
    const Plan& plan = engine_.Tick(now, frame_, authority);
    if (result_.ticks++ == 0) began_ = now;
    result_.covered = std::chrono::duration_cast<Millis>(now - began_);
    result_.samples += frame_.samples.size();
    result_.loans += plan.loans.size();
    if (DigestOf(plan, engine_.assessments()) != digest && result_.different++ == 0) result_.first = result_.ticks;
    if (each_) each_(now, engine_, plan);
    return true;
  }

  Replayed& result_;
  const std::function<void(Time, const Engine&, const Plan&)>& each_;
  const Told& told_;
  Engine engine_;
  Frame frame_;
  Time began_{};
};

}  // namespace

Result<Replayed> Replay(std::string_view recording, const std::function<void(Time, const Engine&, const Plan&)>& each,
                        const Told& told) {
  std::array<char, 4> magic{};
  std::uint32_t version = 0, signature = 0;
  if (recording.size() < kHead)
    return Fail(Code::kCorrupt, "recording: shorter than its head; it is no recording of whorl-controller");
  std::memcpy(magic.data(), recording.data(), sizeof magic);
  std::memcpy(&version, recording.data() + sizeof magic, sizeof version);
  std::memcpy(&signature, recording.data() + sizeof magic + sizeof version, sizeof signature);
  if (magic != kMagic) return Fail(Code::kCorrupt, "recording: it does not begin like one of whorl-controller");
  if (version != kVersion || signature != Signature()) {
    return Fail(
        Code::kUnsupported,
        "recording: written by a build whose inputs look different; replay it with the version that recorded it");
  }
  Replayed result;
  Player player(result, each, told);
  std::size_t at = kHead;
  while (at < recording.size()) {
    const std::string_view rest = recording.substr(at);
    std::uint32_t size = 0, check = 0;
    if (rest.size() < kRecordHead) {
      result.torn = true;
      break;
    }
    std::memcpy(&size, rest.data() + 1, sizeof size);
    std::memcpy(&check, rest.data() + 1 + sizeof size, sizeof check);
    if (size > kLongest) return Fail(Damaged(at, "a record longer than any can be"));
    if (rest.size() < kRecordHead + size) {
      result.torn = true;
      break;
    }
    const std::string_view body = rest.substr(kRecordHead, size);
    if (CheckOf(static_cast<std::uint8_t>(rest[0]), body) != check)
      return Fail(Damaged(at, "a record whose check does not fit"));
    if (!player.Play(static_cast<std::uint8_t>(rest[0]), body))
      return Fail(Damaged(at, "a record that is not what it says"));
    at += kRecordHead + size;
  }
  return result;
}

}  // namespace whorl
