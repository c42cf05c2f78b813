#include "operator/agent/act/cpu_files.h"

#include <algorithm>

#include "operator/agent/sense/parse.h"

namespace whorl::agent {
namespace {

constexpr std::uint64_t kSharesSpan = kMostShares - kLeastShares;
constexpr std::uint64_t kWeightSpan = 10000 - 1;

Result<std::uint32_t> Bounded(const std::string& file, const std::string& text, std::uint64_t most) {
  const auto number = ParseCounter(text);
  if (!number) return Fail(number.error().In(file));
  if (*number > most) return Fail(Code::kInvalid, file + ": " + text + " is above " + std::to_string(most));
  return static_cast<std::uint32_t>(*number);
}

}  // namespace

std::uint32_t WeightFromShares(std::uint32_t shares) {
  const std::uint64_t above = std::clamp(shares, kLeastShares, kMostShares) - kLeastShares;
  return static_cast<std::uint32_t>(1 + above * kWeightSpan / kSharesSpan);
}

std::uint32_t SharesFromWeight(std::uint32_t weight) {
  const std::uint64_t above = std::clamp<std::uint32_t>(weight, 1, 10000) - 1;
  // Rounded up, so that converting back yields the same weight.
  return static_cast<std::uint32_t>(kLeastShares + (above * kSharesSpan + kWeightSpan - 1) / kWeightSpan);
}

std::string CpuFiles::SharesText(std::uint32_t shares) const {
  return std::to_string(v2_ ? WeightFromShares(shares) : shares);
}

std::string CpuFiles::QuotaText(std::int64_t quota_us, std::int64_t period_us) const {
  if (!v2_) return std::to_string(quota_us);
  return (quota_us < 0 ? std::string("max") : std::to_string(quota_us)) + " " + std::to_string(period_us);
}

Result<CpuValues> CpuFiles::Parse(const std::string& file, const std::string& text) const {
  CpuValues values;
  if (file == "cpu.shares") {
    const auto shares = Bounded(file, text, kMostShares);
    if (!shares) return Fail(shares.error());
    values.shares = *shares;
  } else if (file == "cpu.weight") {
    const auto weight = Bounded(file, text, 10000);
    if (!weight) return Fail(weight.error());
    values.shares = SharesFromWeight(*weight);
  } else if (file == "cpu.cfs_quota_us") {
    const auto quota = ParseInteger(text);
    if (!quota) return Fail(quota.error().In(file));
    values.quota_us = *quota < 0 ? -1 : *quota;
  } else if (file == "cpu.max") {
    const auto max = ParseCpuMax(text);
    if (!max) return Fail(max.error().In(file));
    values.quota_us = max->quota_us.value_or(-1);
    values.period_us = max->period_us;
  } else {
    return Fail(Code::kInvalid, file + " is not a CPU knob");
  }
  return values;
}

Result<CpuValues> CpuFiles::Read(const KnobTree& tree, const std::string& dir) const {
  const auto shares_text = tree.Read(dir, shares_file());
  if (!shares_text) return Fail(shares_text.error());
  auto shares = Parse(shares_file(), *shares_text);
  if (!shares) return Fail(shares.error().In(dir));
  const auto quota_text = tree.Read(dir, quota_file());
  if (!quota_text) return Fail(quota_text.error());
  auto values = Parse(quota_file(), *quota_text);
  if (!values) return Fail(values.error().In(dir));
  values->shares = shares->shares;
  if (v2_) return values;
  const auto period_text = tree.Read(dir, "cpu.cfs_period_us");
  if (!period_text) return Fail(period_text.error());
  const auto period = ParseInteger(*period_text);
  if (!period) return Fail(period.error().In(dir + "/cpu.cfs_period_us"));
  if (*period <= 0) return Fail(Code::kInvalid, dir + "/cpu.cfs_period_us is not positive");
  values->period_us = *period;
  return values;
}

std::int64_t QuotaMicros(std::int64_t millicores, std::int64_t period_us) { return millicores * period_us / 1000; }

std::optional<std::int64_t> QuotaMillicores(const CpuValues& values) {
  if (!values.quota_us || *values.quota_us < 0 || !values.period_us) return std::nullopt;
  return *values.quota_us * 1000 / *values.period_us;
}

}  // namespace whorl::agent
