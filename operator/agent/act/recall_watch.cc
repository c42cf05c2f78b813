#include "operator/agent/act/recall_watch.h"

#include <set>

namespace whorl::agent {

RecallMeter::RecallMeter(std::int64_t use_above_millicores, std::int32_t delay_above_ms_per_s, Millis for_at_least)
    : use_above_(use_above_millicores), delay_above_(delay_above_ms_per_s), for_at_least_(for_at_least) {}

std::optional<std::string> RecallMeter::Update(Millis now, std::uint64_t usage_us,
                                               std::optional<std::uint64_t> delay_us) {
  blind_since_.reset();
  const auto before = before_;
  before_ = Before{now, usage_us, delay_us};
  if (!before || now <= before->at || usage_us < before->usage_us) {
    met_since_.reset();
    return std::nullopt;
  }
  // µs per ms of wall time = thousandths of a core, and = ms/s of delay.
  const auto elapsed = (now - before->at).count();
  const auto use = static_cast<std::int64_t>(usage_us - before->usage_us) / elapsed;
  std::optional<std::int64_t> delay;
  if (delay_us && before->delay_us && *delay_us >= *before->delay_us) {
    delay = static_cast<std::int64_t>(*delay_us - *before->delay_us) / elapsed;
  }
  std::string why;
  if (use_above_ > 0 && use > use_above_) {
    why = "the lender used " + std::to_string(use) + " millicores, above " + std::to_string(use_above_);
  } else if (delay_above_ > 0 && delay && *delay > delay_above_) {
    why = "the lender's vCPUs waited " + std::to_string(*delay) + " ms/s, above " + std::to_string(delay_above_);
  }
  if (why.empty()) {
    met_since_.reset();
    return std::nullopt;
  }
  if (!met_since_) met_since_ = now;
  if (now - *met_since_ < for_at_least_) return std::nullopt;
  return why;
}

std::optional<std::string> RecallMeter::Blind(Millis now, const std::string& why) {
  before_.reset();
  met_since_.reset();
  if (!blind_since_) blind_since_ = now;
  if (now - *blind_since_ < kBlind) return std::nullopt;
  return "the lender could not be read for " + std::to_string((now - *blind_since_).count()) + " ms: " + why;
}

RecallWatch::RecallWatch(Holder& holder, const Clock& clock, std::string proc_root)
    : holder_(holder), clock_(clock), proc_root_(std::move(proc_root)) {}

void RecallWatch::Refresh() {
  const auto version = holder_.loans_version();
  if (version == version_) return;
  version_ = version;
  std::map<std::uint64_t, Watched> next;
  std::set<std::string> lenders;
  for (const auto& loan : holder_.loans()) {
    lenders.insert(loan.lender_pod_uid());
    // A renewed loan keeps what its meter has seen.
    if (auto known = meters_.extract(loan.id()); !known.empty()) {
      next.insert(std::move(known));
      continue;
    }
    next.emplace(loan.id(), Watched{loan.lender_pod_uid(),
                                    RecallMeter(loan.recall_use_above_millicores(), loan.recall_delay_above_ms_per_s(),
                                                Millis{loan.recall_for_millis()})});
  }
  meters_ = std::move(next);
  std::erase_if(gauges_, [&](const auto& gauge) { return !lenders.contains(gauge.first); });
}

void RecallWatch::Check() {
  Refresh();
  struct Read {
    Millis at{0};
    std::uint64_t usage_us = 0;
    std::optional<std::uint64_t> delay_us;
    std::string trouble;
  };
  std::map<std::string, Read> reads;
  for (const auto& [id, watched] : meters_) {
    if (reads.contains(watched.lender)) continue;
    auto& read = reads[watched.lender];
    auto& gauge = gauges_[watched.lender];
    if (!gauge) {
      const auto place = holder_.Place(watched.lender);
      auto opened = place ? CpuGauge::Open(*place, proc_root_) : Fail(Code::kGone, "its QEMU is not known");
      if (opened) gauge = std::make_unique<CpuGauge>(std::move(*opened));
      if (!opened) read.trouble = opened.error().message;
    }
    read.at = clock_.Monotonic();
    if (!gauge) continue;
    const auto usage = gauge->UsageMicros();
    if (!usage) {
      read.trouble = usage.error().message;
      gauge.reset();
      continue;
    }
    read.usage_us = *usage;
    if (const auto vcpus = gauge->ReadVcpus()) {
      read.delay_us = vcpus->delay_us;
    } else {
      // A vCPU thread went or came: the sum starts anew with the next reading.
      static_cast<void>(gauge->RefreshThreads());
    }
  }
  std::vector<std::tuple<std::uint64_t, Millis, std::string>> due;
  for (auto& [id, watched] : meters_) {
    const auto& read = reads[watched.lender];
    const auto why = read.trouble.empty() ? watched.meter.Update(read.at, read.usage_us, read.delay_us)
                                          : watched.meter.Blind(read.at, read.trouble);
    if (why) due.emplace_back(id, read.at, *why);
  }
  for (const auto& [id, met, why] : due) holder_.Recall(id, met, why);
}

}  // namespace whorl::agent
