#include "operator/agent/sense/syscalls.h"

#include <algorithm>

namespace whorl::agent {
namespace {

// A tick comes a little early or late; a window counts as over within this.
constexpr Millis kSlack{100};
// A tick and its slack: what is begun after the last tick before a window may last into it.
constexpr Millis kAhead{1100};

}  // namespace

SyscallSampler::SyscallSampler(SyscallSource& source, DutyCycle duty) : source_(source), duty_(duty) {}

SyscallSampler::~SyscallSampler() {
  if (opened_) source_.Detach();
}

Result<std::uint32_t> SyscallSampler::Watch(std::span<const std::uint64_t> cgroups, Millis now) {
  std::uint32_t number = 0;
  while (slots_.contains(number)) ++number;
  if (number >= source_.slots()) return Fail(Code::kUnavailable, "all slots of the system-call counter are taken");
  Slot slot;
  slot.number = number;
  for (const auto cgroup : cgroups) {
    if (auto watched = source_.Watch(cgroup, number); !watched) {
      for (const auto done : slot.cgroups) source_.Unwatch(done);
      return Fail(watched.error());
    }
    slot.cgroups.push_back(cgroup);
  }
  if (opened_) {
    if (const auto counts = source_.Read(number)) {
      slot.base = *counts;
      slot.since = now;
    }
  }
  slots_.emplace(number, std::move(slot));
  return number;
}

void SyscallSampler::Unwatch(std::uint32_t number) {
  const auto it = slots_.find(number);
  if (it == slots_.end()) return;
  for (const auto cgroup : it->second.cgroups) source_.Unwatch(cgroup);
  slots_.erase(it);
}

void SyscallSampler::Tick(Millis now, bool exits) {
  exits_ = exits;
  for (auto& [number, slot] : slots_) slot.fresh = slot.exits_fresh = false;
  if (opened_ && now - *opened_ + kSlack >= duty_.on) {
    Close(now);
    if (always() && Begin(now)) return;
    next_ = *opened_ + duty_.period;
    opened_.reset();
    source_.Detach();
  }
  if (!opened_ && !slots_.empty() && now + kSlack >= next_ && !Begin(now)) next_ = now + duty_.period;
}

bool SyscallSampler::Quiet(Millis now) const {
  if (always() || slots_.empty()) return false;
  return opened_ || next_ - now <= kAhead;
}

void SyscallSampler::PutOff(Millis until) {
  if (!always()) next_ = std::max(next_, until);
}

bool SyscallSampler::Begin(Millis now) {
  if (auto attached = source_.Attach(exits_); !attached) {
    trouble_ = attached.error().message;
    return false;
  }
  trouble_.clear();
  opened_ = now;
  for (auto& [number, slot] : slots_) {
    slot.since.reset();
    if (const auto counts = source_.Read(number)) {
      slot.base = *counts;
      slot.since = now;
    } else {
      trouble_ = counts.error().message;
    }
  }
  return true;
}

void SyscallSampler::Close(Millis now) {
  for (auto& [number, slot] : slots_) {
    if (!slot.since || now <= *slot.since) continue;
    const auto counts = source_.Read(number);
    if (!counts) {
      trouble_ = counts.error().message;
      continue;
    }
    const double on = static_cast<double>((now - *slot.since).count());
    const double covered = slot.published ? static_cast<double>((now - *slot.published).count()) : on;
    const auto grow = [&](auto& counter, const auto& after, const auto& before) {
      for (std::size_t i = 0; i < counter.size(); ++i)
        counter[i] += static_cast<double>(after[i] - before[i]) * covered / on;
    };
    grow(slot.calls, counts->calls, slot.base.calls);
    for (std::size_t i = 0; i < slot.sketch.size(); ++i) slot.sketch[i] = counts->sketch[i] - slot.base.sketch[i];
    if (counts->exits && slot.base.exits) {
      grow(slot.exits, *counts->exits, *slot.base.exits);
      slot.exits_fresh = true;
    }
    slot.published = now;
    slot.fresh = true;
  }
}

void SyscallSampler::Put(std::uint32_t number, bool kvm, Reading& reading) const {
  const auto it = slots_.find(number);
  if (it == slots_.end() || !it->second.fresh) return;
  const auto& calls = it->second.calls;
  reading.Put(Feature::kSyscallsVcpu, calls[kWhorlSyscallDevice]);
  reading.Put(Feature::kSyscallsWait, calls[kWhorlSyscallWait]);
  reading.Put(Feature::kSyscallsIo, calls[kWhorlSyscallIo] + calls[kWhorlSyscallNetwork]);
  reading.Put(Feature::kSyscallsOther, calls[kWhorlSyscallOther]);
  reading.Put(Feature::kSyscallsMemory, calls[kWhorlSyscallMemory]);
  reading.Put(Feature::kSyscallsProcess, calls[kWhorlSyscallProcess]);
  reading.Put(Feature::kSyscallsFile, calls[kWhorlSyscallFile]);
  if (!kvm || !it->second.exits_fresh) return;
  const auto& exits = it->second.exits;
  reading.Put(Feature::kExitsHalt, exits[kWhorlExitHalt]);
  reading.Put(Feature::kExitsIo, exits[kWhorlExitIo]);
  reading.Put(Feature::kExitsMemory, exits[kWhorlExitMemory]);
  reading.Put(Feature::kExitsInterrupt, exits[kWhorlExitInterrupt]);
  reading.Put(Feature::kExitsMsr, exits[kWhorlExitMsr]);
  reading.Put(Feature::kExitsOther, exits[kWhorlExitOther]);
}

const SketchCounts* SyscallSampler::Sketch(std::uint32_t number) const {
  const auto it = slots_.find(number);
  return it == slots_.end() || !it->second.fresh ? nullptr : &it->second.sketch;
}

}  // namespace whorl::agent
