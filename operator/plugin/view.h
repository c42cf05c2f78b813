#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/base/time.h"

namespace whorl::plugin {

// A BehaviorFingerprint as a user looks at it. An empty text or nullopt is not
// known, which is never the same as 0.

// What is foretold of one resource; empty texts: nothing yet.
struct ForecastView {
  std::string resource;
  std::string five_minutes_p50, five_minutes_p95, hour_p50, hour_p95;
  std::optional<std::int64_t> error_percent, covered_percent;  // of five minutes
};

struct FeatureView {
  std::string name;
  bool above = true;
  std::string current;
  std::string usual;
  std::int64_t sigmas = 0;
  std::optional<std::int64_t> share_percent;
};

struct LoanView {
  std::string resource;
  std::string amount;
  std::string since;
  std::string until;
};

struct ConditionView {
  std::string type;
  std::string status;
  std::string reason;
  std::string message;
};

struct VmView {
  std::string ns;
  std::string name;
  std::string state;  // empty: the controller has not written one yet
  std::string mode;
  std::string node;
  std::string policy;
  std::string nature;  // of a deviation
  std::string rarity;  // "1 in 4,200"
  std::string cohort;
  std::string guest_telemetry;
  std::string summary;
  std::string last_sample;
  std::optional<std::int64_t> score;
  std::optional<std::int64_t> threshold;
  std::optional<std::int64_t> regime;

  struct {
    std::string demand, predicted, base, entitlement, allocation, lent, borrowed, limit;
    std::optional<std::int64_t> weight;
    std::optional<std::int64_t> credits;  // millicore-seconds lent more than borrowed
  } cpu;

  struct {
    std::optional<std::int64_t> percent, samples, needed_samples, elapsed_seconds, needed_seconds;
    std::string missing;
  } baseline;

  std::vector<FeatureView> features;  // largest part first
  std::vector<ForecastView> forecasts;

  struct EpisodeView {
    std::int64_t number = 0;
    std::string opened;
    std::string closed;  // empty: still open
    std::int64_t peak = 0;
  };
  std::optional<EpisodeView> episode;

  std::vector<LoanView> lent;
  std::vector<LoanView> borrowed;

  struct ActionView {
    std::string reason, from, to, time, until, message;
  };
  std::optional<ActionView> action;

  struct RequestView {
    std::string request, outcome, time, message;
  };
  std::optional<RequestView> request;

  std::vector<ConditionView> conditions;
  const ConditionView* Find(const std::string& type) const;
};

// Members that are missing or of another type count as not known.
VmView ToView(const nlohmann::json& fingerprint);

// "350m", "1", "350m-700m" in millicores, of a range its lower end; nullopt for anything else.
std::optional<std::int64_t> Millicores(const std::string& quantity);

}  // namespace whorl::plugin
