#include "operator/controller/ingest/translate.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace whorl::controller {

VmSample ToSample(const api::VmSample& sample, VmHandle vm) {
  VmSample out;
  out.vm = vm;
  out.sampled_at = FromUnixMillis(sample.sampled_unix_millis());
  // An older agent fills only the narrow field.
  const FeatureMask claimed(sample.valid_features() != 0 ? sample.valid_features() : sample.valid());
  const auto sent = std::min<std::size_t>(static_cast<std::size_t>(sample.raw_size()), kFeatureCount);
  for (std::size_t i = 0; i < sent; ++i) {
    const auto feature = static_cast<Feature>(i);
    const double value = sample.raw(static_cast<int>(i));
    if (!claimed.Has(feature) || !std::isfinite(value)) continue;
    out.raw[i] = value;
    out.valid.Set(feature);
  }
  if (sample.has_cpu_quota_millicores() && sample.cpu_quota_millicores() > 0) {
    out.cpu_limit = MilliCores{sample.cpu_quota_millicores()};
  }
  return out;
}

namespace {

// Exactly as many counters as there are, and a sum that one window can hold.
template <std::size_t N>
bool TakeCounts(const google::protobuf::RepeatedField<std::uint32_t>& from, std::array<std::uint32_t, N>& to) {
  if (static_cast<std::size_t>(from.size()) != N) return false;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < N; ++i) sum += to[i] = from.Get(static_cast<int>(i));
  return sum <= kMostCallsPerWindow;
}

}  // namespace

void AddSample(const api::VmSample& sample, VmHandle vm, whorl::Frame& frame) {
  VmSample& out = frame.samples.emplace_back(ToSample(sample, vm));
  if (sample.syscall_sketch_size() != 0) {
    if (TakeCounts(sample.syscall_sketch(), frame.sketches.emplace_back())) {
      out.sketch = static_cast<std::int32_t>(frame.sketches.size()) - 1;
    } else {
      frame.sketches.pop_back();
    }
  }
  if (sample.has_guest()) {
    const auto& guest = sample.guest();
    GuestWindow& window = frame.guests.emplace_back();
    window.sequence = guest.sequence();
    window.millis = guest.window_millis();
    const bool plausible = window.millis > 0 && window.millis <= kLongestGuestWindowMillis;
    if (plausible && TakeCounts(guest.calls(), window.calls) && TakeCounts(guest.sketch(), window.sketch)) {
      out.guest = static_cast<std::int32_t>(frame.guests.size()) - 1;
    } else {
      frame.guests.pop_back();
    }
  }
}

namespace {

// Cores from..to-1, as the kernel lists them.
std::string CoreList(std::uint32_t from, std::uint32_t to) {
  const std::string first = std::to_string(from);
  return to - from == 1 ? first : first + "-" + std::to_string(to - 1);
}

void Restrain(const Restraint& restraint, api::Directive& directive) {
  if (restraint.network_bits_per_second) {
    const auto bits = static_cast<std::uint64_t>(*restraint.network_bits_per_second);
    directive.mutable_network()->set_out_bits_per_second(bits);
    directive.mutable_network()->set_in_bits_per_second(bits);
  }
  if (restraint.quarantine) directive.mutable_network()->set_quarantine(true);
  if (restraint.disk_bytes_per_second) {
    const auto bytes = static_cast<std::uint64_t>(*restraint.disk_bytes_per_second);
    directive.mutable_disk()->set_read_bytes_per_second(bytes);
    directive.mutable_disk()->set_write_bytes_per_second(bytes);
  }
}

}  // namespace

api::Plan ToWire(const Plan& plan, const PlanHead& head, const PodOf& pod_of) {
  constexpr std::int64_t kMinLeaseMillis = 1000;
  constexpr std::int64_t kMaxLeaseMillis = 300'000;
  api::Plan out;
  out.set_epoch(head.epoch);
  out.set_sequence(head.sequence);
  out.set_lease_millis(static_cast<std::uint32_t>(std::clamp<std::int64_t>(
      std::chrono::duration_cast<Millis>(head.lease).count(), kMinLeaseMillis, kMaxLeaseMillis)));
  out.set_capacity_millicores(Count(plan.capacity));
  out.set_frame_sequence(plan.sequence);
  const auto restraint_of = [&](VmHandle vm) {
    const auto at =
        std::find_if(plan.restraints.begin(), plan.restraints.end(), [&](const Restraint& r) { return r.vm == vm; });
    return at == plan.restraints.end() ? nullptr : &*at;
  };
  // What is left for everybody; at least one core.
  std::uint64_t apart = 0;
  for (const auto& restraint : plan.restraints) apart += restraint.cores;
  const bool isolates = apart > 0 && apart < head.cores;
  std::uint32_t next_core = head.cores;
  for (const auto& directive : plan.directives) {
    const std::string* pod = pod_of(directive.vm);
    if (!pod) continue;
    const Restraint* restraint = restraint_of(directive.vm);
    auto* to = out.add_directives();
    to->set_pod_uid(*pod);
    to->set_allocation_millicores(Count(directive.allocation));
    if (directive.shares > 0) to->set_shares(directive.shares);
    if (directive.quota) to->set_quota_millicores(Count(*directive.quota));
    const auto memory = std::find_if(plan.memory.begin(), plan.memory.end(),
                                     [&](const MemoryDirective& m) { return m.vm == directive.vm; });
    if (memory != plan.memory.end()) {
      to->mutable_memory()->set_guest_bytes(static_cast<std::uint64_t>(memory->guest_mib) << 20);
    }
    if (restraint) Restrain(*restraint, *to);
    if (isolates && restraint && restraint->cores > 0) {
      to->set_cpus(CoreList(next_core - restraint->cores, next_core));
      next_core -= restraint->cores;
    } else if (isolates) {
      to->set_cpus(CoreList(0, head.cores - static_cast<std::uint32_t>(apart)));
    }
  }
  for (const auto& loan : plan.loans) {
    const std::string* lender = pod_of(loan.lender);
    const std::string* borrower = pod_of(loan.borrower);
    if (!lender || !borrower) continue;
    auto* to = out.add_loans();
    to->set_id(loan.id);
    to->set_lender_pod_uid(*lender);
    to->set_borrower_pod_uid(*borrower);
    to->set_amount_millicores(Count(loan.amount));
    to->set_recall_use_above_millicores(Count(loan.recall.use_above));
    to->set_recall_delay_above_ms_per_s(loan.recall.delay_above_ms_per_s);
    to->set_recall_for_millis(static_cast<std::uint32_t>(std::max<std::int64_t>(0, loan.recall.for_at_least.count())));
  }
  return out;
}

ReadLimit LimitOf(const api::CpuKnobs& knobs) {
  if (!knobs.has_quota_us()) return {};
  if (knobs.quota_us() < 0) return {true, std::nullopt};
  if (!knobs.has_period_us() || knobs.period_us() <= 0) return {};
  return {true, MilliCores{knobs.quota_us() * 1000 / knobs.period_us()}};
}

}  // namespace whorl::controller
