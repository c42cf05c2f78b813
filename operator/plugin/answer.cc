#include "operator/plugin/answer.h"

#include <fmt/format.h>

#include "crd/text.h"

namespace whorl::plugin {
namespace {

std::string NothingAsked(const std::string& vm, const std::optional<crd::RemedyView>& remedy) {
  if (!remedy) return fmt::format("nothing is proposed about {} and nothing is held", vm);
  return fmt::format("nothing is proposed about {}; it stands at {}{}", vm, remedy->rung,
                     remedy->next.empty() ? "" : "; next " + remedy->next);
}

}  // namespace

Result<ProposalAnswer> PlanAnswer(const std::string& vm, const std::optional<crd::RemedyView>& remedy, Verdict verdict,
                                  const std::string& id, Time now) {
  if (!remedy || !remedy->proposal || remedy->proposal->id.empty()) {
    return Fail(Code::kRefused, NothingAsked(vm, remedy));
  }
  const crd::RemedyProposal& asked = *remedy->proposal;
  if (!id.empty() && id != asked.id) {
    return Fail(Code::kRefused, fmt::format("proposal {} about {} is not open; {} is: look at it first, without --id",
                                            id, vm, asked.id));
  }
  if (now >= asked.expires) {
    return Fail(Code::kRefused, fmt::format("proposal {} about {} has run out at {}; if the deviation lasts, it is "
                                            "made once more under another id",
                                            asked.id, vm, crd::TimeText(asked.expires)));
  }
  ProposalAnswer out;
  out.id = asked.id;
  out.consequence = fmt::format("Proposed about {}:\n", vm);
  const auto line = [&out](const char* name, const std::string& text) {
    out.consequence += fmt::format("  {:<8} {}\n", name, text);
  };
  line("id", asked.id);
  line("action", asked.rung);
  line("for", fmt::format("{}score {}", asked.nature.empty() ? "" : asked.nature + ", ", asked.score));
  if (!asked.message.empty()) line("reason", asked.message);
  line("expires", crd::TimeText(asked.expires));
  out.consequence += verdict == Verdict::kApprove
                         ? "Approved, it is done once the VM is in mode enforce and nothing speaks against it, while "
                           "it deviates.\n"
                         : "Rejected, it is not done, and nothing more is proposed until the next alarm.\n";
  return out;
}

}  // namespace whorl::plugin
