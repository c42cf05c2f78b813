#include "operator/controller/publish/fingerprint.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "crd/text.h"
#include "operator/controller/publish/sentences.h"

namespace whorl::controller {
namespace {

int ScoreBucket(const std::optional<std::uint8_t>& score, const std::optional<Bucket>& before) {
  if (!score) return -1;
  constexpr int kWidth = 10;
  constexpr int kMargin = 2;
  const int value = *score;
  if (before && before->score >= 0) {
    const int low = before->score * kWidth;
    if (value >= low - kMargin && value < low + kWidth + kMargin) return before->score;
  }
  return value / kWidth;
}

// 0-49m, 50-99m, 100-199m, ... so that a bucket is a doubling.
int DemandBucket(const std::optional<MilliCores>& cpu, const std::optional<Bucket>& before) {
  if (!cpu) return -1;
  const auto bucket = [](std::int64_t m) {
    return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(0, m) / 50)));
  };
  const std::int64_t value = Count(*cpu);
  if (before && before->demand >= 0) {
    if (bucket(value + value / 4) == before->demand || bucket(value - value / 4) == before->demand)
      return before->demand;
  }
  return bucket(value);
}

crd::Condition Make(std::string_view type, bool holds, std::string reason, std::string message,
                    std::int64_t generation) {
  crd::Condition c;
  c.type = std::string(type);
  c.status = holds ? crd::ConditionStatus::kTrue : crd::ConditionStatus::kFalse;
  c.reason = std::move(reason);
  c.message = std::move(message);
  c.observed_generation = generation;
  return c;
}

crd::Condition Sensed(const VmReport& vm) {
  const auto generation = vm.resolution.generation;
  if (vm.resolution.not_watched) {
    return Make(crd::kSensed, false, vm.resolution.not_watched->reason, vm.resolution.not_watched->message, generation);
  }
  if (vm.assessment.state == State::kBlind)
    return Make(crd::kSensed, false, "NoFreshSamples", vm.blind_reason, generation);
  return Make(crd::kSensed, true, "Fresh", "samples arrive each second", generation);
}

crd::Condition Learned(const VmReport& vm) {
  const auto& a = vm.assessment;
  const auto baseline = crd::ToBaselineProgress(a.learning);
  if (baseline.missing.empty() && a.learning.samples_needed > 0 && a.state != State::kLearning) {
    return Make(crd::kLearned, true, "BaselineReady", "what is usual for this VM is known", vm.resolution.generation);
  }
  return Make(crd::kLearned, false, "Learning",
              baseline.missing.empty() ? std::string("what is usual for this VM is not known yet")
                                       : "still needs " + baseline.missing +
                                             (vm.no_history.empty() ? "" : "; without history: " + vm.no_history),
              vm.resolution.generation);
}

crd::Condition Capped(const VmReport& vm) {
  const auto& mode = vm.resolution.mode;
  if (mode.cap == crd::Cap::kNotCapped) {
    return Make(crd::kModeIsCapped, false, "AsRequested", "the VM gets the mode its owner asked for",
                vm.resolution.generation);
  }
  return Make(crd::kModeIsCapped, true, std::string(crd::CapName(mode.cap)), mode.message, vm.resolution.generation);
}

crd::Condition Partitioned(const VmReport& vm) {
  const auto generation = vm.resolution.generation;
  const auto no = [&](std::string reason, std::string message) {
    return Make(crd::kPartitioned, false, std::move(reason), std::move(message), generation);
  };
  if (vm.resolution.mode.mode != Mode::kEnforce) {
    return no("NotEnforced",
              "the mode is " + std::string(crd::ModeName(vm.resolution.mode.mode)) + "; nothing is changed");
  }
  if (vm.resolution.enrolment && vm.resolution.enrolment->dedicated_cpus) {
    return no("DedicatedCPUs", "a VM with dedicated CPUs is never partitioned");
  }
  if (!vm.refusal.empty()) return no(vm.refusal, vm.refusal_message);
  if (!vm.held) {
    if (!vm.assessment.guard.reason.empty()) {
      return no(std::string(vm.assessment.guard.reason), std::string(vm.assessment.guard.message));
    }
    return no("NothingHeld", "no limit of Whorl's is in force on this VM");
  }
  if (!vm.assessment.guard.reason.empty()) {
    return Make(crd::kPartitioned, true, std::string(vm.assessment.guard.reason),
                std::string(vm.assessment.guard.message), generation);
  }
  return Make(crd::kPartitioned, true, "InForce", "the node holds what was planned and read it back", generation);
}

crd::ContributingFeature Feature(const Contribution& c) { return crd::ToContributingFeature(c); }

}  // namespace

VmReport Unwatched(const Resolution& resolution, std::string why) {
  VmReport vm;
  vm.resolution = resolution;
  vm.assessment.state = State::kBlind;
  vm.blind_reason = std::move(why);
  return vm;
}

bool Bucket::SameForPeople(const Bucket& other) const {
  return state == other.state && mode == other.mode && lends == other.lends && borrows == other.borrows &&
         node == other.node && refusal == other.refusal && cap == other.cap && episode == other.episode &&
         nature == other.nature && held == other.held;
}

Bucket BucketOf(const VmReport& vm, const std::optional<Bucket>& before) {
  const auto& a = vm.assessment;
  Bucket b;
  b.state = a.state;
  b.score = ScoreBucket(a.score, before);
  b.learned = a.state == State::kLearning ? a.learning.percent / 10 : -1;
  b.demand = DemandBucket(a.cpu_now, before);
  // The quota moves each second while demand does; its doublings are enough.
  if (vm.limit_read)
    b.limit = vm.limit ? std::to_string(std::bit_width(static_cast<std::uint64_t>(Count(*vm.limit)))) : "none";
  b.lends = vm.lent.open();
  b.borrows = vm.borrowed.open();
  b.mode = vm.resolution.mode.mode;
  if (vm.resolution.enrolment) b.node = vm.resolution.enrolment->node;
  b.blind_reason = vm.blind_reason;
  b.refusal = vm.refusal;
  b.cap = crd::CapName(vm.resolution.mode.cap);
  b.guard = a.guard.reason;
  if (a.state == State::kDeviating) b.nature = a.nature;
  b.held = vm.held;
  if (vm.episode) b.episode = vm.episode->number * 2 + (vm.episode->closed ? 1 : 0);
  return b;
}

Annotations ToAnnotations(const VmReport& vm) {
  Annotations out;
  const auto& a = vm.assessment;
  if (a.score && a.state != State::kLearning && a.state != State::kBlind) out.score = std::to_string(*a.score);
  out.state = StateName(a.state);
  out.summary = crd::Clip(SummaryText(vm), 512);
  return out;
}

// Of fewer buckets than two hours have, an error would be luck.
constexpr std::uint32_t kJudged = 24;

crd::ForecastView ToForecast(Resource resource, const Quantiles& told, const Forecaster::Error& error, bool judged) {
  const auto text = [&](float x) {
    return resource == Resource::kCpu ? crd::RoughCpu(static_cast<double>(x)) : crd::RoughBytes(static_cast<double>(x));
  };
  crd::ForecastView out{text(told.p50), text(told.p90), text(told.p95), text(told.p99), {}, {}};
  if (judged) {
    out.error_percent = static_cast<std::int32_t>(std::lround(std::min(error.relative, 1e4f) * 100));
    out.covered_percent = static_cast<std::int32_t>(std::lround(std::clamp(error.covered, 0.0f, 1.0f) * 100));
  }
  return out;
}

void Foretell(const VmReport& vm, Resource resource, crd::ResourceView& view) {
  const auto& prospect = vm.prospects[static_cast<std::size_t>(resource)];
  if (!prospect) return;
  const bool judged = prospect->buckets >= kJudged;
  view.five_minutes = ToForecast(resource, prospect->five_minutes, prospect->error_five_minutes, judged);
  view.hour = ToForecast(resource, prospect->hour, prospect->error_hour, judged);
}

crd::BehaviorFingerprintStatus ToFingerprint(const VmReport& vm, const std::optional<crd::LastAction>& last_action,
                                             std::vector<crd::Condition> conditions, Time now) {
  const auto& a = vm.assessment;
  crd::BehaviorFingerprintStatus out;
  out.observed_generation = vm.resolution.generation;
  if (vm.resolution.enrolment) out.node = vm.resolution.enrolment->node;
  out.policy = vm.resolution.mode.policy;
  out.mode = vm.resolution.mode.mode;
  out.state = a.state;
  if (a.state != State::kLearning && a.state != State::kBlind) {
    out.score = a.score;
    out.threshold = a.threshold;
  }
  // A name for what is not unusual would alarm for nothing.
  if (a.state == State::kDeviating) out.nature = NatureName(a.nature);
  out.guest_telemetry = vm.guest_telemetry;
  if (vm.assessment.learning.percent == 100) out.regime = vm.assessment.regime;
  if (vm.cohort != 0) out.cohort = std::to_string(vm.cohort);
  if (out.score && a.p_value) out.rarity = crd::RarityText(*a.p_value);
  out.summary = SummaryText(vm);
  if (ToUnixMillis(a.last_sample) > 0) out.last_sample = a.last_sample;
  if (a.learning.samples_needed > 0) out.baseline = crd::ToBaselineProgress(a.learning);
  const auto shown = std::min<std::size_t>(a.top_count, a.top.size());
  if (out.score)
    std::transform(a.top.begin(), a.top.begin() + static_cast<std::ptrdiff_t>(shown),
                   std::back_inserter(out.contributing), Feature);
  out.episode = vm.episode;
  out.last_action = last_action;

  const bool enforced = vm.resolution.mode.mode == Mode::kEnforce && a.state != State::kBlind;
  crd::ResourceView cpu;
  cpu.name = "cpu";
  if (a.state != State::kBlind) {
    if (a.cpu_now) cpu.demand = crd::Quantity(*a.cpu_now);
    if (a.cpu_predicted) cpu.predicted = crd::Quantity(*a.cpu_predicted);
  }
  if (enforced) {
    cpu.base = crd::Quantity(a.cpu_base);
    cpu.entitlement = crd::Quantity(a.cpu_entitlement);
    cpu.allocation = crd::Quantity(a.cpu_allocation);
  }
  if (enforced || a.cpu_credits != 0) cpu.credits = a.cpu_credits / 1000;
  if (vm.limit_read) cpu.limit = crd::LimitText(vm.limit);
  if (vm.weight) cpu.weight = static_cast<std::int32_t>(*vm.weight);
  if (vm.lent.open()) {
    cpu.lent = crd::AmountRange(vm.lent.amount);
    out.lent.push_back({"cpu", cpu.lent, vm.lent.since, vm.lent.until});
  }
  if (vm.borrowed.open()) {
    cpu.borrowed = crd::AmountRange(vm.borrowed.amount);
    out.borrowed.push_back({"cpu", cpu.borrowed, vm.borrowed.since, vm.borrowed.until});
  }
  if (a.state != State::kBlind) Foretell(vm, Resource::kCpu, cpu);
  out.resources.push_back(std::move(cpu));
  for (const Resource resource : {Resource::kMemory, Resource::kNetwork, Resource::kDisk}) {
    crd::ResourceView other;
    other.name = ResourceName(resource);
    if (a.state != State::kBlind) Foretell(vm, resource, other);
    if (resource == Resource::kMemory && a.memory_entitled) {
      const auto mib = [](std::int64_t amount) { return std::to_string(amount) + "Mi"; };
      if (a.memory_need) other.demand = mib(*a.memory_need);
      other.base = mib(a.memory_base);
      other.entitlement = other.allocation = mib(*a.memory_entitled);
    }
    if (other.five_minutes || !other.entitlement.empty()) out.resources.push_back(std::move(other));
  }

  out.conditions = std::move(conditions);
  const crd::Condition parts[] = {Sensed(vm), Learned(vm), Partitioned(vm)};
  auto ready =
      Make(crd::kReady, true, "Watched", "the VM is seen, known and treated as its mode says", out.observed_generation);
  for (const auto& part : parts) {
    // Nothing to be partitioned is no fault outside enforce mode.
    if (part.type == crd::kPartitioned && out.mode != Mode::kEnforce) continue;
    if (part.status == crd::ConditionStatus::kTrue) continue;
    ready = Make(crd::kReady, false, part.reason, part.message, out.observed_generation);
    break;
  }
  for (const auto& part : parts) crd::SetCondition(out.conditions, part, now);
  crd::SetCondition(out.conditions, Capped(vm), now);
  crd::SetCondition(out.conditions, ready, now);
  return out;
}

bool AlreadyDone(const crd::BaselineRequest& request, const crd::LastBaselineRequest& last, Time now) {
  if (request.text != last.request) return false;
  return request.text.find('@') != std::string::npos || now - last.time < Seconds{60};
}

}  // namespace whorl::controller
