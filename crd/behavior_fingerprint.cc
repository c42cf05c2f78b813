#include "crd/behavior_fingerprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "crd/json_fields.h"
#include "crd/text.h"

namespace whorl::crd {
namespace {

constexpr std::size_t kMaxFeatures = 8;
constexpr std::size_t kMaxResources = 16;
constexpr std::size_t kMaxLoans = 16;
constexpr std::int64_t kLargestExact = 9'007'199'254'740'991;  // 2^53 - 1, what every JSON reader keeps

std::string Plural(std::int64_t count, std::string_view unit) {
  return fmt::format("{} {}{}", count, unit, count == 1 ? "" : "s");
}

// In the largest unit that still says something: 90 seconds, 20 minutes, 3 hours.
std::string MoreTime(std::int64_t seconds) {
  if (seconds <= 120) return Plural(seconds, "more second");
  if (seconds <= 7200) return Plural((seconds + 59) / 60, "more minute");
  return Plural((seconds + 3599) / 3600, "more hour");
}

// A feature's value as people read it, without digits that mean nothing.
std::string Value(float value, std::string_view unit) {
  if (!std::isfinite(value)) return "unknown";
  const double v = value;
  const double size = std::abs(v);
  if (unit == "bytes" || unit == "bytes/s") {
    const std::string_view per = unit == "bytes/s" ? "/s" : "";
    if (size >= 1024.0 * 1024 * 1024) return fmt::format("{:.1f} GiB{}", v / (1024.0 * 1024 * 1024), per);
    if (size >= 1024.0 * 1024) return fmt::format("{:.1f} MiB{}", v / (1024.0 * 1024), per);
    if (size >= 1024.0) return fmt::format("{:.1f} KiB{}", v / 1024.0, per);
    return fmt::format("{:.0f} bytes{}", v, per);
  }
  if (size < 10) return fmt::format("{:.1f} {}", v, unit);
  return fmt::format("{:.0f} {}", v, unit);
}

nlohmann::json ToJson(const BaselineProgress& baseline) {
  nlohmann::json out{{"percent", baseline.percent},
                     {"samples", std::clamp<std::int64_t>(baseline.samples, 0, kLargestExact)},
                     {"neededSamples", std::clamp<std::int64_t>(baseline.needed_samples, 0, kLargestExact)},
                     {"elapsedSeconds", std::clamp<std::int64_t>(baseline.elapsed_seconds, 0, kLargestExact)},
                     {"neededSeconds", std::clamp<std::int64_t>(baseline.needed_seconds, 0, kLargestExact)}};
  PutText(out, "missing", Clip(baseline.missing, 256));
  return out;
}

nlohmann::json ToJson(const ContributingFeature& feature) {
  return {{"name", Clip(feature.name, 63)},
          {"direction", feature.above ? "Above" : "Below"},
          {"current", Clip(feature.current, 64)},
          {"usual", Clip(feature.usual, 64)},
          {"sigmas", std::clamp(feature.sigmas, 0, 1'000'000)},
          {"sharePercent", feature.share_percent}};
}

nlohmann::json ToJson(const LoanView& loan) {
  return {{"resource", Clip(loan.resource, 63)},
          {"amount", Clip(loan.amount, 32)},
          {"since", TimeText(loan.since)},
          {"renewedUntil", TimeText(loan.renewed_until)}};
}

nlohmann::json ToJson(const ForecastView& forecast) {
  nlohmann::json out{{"median", Clip(forecast.p50, 32)},
                     {"ninetieth", Clip(forecast.p90, 32)},
                     {"ninetyFifth", Clip(forecast.p95, 32)},
                     {"ninetyNinth", Clip(forecast.p99, 32)}};
  if (forecast.error_percent) out["errorPercent"] = std::clamp(*forecast.error_percent, 0, 1'000'000);
  if (forecast.covered_percent) out["coveredPercent"] = std::clamp(*forecast.covered_percent, 0, 100);
  return out;
}

nlohmann::json ToJson(const ResourceView& resource) {
  nlohmann::json out{{"name", Clip(resource.name, 63)}};
  PutText(out, "demand", Clip(resource.demand, 32));
  PutText(out, "predicted", Clip(resource.predicted, 32));
  PutText(out, "base", Clip(resource.base, 32));
  PutText(out, "entitlement", Clip(resource.entitlement, 32));
  PutText(out, "allocation", Clip(resource.allocation, 32));
  PutText(out, "lent", Clip(resource.lent, 32));
  PutText(out, "borrowed", Clip(resource.borrowed, 32));
  PutText(out, "limit", Clip(resource.limit, 32));
  if (resource.five_minutes) out["nextFiveMinutes"] = ToJson(*resource.five_minutes);
  if (resource.hour) out["nextHour"] = ToJson(*resource.hour);
  // Out of the kernel's range it was not read but made up: left out.
  if (resource.credits) out["credits"] = std::clamp(*resource.credits, -kLargestExact, kLargestExact);
  if (resource.weight && *resource.weight >= 2 && *resource.weight <= 262'144) out["weight"] = *resource.weight;
  return out;
}

nlohmann::json ToJson(const Episode& episode) {
  nlohmann::json out{
      {"number", episode.number}, {"openedTime", TimeText(episode.opened)}, {"peakScore", episode.peak_score}};
  if (episode.closed) out["closedTime"] = TimeText(*episode.closed);
  return out;
}

nlohmann::json ToJson(const LastAction& action) {
  nlohmann::json out{{"reason", action.reason}, {"time", TimeText(action.time)}};
  PutText(out, "resource", Clip(action.resource, 63));
  PutText(out, "from", Clip(action.from, 64));
  PutText(out, "to", Clip(action.to, 64));
  PutText(out, "message", Clip(action.message, 1024));
  if (action.until) out["until"] = TimeText(*action.until);
  return out;
}

nlohmann::json ToJson(const LastBaselineRequest& request) {
  nlohmann::json out{{"request", Clip(request.request, 63)},
                     {"outcome", request.done ? "Done" : "Refused"},
                     {"time", TimeText(request.time)}};
  PutText(out, "message", Clip(request.message, 512));
  return out;
}

constexpr auto kWrite = [](const auto& item) { return ToJson(item); };

}  // namespace

BaselineProgress ToBaselineProgress(const Learning& learning) {
  BaselineProgress progress{.percent = learning.percent,
                            .samples = learning.samples,
                            .needed_samples = learning.samples_needed,
                            .elapsed_seconds = learning.elapsed.count(),
                            .needed_seconds = learning.elapsed_needed.count(),
                            .missing = {}};
  const std::int64_t samples = progress.needed_samples - progress.samples;
  const std::int64_t seconds = progress.needed_seconds - progress.elapsed_seconds;
  if (samples > 0) progress.missing = Plural(samples, "more sample");
  if (seconds > 0) progress.missing += (progress.missing.empty() ? "" : " and ") + MoreTime(seconds);
  return progress;
}

ContributingFeature ToContributingFeature(const Contribution& contribution) {
  const FeatureInfo& info = Info(contribution.feature);
  const float sigmas = std::isfinite(contribution.sigmas) ? std::abs(contribution.sigmas) : 1'000'000.0F;
  const float share = std::isfinite(contribution.share) ? std::clamp(contribution.share, 0.0F, 1.0F) : 0.0F;
  return ContributingFeature{.name = std::string(info.name),
                             .above = contribution.sigmas >= 0,
                             .current = Value(contribution.value, info.unit),
                             .usual = Value(contribution.usual, info.unit),
                             .sigmas = static_cast<std::int32_t>(std::lround(std::min(sigmas, 1'000'000.0F))),
                             .share_percent = static_cast<std::uint8_t>(std::lround(share * 100.0F))};
}

std::optional<LastBaselineRequest> LastBaselineRequestOf(const nlohmann::json& object) {
  const auto* status = FindMember(object, "status");
  const auto* last = status == nullptr ? nullptr : FindMember(*status, "lastBaselineRequest");
  if (last == nullptr) return std::nullopt;
  const auto* request = FindString(*last, "request");
  const auto* time = FindString(*last, "time");
  const auto at = time == nullptr ? std::nullopt : ParseTimeText(*time);
  if (request == nullptr || !at) return std::nullopt;
  LastBaselineRequest out{.request = *request, .done = true, .time = *at, .message = {}};
  if (const auto* outcome = FindString(*last, "outcome")) out.done = *outcome == "Done";
  if (const auto* message = FindString(*last, "message")) out.message = *message;
  return out;
}

std::string RarityText(double p_value) {
  if (!(p_value > 0) || p_value > 0.1) return {};
  const double times = std::min(1 / p_value, 1e9);
  // Two digits, then zeros.
  const double scale = std::pow(10.0, std::max(0.0, std::floor(std::log10(times)) - 1));
  std::string digits = fmt::format("{:.0f}", std::round(times / scale) * scale);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return "1 in " + digits;
}

nlohmann::json ToJson(const BehaviorFingerprintStatus& status) {
  nlohmann::json out{{"observedGeneration", status.observed_generation}, {"conditions", ToJson(status.conditions)}};
  PutText(out, "node", Clip(status.node, 253));
  PutText(out, "policy", Clip(status.policy, 253));
  PutText(out, "summary", Clip(status.summary, 512));
  PutText(out, "nature", status.nature);
  if (status.mode) out["mode"] = ModeName(*status.mode);
  if (status.state) out["state"] = StateName(*status.state);
  const bool scored = status.state != State::kLearning && status.state != State::kBlind;
  if (status.score && scored) out["score"] = std::min<int>(*status.score, 100);
  if (status.threshold) out["threshold"] = std::min<int>(*status.threshold, 100);
  if (scored) PutText(out, "rarity", Clip(status.rarity, 32));
  if (status.regime) out["regime"] = std::clamp(*status.regime, 1, 2);
  PutText(out, "cohort", Clip(status.cohort, 63));
  PutText(out, "guestTelemetry", status.guest_telemetry);
  if (status.last_baseline_request) out["lastBaselineRequest"] = ToJson(*status.last_baseline_request);
  if (status.last_sample) out["lastSampleTime"] = TimeText(*status.last_sample);
  if (status.baseline) out["baseline"] = ToJson(*status.baseline);
  if (status.episode && status.episode->number > 0) out["episode"] = ToJson(*status.episode);
  if (status.remedy) out["remedy"] = ToJson(*status.remedy);
  if (status.last_action) out["lastAction"] = ToJson(*status.last_action);
  PutList(out, "contributingFeatures", status.contributing, kMaxFeatures, kWrite);
  PutList(out, "resources", status.resources, kMaxResources, kWrite);
  PutList(out, "lent", status.lent, kMaxLoans, kWrite);
  PutList(out, "borrowed", status.borrowed, kMaxLoans, kWrite);
  return out;
}

}  // namespace whorl::crd
