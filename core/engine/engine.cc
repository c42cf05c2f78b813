#include "core/engine/engine.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <map>
#include <set>

#include "core/engine/memory_pool.h"
#include "core/engine/remedies.h"
#include "core/engine/vm_state.h"
#include "core/guard/guard.h"
#include "core/partition/claims.h"
#include "core/partition/entitlement.h"
#include "core/partition/ledger.h"
#include "core/partition/shares.h"

namespace whorl {
namespace {

constexpr Millis kBlindAfter{5000};
// No counter of a running QEMU stands still for so many samples.
constexpr std::uint16_t kFrozenAfter = 10;
// A lender that uses less than this is not asking for anything back.
constexpr std::int64_t kLeastRecallUse = 20;
// A thousand cores lent for three years.
constexpr std::int64_t kMostCredits = 100'000'000'000'000'000;
constexpr std::uint64_t kLargestLoan = std::uint64_t{1} << 62;

// A history of so many hours counts half, and a whole one as much as so many
// samples: averages of minutes give a level to begin at and no more.
constexpr float kPriorHours = 24;
constexpr float kPriorSamples = 20;

// Of a score of 100; see ScoreOf.
constexpr float kEvidencePerPoint = 0.06f;

constexpr std::size_t kCacheLine = 64;
// Below this nobody asks why.
constexpr std::uint8_t kExplainFrom = 20;

// The window a sample points at; a place that is none is nothing.
template <typename T>
const T* At(const std::vector<T>& windows, std::int32_t place) {
  return place >= 0 && static_cast<std::size_t>(place) < windows.size() ? &windows[static_cast<std::size_t>(place)]
                                                                        : nullptr;
}

constexpr std::int64_t kMostMib = std::int64_t{1} << 30;
constexpr double kBytesPerMib = 1048576;

constexpr std::uint32_t Slot(VmHandle vm) { return static_cast<std::uint32_t>(vm); }

// What changes only with the API server's view, and what the plan remembers.
struct Enrolment {
  VmSpec spec;
  std::optional<MilliCores> allocation;  // of the last plan
  guard::ReversalMeter meter;
};

// What a guest's balloon says of it.
struct GuestMemory {
  MemoryNeed need;
  double needed = 0;          // bytes
  std::int64_t seen_ms = -1;  // -1 = never
};

// A balloon whose statistics stopped says nothing; they come every 10 s at the most.
constexpr Millis kGuestSilent{60'000};

// A checkpoint ends with it when forecasts stand between the baseline and it.
constexpr std::string_view kWithForecasts = "WHFC";

Status Check(const VmSpec& spec) {
  const auto bad = [&](std::string what) { return Fail(Code::kInvalid, "VM " + spec.id + ": " + std::move(what)); };
  if (spec.id.empty()) return Fail(Code::kInvalid, "VM without an id: the VM's uid must be given");
  if (spec.vcpus <= 0) return bad("vcpus must be at least 1");
  if (spec.cpu_request && Count(*spec.cpu_request) < 0) return bad("CPU request must not be negative");
  if (spec.cpu_limit && Count(*spec.cpu_limit) <= 0) return bad("CPU limit must be above 0");
  if (spec.cpu_request && spec.cpu_limit && *spec.cpu_limit < *spec.cpu_request) {
    return bad("CPU limit must not be below the request");
  }
  if (spec.guest_mib < 0 || spec.guest_mib > kMostMib) return bad("guest memory must be from 0 to 2^30 MiB");
  if (spec.guest_request_mib < 0) return bad("memory request must not be negative");
  if (auto policy = Check(spec.policy); !policy) return bad(policy.error().message);
  return {};
}

}  // namespace

struct Engine::State {
  explicit State(const Schema& s) : schema(s) {}

  const Schema& schema;
  VmStore vms;
  std::vector<Enrolment> enrolments;                        // by slot, like everything named "by slot"
  std::vector<std::int64_t> fresh_ms;                       // by slot: tick at which the last sample was accepted
  std::vector<std::uint64_t> sampled_tick;                  // by slot: the tick that last updated the assessment
  std::vector<std::int32_t> position;                       // by slot: in `assessments`, -1 = not enrolled
  std::vector<Assessment> assessments;                      // by handle, enrolled only
  std::map<std::string, std::uint32_t, std::less<>> slots;  // by id; orders the partition
  std::set<std::uint32_t> free_slots;

  std::optional<MilliCores> capacity;
  std::uint64_t tick = 0;
  std::optional<std::uint32_t> next;  // slot of the sample after this one
  std::uint32_t training_from = 0;    // slot at which NextTraining goes on
  SampleCounts counts;
  Plan plan;

  bool members_stale = true;
  std::vector<std::uint32_t> enforced;  // slots that take part, by id
  std::vector<partition::Member> members;
  std::vector<partition::Share> shares;
  std::vector<double> bonus_credit;
  // Millicores: the middle of a VM's forecast, and the policy's quantile with its margin.
  struct Need {
    double middle = 0;
    double full = 0;
    double quantile = 0;
  };
  std::vector<Need> needs;                    // in the order of the members, as the next two
  std::vector<partition::Foretold> foretold;  // while the needs do not fit
  std::vector<std::optional<std::int64_t>> claimed;
  partition::Claims claims;
  std::int64_t planned_ms = 0;  // of the last partition
  std::vector<std::int64_t> allocations;
  std::vector<std::uint32_t> weights;
  std::vector<std::uint32_t> directed;  // index into members, of each directive
  partition::Entitlements entitlements;
  partition::Ledger ledger;
  partition::ShareSplitter splitter;
  Remedies remedies;
  std::vector<std::int64_t> weighed;  // allocations, with what the ladder adds to a weight

  std::optional<std::int64_t> memory_capacity;  // MiB
  bool any_memory = false;                      // some VM's policy partitions memory, or did
  std::vector<GuestMemory> guests;              // by slot
  std::vector<MemoryMember> memory_members;
  MemoryPool memory_pool;

  bool Known(VmHandle vm) const { return Slot(vm) < position.size() && position[Slot(vm)] >= 0; }
  Assessment& Of(std::uint32_t slot) { return assessments[static_cast<std::size_t>(position[slot])]; }
  bool Blind(std::uint32_t slot, Time now) const { return ToUnixMillis(now) - fresh_ms[slot] > kBlindAfter.count(); }

  Pace PaceOf(std::uint32_t slot) const {
    // The golden ratio's multiplier spreads neighbours evenly over the period.
    const auto turn = static_cast<std::uint32_t>(tick + slot);
    return {(slot * 2654435769u) >> 23, turn % kHeavyStride == 0, turn};
  }

  std::uint32_t TakeSlot();
  void Adopt(std::uint32_t slot, const VmSpec& spec);
  void IndexAssessments();

  enum class Portion { kReadings, kModel, kScores };
  void Prefetch(Portion portion) const;
  void Ingest(Time now, const Frame& frame);
  void TakeSample(Time now, std::uint32_t slot, const VmSample& sample, const Frame& frame);
  void FollowGuestMemory(std::uint32_t slot, const FeatureVector& features, Time at);
  void PlanMemory(Time now);
  void LookAhead(std::uint32_t slot, Time at, const FeatureVector& features);
  void Assess(std::uint32_t slot, const Baseline::Outcome& outcome, Time at, const FeatureVector& features);
  void FollowEpisode(VmState& vm, Assessment& a, Time at);
  void FollowBaseline(std::uint32_t slot, const Baseline::Outcome& outcome, Time at);
  void NameFeatures(std::uint32_t slot, const FeatureVector& features);
  void NameNature(std::uint32_t slot, Time at);
  float Shown(Feature f, float y) const;
  Features Shown(const Features& y) const;
  void NoticeSilence(Time now);
  whorl::State StateOf(const VmState& vm, bool blind) const;

  void Remedy(Time now, Authority authority);
  void RaiseWeights();
  void PlanCpu(Time now, const Frame& frame, Authority authority);
  void ChooseMembers();
  bool Enforceable(const VmSpec& spec) const;
  void DescribeMembers(Time now);
  void FitNeeds();
  void Direct(Time now);
  void WriteLoans();
};

// ---- Enrolment -----------------------------------------------------------

std::uint32_t Engine::State::TakeSlot() {
  if (!free_slots.empty()) {
    const std::uint32_t slot = *free_slots.begin();
    free_slots.erase(free_slots.begin());
    vms[slot] = VmState{};
    vms.Memory(slot) = VmMemory{};
    guests[slot] = GuestMemory{};
    return slot;
  }
  const auto slot = static_cast<std::uint32_t>(enrolments.size());
  vms.Grow();
  enrolments.emplace_back();
  guests.emplace_back();
  fresh_ms.push_back(0);
  sampled_tick.push_back(0);
  position.push_back(-1);
  return slot;
}

void Engine::State::Adopt(std::uint32_t slot, const VmSpec& spec) {
  VmState& vm = vms[slot];
  enrolments[slot].spec = spec;
  vm.goal = {std::max(spec.policy.learning_samples, 1u), spec.policy.learning};
  vm.quantile = std::clamp(spec.policy.cpu.demand_quantile, 0.01, 0.999);
  const MilliCores vcpus{std::int64_t{spec.vcpus} * 1000};
  vm.most_cpu = static_cast<float>(Count(spec.cpu_limit ? std::min(*spec.cpu_limit, vcpus) : vcpus));
  vm.mode = spec.mode;
  vm.pause = spec.policy.pause;
  vm.adaptive = spec.policy.adaptive_control;
  any_memory |= spec.policy.memory.partition;
  const Millis interval = vm.baseline.learnt ? vm.baseline.interval() : Millis{1000};
  vm.threshold = ThresholdFor(spec.policy.false_episodes_per_week, interval);
  members_stale = true;
}

void Engine::State::IndexAssessments() {
  std::fill(position.begin(), position.end(), -1);
  for (std::size_t i = 0; i < assessments.size(); ++i) position[Slot(assessments[i].vm)] = static_cast<std::int32_t>(i);
}

Engine::Engine(const Schema& schema) : state_(std::make_unique<State>(schema)) {}
Engine::~Engine() = default;
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;

void Engine::SetCpuCapacity(std::optional<MilliCores> capacity) {
  if (capacity && Count(*capacity) < 0) capacity.reset();
  state_->capacity = capacity;
}

void Engine::SetMemoryCapacity(std::optional<std::int64_t> mib) {
  if (mib && (*mib < 0 || *mib > kMostMib)) mib.reset();
  state_->memory_capacity = mib;
}

Result<VmHandle> Engine::Enrol(const VmSpec& spec) {
  if (const auto good = Check(spec); !good) return Fail(good.error());
  State& s = *state_;
  if (s.slots.contains(spec.id)) return Fail(Code::kInvalid, "VM " + spec.id + ": already enrolled");
  const std::uint32_t slot = s.TakeSlot();
  s.enrolments[slot] = Enrolment{};
  s.Adopt(slot, spec);
  s.slots.emplace(spec.id, slot);
  s.fresh_ms[slot] = 0;
  s.sampled_tick[slot] = 0;
  s.remedies.Begin(slot);

  Assessment a;
  a.vm = VmHandle{slot};
  a.threshold = s.vms[slot].threshold;
  a.learning.samples_needed = s.vms[slot].goal.samples;
  a.learning.elapsed_needed = s.vms[slot].goal.time;
  const auto after = std::upper_bound(s.assessments.begin(), s.assessments.end(), slot,
                                      [](std::uint32_t v, const Assessment& x) { return v < Slot(x.vm); });
  const bool last = after == s.assessments.end();
  s.assessments.insert(after, a);
  if (last) {
    s.position[slot] = static_cast<std::int32_t>(s.assessments.size()) - 1;
  } else {
    s.IndexAssessments();
  }
  return VmHandle{slot};
}

Status Engine::Update(VmHandle vm, const VmSpec& spec) {
  State& s = *state_;
  if (!s.Known(vm)) return Fail(Code::kNotFound, "no VM is enrolled under this handle");
  if (auto good = Check(spec); !good) return good;
  if (spec.id != s.enrolments[Slot(vm)].spec.id)
    return Fail(Code::kInvalid, "VM " + spec.id + ": a VM's id cannot change");
  s.Adopt(Slot(vm), spec);
  Assessment& a = s.Of(Slot(vm));
  a.threshold = s.vms[Slot(vm)].threshold;
  a.learning.samples_needed = s.vms[Slot(vm)].goal.samples;
  a.learning.elapsed_needed = s.vms[Slot(vm)].goal.time;
  return {};
}

void Engine::Withdraw(VmHandle vm) {
  State& s = *state_;
  if (!s.Known(vm)) return;
  const std::uint32_t slot = Slot(vm);
  s.slots.erase(s.enrolments[slot].spec.id);
  s.enrolments[slot] = Enrolment{};
  s.assessments.erase(s.assessments.begin() + s.position[slot]);
  s.IndexAssessments();  // and the handle is stale from here on
  s.free_slots.insert(slot);
  s.ledger.Leave(slot);
  s.claims.Leave(slot);
  s.members_stale = true;
}

// ---- One tick ------------------------------------------------------------

const Plan& Engine::Tick(Time now, const Frame& frame, Authority authority) {
  State& s = *state_;
  ++s.tick;
  s.Ingest(now, frame);
  s.NoticeSilence(now);
  s.Remedy(now, authority);
  s.PlanCpu(now, frame, authority);
  return s.plan;
}

// The next VM's memory comes while this one is worked on, in portions: a core
// waits when it has more than some twenty lines on order.
void Engine::State::Prefetch(Portion portion) const {
  if (!next) return;
  const VmState& vm = vms[*next];
  const auto fetch = [](const void* from, std::size_t bytes) {
    const auto* at = static_cast<const char*>(from);
    for (std::size_t line = 0; line < bytes; line += kCacheLine) __builtin_prefetch(at + line, 1);
  };
  switch (portion) {
    case Portion::kReadings:
      // In the order in which they will be asked for; of the windows only what is due.
      fetch(&vm.demand, sizeof(VmState) - offsetof(VmState, demand));
      fetch(&vm.baseline.samples, offsetof(VmState, windows) - offsetof(VmState, baseline.samples));
      fetch(&vm.baseline.log_mean, offsetof(Baseline, covariance) - offsetof(Baseline, log_mean));
      fetch(&vm.baseline.scaling, offsetof(Baseline, whitening));
      break;
    case Portion::kModel:
      fetch(&vm.baseline.whitening, sizeof(Whitening));
      if (const Pace pace = PaceOf(*next); pace.turn % kForestStride == 0) {
        fetch(vm.baseline.forest.Quarter(pace.turn / kForestStride),
              sizeof(Forest::Tree) * Forest::kTrees / Forest::kQuarters);
      }
      break;
    case Portion::kScores:
      fetch(&vm.baseline.scorer, sizeof(Scorer));
      fetch(&assessments[static_cast<std::size_t>(position[*next])], sizeof(Assessment));
      if (PaceOf(*next).heavy) fetch(&vm.baseline.covariance, sizeof(Covariance));
      break;
  }
}

void Engine::State::Ingest(Time now, const Frame& frame) {
  for (std::size_t i = 0; i < frame.samples.size(); ++i) {
    const VmSample& sample = frame.samples[i];
    if (!Known(sample.vm)) {
      ++counts.unknown_vm;
      continue;
    }
    next.reset();
    if (i + 1 < frame.samples.size() && Known(frame.samples[i + 1].vm)) next = Slot(frame.samples[i + 1].vm);
    Prefetch(Portion::kReadings);
    TakeSample(now, Slot(sample.vm), sample, frame);
  }
}

void Engine::State::TakeSample(Time now, std::uint32_t slot, const VmSample& sample, const Frame& frame) {
  VmState& vm = vms[slot];
  if (vm.mode == Mode::kOff) return;
  const bool first = !vm.rates.started;
  FeatureVector features;
  if (vm.rates.Advance(now, sample.sampled_at, sample.valid, sample.raw, features, counts, schema.counters) !=
      SampleFate::kAccepted) {
    return;
  }
  // Who goes on answering and has stopped looking is as blind as who is silent.
  if (vm.rates.frozen >= kFrozenAfter) return;
  fresh_ms[slot] = ToUnixMillis(now);
  sampled_tick[slot] = tick;

  Prefetch(Portion::kModel);
  Baseline::Outcome outcome;
  if (!first) {
    const Pace pace = PaceOf(slot);
    Sample scaled;
    scaled.at = sample.sampled_at;
    scaled.y = Scaling::Scale(features, schema);
    scaled.valid = features.valid;
    scaled.sketch = At(frame.sketches, sample.sketch);
    scaled.guest = At(frame.guests, sample.guest);
    VmMemory& memory = vms.Memory(slot);
    if (vm.has_cohort && pace.heavy) scaled.cohort_distance = memory.cohort.Distance(scaled.y, scaled.valid);
    vm.recent.Push(scaled.y, features.valid);
    vm.windows.Push(scaled.y, features.valid, vm.baseline.samples, vm.baseline.interval());
    const float alarm = static_cast<float>(vm.threshold) * kEvidencePerPoint;
    const Circumstances circumstances{vm.goal, &schema, pace, vm.episode.open, alarm, vm.adaptive};
    outcome = vm.baseline.Observe(scaled, circumstances, memory.baseline);
    if (outcome.finished) {
      vm.threshold = ThresholdFor(enrolments[slot].spec.policy.false_episodes_per_week, vm.baseline.interval());
    }
  }
  if (const auto used = features.Get(Feature::kCpuUsage)) {
    std::optional<float> limit;
    if (sample.cpu_limit) limit = static_cast<float>(Count(*sample.cpu_limit));
    vm.demand.Observe(
        {*used, features.Get(Feature::kVcpuDelay), features.Get(Feature::kCpuThrottled), limit, vm.most_cpu},
        vm.quantile);
  }
  LookAhead(slot, sample.sampled_at, features);
  if (any_memory) FollowGuestMemory(slot, features, sample.sampled_at);
  Prefetch(Portion::kScores);
  Assess(slot, outcome, sample.sampled_at, features);
}

void Engine::State::FollowGuestMemory(std::uint32_t slot, const FeatureVector& features, Time at) {
  if (!enrolments[slot].spec.policy.memory.partition) return;
  const auto size = features.Get(Feature::kBalloonCurrent), usable = features.Get(Feature::kGuestMemoryUsable);
  if (!size || !usable || *usable > *size) return;
  GuestMemory& guest = guests[slot];
  guest.needed = guest.need.Observe(static_cast<double>(*size - *usable), ToUnixMillis(at));
  guest.seen_ms = ToUnixMillis(at);
}

void Engine::State::LookAhead(std::uint32_t slot, Time at, const FeatureVector& features) {
  VmState& vm = vms[slot];
  Wants wants;
  const auto both = [&](Feature a, Feature b) -> std::optional<float> {
    const auto x = features.Get(a), y = features.Get(b);
    if (!x || !y) return std::nullopt;
    return *x + *y;
  };
  if (vm.demand.any() && features.valid.Has(Feature::kCpuUsage)) wants.of[0] = vm.demand.last();
  wants.of[1] = features.Get(Feature::kMemoryResident);
  wants.of[2] = both(Feature::kNetReceiveBytes, Feature::kNetTransmitBytes);
  wants.of[3] = both(Feature::kDiskReadBytes, Feature::kDiskWriteBytes);
  wants.held_back = vm.demand.censored();
  const Assessment& a = Of(slot);
  BehaviourNow behaviour;
  behaviour.score = a.score.value_or(0);
  behaviour.nature = static_cast<std::uint8_t>(a.nature);
  // Spread over the five minutes, or all VMs of a node would have their turn in one tick.
  const std::int64_t phase = std::int64_t{slot * 2654435769u >> 16} * 300'000 >> 16;
  Outlook& outlook = vms.Memory(slot).outlook;
  if (outlook.Observe(at, vm.baseline.interval(), phase, wants, behaviour, vm.bucket)) vm.rise = outlook.RiseOfCpu();
}

void Engine::State::Assess(std::uint32_t slot, const Baseline::Outcome& outcome, Time at,
                           const FeatureVector& features) {
  VmState& vm = vms[slot];
  Assessment& a = Of(slot);
  a.frozen = false;
  a.evidence = outcome.evidence.detector;
  a.guest_only = outcome.evidence.guest_only;
  a.last_sample = at;
  a.threshold = vm.threshold;
  a.baseline_ready = outcome.finished;
  a.learning.samples = vm.baseline.samples;
  a.learning.elapsed = Seconds{vm.baseline.learnt_ms / 1000};
  a.learning.percent = Progress(vm.baseline, vm.goal);
  if (vm.baseline.learnt && outcome.judged) {
    a.score = ScoreOf(outcome.evidence.calibrated);
    a.p_value = PValueOf(outcome.evidence.calibrated);
    a.news = vm.news.Observe(outcome.evidence.lasting);
  } else {
    a.score.reset();
    a.p_value.reset();
    a.news = 0;
  }
  FollowEpisode(vm, a, at);
  FollowBaseline(slot, outcome, at);
  NameFeatures(slot, features);
  NameNature(slot, at);
  a.state = StateOf(vm, false);
  a.cpu_now.reset();
  if (const auto used = features.Get(Feature::kCpuUsage)) a.cpu_now = MilliCores{std::lround(*used)};
  const auto bytes = [&](Feature feature) {
    const auto value = features.Get(feature);
    return value ? std::optional(Bytes{std::llround(*value)}) : std::nullopt;
  };
  a.memory_resident = bytes(Feature::kMemoryResident);
  a.guest_usable = bytes(Feature::kGuestMemoryUsable);
  a.cpu_predicted.reset();
  a.cpu_expected.reset();
  if (const auto predicted = vm.demand.predicted()) {
    const float rise = std::min(vm.rise, vm.most_cpu);
    a.cpu_predicted = MilliCores{std::lround(std::max(*predicted, rise))};
    a.cpu_expected = MilliCores{std::lround(std::max(*vm.demand.expected(), rise))};
  }
}

void Engine::State::FollowEpisode(VmState& vm, Assessment& a, Time at) {
  auto change = EpisodeTracker::Change::kNone;
  // What was accepted is being learnt: nothing about it is an alarm.
  if (a.score && vm.baseline.generous == 0) change = vm.episode.Observe(at, *a.score, vm.threshold);
  a.episode_opened = change == EpisodeTracker::Change::kOpened;
  a.episode_closed = change == EpisodeTracker::Change::kClosed;
  a.episode.reset();
  if (!vm.episode.open && !a.episode_closed) return;
  a.episode = Episode{vm.episode.number, vm.episode.opened, std::nullopt, vm.episode.peak};
  if (a.episode_closed) a.episode->closed = vm.episode.closed;
}

// What the baseline has to say beside the score.
void Engine::State::FollowBaseline(std::uint32_t slot, const Baseline::Outcome& outcome, Time at) {
  VmState& vm = vms[slot];
  Assessment& a = Of(slot);
  const bool had_moved = a.moved.has_value();
  a.regime_changed = outcome.regime_changed;
  a.moved_now = outcome.drifted;
  if (outcome.regime_changed) {
    a.regime = vms.Memory(slot).baseline.regime;
    // Its new ways are usual from now on: what they would be an alarm about is over.
    if (vm.episode.Abandon(at) == EpisodeTracker::Change::kClosed) {
      a.episode = Episode{vm.episode.number, vm.episode.opened, at, vm.episode.peak};
      a.episode_closed = true;
    }
  }
  if (outcome.drifted) {
    const Drift& drift = vms.Memory(slot).baseline.drift;
    a.moved = UsualMoved{drift.feature, Shown(drift.feature, drift.from), Shown(drift.feature, drift.to),
                         FromUnixMillis(drift.since_ms)};
  } else if (had_moved && outcome.regime_changed) {
    a.moved.reset();
  }
}

// From scaled units to the feature's own.
float Engine::State::Shown(Feature f, float y) const {
  const float origin = schema.origin[static_cast<std::size_t>(f)];
  return origin > 0 ? origin * (Exp(y) - 1) : y;
}

Features Engine::State::Shown(const Features& y) const {
  Features x;
  for (std::size_t g = 0; g < kGroups; ++g) {
    Float8 origin;
    __builtin_memcpy(&origin, schema.origin.data() + g * kLanes, sizeof origin);
    const Float8 back = origin * (Exp(y.group[g]) - Broadcast(1));
    x.group[g] = Select(origin > Broadcast(0), back, y.group[g]);
  }
  return x;
}

void Engine::State::NameNature(std::uint32_t slot, Time at) {
  VmState& vm = vms[slot];
  Assessment& a = Of(slot);
  if (!a.score || (!vm.episode.open && *a.score < kExplainFrom)) {
    vm.nature.Forget();
    a.nature = Nature::kNone;
    return;
  }
  NatureSigns signs;
  signs.known = FeatureMask{vm.recent.known};
  const Features z = vm.baseline.scaling.Deviations(vm.recent.y, signs.known, vm.baseline.season, schema);
  signs.lasting = vm.episode.open ? std::chrono::duration_cast<Seconds>(at - vm.episode.opened) : Seconds{0};
  signs.followed = FeatureMask{vm.windows.known[0] & vm.windows.known[1]};
  // The longer window lags behind a steady climb by as long as that has lasted,
  // at the most by how much longer it is.
  const float minutes = std::clamp(static_cast<float>(signs.lasting.count()), 30.0f, 270.0f) / 60.0f;
  Features usual;
  for (std::size_t g = 0; g < kGroups; ++g)
    usual.group[g] = vm.baseline.scaling.center.group[g] + vm.baseline.season.group[g];
  const Features level = Shown(vm.windows.level[0]), longer = Shown(vm.windows.level[1]);
  Features trend;
  for (std::size_t g = 0; g < kGroups; ++g) trend.group[g] = (level.group[g] - longer.group[g]) / Broadcast(minutes);
  const auto put = [](const Features& from, std::array<float, kFeatureCount>& to) {
    __builtin_memcpy(to.data(), from.group, sizeof to);
  };
  put(z, signs.sigmas);
  put(Shown(vm.recent.y), signs.now);
  put(Shown(usual), signs.usual);
  put(level, signs.level);
  put(trend, signs.trend);
  signs.vcpus = static_cast<float>(enrolments[slot].spec.vcpus);
  // Held down by us it is still what it was before.
  signs.most_cpu = vm.most_cpu;
  if (const auto cap = remedies.Cap(slot, enrolments[slot].spec))
    signs.most_cpu = std::min(signs.most_cpu, static_cast<float>(Count(*cap)));
  signs.sketch_evidence = std::max(a.evidence[static_cast<std::size_t>(Detector::kSketch)],
                                   a.evidence[static_cast<std::size_t>(Detector::kGuest)]);
  signs.guest_only = a.guest_only;
  a.nature = vm.nature.Observe(NatureOf(signs));
}

void Engine::State::NameFeatures(std::uint32_t slot, const FeatureVector& features) {
  VmState& vm = vms[slot];
  Assessment& a = Of(slot);
  a.top_count = 0;
  vm.cpu_excess = 0;
  if (!a.score || (*a.score < kExplainFrom && !vm.episode.open)) return;
  const Explanation why =
      Explain(vm.recent, vm.baseline.scaling, vm.baseline.season, schema, FeatureMask{vm.recent.known});
  vm.cpu_excess = why.cpu_excess;
  a.top_count = why.count;
  for (std::size_t i = 0; i < why.count; ++i) {
    const FeaturePart& part = why.top[i];
    const auto f = static_cast<std::size_t>(part.feature);
    a.top[i] = {part.feature, part.sigmas, part.share,
                features.Get(part.feature).value_or(Shown(part.feature, vm.recent.y[f])),
                Shown(part.feature, vm.baseline.scaling.center[f] + vm.baseline.season[f])};
  }
}

whorl::State Engine::State::StateOf(const VmState& vm, bool blind) const {
  if (blind) return whorl::State::kBlind;
  if (!vm.baseline.learnt) return whorl::State::kLearning;
  if (vm.pause != Pause::kNone) return whorl::State::kPaused;
  return vm.episode.open ? whorl::State::kDeviating : whorl::State::kNormal;
}

// VMs without a new sample keep their last assessment until they are blind.
void Engine::State::NoticeSilence(Time now) {
  for (std::uint32_t slot = 0; slot < enrolments.size(); ++slot) {
    if (sampled_tick[slot] == tick || position[slot] < 0) continue;
    // A VM is given as long to appear as an old one to reappear.
    if (fresh_ms[slot] == 0) fresh_ms[slot] = ToUnixMillis(now);
    Assessment& a = Of(slot);
    a.baseline_ready = a.episode_opened = a.episode_closed = a.regime_changed = a.moved_now = false;
    a.news = 0;
    if (a.episode && a.episode->closed) a.episode.reset();
    VmState& vm = vms[slot];
    const bool blind = Blind(slot, now);
    a.state = StateOf(vm, blind);
    if (!blind) continue;
    a.frozen = vm.rates.frozen >= kFrozenAfter;
    a.nature = Nature::kNone;
    vm.nature.Forget();
    a.score.reset();
    a.p_value.reset();
    a.top_count = 0;
    a.cpu_now.reset();
    a.cpu_predicted.reset();
    vms[slot].cpu_excess = 0;
    // What it wanted before the silence says nothing about after it.
    vm.demand.Forget();
    vm.recent.Forget();
  }
}

// ---- Partition -----------------------------------------------------------

bool Engine::State::Enforceable(const VmSpec& spec) const {
  return spec.mode == Mode::kEnforce && spec.policy.max_mode == Mode::kEnforce && !spec.dedicated_cpus &&
         spec.policy.pause != Pause::kHoldAndDrain;
}

void Engine::State::ChooseMembers() {
  if (!members_stale) return;
  members_stale = false;
  enforced.clear();
  // By id: the order of every sum and tie, whatever order VMs were enrolled in.
  for (const auto& [id, slot] : slots) {
    Enrolment& e = enrolments[slot];
    Assessment& a = Of(slot);
    a.cpu_base = a.cpu_floor_cut = a.cpu_entitlement = a.cpu_lent = a.cpu_borrowed = a.cpu_allocation = MilliCores{};
    a.guard = {};
    if (Enforceable(e.spec)) {
      enforced.push_back(slot);
      continue;
    }
    e.allocation.reset();
    a.memory_entitled.reset();
    e.meter.Forget();
    if (e.spec.mode == Mode::kEnforce && e.spec.dedicated_cpus) {
      guard::Situation situation;
      situation.dedicated_cpus = true;
      const auto ruling = guard::Rule(situation);
      a.guard = {ruling.reason, ruling.message};
    }
  }
}

void Engine::State::DescribeMembers(Time now) {
  members.clear();
  needs.clear();
  double weight_sum = 0;
  for (const std::uint32_t slot : enforced) {
    const Enrolment& e = enrolments[slot];
    const CpuPolicy& policy = e.spec.policy.cpu;
    const Assessment& a = Of(slot);
    // What the host measured, not what a guest asks for: nobody is held to have lied.
    if (a.cpu_now && e.allocation && planned_ms > 0) {
      const auto used = static_cast<double>(Count(*a.cpu_now));
      claims.Observe(slot, used, used, static_cast<double>(Count(*e.allocation)), ToUnixMillis(now) - planned_ms);
    }
    double middle = 0, full = 0;
    partition::Member m;
    m.id = e.spec.id;
    m.vm = slot;
    m.request = e.spec.cpu_request ? Count(*e.spec.cpu_request) : 0;
    m.weight = m.request > 0 ? static_cast<double>(m.request)
                             : static_cast<double>(Count(policy.weight_per_vcpu) * e.spec.vcpus);
    if (e.spec.cpu_limit) m.limit = Count(*e.spec.cpu_limit);
    m.floor_fraction = policy.floor_fraction;
    m.ceiling_fraction = policy.ceiling_fraction;
    m.lendable_fraction = policy.lendable_fraction;
    m.deviation_factor = policy.deviation_factor;
    m.max_bonus = policy.max_bonus;
    m.quantum_ms = std::chrono::duration_cast<Millis>(policy.quantum).count();
    m.least_loan = Count(policy.least_loan);
    m.priority_class = e.spec.priority_class;
    if (a.cpu_predicted && !Blind(slot, now)) {
      const double most = static_cast<double>(m.limit);
      full = std::min(most, static_cast<double>(Count(*a.cpu_predicted)) * (1.0 + policy.margin));
      middle = std::min(full, static_cast<double>(Count(*a.cpu_expected)));
      m.need = 0;  // FitNeeds
      // What was told only from inside a guest raises nothing: a guest may say what it likes.
      const bool earns = !a.guest_only && !EarnsNothing(a.nature);
      if (vms[slot].episode.open && a.score && earns && remedies.MayEarn(slot, e.spec.policy))
        m.priority = *a.score / 100.0 * static_cast<double>(vms[slot].cpu_excess);
    }
    const bool hold = e.spec.policy.pause == Pause::kHold;
    m.may_renew = !hold;
    m.may_borrow = !hold && e.meter.reversals() < policy.flapping;
    if (e.allocation) m.raise_to = Count(*e.allocation + policy.step);
    if (const auto cap = remedies.Cap(slot, e.spec)) {
      m.limit = std::min(m.limit, Count(*cap));
      m.may_lend = false;  // what it has left it keeps
    }
    if (remedies.Harmed(slot)) m.may_borrow = false;
    members.push_back(m);
    needs.push_back({middle, full, policy.demand_quantile});
    weight_sum += m.weight;
  }
  planned_ms = ToUnixMillis(now);
  FitNeeds();
  bonus_credit.clear();
  for (partition::Member& m : members) {
    const double base = static_cast<double>(Count(*capacity)) * m.weight / weight_sum;
    // A cap is what it gets, neither more nor less.
    if (remedies.Cap(m.vm, enrolments[m.vm].spec))
      m.floor_fraction = std::min(1.0, static_cast<double>(m.limit) / std::max(base, 1.0));
    const auto lasts = static_cast<double>(enrolments[m.vm].spec.policy.cpu.bonus_credit.count()) * 1000.0;
    bonus_credit.push_back(ledger.BonusCredit(m.vm, m.max_bonus * base * lasts));
  }
}

// Where the needs do not fit together, what each may claim is settled by price
// (core/partition/claims.h); else everyone's is the policy's quantile with its margin.
// Between the two numbers known of a forecast its distribution is taken for logistic.
void Engine::State::FitNeeds() {
  double fulls = 0, quantile = 0, weight_sum = 0;
  for (const partition::Member& m : members) weight_sum += m.weight;
  for (const Need& need : needs) {
    fulls += need.full;
    quantile = std::max(quantile, need.quantile);
  }
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i].need) members[i].need = static_cast<std::int64_t>(std::ceil(needs[i].full));
  }
  const auto room = static_cast<double>(Count(*capacity));
  if (fulls <= room) return;
  // In our own logarithm: the compiler's and the library's need not agree in the last bit.
  const auto logit = [](double share) { return static_cast<double>(Log(static_cast<float>(share / (1 - share)))); };
  foretold.clear();
  for (std::size_t i = 0; i < members.size(); ++i) {
    const Need& need = needs[i];
    partition::Foretold f;
    f.vm = members[i].vm;
    f.weight = members[i].weight;
    const double slope = (need.full - need.middle) / logit(std::max(need.quantile, 0.6));
    for (std::size_t k = 0; k < partition::kClaimShares.size(); ++k) {
      f.demand[k] =
          static_cast<float>(std::clamp(need.middle + slope * logit(partition::kClaimShares[k]), 0.0, need.full));
    }
    foretold.push_back(f);
  }
  claims.Solve(foretold, Count(*capacity), 1 - quantile, claimed);
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (!members[i].need || !claimed[i]) continue;
    // What its own base share covers nobody need claim.
    const double own = std::min(std::ceil(needs[i].full), room * members[i].weight / weight_sum);
    members[i].need = std::max(*claimed[i], static_cast<std::int64_t>(own));
  }
}

void Engine::State::PlanCpu(Time now, const Frame& frame, Authority authority) {
  const std::int64_t now_ms = ToUnixMillis(now);
  plan.sequence = frame.sequence;
  plan.made_at = now;
  plan.capacity = capacity.value_or(MilliCores{});
  plan.directives.clear();
  plan.memory.clear();
  for (const Recall& recall : frame.recalls) ledger.Recall(recall.loan, now_ms);
  ChooseMembers();
  if (!capacity || enforced.empty()) {
    ledger.CloseAll(now_ms);
    for (const std::uint32_t slot : enforced) {
      Assessment& a = Of(slot);
      a.cpu_base = a.cpu_floor_cut = a.cpu_entitlement = a.cpu_lent = a.cpu_borrowed = a.cpu_allocation = MilliCores{};
      a.guard = {};
      enrolments[slot].allocation.reset();
    }
    WriteLoans();
    return;
  }
  DescribeMembers(now);
  entitlements.Compute(members, bonus_credit, Count(*capacity), shares);
  ledger.Lend(members, shares, now_ms, authority == Authority::kFull);
  Direct(now);
  PlanMemory(now);
  WriteLoans();
}

void Engine::State::Direct(Time now) {
  std::int64_t room = Count(*capacity);
  allocations.clear();
  directed.clear();
  std::uint64_t weight_found = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const partition::Share& share = shares[i];
    const std::uint32_t slot = members[i].vm;
    Enrolment& e = enrolments[slot];
    guard::Situation situation;
    situation.blind = Blind(slot, now);
    situation.floor_scaled = share.floor_scaled;
    situation.request = e.spec.cpu_request.value_or(MilliCores{});
    situation.limit = e.spec.cpu_limit;
    situation.previous = e.allocation;
    situation.step = e.spec.policy.cpu.step;
    situation.room = MilliCores{room};
    situation.reversals = e.meter.reversals();
    situation.flapping = e.spec.policy.cpu.flapping;
    situation.allocation = MilliCores{share.allocation()};
    const guard::Ruling ruling = guard::Rule(situation);

    Assessment& a = Of(slot);
    a.guard = {ruling.reason, ruling.message};
    a.cpu_base = MilliCores{share.base};
    a.cpu_entitlement = MilliCores{share.entitlement};
    a.cpu_floor_cut = MilliCores{share.floor_cut};
    a.cpu_lent = MilliCores{share.lent};
    a.cpu_borrowed = MilliCores{share.borrowed};
    a.cpu_allocation = ruling.allocation.value_or(MilliCores{});
    e.allocation = ruling.allocation;
    if (!ruling.allocation) continue;
    e.meter.Observe(ToUnixMillis(now), *ruling.allocation);
    room -= Count(*ruling.allocation);
    weight_found += e.spec.cpu_shares_found;
    directed.push_back(static_cast<std::uint32_t>(i));
    allocations.push_back(Count(*ruling.allocation));
  }
  RaiseWeights();
  splitter.Split(weighed, weight_found, weights);
  for (std::size_t k = 0; k < directed.size(); ++k) {
    const partition::Member& m = members[directed[k]];
    CpuDirective d;
    d.vm = VmHandle{m.vm};
    d.entitlement = MilliCores{shares[directed[k]].entitlement};
    d.allocation = MilliCores{allocations[k]};
    const VmSpec& spec = enrolments[m.vm].spec;
    if (spec.policy.cpu.partition == PartitionKind::kHard || remedies.Cap(m.vm, spec)) d.quota = d.allocation;
    d.shares = weights[k];
    plan.directives.push_back(d);
  }
  std::sort(plan.directives.begin(), plan.directives.end(),
            [](const CpuDirective& a, const CpuDirective& b) { return Slot(a.vm) < Slot(b.vm); });
}

// By the order of ids, like every sum: what each VM's ladder does.
void Engine::State::Remedy(Time now, Authority authority) {
  plan.restraints.clear();
  plan.remedies.clear();
  for (const auto& [id, slot] : slots) {
    const Assessment& a = Of(slot);
    std::optional<MilliCores> base;
    if (Count(a.cpu_base) > 0) base = a.cpu_base;
    remedies.Tick(slot, enrolments[slot].spec, a, {now, Blind(slot, now), authority == Authority::kFull, base}, plan);
  }
}

// A raised weight is a larger part of contended CPU: up to the need, for as long
// as credits pay a bonus, and only so far that every other weight still is worth
// its VM's request.
void Engine::State::RaiseWeights() {
  weighed = allocations;
  std::int64_t sum = 0;
  bool any = false;
  for (std::size_t k = 0; k < directed.size(); ++k) {
    sum += allocations[k];
    any = any || remedies.Raised(members[directed[k]].vm);
  }
  if (!any) return;
  std::int64_t room = Count(*capacity);
  for (std::size_t k = 0; k < directed.size(); ++k) {
    const partition::Member& m = members[directed[k]];
    if (m.request > 0 && !remedies.Raised(m.vm))
      room = std::min(room, allocations[k] * Count(*capacity) / m.request - sum);
  }
  for (std::size_t k = 0; k < directed.size() && room > 0; ++k) {
    const partition::Member& m = members[directed[k]];
    if (!remedies.Raised(m.vm) || !m.need) continue;
    const double factor = enrolments[m.vm].spec.policy.remediation.raise_weight - 1;
    const double wish = factor * static_cast<double>(allocations[k]) * bonus_credit[directed[k]];
    const std::int64_t more = std::min({static_cast<std::int64_t>(wish), *m.need - allocations[k], room});
    if (more <= 0) continue;
    weighed[k] += more;
    room -= more;
  }
}

// Those whose CPU is directed only: the agent takes directives by pod.
void Engine::State::PlanMemory(Time now) {
  plan.memory.clear();
  if (!any_memory) return;
  memory_members.clear();
  for (const std::uint32_t slot : enforced) {
    const Enrolment& e = enrolments[slot];
    const MemoryPolicy& policy = e.spec.policy.memory;
    Assessment& a = Of(slot);
    a.memory_need.reset();
    a.memory_entitled.reset();
    if (!policy.partition || e.spec.guest_mib <= 0) continue;
    const GuestMemory& guest = guests[slot];
    const bool known = guest.seen_ms >= 0 && ToUnixMillis(now) - guest.seen_ms <= kGuestSilent.count();
    if (known) {
      a.memory_need = static_cast<std::int64_t>(std::ceil(guest.needed / kBytesPerMib * (1 + policy.margin)));
    }
    MemoryMember m;
    m.id = e.spec.id;
    m.vm = slot;
    m.guest = e.spec.guest_mib;
    m.request = std::min(e.spec.guest_request_mib, e.spec.guest_mib);
    m.floor_fraction = policy.floor_fraction;
    m.need = a.memory_need;
    m.priority_class = e.spec.priority_class;
    m.hold = e.spec.policy.pause == Pause::kHold || !e.allocation;
    memory_members.push_back(m);
  }
  if (!memory_capacity || memory_members.empty()) return;
  for (const MemoryShare& share : memory_pool.Divide(memory_members, *memory_capacity, ToUnixMillis(now))) {
    Assessment& a = Of(share.vm);
    a.memory_base = share.base;
    a.memory_entitled = share.entitlement;
    if (share.lends && enrolments[share.vm].allocation) {
      plan.memory.push_back({VmHandle{share.vm}, std::max<std::int64_t>(share.entitlement, 1)});
    }
  }
  std::sort(plan.memory.begin(), plan.memory.end(),
            [](const MemoryDirective& a, const MemoryDirective& b) { return Slot(a.vm) < Slot(b.vm); });
}

void Engine::State::WriteLoans() {
  const auto written = [](const partition::OpenLoan& open) {
    Loan loan;
    loan.id = open.id;
    loan.lender = VmHandle{open.lender};
    loan.borrower = VmHandle{open.borrower};
    loan.amount = MilliCores{open.amount};
    loan.since = FromUnixMillis(open.since_ms);
    loan.expires = FromUnixMillis(open.expires_ms);
    loan.reason = open.reason;
    loan.lender_need = MilliCores{open.lender_need};
    loan.borrower_need = MilliCores{open.borrower_need};
    return loan;
  };
  plan.loans.clear();
  for (const partition::OpenLoan& open : ledger.loans()) {
    const Assessment& lender = Of(open.lender);
    const std::int64_t left = Count(lender.cpu_entitlement) - Count(lender.cpu_lent);
    const CpuPolicy& policy = enrolments[open.lender].spec.policy.cpu;
    const auto use = static_cast<std::int64_t>(policy.recall_use * static_cast<double>(left));
    Loan loan = written(open);
    loan.recall.use_above = MilliCores{std::max(use, kLeastRecallUse)};
    loan.recall.delay_above_ms_per_s = policy.recall_delay_ms_per_s;
    loan.recall.for_at_least = policy.recall_for;
    plan.loans.push_back(loan);
  }
  for (Assessment& a : assessments) a.cpu_credits = ledger.credits(Slot(a.vm));
  plan.closed.clear();
  for (const partition::EndedLoan& ended : ledger.ended()) {
    plan.closed.push_back({written(ended.loan), FromUnixMillis(ended.ended_ms), ended.outcome, ended.loan.moved});
  }
}

// ---- What others read ----------------------------------------------------

std::span<const Assessment> Engine::assessments() const { return state_->assessments; }

std::optional<Prospect> Engine::Foretold(VmHandle vm, Resource resource) const {
  if (!state_->Known(vm)) return std::nullopt;
  return state_->vms.Memory(Slot(vm)).outlook.Of(resource);
}

const Assessment* Engine::Find(VmHandle vm) const { return state_->Known(vm) ? &state_->Of(Slot(vm)) : nullptr; }

const remedy::Ladder* Engine::LadderOf(VmHandle vm) const {
  return state_->Known(vm) ? &state_->remedies.of(Slot(vm)) : nullptr;
}

const SampleCounts& Engine::sample_counts() const { return state_->counts; }

// ---- What comes back from elsewhere --------------------------------------

std::optional<Training> Engine::NextTraining() {
  // After the first kLeastPoints, then whenever half as much again was seen.
  constexpr std::uint32_t kLeastNew = 256;
  State& s = *state_;
  const auto slots = static_cast<std::uint32_t>(s.enrolments.size());
  for (std::uint32_t looked = 0; looked < slots; ++looked) {
    const std::uint32_t slot = s.training_from < slots ? s.training_from : 0;
    s.training_from = slot + 1;
    if (s.position[slot] < 0) continue;
    LongMemory& memory = s.vms.Memory(slot).baseline;
    const std::uint32_t wait = memory.trained_at == 0 ? 0 : std::max(kLeastNew, memory.trained_at / 2);
    if (memory.kept < kLeastPoints || memory.offered < memory.trained_at + wait) continue;
    memory.trained_at = memory.offered;
    return Training{VmHandle{slot}, memory.kept, memory.point};
  }
  return std::nullopt;
}

Status Engine::Adopt(VmHandle vm, const OneClass& machine) {
  State& s = *state_;
  if (!s.Known(vm)) return Fail(Code::kNotFound, "no VM is enrolled under this handle");
  s.vms[Slot(vm)].baseline.one_class = machine;
  return {};
}

Status Engine::AdoptCohort(VmHandle vm, const CohortModel& cohort) {
  State& s = *state_;
  if (!s.Known(vm)) return Fail(Code::kNotFound, "no VM is enrolled under this handle");
  VmState& state = s.vms[Slot(vm)];
  VmMemory& memory = s.vms.Memory(Slot(vm));
  const bool joined = cohort.id != 0 && cohort.id != memory.cohort.id;
  memory.cohort = cohort;
  state.has_cohort = cohort.id != 0;
  // How far it usually was from others says nothing about how far it is from these.
  if (joined) state.baseline.scorer.Forget(Detector::kCohort);
  if (!joined || state.baseline.learnt) return {};
  Scaling& scaling = state.baseline.scaling;
  const CohortModel::Belief belief = cohort.Shrink({scaling.center, scaling.spread_squared}, scaling.count);
  scaling.center = belief.level;
  scaling.spread_squared = belief.spread_squared;
  return {};
}

Result<Behaviour> Engine::BehaviourOf(VmHandle vm) const {
  if (!state_->Known(vm)) return Fail(Code::kNotFound, "no VM is enrolled under this handle");
  return whorl::BehaviourOf(state_->vms[Slot(vm)].baseline.scaling);
}

Status Engine::ResetBaseline(VmHandle vm) {
  State& s = *state_;
  if (!s.Known(vm)) return Fail(Code::kNotFound, "no VM is enrolled under this handle");
  VmState& state = s.vms[Slot(vm)];
  state.baseline = Baseline{};
  s.vms.Memory(Slot(vm)).baseline = LongMemory{};
  state.windows = Windows{};
  state.nature.Forget();
  static_cast<void>(state.episode.Abandon(state.episode.opened));
  s.Adopt(Slot(vm), s.enrolments[Slot(vm)].spec);
  Assessment& a = s.Of(Slot(vm));
  a.score.reset();
  a.p_value.reset();
  a.episode.reset();
  a.moved.reset();
  a.nature = Nature::kNone;
  a.regime = 1;
  a.learning.samples = 0;
  a.learning.elapsed = Seconds{0};
  a.learning.percent = 0;
  a.state = s.StateOf(state, s.Blind(Slot(vm), s.plan.made_at));
  return {};
}

Status Engine::AcceptBehaviour(VmHandle vm) {
  State& s = *state_;
  if (!s.Known(vm)) return Fail(Code::kNotFound, "no VM is enrolled under this handle");
  VmState& state = s.vms[Slot(vm)];
  state.baseline.Accept(s.vms.Memory(Slot(vm)).baseline);
  static_cast<void>(state.episode.Abandon(s.plan.made_at));
  Assessment& a = s.Of(Slot(vm));
  a.moved.reset();
  a.regime = s.vms.Memory(Slot(vm)).baseline.regime;
  return {};
}

Status Engine::AnswerRemedy(VmHandle vm, std::string_view proposal, bool approve) {
  State& s = *state_;
  if (!s.Known(vm)) return Fail(Code::kNotFound, "no VM is enrolled under this handle");
  if (s.remedies.of(Slot(vm)).Answer(proposal, approve, s.plan.made_at)) return {};
  return Fail(Code::kRefused, "no proposal \"" + std::string(proposal) +
                                  "\" is open: it was answered, has run out, or there never was one");
}

Status Engine::RestoreRemedy(VmHandle vm, const remedy::LadderRecord& record) {
  if (!state_->Known(vm)) return Fail(Code::kNotFound, "no VM is enrolled under this handle");
  state_->remedies.of(Slot(vm)).Restore(record);
  return {};
}

Status Engine::UndoneRemedy(VmHandle vm, remedy::Rung rung) {
  if (!state_->Known(vm)) return Fail(Code::kNotFound, "no VM is enrolled under this handle");
  if (remedy::Index(rung) < remedy::kRungCount) state_->remedies.Undone(Slot(vm), rung);
  return {};
}

Result<std::string> Engine::SaveBaseline(VmHandle vm) const {
  if (!state_->Known(vm)) return Fail(Code::kNotFound, "no VM is enrolled under this handle");
  const VmMemory& memory = state_->vms.Memory(Slot(vm));
  std::string blob = Save(state_->vms[Slot(vm)].baseline, memory.baseline);
  const std::string forecasts = memory.outlook.Save();
  const auto bytes = static_cast<std::uint32_t>(forecasts.size());
  blob += forecasts;
  blob.append(reinterpret_cast<const char*>(&bytes), sizeof bytes);
  return blob.append(kWithForecasts);
}

Status Engine::LoadBaseline(VmHandle vm, std::string_view blob) {
  State& s = *state_;
  if (!s.Known(vm)) return Fail(Code::kNotFound, "no VM is enrolled under this handle");
  VmMemory& memory = s.vms.Memory(Slot(vm));
  Outlook outlook;
  if (blob.ends_with(kWithForecasts)) {
    blob.remove_suffix(kWithForecasts.size());
    std::uint32_t bytes = 0;
    if (blob.size() >= sizeof bytes) {
      std::memcpy(&bytes, blob.data() + blob.size() - sizeof bytes, sizeof bytes);
      blob.remove_suffix(sizeof bytes);
    }
    if (bytes > blob.size()) return Fail(Code::kCorrupt, "baseline: cut off; the VM learns anew");
    // A program that tells otherwise learns its forecasts anew; the baseline stands by itself.
    const Status forecasts = outlook.Load(blob.substr(blob.size() - bytes));
    if (!forecasts && forecasts.error().code != Code::kUnsupported) return forecasts;
    blob.remove_suffix(bytes);
  }
  if (auto loaded = Load(blob, s.vms[Slot(vm)].baseline, memory.baseline); !loaded) return loaded;
  memory.outlook = outlook;
  s.vms[Slot(vm)].rise = 0;
  s.vms[Slot(vm)].bucket = {};
  s.vms[Slot(vm)].baseline.Stagger(s.PaceOf(Slot(vm)));
  s.Adopt(Slot(vm), s.enrolments[Slot(vm)].spec);  // the threshold follows from the interval learnt
  s.Of(Slot(vm)).threshold = s.vms[Slot(vm)].threshold;
  return {};
}

Status Engine::RestoreLedger(const LedgerRecord& record) {
  State& s = *state_;
  const auto bad = [](std::string what) { return Fail(Code::kCorrupt, "ledger: " + std::move(what)); };
  if (record.next_loan == 0 || record.next_loan > kLargestLoan) return bad("no loan can have so large a number");
  partition::Ledger::Snapshot taken = s.ledger.Save();
  taken.loans.clear();
  taken.balances.clear();
  taken.next_id = std::max(taken.next_id, record.next_loan);
  taken.house = record.house;
  std::set<std::string_view> seen;
  for (const LedgerRecord::Balance& b : record.balances) {
    if (!seen.insert(b.vm).second) return bad("VM " + b.vm + " has two balances");
    if (b.credits > kMostCredits || b.credits < -kMostCredits) return bad("VM " + b.vm + " has more than can be lent");
    const auto slot = s.slots.find(b.vm);
    if (slot != s.slots.end()) {
      taken.balances.push_back({.vm = slot->second, .credits = b.credits});
    } else if (__builtin_add_overflow(taken.house, b.credits, &taken.house)) {
      return bad("credits do not sum to zero");
    }
  }
  return s.ledger.Restore(taken);
}

Status Engine::BootstrapBaseline(VmHandle vm, const HistoryPrior& prior) {
  State& s = *state_;
  if (!s.Known(vm)) return Fail(Code::kNotFound, "no VM is enrolled under this handle");
  VmState& state = s.vms[Slot(vm)];
  Baseline& baseline = state.baseline;
  if (baseline.learnt) return Fail(Code::kConflict, "the VM has learnt by itself what is usual");
  double trust = 0;
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    if (!prior.known.Has(static_cast<Feature>(f))) continue;
    const auto& known = prior.feature[f];
    const float part = known.hours / (known.hours + kPriorHours);
    trust = std::max(trust, static_cast<double>(part));
    // Shrunk together with what was seen since the VM was enrolled.
    const float weight = part * kPriorSamples;
    const float own = baseline.scaling.count[f], both = own + weight;
    const auto mix = [&](float ours, float theirs) { return (own * ours + weight * theirs) / both; };
    baseline.scaling.center.Set(f, mix(baseline.scaling.center[f], known.level));
    baseline.scaling.spread_squared.Set(f, mix(baseline.scaling.spread_squared[f], known.spread * known.spread));
    baseline.scaling.count.Set(f, both);
  }
  // Learning is shorter by half at most; its samples are the VM's own seconds.
  const double goal_ms = static_cast<double>(state.goal.time.count()) * 1000;
  baseline.learnt_ms += static_cast<std::int64_t>(0.5 * trust * goal_ms);
  // What the history knows of the hours of the week, per course, becomes what
  // each feature along it is expected to do.
  HourProfile& hours = s.vms.Memory(Slot(vm)).baseline.hours;
  constexpr std::int64_t kHour = 3'600'000, kMonday = std::int64_t{4} * 24 * kHour;  // 1970-01-05
  for (std::size_t hour = 0; hour < HourProfile::kHours; ++hour) {
    const Time at = FromUnixMillis(kMonday + static_cast<std::int64_t>(hour) * kHour);
    Features usual;
    bool seen = false;
    for (std::size_t f = 0; f < kFeatureCount; ++f) {
      const auto feature = static_cast<Feature>(f);
      if (!prior.known.Has(feature)) continue;
      const auto expected = prior.week.Expected(at, CourseOf(feature));
      seen |= expected.confidence > 0;
      usual.Set(f, expected.mean * prior.week.Along(feature));
    }
    if (seen) hours.Tell(hour, usual);
  }
  return {};
}

}  // namespace whorl
