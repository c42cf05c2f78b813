#include "operator/agent/act/holder.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace whorl::agent {
namespace {

constexpr std::uint32_t kShortestLease = 1000;
constexpr std::uint32_t kLongestLease = 300000;
constexpr std::size_t kMostNotes = 256;
constexpr std::uint64_t kLeastGuestKib = 16 << 10;
constexpr std::size_t kMostRecalled = 1024;

std::string Milli(std::int64_t millicores) { return std::to_string(millicores) + "m"; }

// What a pod may take of the capacity: its allocation, or its quota if that is more.
std::int64_t Weight(std::int64_t allocation, const std::optional<std::int64_t>& quota) {
  return std::max(allocation, quota.value_or(0));
}

std::uint32_t Scale(std::uint32_t shares, std::int64_t from, std::int64_t to) {
  if (from <= 0 || to <= 0) return kLeastShares;
  const auto scaled = static_cast<std::int64_t>(shares) * to / from;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(scaled, kLeastShares, kMostShares));
}

}  // namespace

api::CpuKnobs ToKnobs(const CpuValues& values) {
  api::CpuKnobs knobs;
  if (values.shares) knobs.set_shares(*values.shares);
  if (values.quota_us) knobs.set_quota_us(*values.quota_us);
  if (values.period_us) knobs.set_period_us(*values.period_us);
  return knobs;
}

Holder::Holder(Options options, KnobTree& tree, const PodParts& parts, const Journal& journal,
               const VmDirectory& directory, EpochFile& epochs, const Clock& clock, DomainHands* domains)
    : options_(std::move(options)),
      tree_(tree),
      parts_(parts),
      journal_(journal),
      directory_(directory),
      epochs_(epochs),
      clock_(clock),
      domains_(domains),
      files_(options_.version),
      writer_(tree, journal, options_.cgroup_root) {}

std::vector<std::string> Holder::RevertJournal() {
  const std::lock_guard lock(mu_);
  std::vector<std::string> said;
  const auto guard = journal_.Lock();
  if (!guard) return {"journal: " + guard.error().message};
  auto contents = journal_.Load();
  if (!contents) return {"journal: " + contents.error().message};
  said = std::move(contents->damage);
  for (const auto& entry : contents->entries) {
    counters_.restores++;
    for (const auto& outcome : writer_.Restore(entry)) {
      if (outcome.fate == KnobFate::kFailed) counters_.write_errors++;
      said.push_back("pod " + entry.pod_uid + ", left by an earlier agent: " + outcome.message);
    }
  }
  return said;
}

// --- Enrolment ---------------------------------------------------------------

Result<api::EnrolReply> Holder::Enrol(const api::EnrolRequest& request, std::string_view controller) {
  const std::lock_guard lock(mu_);
  if (request.epoch() < epochs_.epoch()) {
    return Fail(Code::kRefused, "OldEpoch: epoch " + std::to_string(request.epoch()) + " is below " +
                                    std::to_string(epochs_.epoch()) + ", the highest this node has seen");
  }
  if (request.epoch() == enrolled_epoch_ && !controller_.empty() && controller != controller_) {
    return Fail(Code::kConflict, "SecondController: epoch " + std::to_string(request.epoch()) + " belongs to " +
                                     controller_ + "; a new controller takes a higher epoch");
  }
  if (static_cast<std::size_t>(request.pods_size()) > options_.most_pods) {
    return Fail(Code::kUnavailable, "TooManyPods: " + std::to_string(request.pods_size()) + " pods, this node takes " +
                                        std::to_string(options_.most_pods));
  }
  std::set<std::string> named;
  for (const auto& pod : request.pods()) {
    if (!named.insert(pod.pod_uid()).second) return Fail(Code::kInvalid, "pod " + pod.pod_uid() + " is enrolled twice");
  }
  if (request.epoch() > epochs_.epoch()) {
    if (auto kept = epochs_.Advance(request.epoch(), 0); !kept) return Fail(kept.error().In("epoch"));
  }
  if (request.epoch() != enrolled_epoch_ || pods_.size() != named.size()) {
    options_.say("epoch " + std::to_string(request.epoch()) + ": " + std::to_string(named.size()) +
                 " pods enrolled by " + std::string(controller));
  }
  enrolled_epoch_ = request.epoch();
  controller_ = controller;

  {
    const auto guard = journal_.Lock();
    if (!guard) return Fail(guard.error().In("journal"));
    for (auto pod = pods_.begin(); pod != pods_.end();) {
      if (named.contains(pod->first)) {
        ++pod;
        continue;
      }
      GiveBack(pod->second, "it is enrolled no more");
      pod = pods_.erase(pod);
    }
    for (const auto& spec : request.pods()) {
      auto& pod = pods_[spec.pod_uid()];
      const bool same = pod.spec.cpu_request_millicores() == spec.cpu_request_millicores() &&
                        pod.spec.cpu_limit_millicores() == spec.cpu_limit_millicores();
      // New requests rewrite the pod's cgroup from outside: start from what stands there.
      if (!same) pod.foreign.reset();
      pod.spec = spec;
      if (spec.mode() != api::MODE_ENFORCE && pod.entry) GiveBack(pod, "it is only observed from now on");
    }
  }

  api::EnrolReply reply;
  const auto places = directory_.Scan();
  for (const auto& spec : request.pods()) {
    auto& pod = pods_[spec.pod_uid()];
    auto& found = *reply.add_pods();
    found.set_pod_uid(spec.pod_uid());
    const auto* place = places ? FindVm(*places, spec.pod_uid()) : nullptr;
    std::string why = !places            ? places.error().message
                      : place == nullptr ? "no QEMU process runs in a cgroup of the pod on this node"
                                         : "";
    if (place != nullptr && !pod.entry) pod.place = *place;
    if (place != nullptr && Locate(pod, why)) {
      found.set_found(true);
      *found.mutable_cpu() = ToKnobs(pod.found);
    } else {
      found.set_reason(why);
    }
  }
  return reply;
}

// Makes sure the pod's QEMU runs and its cgroup is the one we know.
bool Holder::Locate(Pod& pod, std::string& why) {
  if (!pod.place || !directory_.Runs(*pod.place)) {
    pod.place.reset();
    const auto places = directory_.Scan();
    const auto* place = places ? FindVm(*places, pod.spec.pod_uid()) : nullptr;
    if (place == nullptr) {
      why = places ? "no QEMU process runs in a cgroup of the pod on this node" : places.error().message;
      return false;
    }
    pod.place = *place;
  }
  const auto inode = tree_.Inode(pod.place->dirs.pod_cpu);
  if (!inode) {
    why = inode.error().message;
    return false;
  }
  if (pod.entry) return true;  // Hold() compares the inode itself
  const auto values = files_.Read(tree_, pod.place->dirs.pod_cpu);
  if (!values) {
    why = values.error().message;
    return false;
  }
  pod.inode = *inode;
  pod.found = *values;
  return true;
}

// --- Plans -------------------------------------------------------------------

std::optional<std::pair<std::string, std::string>> Holder::RefusePlan(const api::Plan& plan,
                                                                      std::string_view controller) const {
  const auto text = [](auto value) { return std::to_string(value); };
  if (plan.epoch() < epochs_.epoch()) {
    return std::pair{"OldEpoch", "epoch " + text(plan.epoch()) + " is below " + text(epochs_.epoch()) +
                                     ", the highest this node has seen; another controller leads now"};
  }
  if (plan.epoch() == enrolled_epoch_ && controller != controller_) {
    return std::pair{"SecondController", "epoch " + text(plan.epoch()) + " belongs to " + controller_};
  }
  if (plan.epoch() == epochs_.epoch() && plan.sequence() <= epochs_.sequence()) {
    return std::pair{"OldSequence", "sequence " + text(plan.sequence()) + " is not above " + text(epochs_.sequence()) +
                                        ", the last one applied in epoch " + text(plan.epoch())};
  }
  if (plan.lease_millis() < kShortestLease || plan.lease_millis() > kLongestLease) {
    return std::pair{"LeaseOutOfRange", "the lease of " + text(plan.lease_millis()) + " ms must be between " +
                                            text(kShortestLease) + " and " + text(kLongestLease)};
  }
  if (plan.capacity_millicores() > options_.node_millicores) {
    return std::pair{"AboveCapacity", "a capacity of " + Milli(plan.capacity_millicores()) + " is above the node's " +
                                          Milli(options_.node_millicores)};
  }
  std::int64_t sum = 0;
  for (const auto& directive : plan.directives()) {
    const auto most = std::max(directive.allocation_millicores(),
                               directive.has_quota_millicores() ? directive.quota_millicores() : 0);
    const bool sane = most >= 0 && most <= options_.node_millicores;
    if (sane) sum += most;
    if (!sane || sum > plan.capacity_millicores()) {
      return std::pair{"AboveCapacity", "the allocations exceed the plan's capacity of " +
                                            Milli(plan.capacity_millicores()) + " at pod " + directive.pod_uid()};
    }
  }
  return std::nullopt;
}

void Holder::Refuse(api::Outcome& outcome, std::string_view reason, const std::string& message) {
  outcome.set_applied(false);
  outcome.set_refusal_reason(std::string(reason));
  outcome.set_refusal_message(message);
}

// True when refused. The order is what the user reads first.
bool Holder::RefuseDirective(const api::Directive& directive, Pod*& pod, api::Outcome& outcome) {
  const auto known = pods_.find(directive.pod_uid());
  if (known == pods_.end() || enrolled_epoch_ != epochs_.epoch()) {
    Refuse(outcome, "NotEnrolled",
           "pod " + directive.pod_uid() + " is not enrolled under epoch " + std::to_string(epochs_.epoch()) +
               "; enrol it first");
    return true;
  }
  pod = &known->second;
  const auto& spec = pod->spec;
  const auto least =
      std::min(directive.allocation_millicores(),
               directive.has_quota_millicores() ? directive.quota_millicores() : directive.allocation_millicores());
  const auto most = std::max(directive.allocation_millicores(), directive.quota_millicores());
  std::string why;
  if (spec.mode() != api::MODE_ENFORCE) {
    Refuse(outcome, "NotEnforced", "the pod is enrolled to be observed only");
  } else if (pod->foreign) {
    Refuse(outcome, "ForeignWriter",
           pod->foreign->file + " was set to " + pod->foreign->seen +
               " by somebody else; enrol the pod anew to take it back");
  } else if (least < spec.cpu_request_millicores() || least <= 0) {
    Refuse(outcome, "BelowRequest",
           Milli(least) + " is below the pod's CPU request of " + Milli(spec.cpu_request_millicores()));
  } else if (spec.cpu_limit_millicores() > 0 && most > spec.cpu_limit_millicores()) {
    Refuse(outcome, "AboveLimit",
           Milli(most) + " is above the pod's CPU limit of " + Milli(spec.cpu_limit_millicores()));
  } else if (!Locate(*pod, why)) {
    const bool gone = pod->entry && !tree_.Inode(options_.cgroup_root + "/" + pod->entry->dir);
    Refuse(outcome, gone ? "PodGone" : "NoQemu", why);
  } else if (const auto limit = QuotaMillicores(pod->found);
             limit && directive.has_quota_millicores() && most > *limit) {
    Refuse(outcome, "AboveLimit", Milli(most) + " is above the quota of " + Milli(*limit) + " that the pod had before");
  } else if (directive.has_shares() && (directive.shares() < kLeastShares || directive.shares() > kMostShares)) {
    Refuse(outcome, "InvalidValue", "shares must be between 2 and 262144, not " + std::to_string(directive.shares()));
  } else if (directive.has_quota_millicores() &&
             QuotaMicros(directive.quota_millicores(), pod->found.period_us.value_or(100000)) < kLeastQuotaMicros) {
    Refuse(outcome, "InvalidValue",
           "a quota of " + Milli(directive.quota_millicores()) + " is below the kernel's 1 ms");
  } else {
    return false;
  }
  return true;
}

std::int64_t Holder::HeldSum() const {
  std::int64_t sum = 0;
  for (const auto& [uid, pod] : pods_) sum += Weight(pod.allocation, pod.quota_millicores);
  return sum;
}

bool Holder::RecalledMeanwhile(const api::Loan& loan, std::uint64_t answered) const {
  const auto recalled = recalled_.find(loan.id());
  return recalled != recalled_.end() && (!recalled->second || answered < *recalled->second);
}

api::Receipt Holder::Apply(const api::Plan& plan, std::string_view controller) {
  const std::lock_guard lock(mu_);
  api::Receipt receipt;
  receipt.set_epoch(plan.epoch());
  receipt.set_sequence(plan.sequence());
  if (auto refusal = RefusePlan(plan, controller)) {
    counters_.refused_plans++;
    if (std::exchange(told_refusal_, refusal->first) != refusal->first) {
      options_.say("plan refused, " + refusal->first + ": " + refusal->second);
    }
    receipt.set_refusal_reason(refusal->first);
    receipt.set_refusal_message(refusal->second);
    receipt.set_highest_epoch(epochs_.epoch());
    return receipt;
  }
  const auto guard = journal_.Lock();
  auto advanced = guard ? epochs_.Advance(plan.epoch(), plan.sequence()) : Fail(guard.error());
  receipt.set_highest_epoch(epochs_.epoch());
  if (!advanced) {
    counters_.write_errors++;
    receipt.set_refusal_reason("StateNotWritable");
    receipt.set_refusal_message(advanced.error().message);
    return receipt;
  }
  counters_.plans++;
  told_refusal_.clear();
  receipt.set_accepted(true);
  capacity_ = plan.capacity_millicores();

  // What the restorer has put back meanwhile (we were stopped past a lease) is held no more.
  for (auto& [uid, pod] : pods_) {
    if (pod.entry && !journal_.Has(uid)) ForgetHeld(pod);
  }

  std::vector<Target> targets;
  std::set<std::string> named;
  receipt.mutable_outcomes()->Reserve(plan.directives_size());
  for (const auto& directive : plan.directives()) {
    auto& outcome = *receipt.add_outcomes();
    outcome.set_pod_uid(directive.pod_uid());
    if (!named.insert(directive.pod_uid()).second) {
      Refuse(outcome, "InvalidValue", "the plan names the pod twice");
      continue;
    }
    Target target;
    if (RefuseDirective(directive, target.pod, outcome)) continue;
    target.allocation = directive.allocation_millicores();
    if (directive.has_shares()) target.shares = directive.shares();
    if (directive.has_quota_millicores()) target.quota_millicores = directive.quota_millicores();
    const auto& pod = *target.pod;
    DirectedPod directed{pod.place->dirs.pod_cpu, pod.found, pod.entry ? &*pod.entry : nullptr};
    // Looked for in the pod's files: only where it matters.
    const bool matters = directive.has_memory() || directive.has_disk();
    directed.has_domain = matters && domains_ != nullptr && options_.has_domain(*pod.place);
    target.more = KnobsOf(directive, directed, parts_, tree_, options_.version, outcome);
    WishOf(directive, directed.has_domain, target, outcome);
    target.outcome = &outcome;
    targets.push_back(std::move(target));
  }

  // A plan made before its maker heard of a recall would lend again what was
  // just taken back: that loan stays undone.
  const auto find = [&](const std::string& uid) {
    return std::find_if(targets.begin(), targets.end(), [&](const Target& t) { return t.pod->spec.pod_uid() == uid; });
  };
  std::map<std::uint64_t, api::Loan> loans;
  for (const auto& loan : plan.loans()) {
    const auto borrower = find(loan.borrower_pod_uid());
    const auto lender = find(loan.lender_pod_uid());
    if (borrower == targets.end() || lender == targets.end() || loan.amount_millicores() <= 0) continue;
    if (!RecalledMeanwhile(loan, plan.frame_sequence())) {
      loans.emplace(loan.id(), loan);
      continue;
    }
    const auto shift = [&](Target& target, std::int64_t by) {
      const auto to = target.allocation + by;
      if (target.shares) target.shares = Scale(*target.shares, target.allocation, to);
      if (target.quota_millicores) *target.quota_millicores += by;
      target.allocation = to;
    };
    shift(*borrower, -loan.amount_millicores());
    shift(*lender, loan.amount_millicores());
  }

  const auto expires = clock_.Monotonic() + Millis{plan.lease_millis()};
  // Pods this plan holds no longer come first: what they held is then free.
  for (auto& [uid, pod] : pods_) {
    if (pod.entry && !named.contains(uid)) GiveBack(pod, "the plan holds it no more");
  }
  // Lower before raising, so that the sum never exceeds the capacity in between.
  const auto change = [](const Target& target) {
    return Weight(target.allocation, target.quota_millicores) -
           Weight(target.pod->allocation, target.pod->quota_millicores);
  };
  std::sort(targets.begin(), targets.end(), [&](const Target& a, const Target& b) {
    const auto difference = change(a) - change(b);
    return difference != 0 ? difference < 0 : a.pod->spec.pod_uid() < b.pod->spec.pod_uid();
  });
  for (const auto& target : targets) {
    if (Bring(target, expires, capacity_)) Ask(target, expires, *target.outcome);  // else its outcome says why
  }
  loans_ = std::move(loans);
  loans_version_++;
  receipt.set_in_force_unix_millis(ToUnixMillis(clock_.Now()));
  return receipt;
}

Status Holder::Bring(const Target& target, Millis expires, std::int64_t capacity) {
  auto& pod = *target.pod;
  api::Outcome scratch;
  auto& outcome = target.outcome != nullptr ? *target.outcome : scratch;
  const auto fail = [&](std::string_view reason, const std::string& message) {
    if (reason == "WriteFailed" || reason == "ReadBackDiffers") counters_.write_errors++;
    Refuse(outcome, reason, message);
    return Fail(Code::kRefused, message);
  };
  const auto now = Weight(pod.allocation, pod.quota_millicores);
  const auto next = Weight(target.allocation, target.quota_millicores);
  if (next > now && HeldSum() - now + next > capacity) {
    return fail("WriteFailed", "raising it would exceed the capacity because another pod could not be lowered");
  }

  const auto dir = pod.entry ? pod.entry->dir : pod.place->dirs.pod_cpu.substr(options_.cgroup_root.size() + 1);
  auto entry = pod.entry.value_or(JournalEntry{pod.spec.pod_uid(), dir, pod.inode, expires, {}});
  entry.expires = expires;

  // A knob the plan no longer names returns to what was found.
  std::vector<std::string> released;
  if (!target.shares && pod.shares) released.push_back(files_.shares_file());
  if (!target.quota_millicores && pod.quota_millicores) released.push_back(files_.quota_file());
  for (const auto& knob : pod.more) {
    if (std::none_of(target.more.begin(), target.more.end(), [&](const auto& k) { return k.file == knob.file; })) {
      released.push_back(knob.file);
    }
  }
  if (!released.empty()) {
    if (auto done = writer_.Release(entry, released); !done) return fail("WriteFailed", done.error().message);
    if (!target.shares) pod.shares.reset();
    if (!target.quota_millicores) pod.quota_millicores.reset();
    std::erase_if(pod.more,
                  [&](const auto& k) { return std::find(released.begin(), released.end(), k.file) != released.end(); });
    pod.entry = entry;
  }

  std::vector<WantedKnob> wanted;
  const auto period = pod.found.period_us.value_or(100000);
  if (target.shares) wanted.push_back({files_.shares_file(), files_.SharesText(*target.shares)});
  if (target.quota_millicores) {
    wanted.push_back({files_.quota_file(), files_.QuotaText(QuotaMicros(*target.quota_millicores, period), period)});
  }
  std::optional<ForeignChange> foreign;
  const auto held = Hold(pod, entry, wanted, target, foreign, outcome);
  if (foreign) {
    ForgetHeld(pod);
    pod.foreign = foreign;
    return fail("ForeignWriter",
                foreign->file + " was set to " + foreign->seen + " by somebody else, expected " + foreign->expected);
  }
  if (!held) {
    if (held.error().code == Code::kGone) {
      ForgetHeld(pod);
      pod.place.reset();
      return fail("PodGone", held.error().message);
    }
    // Where it stands is what the entry says: unchanged from before.
    if (entry.knobs.empty()) {
      ForgetHeld(pod);
    } else {
      pod.entry = std::move(entry);
    }
    auto why = held.error().message;
    if (held.error().code == Code::kInvalid && options_.version == CgroupVersion::kV1) {
      why += "; on cgroup v1 a pod's quota cannot be below that of one of its containers";
    }
    return fail(held.error().code == Code::kRefused ? "ReadBackDiffers" : "WriteFailed", why);
  }
  pod.entry = std::move(entry);
  pod.allocation = target.allocation;
  pod.shares = target.shares;
  pod.quota_millicores = target.quota_millicores;
  outcome.set_applied(true);
  CpuValues written;
  CpuValues read;
  for (const auto& knob : pod.entry->knobs) {
    const auto merge = [&](const std::string& text, CpuValues& into) {
      const auto value = files_.Parse(knob.file, text);
      if (!value) return;
      if (value->shares) into.shares = value->shares;
      if (value->quota_us) into.quota_us = value->quota_us;
      if (value->period_us) into.period_us = value->period_us;
    };
    merge(knob.intent, written);
    merge(knob.wrote, read);
  }
  if (written.quota_us && !written.period_us) written.period_us = read.period_us = period;
  *outcome.mutable_written() = ToKnobs(written);
  *outcome.mutable_read_back() = ToKnobs(read);
  return {};
}

// All knobs in one go; where that fails, CPU first and then the others one by
// one, so that one that cannot be set keeps nothing else from being set.
Status Holder::Hold(Pod& pod, JournalEntry& entry, const std::vector<WantedKnob>& cpu, const Target& target,
                    std::optional<ForeignChange>& foreign, api::Outcome& outcome) {
  pod.more.clear();
  const auto tell = [&](const WantedKnob& want, const Status& held) {
    auto& told = *outcome.add_knobs();
    told.set_knob(want.file);
    const auto knob =
        std::find_if(entry.knobs.begin(), entry.knobs.end(), [&](const auto& k) { return k.file == want.file; });
    if (knob != entry.knobs.end()) told.set_found(knob->found);
    if (held) {
      told.set_read_back(want.text);
      pod.more.push_back(want);
      return;
    }
    counters_.write_errors++;
    told.set_refusal_reason(held.error().code == Code::kRefused ? "ReadBackDiffers" : "WriteFailed");
    told.set_refusal_message(held.error().message);
  };
  // A burst never exceeds its quota: one that shrinks goes first.
  std::vector<WantedKnob> all;
  const auto shrinks = [&](const WantedKnob& want) {
    const auto held =
        std::find_if(entry.knobs.begin(), entry.knobs.end(), [&](const auto& k) { return k.file == want.file; });
    return want.file.find("burst") != std::string::npos && held != entry.knobs.end() &&
           (held->wrote.size() > want.text.size() ||
            (held->wrote.size() == want.text.size() && held->wrote > want.text));
  };
  std::copy_if(target.more.begin(), target.more.end(), std::back_inserter(all), shrinks);
  all.insert(all.end(), cpu.begin(), cpu.end());
  std::copy_if(target.more.begin(), target.more.end(), std::back_inserter(all),
               [&](const WantedKnob& want) { return !shrinks(want); });
  auto held = writer_.Hold(entry, all, foreign);
  if (held) {
    for (const auto& want : target.more) tell(want, held);
  }
  if (held || foreign || target.more.empty() || held.error().code == Code::kGone) return held;
  held = writer_.Hold(entry, cpu, foreign);
  if (!held) return held;
  for (const auto& want : target.more) {
    const auto one = writer_.Hold(entry, {want}, foreign);
    if (foreign) return one;
    tell(want, one);
  }
  return {};
}

// What is libvirt's to set; what cannot be had is refused now.
void Holder::WishOf(const api::Directive& directive, bool has_domain, Target& target, api::Outcome& outcome) {
  const auto refuse = [&](const std::string& knob, std::string_view reason, const std::string& why) {
    auto& refused = *outcome.add_knobs();
    refused.set_knob(knob);
    refused.set_refusal_reason(std::string(reason));
    refused.set_refusal_message(why);
  };
  if (directive.memory().has_guest_bytes()) {
    const auto kib = directive.memory().guest_bytes() >> 10;
    const auto request = target.pod->spec.guest_request_bytes();
    if (!has_domain) {
      refuse("balloon", "Unavailable", "the pod has no libvirt that can be asked; whorl-agent probe says why");
    } else if (kib < kLeastGuestKib) {
      refuse("balloon", "InvalidValue", std::to_string(kib) + " KiB is no size of a guest");
    } else if (directive.memory().guest_bytes() < request) {
      refuse(
          "balloon", "BelowRequest",
          std::to_string(kib) + " KiB is below the " + std::to_string(request >> 10) + " KiB requested for the guest");
    } else {
      target.domain.guest_kib = kib & ~std::uint64_t{3};  // whole pages
    }
  }
  if (!directive.has_disk() || !has_domain) return;
  const auto& disk = directive.disk();
  DiskLimits limits;
  if (disk.has_read_bytes_per_second()) limits.read_bytes = disk.read_bytes_per_second();
  if (disk.has_write_bytes_per_second()) limits.write_bytes = disk.write_bytes_per_second();
  if (disk.has_read_operations_per_second()) limits.read_iops = disk.read_operations_per_second();
  if (disk.has_write_operations_per_second()) limits.write_iops = disk.write_operations_per_second();
  if (limits.read_bytes || limits.write_bytes || limits.read_iops || limits.write_iops) target.domain.disks = limits;
}

void Holder::Ask(const Target& target, Millis expires, api::Outcome& outcome) {
  if (domains_ == nullptr) return;
  const auto& pod = *target.pod;
  if (!target.domain.any()) return domains_->Drop(pod.spec.pod_uid());
  domains_->Want(pod.spec.pod_uid(), options_.cgroup_root + "/" + pod.entry->dir, pod.inode, target.domain, expires);
  domains_->Tell(pod.spec.pod_uid(), outcome);
}

void Holder::ForgetHeld(Pod& pod) {
  pod.entry.reset();
  if (domains_ != nullptr) domains_->Drop(pod.spec.pod_uid());
  pod.more.clear();
  pod.allocation = 0;
  pod.shares.reset();
  pod.quota_millicores.reset();
  // Its loans have lost an end.
  const auto& uid = pod.spec.pod_uid();
  const auto gone = std::erase_if(loans_, [&](const auto& item) {
    return item.second.lender_pod_uid() == uid || item.second.borrower_pod_uid() == uid;
  });
  if (gone > 0) loans_version_++;
}

void Holder::GiveBack(Pod& pod, std::string_view why) {
  if (!pod.entry) return;
  if (domains_ != nullptr) domains_->Drop(pod.spec.pod_uid());
  counters_.restores++;
  const auto outcomes = writer_.Restore(*pod.entry);
  std::string line = "pod " + pod.spec.pod_uid() + " given back, " + std::string(why);
  for (const auto& outcome : outcomes) line += "; " + outcome.message;
  options_.say(line);
  if (AllSettled(outcomes)) {
    ForgetHeld(pod);
    return;
  }
  // Stays journalled and due: Expire() and the restorer try again.
  counters_.write_errors++;
  pod.entry->expires = Millis{0};
}

// --- Keeping the promises ----------------------------------------------------

void Holder::Recall(std::uint64_t id, Millis met, const std::string& why) {
  const std::lock_guard lock(mu_);
  const auto found = loans_.find(id);
  if (found == loans_.end()) return;
  const api::Loan loan = found->second;
  const auto guard = journal_.Lock();
  if (!guard) return;
  enum class Moved { kDone, kNotHeld, kFailed };
  const auto move = [&](const std::string& uid, std::int64_t by) {
    const auto pod = pods_.find(uid);
    if (pod == pods_.end() || !pod->second.entry) return Moved::kNotHeld;
    if (!journal_.Has(uid)) {  // the restorer was quicker
      ForgetHeld(pod->second);
      return Moved::kNotHeld;
    }
    Target target{&pod->second,
                  pod->second.allocation + by,
                  pod->second.shares,
                  pod->second.quota_millicores,
                  pod->second.more,
                  {},
                  nullptr};
    if (target.allocation <= 0) return Moved::kFailed;
    if (target.shares) target.shares = Scale(*target.shares, pod->second.allocation, target.allocation);
    if (target.quota_millicores) *target.quota_millicores += by;
    return Bring(target, pod->second.entry->expires, capacity_) ? Moved::kDone : Moved::kFailed;
  };
  // The borrower first: only what it gave up can be given to the lender. While
  // it cannot be lowered the loan stands, and the watch asks again.
  if (move(loan.borrower_pod_uid(), -loan.amount_millicores()) == Moved::kFailed) return;
  move(loan.lender_pod_uid(), loan.amount_millicores());
  loans_.erase(id);
  loans_version_++;
  counters_.recalls++;
  recalled_[id] = std::nullopt;
  if (recalled_.size() > kMostRecalled) recalled_.erase(recalled_.begin());
  Note note;
  note.recall.emplace();
  note.recall->set_loan(id);
  note.recall->set_at_unix_millis(ToUnixMillis(clock_.Now()));
  note.recall->set_why(why);
  note.recall->set_took_millis(
      static_cast<std::uint32_t>(std::max<std::int64_t>((clock_.Monotonic() - met).count(), 0)));
  options_.say("loan " + std::to_string(id) + " recalled in " + std::to_string(note.recall->took_millis()) +
               " ms: " + why);
  notes_.push_back(std::move(note));
  if (notes_.size() > kMostNotes) notes_.erase(notes_.begin());
}

void Holder::Expire() {
  const std::lock_guard lock(mu_);
  const auto now = clock_.Monotonic();
  if (std::none_of(pods_.begin(), pods_.end(),
                   [&](const auto& p) { return p.second.entry && p.second.entry->expires <= now; })) {
    return;
  }
  const auto guard = journal_.Lock();
  if (!guard) return;
  for (auto& [uid, pod] : pods_) {
    if (!pod.entry || pod.entry->expires > now) continue;
    const bool first = pod.entry->expires != Millis{0};
    if (journal_.Has(uid)) {
      GiveBack(pod, first ? "its lease has run out" : "another attempt");
    } else {
      ForgetHeld(pod);
    }
    if (!first) continue;
    Note note;
    note.expiry.emplace();
    note.expiry->set_pod_uid(uid);
    note.expiry->set_at_unix_millis(ToUnixMillis(clock_.Now()));
    notes_.push_back(std::move(note));
    if (notes_.size() > kMostNotes) notes_.erase(notes_.begin());
  }
}

void Holder::CheckKnobs() {
  const std::lock_guard lock(mu_);
  if (std::none_of(pods_.begin(), pods_.end(), [](const auto& p) { return p.second.entry.has_value(); })) return;
  const auto guard = journal_.Lock();
  if (!guard) return;
  for (auto& [uid, pod] : pods_) {
    if (!pod.entry || !journal_.Has(uid)) continue;
    if (auto foreign = writer_.Check(*pod.entry)) {
      options_.say("pod " + uid + ": " + foreign->file + " was set to " + foreign->seen +
                   " by somebody else (ours was " + foreign->expected +
                   "); left as it is and let go until the pod is enrolled anew");
      pod.foreign = std::move(foreign);
      // What could not be put back stays in the journal and is due.
      if (pod.entry->knobs.empty()) {
        ForgetHeld(pod);
      } else {
        pod.entry->expires = Millis{0};
      }
    }
  }
}

std::vector<std::string> Holder::RestoreAll() {
  const std::lock_guard lock(mu_);
  std::vector<std::string> said;
  const auto guard = journal_.Lock();
  if (!guard) return {"journal: " + guard.error().message};
  for (auto& [uid, pod] : pods_) {
    if (!pod.entry) continue;
    counters_.restores++;
    const auto outcomes = writer_.Restore(*pod.entry);
    std::transform(outcomes.begin(), outcomes.end(), std::back_inserter(said),
                   [&, &of = uid](const KnobOutcome& outcome) { return "pod " + of + ": " + outcome.message; });
    ForgetHeld(pod);
  }
  return said;
}

// --- What it knows -----------------------------------------------------------

std::vector<api::Loan> Holder::loans() const {
  const std::lock_guard lock(mu_);
  std::vector<api::Loan> loans;
  loans.reserve(loans_.size());
  for (const auto& [id, loan] : loans_) loans.push_back(loan);
  return loans;
}

std::optional<VmPlace> Holder::Place(const std::string& pod_uid) const {
  const std::lock_guard lock(mu_);
  const auto pod = pods_.find(pod_uid);
  return pod == pods_.end() ? std::nullopt : pod->second.place;
}

std::vector<std::string> Holder::enrolled() const {
  const std::lock_guard lock(mu_);
  std::vector<std::string> uids;
  uids.reserve(pods_.size());
  for (const auto& [uid, pod] : pods_) uids.push_back(uid);
  return uids;
}

std::uint64_t Holder::highest_epoch() const {
  const std::lock_guard lock(mu_);
  return epochs_.epoch();
}

std::uint64_t Holder::last_sequence() const {
  const std::lock_guard lock(mu_);
  return epochs_.sequence();
}

std::vector<api::Holding> Holder::holdings() const {
  const std::lock_guard lock(mu_);
  std::vector<api::Holding> holdings;
  const auto now = clock_.Monotonic();
  for (const auto& [uid, pod] : pods_) {
    if (!pod.entry) continue;
    api::Holding holding;
    holding.set_pod_uid(uid);
    holding.set_cgroup_inode(pod.entry->inode);
    for (const auto& knob : pod.entry->knobs) {
      if (const auto found = files_.Parse(knob.file, knob.found)) holding.mutable_found()->MergeFrom(ToKnobs(*found));
      if (const auto held = files_.Parse(knob.file, knob.wrote)) holding.mutable_held()->MergeFrom(ToKnobs(*held));
    }
    holding.set_expires_unix_millis(ToUnixMillis(clock_.Now() + (pod.entry->expires - now)));
    holdings.push_back(std::move(holding));
  }
  return holdings;
}

std::optional<api::ForeignWriter> Holder::Foreign(const std::string& pod_uid) const {
  const std::lock_guard lock(mu_);
  const auto pod = pods_.find(pod_uid);
  if (pod == pods_.end() || !pod->second.foreign) return std::nullopt;
  api::ForeignWriter foreign;
  foreign.set_knob(pod->second.foreign->file);
  foreign.set_expected(pod->second.foreign->expected);
  foreign.set_seen(pod->second.foreign->seen);
  return foreign;
}

void Holder::AddNotes(api::Frame& frame) {
  const std::lock_guard lock(mu_);
  for (auto& note : notes_) {
    if (note.recall) *frame.add_recalls() = *note.recall;
    if (note.expiry) *frame.add_expiries() = *note.expiry;
    if (note.first_sequence == 0) {
      note.first_sequence = frame.sequence();
      if (note.recall) recalled_[note.recall->loan()] = frame.sequence();
    }
  }
}

void Holder::Delivered(std::uint64_t sequence) {
  const std::lock_guard lock(mu_);
  std::erase_if(notes_, [&](const Note& note) { return note.first_sequence != 0 && note.first_sequence <= sequence; });
}

}  // namespace whorl::agent
