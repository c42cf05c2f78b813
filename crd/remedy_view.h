#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "core/remedy/ladder.h"

// What a BehaviorFingerprint's status says of the remediation ladder. It is read
// back by whoever leads next: a pause must not outlive the memory of it.
namespace whorl::crd {

struct RemedyHold {
  std::string rung = {};  // RungName()
  Time since{};
  Time until{};
  std::string nature = {};       // for which it was taken; empty: none
  std::int64_t amount = 0;       // cap: millicores; isolate: cores; else 0
  std::string amount_text = {};  // the same for people: "250m", "2 cores", "10000 kbit/s"

  bool operator==(const RemedyHold&) const = default;
};

struct RemedyProposal {
  std::string id = {};  // names this proposal and no other
  std::string rung = {};
  std::string nature = {};
  std::int32_t score = 0;
  Time since{};
  Time expires{};
  std::string message = {};  // what, why, and how to answer

  bool operator==(const RemedyProposal&) const = default;
};

struct RemedyEntry {
  Time time{};
  std::string reason = {};  // an Event's reason
  std::string rung = {};
  std::string message = {};

  bool operator==(const RemedyEntry&) const = default;
};
inline constexpr std::size_t kMostRemedyEntries = 16;

struct RemedyView {
  std::string rung = {};  // the highest held, "propose" while something is asked, else "observe"
  std::string next = {};  // what comes after it, and who must agree; empty: nothing
  std::vector<RemedyHold> held = {};
  std::optional<RemedyProposal> proposal = {};
  std::vector<RemedyEntry> history = {};  // the latest first, at most kMostRemedyEntries

  bool operator==(const RemedyView&) const = default;
};

nlohmann::json ToJson(const RemedyView& view);  // the object under status.remedy
// Of an object as the API server has it; nullopt: none. What cannot be read of
// it is left out: a hold without a whole beginning, end and rung is none.
std::optional<RemedyView> RemedyOf(const nlohmann::json& object);
remedy::LadderRecord ToRecord(const RemedyView& view);

}  // namespace whorl::crd
