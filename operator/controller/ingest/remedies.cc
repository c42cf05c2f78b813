#include "operator/controller/ingest/remedies.h"

#include <fmt/format.h>

#include <utility>

#include "crd/text.h"
#include "operator/controller/publish/sentences.h"

namespace whorl::controller {
namespace {

using remedy::Rung;
using remedy::StepKind;

std::string Seen(const remedy::Step& step) {
  const auto sentence = NatureSentence(step.nature);
  if (sentence.empty()) return fmt::format("the score is {} (threshold {})", step.score, step.threshold);
  return fmt::format("the VM {} ({}), score {} (threshold {})", sentence, NatureName(step.nature), step.score,
                     step.threshold);
}

std::string From(const remedy::Step& step) {
  return fmt::format("{} -> {}", remedy::RungName(step.from), remedy::RungName(step.to));
}

std::string HowToAnswer(const Subject& subject) {
  return fmt::format("To answer: kubectl whorl approve vm/{} -n {}, or kubectl whorl reject vm/{} -n {}", subject.name,
                     subject.ns, subject.name, subject.ns);
}

std::string_view ApprovalName(remedy::Approval approval) {
  switch (approval) {
    case remedy::Approval::kAuto: return "Auto";
    case remedy::Approval::kAsk: return "Ask";
    case remedy::Approval::kNever: return "Never";
  }
  return "Never";
}

}  // namespace

std::string AmountText(Rung rung, Nature nature, std::int64_t amount, const remedy::LadderPolicy& policy) {
  if (rung == Rung::kIsolate && amount > 0) return fmt::format("{} core{}", amount, amount == 1 ? "" : "s");
  if (rung != Rung::kCap) return {};
  const remedy::CapKnobs knobs = remedy::CapKnobsOf(nature);
  if (knobs.cpu && amount > 0) return crd::Quantity(MilliCores{amount}) + " CPU";
  if (knobs.network) return fmt::format("{} kbit/s in each direction", policy.network_kilobits);
  if (knobs.disk) return fmt::format("{} KiB/s read and written each", policy.disk_kibibytes);
  return {};
}

crd::EventReason ReasonOf(const remedy::Step& step) {
  switch (step.kind) {
    case StepKind::kUp: return crd::EventReason::kRemedyTaken;
    case StepKind::kDown: return crd::EventReason::kRemedyGivenBack;
    case StepKind::kProposed: return crd::EventReason::kRemedyProposed;
    case StepKind::kProposalEnded: return crd::EventReason::kRemedyProposalEnded;
    case StepKind::kRefused: return crd::EventReason::kRemedyRefused;
  }
  return crd::EventReason::kRemedyRefused;
}

std::string NoteOf(const remedy::Step& step, const remedy::LadderPolicy& policy, const Subject& subject) {
  const auto what = remedy::RungSentence(step.rung);
  const std::string amount = AmountText(step.rung, step.nature, step.amount, policy);
  const std::string measure = amount.empty() ? std::string() : " (" + amount + ")";
  const std::string until = step.until ? crd::TimeText(*step.until) : std::string("further notice");
  switch (step.kind) {
    case StepKind::kUp:
      return fmt::format("{}; {}: {}, because {}: {}{}, until {}. {}", Seen(step),
                         step.why == remedy::Why::kApproved ? "approved" : "it lasts", From(step),
                         remedy::CourseReason(step.nature), what, measure, until, HowToStop(subject));
    case StepKind::kDown:
      return step.rung == Rung::kMigrate
                 ? fmt::format("{}: {}; it may be migrated again.", From(step), remedy::WhySentence(step.why))
                 : fmt::format("{}: {}; no longer: {}{}.", From(step), remedy::WhySentence(step.why), what, measure);
    case StepKind::kProposed:
      return fmt::format("{}; it lasts. Proposed: {}, because {}. An answer counts until {}. {}", Seen(step), what,
                         remedy::CourseReason(step.nature), until, HowToAnswer(subject));
    case StepKind::kProposalEnded:
      return fmt::format("no longer proposed: {}; {}.", what, remedy::WhySentence(step.why));
    case StepKind::kRefused:
      return fmt::format("{}: not done: {}; {}. Nothing is changed.", step.refusal, what, step.refusal_message);
  }
  return {};
}

crd::RemedyView ViewOf(const remedy::Ladder& ladder, const remedy::LadderPolicy& policy, const Assessment& a,
                       const Subject& subject, std::vector<crd::RemedyEntry> history) {
  crd::RemedyView view;
  view.rung = remedy::RungName(ladder.top());
  view.history = std::move(history);
  for (std::size_t i = 0; i < remedy::kRungCount; ++i) {
    const auto rung = static_cast<Rung>(i);
    const remedy::Hold& hold = ladder.hold(rung);
    if (!hold.held) continue;
    view.held.push_back({std::string(remedy::RungName(rung)), hold.since, hold.until,
                         std::string(NatureName(hold.nature)), hold.amount,
                         AmountText(rung, hold.nature, hold.amount, policy)});
  }
  if (const auto& asked = ladder.proposal()) {
    view.proposal = crd::RemedyProposal{remedy::ProposalId(*asked),
                                        std::string(remedy::RungName(asked->rung)),
                                        std::string(NatureName(asked->nature)),
                                        asked->score,
                                        asked->since,
                                        asked->until,
                                        fmt::format("{}, because {}. {}", remedy::RungSentence(asked->rung),
                                                    remedy::CourseReason(asked->nature), HowToAnswer(subject))};
    return view;
  }
  if (!a.episode || a.episode->closed) return view;
  for (std::size_t i = remedy::Index(Rung::kBorrow); i < remedy::kRungCount; ++i) {
    const auto rung = static_cast<Rung>(i);
    if (rung <= ladder.top() || !remedy::LeastSeverity(a.nature, rung)) continue;
    if (policy.of(rung).approval == remedy::Approval::kNever) continue;
    const auto needs = *remedy::LeastSeverity(a.nature, rung);
    view.next = fmt::format("{}: {}, from severity {} on", remedy::RungName(rung),
                            ApprovalName(policy.of(rung).approval), remedy::SeverityName(needs));
    break;
  }
  return view;
}

}  // namespace whorl::controller
