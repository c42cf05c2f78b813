#include "core/baseline/hour_profile.h"

#include <algorithm>

namespace whorl {
namespace {

constexpr std::int64_t kHourMillis = 3'600'000;
constexpr std::size_t kDay = 24;
// 1970 began on a Thursday; weeks here begin on Monday.
constexpr std::int64_t kThursday = 3 * static_cast<std::int64_t>(kDay);
// A later visit moves what is known by at least this: about a month is remembered.
constexpr float kLeastGain = 0.25f;
// Visits after which half, two thirds, ... of what an hour was is expected of it.
constexpr float kDoubtOfDay = 2;
constexpr float kDoubtOfWeek = 4;
// No visit of a slot weighs more than this among the days.
constexpr float kMostVisits = 4;

std::size_t Slot(std::int64_t hour) {
  const auto week = static_cast<std::int64_t>(HourProfile::kHours);
  return static_cast<std::size_t>(((hour + kThursday) % week + week) % week);
}

}  // namespace

bool HourProfile::Learn(Time at, const Features& away, FeatureMask valid, float gate) {
  const auto now = static_cast<std::int32_t>(ToUnixMillis(at) / kHourMillis);
  bool closed = false;
  if (now != hour) {
    if (hour >= 0 && now > hour) {
      const std::size_t slot = Slot(hour);
      const float gain = std::max(1.0f / static_cast<float>(visits[slot] + 1), kLeastGain);
      for (std::size_t g = 0; g < kGroups; ++g) {
        const Int8 any = weight.group[g] > Broadcast(0);
        const Float8 known = FromHalf(mean[slot].data() + g * kLanes);
        const Float8 seen_now = sum.group[g] / Max(weight.group[g], Broadcast(1e-6f));
        ToHalf(Select(any, known + Broadcast(gain) * (seen_now - known), known), mean[slot].data() + g * kLanes);
      }
      visits[slot] = static_cast<std::uint8_t>(std::min(visits[slot] + 1, 255));
      closed = true;
    }
    sum = Features{};
    weight = Features{};
    hour = now;
  }
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Int8 lanes = LaneMask(valid.bits(), g);
    sum.group[g] += Select(lanes, Broadcast(gate) * away.group[g], Broadcast(0));
    weight.group[g] += Select(lanes, Broadcast(gate), Broadcast(0));
  }
  return closed;
}

Features HourProfile::Expected(Time at) const {
  const std::size_t slot = Slot(ToUnixMillis(at) / kHourMillis);
  Features of_day;
  float days = 0;
  for (std::size_t other = slot % kDay; other < kHours; other += kDay) {
    const float w = std::min(static_cast<float>(visits[other]), kMostVisits);
    if (w == 0) continue;
    days += w;
    for (std::size_t g = 0; g < kGroups; ++g) {
      of_day.group[g] += Broadcast(w) * FromHalf(mean[other].data() + g * kLanes);
    }
  }
  Features result;
  if (days == 0) return result;
  const float trust_day = days / (days + kDoubtOfDay);
  const auto own = static_cast<float>(visits[slot]);
  const float trust_week = own / (own + kDoubtOfWeek);
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Float8 day = of_day.group[g] / Broadcast(days);
    const Float8 week = FromHalf(mean[slot].data() + g * kLanes);
    const Float8 own_part = own > 0 ? Broadcast(trust_week) * (week - day) : Float8{};
    result.group[g] = Broadcast(trust_day) * day + own_part;
  }
  return result;
}

void HourProfile::Tell(std::size_t hour_of_week, const Features& usual) {
  const std::size_t slot = hour_of_week % kHours;
  for (std::size_t g = 0; g < kGroups; ++g) ToHalf(usual.group[g], mean[slot].data() + g * kLanes);
  visits[slot] = std::max<std::uint8_t>(visits[slot], 1);
}

std::uint32_t HourProfile::seen() const {
  std::uint32_t sum_of_visits = 0;
  for (const std::uint8_t v : visits) sum_of_visits += v;
  return sum_of_visits;
}

}  // namespace whorl
