#include "operator/controller/hotplug/recommend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "crd/text.h"
#include "operator/controller/watch/quantity.h"

namespace whorl::controller::hotplug {
namespace {

// Whole units that hold `need`, at least one.
std::int64_t Units(double need, double unit) {
  if (!(need > 0) || !(unit > 0)) return 1;
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(std::min(need / unit, 1e9) - 1e-9)));
}

std::int64_t RoundUp(std::int64_t value, std::int64_t step) { return (value + step - 1) / step * step; }

std::string Sockets(std::int64_t count) { return fmt::format("{} socket{}", count, count == 1 ? "" : "s"); }

std::string TooEarly(const Foreseen& foreseen, const RecommendOptions& options) {
  return fmt::format("{} of {} times five minutes have been learnt from", foreseen.buckets, options.least_buckets);
}

// Wanting more than there can be is said in words; the target stays possible.
std::int64_t Cap(std::int64_t wanted, std::optional<std::int64_t> most, const std::string& most_text,
                 std::string& why) {
  if (!most || wanted <= *most) return wanted;
  why += fmt::format("; more than {} would need a restart", most_text);
  return *most;
}

}  // namespace

std::int64_t Steady::Take(std::int64_t wanted, std::int64_t current, Millis now, const RecommendOptions& options) {
  // The first word is what there is: a restarted controller waits again rather than jumps.
  if (!shown_) shown_ = current;
  // The VM was resized meanwhile, by us or by others: what is below it is settled.
  if (*shown_ < current) {
    shown_ = current;
    pending_.reset();
  }
  if (wanted == *shown_) {
    pending_.reset();
    return *shown_;
  }
  const bool up = wanted > *shown_;
  if (!pending_ || (*pending_ > *shown_) != up) {
    pending_ = wanted;
    since_ = now;
  }
  // The nearest of all that was wanted in that time: one high sample does not carry the rest.
  pending_ = up ? std::min(*pending_, wanted) : std::max(*pending_, wanted);
  if (now - since_ >= (up ? options.raise_after : options.lower_after)) {
    shown_ = *pending_;
    pending_.reset();
  }
  return *shown_;
}

Target Recommendation::Change() const {
  Target out;
  if (sockets && sockets->target != sockets->current) out.sockets = sockets->target;
  if (memory && memory->target != memory->current) out.guest = Bytes{memory->target};
  return out;
}

int Recommendation::expected_migrations() const {
  const auto change = Change();
  return change.sockets || change.guest ? 1 : 0;
}

Recommendation Recommender::Recommend(const VmFacts& vm, const InstanceFacts& vmi, const Foreseen& foreseen, Millis now,
                                      const RecommendOptions& options) {
  Recommendation out;
  const bool early = foreseen.buckets < options.least_buckets;
  const double plus = 1 + options.margin;

  const auto current_sockets = vm.sockets ? vm.sockets : vmi.current_sockets;
  if (!current_sockets) {
    out.sockets_why = "its number of sockets is not known";
  } else if (!foreseen.cpu || early) {
    out.sockets_why = TooEarly(foreseen, options);
  } else {
    const double socket = 1000.0 * static_cast<double>(vm.vcpus_per_socket());
    const auto need = [&](float quantile) { return Units(static_cast<double>(quantile) * plus, socket); };
    Range range;
    range.current = *current_sockets;
    range.lower = need(foreseen.cpu->p50);
    range.upper = need(foreseen.cpu->p99);
    range.why = fmt::format("P95 of the next hour {} of {} with {:.0f}% margin",
                            crd::RoughCpu(static_cast<double>(foreseen.cpu->p95)),
                            crd::RoughCpu(socket * static_cast<double>(range.current)), options.margin * 100);
    const auto most = vmi.max_sockets ? vmi.max_sockets : vm.max_sockets;
    const auto wanted = Cap(need(foreseen.cpu->p95), most, Sockets(most.value_or(0)), range.why);
    if (wanted < range.current) {
      range.why += fmt::format("; {} would do from its next start", Sockets(wanted));
    }
    range.target = std::max(range.current, sockets.Take(std::max(wanted, range.current), range.current, now, options));
    out.sockets = std::move(range);
  }

  if (!vm.guest) {
    out.memory_why = "its memory.guest is not stated";
  } else if (!foreseen.memory || early) {
    out.memory_why = TooEarly(foreseen, options);
  } else if (!foreseen.guest_usable) {
    out.memory_why = "the guest does not tell how much memory it could do without (no balloon statistics)";
  } else {
    const auto step = std::max(Count(options.memory_step), Count(Alignment(vm)));
    const auto need = [&](float resident) {
      const double bytes = static_cast<double>(resident) - static_cast<double>(Count(*foreseen.guest_usable));
      return Units(bytes * plus, static_cast<double>(step)) * step;
    };
    Range range;
    range.current = Count(*vm.guest);
    range.lower = need(foreseen.memory->p50);
    range.upper = need(foreseen.memory->p99);
    range.why =
        fmt::format("P95 of the next hour {} resident, {} of it the guest could do without, of {} with {:.0f}% margin",
                    crd::RoughBytes(static_cast<double>(foreseen.memory->p95)),
                    crd::RoughBytes(static_cast<double>(Count(*foreseen.guest_usable))), BytesText(*vm.guest),
                    options.margin * 100);
    std::optional<std::int64_t> most;
    if (const auto bound = vmi.max_guest ? vmi.max_guest : vm.max_guest) most = Count(*bound);
    // A limit of the pod kills a guest that grows beyond it.
    if (vm.memory_limit) most = std::min(most.value_or(Count(*vm.memory_limit)), Count(*vm.memory_limit) / step * step);
    const auto wanted = Cap(need(foreseen.memory->p95), most, BytesText(Bytes{most.value_or(0)}), range.why);
    if (wanted < range.current) range.why += fmt::format("; {} would do from its next start", BytesText(Bytes{wanted}));
    range.target = std::max(range.current, memory.Take(std::max(wanted, range.current), range.current, now, options));
    // Blocks, not only steps: an odd size to begin with must not make an odd target.
    if (range.target != range.current) range.target = RoundUp(range.target, Count(Alignment(vm)));
    out.memory = std::move(range);
  }
  return out;
}

}  // namespace whorl::controller::hotplug
