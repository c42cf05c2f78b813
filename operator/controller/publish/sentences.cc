#include "operator/controller/publish/sentences.h"

#include <fmt/format.h>

#include "crd/behavior_fingerprint.h"
#include "crd/text.h"

namespace whorl::controller {
namespace {

std::string UntilText(const std::optional<Time>& until) {
  return until ? fmt::format(", until {} unless renewed", crd::TimeText(*until)) : std::string();
}

std::string CpuText(const std::optional<MilliCores>& cpu) { return cpu ? crd::Quantity(*cpu) : std::string("unknown"); }

// "; Runaway, it computes without a pause ...": the name to look up and what it means.
std::string NatureClause(Nature nature) {
  return nature == Nature::kNone ? std::string()
                                 : fmt::format("; {}: it {}", NatureName(nature), NatureSentence(nature));
}

std::string LoanClause(const VmReport& vm) {
  if (vm.borrowed.open()) return fmt::format("; borrows {} of CPU", crd::AmountRange(vm.borrowed.amount));
  if (vm.lent.open()) return fmt::format("; lends {} of CPU it does not need", crd::AmountRange(vm.lent.amount));
  return {};
}

// What `kubectl describe` shows of an annotation before it cuts it short.
constexpr std::size_t kDescribeWidth = 138;

std::string Fitted(std::string text) {
  if (text.size() <= kDescribeWidth) return text;
  text.resize(kDescribeWidth - 3);
  return text + "...";
}

// As many of the features as fit, at least one: the rest stands in the BehaviorFingerprint.
std::string DeviatingText(const VmReport& vm) {
  const auto& a = vm.assessment;
  std::string head =
      a.episode ? "Unlike itself since " + crd::TimeText(a.episode->opened) : std::string("Unlike itself");
  if (a.nature != Nature::kNone) head += fmt::format(", {}", NatureName(a.nature));
  const auto tail = LoanClause(vm) + ".";
  std::string features;
  for (std::size_t i = 0; i < a.top_count && i < a.top.size(); ++i) {
    const auto f = crd::ToContributingFeature(a.top[i]);
    const auto next = fmt::format("{} {} {} (usually {})", features.empty() ? ":" : ",", f.name, f.current, f.usual);
    if (!features.empty() && head.size() + features.size() + next.size() + tail.size() > kDescribeWidth) break;
    features += next;
  }
  return head + features + tail;
}

}  // namespace

std::string FeaturesText(const Assessment& assessment) {
  std::string text;
  for (std::size_t i = 0; i < assessment.top_count && i < assessment.top.size(); ++i) {
    const auto f = crd::ToContributingFeature(assessment.top[i]);
    text += fmt::format("{}{} {} (usually {}, {} sigmas {})", text.empty() ? "" : ", ", f.name, f.current, f.usual,
                        f.sigmas, f.above ? "above" : "below");
  }
  return text.empty() ? "no single feature stands out" : text;
}

std::string DurationText(Seconds duration) {
  const auto s = duration.count();
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return s % 60 == 0 ? fmt::format("{} min", s / 60) : fmt::format("{} min {} s", s / 60, s % 60);
  return s / 60 % 60 == 0 ? fmt::format("{} h", s / 3600) : fmt::format("{} h {} min", s / 3600, s / 60 % 60);
}

std::string HowToStop(const Subject& subject) {
  return fmt::format("To stop: kubectl annotate {} {} -n {} whorl.dev/mode=observe --overwrite",
                     subject.patchable() ? "vm" : "vmi", subject.name, subject.ns);
}

std::string SummaryText(const VmReport& vm) {
  const auto& a = vm.assessment;
  switch (a.state) {
    case State::kLearning: {
      const auto baseline = crd::ToBaselineProgress(a.learning);
      return Fitted(fmt::format("Learning what is usual for this VM: {} % done{}{}.", a.learning.percent,
                                baseline.missing.empty() ? "" : ", still needs " + baseline.missing, LoanClause(vm)));
    }
    case State::kNormal:
      return fmt::format("Behaves like itself: score {} of 100, alarm at {}{}.", a.score.value_or(0), a.threshold,
                         LoanClause(vm));
    case State::kDeviating: return Fitted(DeviatingText(vm));
    case State::kBlind:
      return Fitted(
          fmt::format("Not seen: {}.", vm.blind_reason.empty() ? "no fresh samples from its node" : vm.blind_reason));
    case State::kPaused:
      return fmt::format("Paused by PartitionPolicy {}: nothing new is done.",
                         vm.resolution.policy ? vm.resolution.policy->name : "");
  }
  return {};
}

std::string BaselineReadyNote(const Assessment& assessment) {
  return fmt::format(
      "Learnt what is usual from {} samples over {}; from now on the VM has a score from 0 (like itself) to 100, with "
      "an "
      "alarm at {}.",
      assessment.learning.samples, DurationText(assessment.learning.elapsed), assessment.threshold);
}

std::string BootstrappedNote(const HistoryPrior& prior, const std::vector<std::string>& warnings) {
  const auto span = std::chrono::duration_cast<Seconds>(prior.to - prior.from);
  const auto days = span / std::chrono::hours(24);
  auto note = fmt::format(
      "Began from {} of history in Prometheus, until {}: the usual levels of {} of {} features and {:.1f} weeks of the "
      "hours of the week. How the VM varies from second to second is still learnt here, in a shorter learning phase.",
      days >= 2 ? fmt::format("{} days", days) : DurationText(span), crd::TimeText(prior.to), prior.known.count(),
      kFeatureCount, prior.week.weeks());
  if (!warnings.empty()) note += " Prometheus warns that it may be incomplete: " + warnings.front();
  return note;
}

std::string DeviatingNote(const VmReport& vm) {
  const auto& a = vm.assessment;
  std::string_view done;
  switch (vm.resolution.mode.mode) {
    case Mode::kEnforce:
      done = "It may borrow CPU that its neighbours do not need, never more than it is predicted to need";
      break;
    case Mode::kRecommend: done = "Nothing is changed in mode recommend"; break;
    case Mode::kObserve:
    case Mode::kOff: done = "Nothing is changed in mode observe"; break;
  }
  return fmt::format(
      "Score {} reached the threshold of {}{}: {}. {}. To stop watching: kubectl annotate {} {} -n {} "
      "whorl.dev/mode=off "
      "--overwrite",
      a.score ? fmt::to_string(*a.score) : std::string("unknown"), a.threshold, NatureClause(a.nature), FeaturesText(a),
      done, vm.resolution.subject.patchable() ? "vm" : "vmi", vm.resolution.subject.name, vm.resolution.subject.ns);
}

std::string NatureChangedNote(const Assessment& assessment, Nature before) {
  return fmt::format("Looks like {} now{}: it {}; {}.", NatureName(assessment.nature),
                     before == Nature::kNone ? "" : fmt::format(", not {}", NatureName(before)),
                     NatureSentence(assessment.nature), FeaturesText(assessment));
}

std::string UsualLevelMovedNote(const UsualMoved& moved) {
  Contribution values;
  values.feature = moved.feature;
  values.value = moved.to;
  values.usual = moved.from;
  const auto f = crd::ToContributingFeature(values);
  return fmt::format(
      "Its usual {} has moved from {} to {} since {}, too slowly for any sample to be unusual. Whorl has gone along; "
      "find "
      "out whether the VM was meant to",
      f.name, f.usual, f.current, crd::TimeText(moved.since));
}

std::string RegimeChangedNote(const Assessment& assessment) {
  return fmt::format(
      "It lives in its {} usual way now: what was unlike it has become steady, or it is back where it was. "
      "No alarm is open any more; the other way is kept and known at once when it returns",
      assessment.regime == 1 ? "first" : "second");
}

std::string NormalNote(const Assessment& assessment) {
  if (!assessment.episode) return "Like itself again.";
  const auto& e = *assessment.episode;
  const auto lasted = e.closed ? std::chrono::duration_cast<Seconds>(*e.closed - e.opened) : Seconds{0};
  return fmt::format("Like itself again after {}: the score went up to {}, the threshold is {}.", DurationText(lasted),
                     e.peak_score, assessment.threshold);
}

std::string BlindNote(const VmReport& vm) {
  return fmt::format(
      "No fresh samples of the VM on node {}: {}. It has no score and lends and borrows nothing; limits return "
      "to what was found when their lease ends. See kubectl describe npart {}",
      vm.resolution.enrolment ? vm.resolution.enrolment->node : "unknown",
      vm.blind_reason.empty() ? "the agent sends none" : vm.blind_reason,
      vm.resolution.enrolment ? vm.resolution.enrolment->node : "NODE");
}

std::string BaselineResetNote(std::string_view request) {
  return fmt::format(
      "{}: what was usual for this VM is forgotten and an open alarm closed. It has no score until it is learnt anew; "
      "kubectl describe bfp shows how far that is",
      request);
}

std::string BaselineAcceptedNote(std::string_view request) {
  return fmt::format(
      "{}: what this VM does now counts as usual. An open alarm is closed, and for some minutes the VM is learnt from "
      "at "
      "full speed whatever its score",
      request);
}

std::string BaselineDiscardedNote(std::string_view vm_uid, std::string_view why, std::string_view node) {
  return fmt::format(
      "The saved baseline of this VM cannot be used: {}. It lies aside on node {} as {}.corrupt in the agent's "
      "--checkpoint-dir; the VM learns anew, others keep what they know",
      why, node, vm_uid);
}

std::string LedgerSetAsideNote(std::string_view node, std::string_view why) {
  return fmt::format(
      "The credits in NodePartition {} cannot be used: {}. They are set aside and every VM of the node starts at zero; "
      "limits, floors and loans are not touched. Somebody else wrote to it: kubectl get npart {} -o yaml "
      "--show-managed-fields",
      node, why, node);
}

std::string FloorsText(const std::vector<LoweredFloor>& lowered, MilliCores capacity) {
  constexpr std::size_t kNamed = 8;
  std::string names;
  std::int64_t missing = 0;
  for (std::size_t i = 0; i < lowered.size(); ++i) {
    missing += Count(lowered[i].cut);
    if (i < kNamed)
      names += fmt::format("{}{} by {}", i == 0 ? "" : ", ", lowered[i].vm, crd::Quantity(lowered[i].cut));
  }
  if (lowered.size() > kNamed) names += fmt::format(" and {} more", lowered.size() - kNamed);
  return fmt::format(
      "The floors of the VMs in enforce mode need {} more than the {} that may be partitioned. Lowered, the lowest "
      "priority class first: {}. Move a VM away, lower floorPercent or reserve in its PartitionPolicy, or raise "
      "capacity; a VM with a higher priorityClassName gives way later",
      crd::Quantity(MilliCores{missing}), crd::Quantity(capacity), crd::Clip(names, 600));
}

std::string RaisedNote(const VmReport& vm, const LimitMove& move) {
  const auto& a = vm.assessment;
  return fmt::format(
      "{} {} -> {}{}: it uses {}, is predicted to need {} and is entitled to {}; {} are borrowed from what "
      "neighbours do not need. {}",
      move.knob, move.from, move.to, UntilText(move.until), CpuText(a.cpu_now), CpuText(a.cpu_predicted),
      crd::Quantity(a.cpu_entitlement), crd::AmountRange(vm.borrowed.amount), HowToStop(vm.resolution.subject));
}

std::string LoweredNote(const VmReport& vm, const LimitMove& move) {
  const auto& a = vm.assessment;
  const std::string why =
      vm.lent.open() ? fmt::format(
                           "it uses {}, is predicted to need {} and lends {} until it needs it, then has it back "
                           "within 1 s",
                           CpuText(a.cpu_now), CpuText(a.cpu_predicted), crd::AmountRange(vm.lent.amount))
                     : fmt::format("PartitionPolicy {} partitions the CPU of the node and this is its entitlement",
                                   vm.resolution.policy ? vm.resolution.policy->name : "");
  return fmt::format("{} {} -> {}{}: {}. {}", move.knob, move.from, move.to, UntilText(move.until), why,
                     HowToStop(vm.resolution.subject));
}

std::string RestoredNote(const LimitMove& move, std::string_view why) {
  return fmt::format("{} {} -> {}: {}.", move.knob, move.from, move.to, why);
}

}  // namespace whorl::controller
