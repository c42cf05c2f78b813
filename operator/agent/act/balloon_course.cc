#include "operator/agent/act/balloon_course.h"

#include <algorithm>

namespace whorl::agent {
namespace {

constexpr std::uint64_t kPageKib = 4;
constexpr std::uint64_t kKibPerMib = 1024;
// No more than this is made up for when calls were late.
constexpr Millis kLongestPause{1000};
// Steps smaller than this are saved up, but for the last one.
constexpr std::uint64_t kLeastStepKib = 1024;

std::uint64_t PagesUp(std::uint64_t kib) { return (kib + kPageKib - 1) / kPageKib * kPageKib; }

std::string Mib(std::uint64_t kib) { return std::to_string((kib + kKibPerMib / 2) / kKibPerMib) + " MiB"; }

std::uint64_t Distance(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : b - a; }

}  // namespace

std::string_view PhaseName(BalloonPhase phase) {
  switch (phase) {
    case BalloonPhase::kSettling: return "Settling";
    case BalloonPhase::kMoving: return "Moving";
    case BalloonPhase::kArrived: return "Arrived";
    case BalloonPhase::kHeld: return "Held";
    case BalloonPhase::kGivingBack: return "GivingBack";
    case BalloonPhase::kDeflating: return "Deflating";
    case BalloonPhase::kDeflated: return "Deflated";
  }
  return "?";
}

void BalloonCourse::Aim(std::uint64_t target_kib) {
  target_kib_ = PagesUp(target_kib);
  aimed_ = true;
  deflating_ = false;
}

void BalloonCourse::DeflateFully() { deflating_ = true; }

void BalloonCourse::Wrote(std::uint64_t kib) {
  asked_kib_ = kib;
  passed_ = Millis{0};
  refused_at_.reset();
}

void BalloonCourse::NotWritten(Millis now, std::string why) {
  refused_at_ = now;
  refusal_ = std::move(why);
  passed_ = Millis{0};
}

std::uint64_t BalloonCourse::MarginKib() const {
  const auto share = found_kib_.value_or(0) * options_.margin_permille / 1000;
  return std::max(options_.margin_bytes / 1024, share);
}

std::uint64_t BalloonCourse::Allowance(std::uint64_t bytes_per_second, std::uint64_t way_kib) const {
  const auto kib_in = [&](Millis time) {
    return bytes_per_second / 1024 * static_cast<std::uint64_t>(time.count()) / 1000 / kPageKib * kPageKib;
  };
  const auto allowed = kib_in(passed_);
  if (allowed >= way_kib) return way_kib;
  return allowed >= std::min(kLeastStepKib, kib_in(kLongestPause)) ? allowed : 0;
}

bool BalloonCourse::Settled(Millis now, std::uint64_t size_kib) {
  if (last_size_kib_ != size_kib) {
    last_size_kib_ = size_kib;
    still_since_ = now;
  }
  return now - still_since_ >= options_.settle;
}

std::string BalloonCourse::WhyPressed(const Report& before, const Report& after) const {
  const auto seconds = static_cast<std::uint64_t>(std::max<std::int64_t>(after.updated - before.updated, 1));
  const auto rate = [&](const std::optional<std::uint64_t>& from, const std::optional<std::uint64_t>& to) {
    // A counter that went back is a guest that started anew.
    return from && to && *to > *from ? (*to - *from) / seconds : 0;
  };
  if (const auto swapped = rate(before.swapped_in_kib, after.swapped_in_kib);
      swapped > options_.swapped_in_kib_per_second) {
    return "it swaps in " + std::to_string(swapped) + " KiB/s";
  }
  if (const auto faults = rate(before.major_faults, after.major_faults); faults > options_.major_faults_per_second) {
    return "it reads " + std::to_string(faults) + " pages/s back from its disk";
  }
  return {};
}

void BalloonCourse::TakeReport(Millis now, const GuestMemory& seen) {
  if (!seen.updated || *seen.updated <= 0 || (report_ && report_->updated == *seen.updated)) return;
  Report report;
  report.updated = *seen.updated;
  // The guest spoke somewhere between the last look and this one: its size then was
  // neither above the larger nor, on the way down, below the smaller of both.
  report.size_kib = std::max(last_size_kib_.value_or(0), *seen.size_kib);
  report.spare_kib = options_.spare == Spare::kUnused ? seen.unused_kib : seen.usable_kib;
  report.major_faults = seen.major_faults;
  report.swapped_in_kib = seen.swapped_in_kib;
  // What a guest does to itself at its full size is not of our making.
  const bool taken = asked_kib_ && found_kib_ && *asked_kib_ < *found_kib_;
  if (report_ && taken) {
    auto why = WhyPressed(*report_, report);
    if (why.empty() && report.spare_kib && *report.spare_kib < MarginKib() / 2) {
      why = "it has " + Mib(*report.spare_kib) + " left of a margin of " + Mib(MarginKib());
    }
    if (!why.empty()) {
      pressed_at_ = now;
      pressure_ = std::move(why);
    }
  }
  report_ = report;
}

std::optional<std::uint64_t> BalloonCourse::FloorKib(Time wall, std::string& why) const {
  if (!report_) {
    why = "its working set is not known: its balloon driver has not reported";
    return std::nullopt;
  }
  const auto age = ToUnixMillis(wall) / 1000 - report_->updated;
  if (age > options_.stale_after.count()) {
    why = "its working set is not known: its balloon driver last reported " + std::to_string(age) + " s ago";
    return std::nullopt;
  }
  if (!report_->spare_kib || *report_->spare_kib > report_->size_kib) {
    why = "its working set is not known: its balloon driver does not report what is free";
    return std::nullopt;
  }
  return PagesUp(report_->size_kib - *report_->spare_kib + MarginKib());
}

BalloonStep BalloonCourse::Raise(std::uint64_t to_kib, BalloonStep step) const {
  const auto asked = *asked_kib_;
  if (to_kib <= asked) return step;
  if (const auto by = Allowance(options_.up_bytes_per_second, to_kib - asked)) step.write_kib = asked + by;
  return step;
}

BalloonStep BalloonCourse::GiveBack() const {
  return Raise(*found_kib_, {std::nullopt, BalloonPhase::kGivingBack, "GuestPressure", pressure_});
}

BalloonStep BalloonCourse::Lower(Millis now, Time wall, std::uint64_t size_kib) {
  const auto asked = *asked_kib_;
  BalloonStep step{std::nullopt, BalloonPhase::kMoving, {}, {}};
  const auto held = [&](std::string_view reason, std::string message) {
    return BalloonStep{std::nullopt, BalloonPhase::kHeld, reason, std::move(message)};
  };
  if (pressed_at_) {
    return held("GuestPressure",
                "nothing is taken for " + std::to_string(options_.calm_for.count()) + " s after " + pressure_);
  }
  std::string why;
  const auto floor = FloorKib(wall, why);
  if (!floor) return held("BelowUse", why);
  const auto to = std::max(target_kib_, *floor);
  if (to >= asked) {
    return held("BelowUse", "the guest uses " + Mib(*floor - MarginKib()) + "; with a margin of " + Mib(MarginKib()) +
                                " it keeps " + Mib(asked) + ", above the " + Mib(target_kib_) + " wanted");
  }
  // Asking on while the guest lags behind would only pile up what it owes.
  const auto lag = size_kib > asked ? size_kib - asked : 0;
  const auto two_seconds = 2 * options_.down_bytes_per_second / 1024;
  if (lag > 0 && now - still_since_ >= options_.follow_within) {
    pressed_at_ = now;
    pressure_ = "it was asked for " + Mib(asked) + " and has stood at " + Mib(size_kib) + " for " +
                std::to_string((now - still_since_).count() / 1000) + " s";
    return GiveBack();
  }
  if (lag > two_seconds) return step;
  if (const auto by = Allowance(options_.down_bytes_per_second, asked - to)) step.write_kib = asked - by;
  return step;
}

BalloonStep BalloonCourse::NextStep(Millis now, Time wall, const GuestMemory& seen) {
  passed_ = std::min(passed_ + (last_call_ ? now - *last_call_ : Millis{0}), kLongestPause);
  last_call_ = now;
  if (!seen.size_kib) {
    return {std::nullopt, BalloonPhase::kHeld, "NoBalloon", "the domain reports no balloon"};
  }
  const auto size = *seen.size_kib;
  TakeReport(now, seen);
  const bool settled = Settled(now, size);
  if (!found_kib_) {
    if (!settled) return {std::nullopt, BalloonPhase::kSettling, {}, {}};
    found_kib_ = size;
    asked_kib_ = size;
    passed_ = Millis{0};
  }
  if (refused_at_) {
    if (now - *refused_at_ < options_.retry_after) return {std::nullopt, BalloonPhase::kHeld, "NotWritten", refusal_};
    refused_at_.reset();
  }
  const auto asked = *asked_kib_;
  const auto found = *found_kib_;
  if (deflating_) {
    const bool back = asked == found && size >= found;
    return Raise(found, {std::nullopt, back ? BalloonPhase::kDeflated : BalloonPhase::kDeflating, {}, {}});
  }
  if (pressed_at_ && now - *pressed_at_ >= options_.calm_for) pressed_at_.reset();
  if (pressed_at_ && asked < found) return GiveBack();
  if (!aimed_) return {std::nullopt, BalloonPhase::kArrived, {}, {}};
  if (target_kib_ < asked) return Lower(now, wall, size);
  // Never above what was found: that was never ours to give.
  const auto to = std::min(target_kib_, found);
  const bool there = asked == to && Distance(size, to) < kPageKib;
  return Raise(to, {std::nullopt, there ? BalloonPhase::kArrived : BalloonPhase::kMoving, {}, {}});
}

}  // namespace whorl::agent
