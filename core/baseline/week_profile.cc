#include "core/baseline/week_profile.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace whorl {
namespace {

constexpr std::int64_t kSlotMs = 300'000;
constexpr std::uint32_t kSlotsPerHour = 12;
// A job that usually starts at a full hour may start some minutes early or late.
constexpr std::uint32_t kEdgeSlots = 2;
// More than this from the centre is told from nothing else.
constexpr float kFurthest = 12.0f;
// Below this a course says nothing about which features go along with it.
constexpr float kMoves = 0.5f;
constexpr float kAlongGain = 0.4f;
constexpr float kAlongStep = 32.0f;
// An hour of the week is seen once in a week: it must not take months to turn.
constexpr float kLeastGain = 0.25f;
constexpr float kReachFades = 0.25f;
constexpr float kVisit = 16.0f;

// Finer near zero, where it is compared with spreads of a tenth: an error of
// 1/127 of the root. Rounds to nearest.
std::int8_t Pack(float x) {
  const float root = std::sqrt(std::min(std::fabs(x), kFurthest) / kFurthest) * 127.0f;
  const auto q = static_cast<int>(root + 0.5f);
  return static_cast<std::int8_t>(x < 0 ? -q : q);
}
float Unpack(std::int8_t q) {
  const float part = static_cast<float>(q) / 127.0f;
  return (q < 0 ? -part : part) * part * kFurthest;
}
std::uint8_t PackReach(float x) {
  return static_cast<std::uint8_t>(std::sqrt(std::clamp(x, 0.0f, kFurthest) / kFurthest) * 255.0f + 0.5f);
}
float UnpackReach(std::uint8_t q) {
  const float part = static_cast<float>(q) / 255.0f;
  return part * part * kFurthest;
}

// Which features speak for a course: it is where the one that deviates most is.
constexpr std::array<Feature, 6> kLeaders{Feature::kCpuUsage,        Feature::kMemoryResident,
                                          Feature::kNetReceiveBytes, Feature::kNetTransmitBytes,
                                          Feature::kDiskReadBytes,   Feature::kDiskWriteBytes};
constexpr bool Leads(std::size_t f) {
  return std::any_of(kLeaders.begin(), kLeaders.end(),
                     [f](Feature leader) { return static_cast<std::size_t>(leader) == f; });
}

using Courses = std::array<std::optional<float>, kCourses>;

Courses CoursesOf(const Features& d, FeatureMask valid) {
  Courses out;
  for (const Feature f : kLeaders) {
    const float x = d[static_cast<std::size_t>(f)];
    if (!valid.Has(f) || !std::isfinite(x)) continue;
    auto& course = out[static_cast<std::size_t>(CourseOf(f))];
    if (!course || std::fabs(x) > std::fabs(*course)) course = x;
  }
  return out;
}

std::size_t HourOfDay(std::uint32_t slot) { return slot / kSlotsPerHour % WeekProfile::kHours; }
// 1 January 1970 was a Thursday.
std::size_t DayOfWeek(std::uint32_t slot) {
  return (slot / (kSlotsPerHour * WeekProfile::kHours) + 3) % WeekProfile::kDays;
}
std::uint32_t SlotOf(Time at) {
  const std::int64_t ms = ToUnixMillis(at);
  return ms <= 0 ? 0 : static_cast<std::uint32_t>(std::min<std::int64_t>(ms / kSlotMs, UINT32_MAX));
}
bool Weekend(std::size_t day) { return day >= 5; }

}  // namespace

Course CourseOf(Feature f) {
  switch (f) {
    case Feature::kMemoryResident:
    case Feature::kMemoryMinorFaults:
    case Feature::kMemoryPressure:
    case Feature::kBalloonCurrent:
    case Feature::kGuestMemoryUsable:
    case Feature::kDirtyRate:
    case Feature::kExitsMemory: return Course::kMemory;
    case Feature::kNetReceiveBytes:
    case Feature::kNetTransmitBytes:
    case Feature::kNetPackets:
    case Feature::kNetDrops:
    case Feature::kNetErrors: return Course::kNetwork;
    // Pages that come from disk, and what a VMM does for a disk.
    case Feature::kMemoryMajorFaults:
    case Feature::kMemoryRefaults:
    case Feature::kGuestMajorFaults:
    case Feature::kGuestSwapping:
    case Feature::kDiskReadBytes:
    case Feature::kDiskWriteBytes:
    case Feature::kDiskOperations:
    case Feature::kDiskBusy:
    case Feature::kDiskFlushes:
    case Feature::kIoPressure:
    case Feature::kSyscallsIo:
    case Feature::kSyscallsFile: return Course::kDisk;
    default: return Course::kCpu;
  }
}

void WeekProfile::Drop() {
  slot_sum = {};
  slot_samples = {};
  hour_sum = {};
  hour_slots = {};
  hour_low = hour_high = {};
  gate = 255;
}

void WeekProfile::Learn(Time at, const Features& d, FeatureMask valid, float weight) {
  const std::uint32_t now = SlotOf(at);
  const Courses courses = CoursesOf(d, valid);
  if (now != slot) {
    if (slot == 0 || now < slot) {
      Drop();
    } else {
      CloseSlot();
      if (now / kSlotsPerHour != slot / kSlotsPerHour) CloseHour();
    }
    slot = now;
    // Which features go along is looked at once in a slot: often enough, and a
    // sum per feature would double the profile.
    for (std::size_t f = 0; weight > 0 && f < kFeatureCount; ++f) {
      const auto& course = courses[static_cast<std::size_t>(CourseOf(static_cast<Feature>(f)))];
      if (Leads(f) || !valid.Has(static_cast<Feature>(f)) || !course || std::fabs(*course) < kMoves) continue;
      if (!std::isfinite(d[f])) continue;
      const float c = std::clamp(*course, -kFurthest, kFurthest);
      const float have = static_cast<float>(along[f]) / kAlongStep;
      const float missed = std::clamp(d[f], -kFurthest, kFurthest) - have * c;
      const float moved = have + kAlongGain * missed * c / (c * c + kMoves * kMoves);
      along[f] = static_cast<std::int8_t>(std::lround(std::clamp(moved * kAlongStep, -127.0f, 127.0f)));
    }
  }
  for (std::size_t c = 0; c < kCourses; ++c) {
    if (!courses[c] || slot_samples[c] == UINT16_MAX) continue;
    slot_sum[c] += std::clamp(*courses[c], -kFurthest, kFurthest);
    ++slot_samples[c];
  }
  gate = std::min(gate, weight > 0 ? static_cast<std::uint8_t>(std::min(weight, 1.0f) * 255.0f) : std::uint8_t{0});
}

void WeekProfile::CloseSlot() {
  for (std::size_t c = 0; c < kCourses; ++c) {
    if (slot_samples[c] == 0) continue;
    const float value = slot_sum[c] / static_cast<float>(slot_samples[c]);
    const Packed packed = Pack(value);
    hour_low[c] = hour_slots[c] == 0 ? packed : std::min(hour_low[c], packed);
    hour_high[c] = hour_slots[c] == 0 ? packed : std::max(hour_high[c], packed);
    hour_sum[c] += value;
    ++hour_slots[c];
  }
  slot_sum = {};
  slot_samples = {};
}

void WeekProfile::CloseHour() {
  const std::size_t hour = HourOfDay(slot), day = DayOfWeek(slot);
  std::uint8_t most = 0;
  for (const std::uint8_t slots : hour_slots) most = std::max(most, slots);
  // Half an hour seen speaks for the whole of it.
  const float weight = static_cast<float>(gate) / 255.0f * std::min(static_cast<float>(most) / 6.0f, 1.0f);
  const std::uint8_t before = visits[hour][day];
  const float gain = weight * std::max(1.0f / (static_cast<float>(before) / kVisit + 1.0f), kLeastGain);
  bool first = true;
  for (const std::uint8_t seen : visits[hour]) first = first && seen == 0;
  for (std::size_t c = 0; c < kCourses && weight > 0; ++c) {
    if (hour_slots[c] == 0) continue;
    const float value = hour_sum[c] / static_cast<float>(hour_slots[c]);
    // Against what was expected before this hour: tomorrow's hour is another
    // one of the week, and knows no more than that.
    const float expected = first ? value : ExpectedIn(hour, day, c).mean;
    const float went = std::max({Unpack(hour_high[c]) - expected, expected - Unpack(hour_low[c]), 0.0f});
    const float have = UnpackReach(reach[hour][c]);
    reach[hour][c] = PackReach(went > have ? went : have + kReachFades * weight * (went - have));
    const float old = Unpack(mean[hour][day][c]);
    mean[hour][day][c] = Pack(old + gain * (value - old));
  }
  const auto after = static_cast<int>(before) + static_cast<int>(std::lround(kVisit * weight));
  visits[hour][day] = static_cast<std::uint8_t>(std::min(after, 255));
  Drop();
}

WeekProfile::Expectation WeekProfile::ExpectedIn(std::size_t hour, std::size_t day, std::size_t course) const {
  float all = 0, all_sum = 0, kind = 0, kind_sum = 0;
  for (std::size_t other = 0; other < kDays; ++other) {
    const float n = static_cast<float>(visits[hour][other]) / kVisit;
    const float sum = n * Unpack(mean[hour][other][course]);
    all += n;
    all_sum += sum;
    if (Weekend(other) != Weekend(day)) continue;
    kind += n;
    kind_sum += sum;
  }
  Expectation e;
  if (all <= 0) return e;
  // Each narrower group is shrunk to the wider one with the weight of one visit.
  const float of_kind = (kind_sum + all_sum / all) / (kind + 1);
  const float own = static_cast<float>(visits[hour][day]) / kVisit;
  e.mean = (own * Unpack(mean[hour][day][course]) + of_kind) / (own + 1);
  e.reach = UnpackReach(reach[hour][course]);
  e.confidence = kind > 1 ? (kind - 1) / (kind + 1) : 0.0f;
  return e;
}

WeekProfile::Expectation WeekProfile::Expected(Time at, Course course) const {
  const std::uint32_t now = SlotOf(at);
  return ExpectedIn(HourOfDay(now), DayOfWeek(now), static_cast<std::size_t>(course));
}

float WeekProfile::Along(Feature f) const {
  const auto index = static_cast<std::size_t>(f);
  return Leads(index) ? 1.0f : static_cast<float>(along[index]) / kAlongStep;
}

float WeekProfile::weeks() const {
  float sum = 0;
  for (const auto& hour : visits) {
    for (const std::uint8_t n : hour) sum += static_cast<float>(n) / kVisit;
  }
  return sum / static_cast<float>(kHours * kDays);
}

bool WeekProfile::Plausible() const {
  for (std::size_t c = 0; c < kCourses; ++c) {
    // Written so that NaN fails too.
    if (!(std::fabs(slot_sum[c]) <= kFurthest * static_cast<float>(slot_samples[c]))) return false;
    if (!(std::fabs(hour_sum[c]) <= kFurthest * static_cast<float>(hour_slots[c]))) return false;
    if (hour_slots[c] > kSlotsPerHour || hour_low[c] > hour_high[c]) return false;
  }
  return true;
}

Usual WeekProfile::At(Time at) const {
  const std::uint32_t now = SlotOf(at);
  Usual usual;
  usual.until_ms = (static_cast<std::int64_t>(now) + 1) * kSlotMs;
  // Near the edge of an hour its neighbour has a say.
  std::uint32_t beside = now;
  if (now % kSlotsPerHour < kEdgeSlots && now >= kEdgeSlots) beside = now - kEdgeSlots;
  if (now % kSlotsPerHour >= kSlotsPerHour - kEdgeSlots) beside = now + kEdgeSlots;
  for (std::size_t c = 0; c < kCourses; ++c) {
    // What hours commonly reach is noise, not a pattern: the lower median.
    std::array<PackedReach, kHours> reaches{};
    std::size_t known = 0;
    for (std::size_t h = 0; h < kHours; ++h) {
      if (std::any_of(visits[h].begin(), visits[h].end(), [](std::uint8_t n) { return n > 0; })) {
        reaches[known++] = reach[h][c];
      }
    }
    if (known == 0) continue;
    const auto middle = reaches.begin() + static_cast<std::ptrdiff_t>((known - 1) / 2);
    std::nth_element(reaches.begin(), middle, reaches.begin() + static_cast<std::ptrdiff_t>(known));
    const float noise = UnpackReach(*middle);

    float low = 0, high = 0, least = kFurthest, most = -kFurthest;
    for (const std::uint32_t s : {now, beside}) {
      const auto e = ExpectedIn(HourOfDay(s), DayOfWeek(s), c);
      const float beyond = std::max(e.reach - noise, 0.0f);
      low = std::min(low, e.mean - beyond);
      high = std::max(high, e.mean + beyond);
      least = std::min(least, e.confidence * (e.mean - e.reach));
      most = std::max(most, e.confidence * (e.mean + e.reach));
    }
    usual.low[c] = low;
    usual.high[c] = high;
    usual.least[c] = std::max(least, 0.0f);
    usual.most[c] = std::min(most, 0.0f);
    usual.anything = usual.anything || low < 0 || high > 0;
  }
  return usual;
}

void WeekProfile::Correct(const Usual& usual, Features& d, FeatureMask valid) const {
  if (!usual.anything) return;
  const Courses courses = CoursesOf(d, valid);
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    if (!valid.Has(static_cast<Feature>(f))) continue;
    const auto c = static_cast<std::size_t>(CourseOf(static_cast<Feature>(f)));
    const bool leads = Leads(f);
    const float with = Along(static_cast<Feature>(f));
    const float a = with * usual.low[c], b = with * usual.high[c];
    float x = d[f] - std::clamp(d[f], std::min(a, b), std::max(a, b));
    // That a course stays away is told by the features that speak for it.
    if (leads && courses[c]) {
      if (usual.least[c] > 0 && *courses[c] < usual.least[c]) x -= usual.least[c] - std::max(*courses[c], 0.0f);
      if (usual.most[c] < 0 && *courses[c] > usual.most[c]) x -= usual.most[c] - std::min(*courses[c], 0.0f);
    }
    d.Set(f, x);
  }
}

}  // namespace whorl
