#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/time.h"
#include "core/fingerprint/lanes.h"
#include "core/telemetry/features.h"

namespace whorl {

// What has its own course over the week. A profile of every feature would be
// 27 KB; four courses, and how far each feature goes along with one of them,
// are one.
enum class Course : std::uint8_t { kCpu, kMemory, kNetwork, kDisk };
inline constexpr std::size_t kCourses = 4;
Course CourseOf(Feature f);

// What one hour of the week is used to, at one moment. All in log units away
// from the centre. Small and hot: kept beside what a tick reads and made anew
// by WeekProfile::At when `until` has passed.
struct Usual {
  std::array<float, kCourses> low{};    // <= 0: down to here it has been at this hour
  std::array<float, kCourses> high{};   // >= 0: up to here
  std::array<float, kCourses> least{};  // >= 0: it is expected to be at least so high
  std::array<float, kCourses> most{};   // <= 0: it is expected to be at least so low
  std::int64_t until_ms = 0;
  bool anything = false;  // false: Correct would change nothing
};

// The hour-of-week profile of one VM, so that a pattern that comes back each
// day is not flagged a second time, and one that stays away is noticed.
//
// How the baseline uses it. Deviations here are d = y - c: log-scaled features
// (Scaling::LogScale) less a centre c that moves slowly compared with a day;
// against a fast centre a night's work is only an edge at its beginning and its
// end. In each tick
//
//     if (now >= usual.until_ms) usual = week.At(at);   // one look in 5 minutes
//     Features corrected = d;
//     week.Correct(usual, corrected, valid);            // then / spread, detectors
//     week.Learn(at, d, valid, gate);                   // always the uncorrected d
//
// Correct takes away what the hour allows and never turns a sign: it makes a
// feature less unusual, and, where the hour is expected to be busy (seen at
// least twice), an idle one unusual. Detectors of slow poisoning and of lasting
// change must look at the uncorrected d: whoever returns every night teaches
// the profile. `gate` 1 learns, 0 does not. A deviation that ended by itself
// should be learnt in full, or it is flagged again tomorrow; one that lasts for
// longer than a day should not.
//
// Per hour of the week and course it keeps a mean; per hour of the day how far
// the five-minute means went beyond what was expected. An hour not seen yet
// borrows from the same hour of the other days, first of those of its kind
// (Monday to Friday, Saturday and Sunday). Seen once is allowed, seen again and
// again is expected. What every hour does alike is noise, and left to the
// spread. Weekly jobs shorter than an hour are allowed in part only. Hours are
// UTC: where clocks change, a pattern moves by one hour twice a year and is
// flagged once.
//
// Plain data of the VM that holds it; its bytes are what a checkpoint stores.
struct WeekProfile {
  static constexpr std::size_t kHours = 24;
  static constexpr std::size_t kDays = 7;  // Monday is 0

  // Small integers that stand for log units: see Unpack.
  using Packed = std::int8_t;
  using PackedReach = std::uint8_t;

  // First what a tick touches.
  std::array<std::int8_t, kFeatureCount> along{};  // 1/32: d of the feature per d of its course
  std::array<float, kCourses> slot_sum{};
  std::array<std::uint16_t, kCourses> slot_samples{};
  std::uint32_t slot = 0;  // five-minute slots since 1970; 0: nothing under way
  // The hour under way, from its closed slots.
  std::array<float, kCourses> hour_sum{};
  std::array<std::uint8_t, kCourses> hour_slots{};
  std::array<Packed, kCourses> hour_low{};
  std::array<Packed, kCourses> hour_high{};
  std::uint8_t gate = 0;  // 1/255, the least of the hour
  // What is known. Visits are in sixteenths.
  std::array<std::array<std::uint8_t, kDays>, kHours> visits{};
  std::array<std::array<PackedReach, kCourses>, kHours> reach{};
  std::array<std::array<std::array<Packed, kCourses>, kDays>, kHours> mean{};

  // Takes in one sample. Time that runs back, and hours left out, drop what was
  // under way and nothing else.
  void Learn(Time at, const Features& d, FeatureMask valid, float gate);
  Usual At(Time at) const;
  void Correct(const Usual& usual, Features& d, FeatureMask valid) const;

  struct Expectation {
    float mean = 0;        // log units away from the centre
    float reach = 0;       // five-minute means went this far from it
    float confidence = 0;  // 0: never seen; how surely the mean comes again, towards 1
  };
  Expectation Expected(Time at, Course course) const;
  // How far a feature goes along with its course: 1 for those that speak for
  // it, -4..4 learnt for the others.
  float Along(Feature f) const;
  // Weeks' worth of hours that were learnt from; 168 visits are one.
  float weeks() const;
  // False for bytes that Learn cannot have left behind: a checkpoint's reader asks.
  bool Plausible() const;

 private:
  Expectation ExpectedIn(std::size_t hour, std::size_t day, std::size_t course) const;
  void CloseSlot();
  void CloseHour();
  void Drop();
};
static_assert(sizeof(WeekProfile) <= 1024 + 64, "one KiB, and the hour under way");

}  // namespace whorl
