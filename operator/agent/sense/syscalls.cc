#include "operator/agent/sense/syscalls.h"

namespace whorl::agent {
namespace {

// A tick comes a little early or late; a window counts as over within this.
constexpr Millis kSlack{100};

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

void SyscallSampler::Tick(Millis now) {
  for (auto& [number, slot] : slots_) slot.fresh = false;
  if (opened_ && now - *opened_ + kSlack >= duty_.on) {
    Close(now);
    if (always()) {
      Open(now);
    } else {
      next_ = *opened_ + duty_.period;
      opened_.reset();
      source_.Detach();
    }
  }
  if (!opened_ && !slots_.empty() && now + kSlack >= next_) {
    if (auto attached = source_.Attach(); !attached) {
      trouble_ = attached.error().message;
      next_ = now + duty_.period;
      return;
    }
    trouble_.clear();
    Open(now);
  }
}

void SyscallSampler::Open(Millis now) {
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
    const std::uint64_t grown[] = {counts->vcpu - slot.base.vcpu, counts->wait - slot.base.wait,
                                   counts->io - slot.base.io, counts->other - slot.base.other};
    for (std::size_t i = 0; i < slot.counter.size(); ++i)
      slot.counter[i] += static_cast<double>(grown[i]) * covered / on;
    slot.published = now;
    slot.fresh = true;
  }
}

void SyscallSampler::Put(std::uint32_t number, Reading& reading) const {
  const auto it = slots_.find(number);
  if (it == slots_.end() || !it->second.fresh) return;
  const auto& counter = it->second.counter;
  reading.Put(Feature::kSyscallsVcpu, counter[0]);
  reading.Put(Feature::kSyscallsWait, counter[1]);
  reading.Put(Feature::kSyscallsIo, counter[2]);
  reading.Put(Feature::kSyscallsOther, counter[3]);
}

}  // namespace whorl::agent
