#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "core/engine/assessment.h"
#include "core/engine/policy.h"
#include "crd/conditions.h"
#include "crd/remedy_view.h"

// The status of a BehaviorFingerprint; there is no spec. Plain values: build,
// compare, ToJson, apply. An empty string or nullopt is left out of the object.
namespace whorl::crd {

// Condition types. All but Ready say one thing; Ready is False or Unknown with
// the reason of the first of Sensed, Learned, Partitioned that is not True.
inline constexpr std::string_view kReady = "Ready";
inline constexpr std::string_view kSensed = "Sensed";            // False: Blind; which input is missing
inline constexpr std::string_view kLearned = "Learned";          // False while Learning
inline constexpr std::string_view kModeIsCapped = "ModeCapped";  // True: gets less than its owner asked for
inline constexpr std::string_view kPartitioned = "Partitioned";  // True: limits of ours are in force

struct BaselineProgress {
  std::uint8_t percent = 0;
  std::int64_t samples = 0;
  std::int64_t needed_samples = 0;
  std::int64_t elapsed_seconds = 0;
  std::int64_t needed_seconds = 0;
  std::string missing = {};  // in words; empty when nothing is

  bool operator==(const BaselineProgress&) const = default;
};
// "140 more samples and 20 more minutes", or nothing when learning is done.
BaselineProgress ToBaselineProgress(const Learning& learning);

struct ContributingFeature {
  std::string name = {};
  bool above = true;  // its usual level; false: below
  std::string current = {};
  std::string usual = {};
  std::int32_t sigmas = 0;  // distance, never negative
  std::uint8_t share_percent = 0;

  bool operator==(const ContributingFeature&) const = default;
};
// With the feature's name and values in its unit, as people read them.
ContributingFeature ToContributingFeature(const Contribution& contribution);

// A loan as its tenant sees it: no neighbour's name, no exact amount.
struct LoanView {
  std::string resource = {};
  std::string amount = {};  // AmountRange()
  Time since{};
  Time renewed_until{};

  bool operator==(const LoanView&) const = default;
};

// What is foretold of one resource for one horizon, as text with its unit.
struct ForecastView {
  std::string p50 = {};
  std::string p90 = {};
  std::string p95 = {};
  std::string p99 = {};
  std::optional<std::int32_t> error_percent = {};    // mean miss of p50 over the mean; unset until enough was foretold
  std::optional<std::int32_t> covered_percent = {};  // how often p95 was enough

  bool operator==(const ForecastView&) const = default;
};

struct ResourceView {
  std::string name = {};  // "cpu"
  std::string demand = {};
  std::string predicted = {};
  std::string base = {};
  std::string entitlement = {};
  std::string allocation = {};
  std::string lent = {};      // AmountRange()
  std::string borrowed = {};  // AmountRange()
  std::string limit = {};     // LimitText() of what was read back
  std::optional<std::int32_t> weight = {};
  std::optional<std::int64_t> credits = {};  // millicore-seconds lent more than borrowed
  std::optional<ForecastView> five_minutes = {};
  std::optional<ForecastView> hour = {};

  bool operator==(const ResourceView&) const = default;
};

struct LastAction {
  std::string reason = {};  // an Event's reason
  std::string resource = {};
  std::string from = {};
  std::string to = {};
  Time time{};
  std::optional<Time> until = {};
  std::string message = {};

  bool operator==(const LastAction&) const = default;
};

// What became of the last whorl.dev/baseline annotation, which is gone by then.
struct LastBaselineRequest {
  std::string request = {};  // as it was written
  bool done = true;          // false: refused, for the reason in the message
  Time time{};
  std::string message = {};

  bool operator==(const LastBaselineRequest&) const = default;
};
// Of an object as the API server has it; nullopt: none, or not readable.
std::optional<LastBaselineRequest> LastBaselineRequestOf(const nlohmann::json& object);

// "1 in 4,200": two digits that mean something, and no more than 1 in a
// billion. Empty for what comes more often than every tenth time.
std::string RarityText(double p_value);

struct BehaviorFingerprintStatus {
  std::int64_t observed_generation = 0;
  std::string node = {};
  std::string policy = {};
  std::optional<Mode> mode = {};
  std::optional<State> state = {};
  std::optional<std::uint8_t> score = {};  // left out while Learning or Blind
  std::optional<std::uint8_t> threshold = {};
  std::string nature = {};                  // NatureName(), empty: none
  std::string rarity = {};                  // RarityText()
  std::optional<std::int32_t> regime = {};  // 1: the first habits, 2: changed for good since
  std::string cohort = {};                  // the VMs it is most like
  std::string guest_telemetry = {};         // Fresh or Silent; empty: none ever came
  std::string summary = {};
  std::optional<Time> last_sample = {};
  std::optional<BaselineProgress> baseline = {};
  std::vector<ContributingFeature> contributing = {};
  std::optional<Episode> episode = {};
  std::vector<ResourceView> resources = {};
  std::vector<LoanView> lent = {};
  std::vector<LoanView> borrowed = {};
  std::optional<LastAction> last_action = {};
  std::optional<LastBaselineRequest> last_baseline_request = {};
  std::optional<RemedyView> remedy = {};
  std::vector<Condition> conditions = {};
};

// The object under "status". Texts and lists are cut to the schema's bounds,
// so that the API server never refuses a status for its length.
nlohmann::json ToJson(const BehaviorFingerprintStatus& status);

}  // namespace whorl::crd
