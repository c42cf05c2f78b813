#include "crd/remedy_view.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "crd/json_fields.h"
#include "crd/text.h"

namespace whorl::crd {
namespace {

constexpr std::int64_t kMostAmount = 1'000'000'000;

nlohmann::json ToJson(const RemedyHold& hold) {
  nlohmann::json out{{"rung", hold.rung}, {"since", TimeText(hold.since)}, {"until", TimeText(hold.until)}};
  PutText(out, "nature", hold.nature);
  if (hold.amount > 0) out["amount"] = std::min(hold.amount, kMostAmount);
  PutText(out, "limit", Clip(hold.amount_text, 64));
  return out;
}

nlohmann::json ToJson(const RemedyProposal& proposal) {
  nlohmann::json out{{"id", Clip(proposal.id, 63)},
                     {"action", proposal.rung},
                     {"score", std::clamp(proposal.score, 0, 100)},
                     {"since", TimeText(proposal.since)},
                     {"expires", TimeText(proposal.expires)}};
  PutText(out, "nature", proposal.nature);
  PutText(out, "reason", Clip(proposal.message, 1024));
  return out;
}

nlohmann::json ToJson(const RemedyEntry& entry) {
  nlohmann::json out{{"time", TimeText(entry.time)}, {"reason", entry.reason}, {"rung", entry.rung}};
  PutText(out, "message", Clip(entry.message, 512));
  return out;
}

constexpr auto kWrite = [](const auto& item) { return ToJson(item); };

std::string TextOf(const nlohmann::json& object, std::string_view name) {
  const auto* text = FindString(object, name);
  return text == nullptr ? std::string() : *text;
}
std::optional<Time> TimeOf(const nlohmann::json& object, std::string_view name) {
  const auto* text = FindString(object, name);
  return text == nullptr ? std::nullopt : ParseTimeText(*text);
}
const nlohmann::json& ListOf(const nlohmann::json& object, std::string_view name) {
  static const nlohmann::json kNone = nlohmann::json::array();
  const auto* list = FindMember(object, name);
  return list != nullptr && list->is_array() ? *list : kNone;
}

Nature NatureOf(std::string_view name) {
  for (std::size_t n = 0; n < kNatureCount; ++n) {
    if (NatureName(static_cast<Nature>(n)) == name) return static_cast<Nature>(n);
  }
  return Nature::kNone;
}

}  // namespace

nlohmann::json ToJson(const RemedyView& view) {
  nlohmann::json out{{"rung", view.rung}};
  PutText(out, "next", Clip(view.next, 128));
  PutList(out, "held", view.held, remedy::kRungCount, kWrite);
  if (view.proposal) out["proposal"] = ToJson(*view.proposal);
  PutList(out, "history", view.history, kMostRemedyEntries, kWrite);
  return out;
}

std::optional<RemedyView> RemedyOf(const nlohmann::json& object) {
  const auto* status = FindMember(object, "status");
  const auto* stored = status == nullptr ? nullptr : FindMember(*status, "remedy");
  if (stored == nullptr) return std::nullopt;
  RemedyView view;
  view.rung = TextOf(*stored, "rung");
  view.next = TextOf(*stored, "next");
  for (const auto& item : ListOf(*stored, "held")) {
    const auto since = TimeOf(item, "since"), until = TimeOf(item, "until");
    const auto rung = TextOf(item, "rung");
    if (!since || !until || !remedy::ParseRung(rung)) continue;
    view.held.push_back({rung, *since, *until, TextOf(item, "nature"),
                         std::clamp<std::int64_t>(FindInt(item, "amount").value_or(0), 0, kMostAmount),
                         TextOf(item, "limit")});
  }
  if (const auto* asked = FindMember(*stored, "proposal")) {
    const auto since = TimeOf(*asked, "since"), expires = TimeOf(*asked, "expires");
    const auto rung = TextOf(*asked, "action");
    if (since && expires && remedy::ParseRung(rung)) {
      const auto score = std::clamp<std::int64_t>(FindInt(*asked, "score").value_or(0), 0, 100);
      view.proposal = RemedyProposal{
          TextOf(*asked, "id"),    rung, TextOf(*asked, "nature"), static_cast<std::int32_t>(score), *since, *expires,
          TextOf(*asked, "reason")};
    }
  }
  for (const auto& item : ListOf(*stored, "history")) {
    const auto time = TimeOf(item, "time");
    if (!time || view.history.size() == kMostRemedyEntries) continue;
    view.history.push_back({*time, TextOf(item, "reason"), TextOf(item, "rung"), TextOf(item, "message")});
  }
  return view;
}

remedy::LadderRecord ToRecord(const RemedyView& view) {
  remedy::LadderRecord record;
  for (const RemedyHold& hold : view.held) {
    const auto rung = remedy::ParseRung(hold.rung);
    if (!rung) continue;
    record.holds[remedy::Index(*rung)] = {true, hold.since, hold.until, NatureOf(hold.nature), 0, hold.amount};
  }
  if (view.proposal) {
    if (const auto rung = remedy::ParseRung(view.proposal->rung)) {
      record.proposal =
          remedy::Proposal{*rung, NatureOf(view.proposal->nature), static_cast<std::uint8_t>(view.proposal->score),
                           view.proposal->since, view.proposal->expires};
    }
  }
  return record;
}

}  // namespace whorl::crd
