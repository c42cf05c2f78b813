#include "core/remedy/course.h"

namespace whorl::remedy {
namespace {

constexpr struct {
  std::string_view name;
  std::string_view sentence;
} kRungs[kRungCount] = {
    {"observe", "watch it"},
    {"propose", "say what could be done"},
    {"borrow", "let it borrow CPU for what it does unusually much of"},
    {"raiseWeight", "give it a larger part of contended CPU, up to what it is foretold to need"},
    {"cap", "limit what it takes too much of"},
    {"isolate", "keep it on CPU cores of its own"},
    {"quarantine", "let nothing pass over its network"},
    {"migrate", "move it to another node"},
    {"pause", "pause it"},
};

using S = Severity;
constexpr std::optional<Severity> kNo = std::nullopt;

// One row per nature, index = enum value; columns are the rungs from kBorrow on.
struct Course {
  Nature nature;
  std::optional<Severity> borrow, raise_weight, cap, isolate, quarantine, migrate, pause;
  CapKnobs caps;
  std::string_view reason;
};
// clang-format off
constexpr Course kCourses[kNatureCount] = {
    // nature                 borrow      raise      cap        isolate    quarantine   migrate      pause
    {Nature::kNone,             kNo,       kNo,       kNo,       kNo,       kNo,         kNo,         kNo,         {},
     "nobody can say what would help against something without a name"},
    {Nature::kCpuPressure,      S::kAlarm, S::kStrong, kNo,      kNo,       kNo,         kNo,         kNo,         {},
     "who wants more CPU is helped to it; holding it down would make the pressure worse"},
    {Nature::kMemoryPressure,   S::kAlarm, kNo,       kNo,       kNo,       kNo,         S::kExtreme, kNo,         {},
     "waiting for memory costs CPU too; where it does not end, another node may have the memory"},
    {Nature::kNetworkPressure,  kNo,       kNo,       S::kStrong, kNo,      kNo,         S::kExtreme, kNo,         {false, true, false},
     "traffic that presses on the neighbours is limited, or moved away from them; more CPU does not help it"},
    {Nature::kDiskPressure,     kNo,       kNo,       S::kStrong, kNo,      kNo,         S::kExtreme, kNo,         {false, false, true},
     "a disk kept busy presses on the neighbours: it is limited, or moved away from them"},
    {Nature::kSyscallShift,     kNo,       kNo,       kNo,       S::kStrong, S::kExtreme, kNo,        kNo,         {},
     "other system calls may be a new program or an intruder: it is kept apart, and takes too much of nothing"},
    {Nature::kStall,            kNo,       kNo,       kNo,       kNo,       kNo,         kNo,         kNo,         {},
     "who does nothing cannot be helped or held down from outside"},
    {Nature::kRunaway,          kNo,       kNo,       S::kAlarm, S::kStrong, kNo,        S::kExtreme, S::kExtreme, {true, false, false},
     "computing without end is a fault: it is limited, kept apart, and in the end stopped"},
    {Nature::kMinerLike,        kNo,       kNo,       S::kAlarm, S::kStrong, S::kExtreme, kNo,        S::kExtreme, {true, false, false},
     "what looks like abuse is limited and cut off, never moved to trouble another node"},
    {Nature::kExfiltrationLike, kNo,       kNo,       S::kAlarm, kNo,       S::kStrong,  kNo,         S::kExtreme, {false, true, false},
     "data that leaves cannot be called back: its network is slowed down, then cut off"},
    {Nature::kLeak,             kNo,       kNo,       kNo,       kNo,       kNo,         S::kExtreme, kNo,         {},
     "a leak ends by a restart, which is the owner's; until then only a node with more memory helps"},
};
// clang-format on

constexpr const Course& Of(Nature nature) { return kCourses[static_cast<std::size_t>(nature)]; }

constexpr bool InOrder() {
  for (std::size_t i = 0; i < kNatureCount; ++i) {
    if (static_cast<std::size_t>(kCourses[i].nature) != i) return false;
  }
  return true;
}
static_assert(InOrder());

}  // namespace

std::string_view RungName(Rung rung) { return kRungs[Index(rung)].name; }
std::string_view RungSentence(Rung rung) { return kRungs[Index(rung)].sentence; }

std::optional<Rung> ParseRung(std::string_view name) {
  for (std::size_t i = 0; i < kRungCount; ++i) {
    if (kRungs[i].name == name) return static_cast<Rung>(i);
  }
  return std::nullopt;
}

Severity SeverityOf(std::uint8_t score, std::uint8_t threshold) {
  if (score < threshold) return Severity::kCalm;
  const int above = score - threshold;
  const int all = 100 - threshold;
  if (10 * above >= 9 * all) return Severity::kExtreme;
  return 2 * above >= all ? Severity::kStrong : Severity::kAlarm;
}

std::string_view SeverityName(Severity severity) {
  constexpr std::string_view kNames[] = {"calm", "alarm", "strong", "extreme"};
  return kNames[static_cast<std::size_t>(severity)];
}

CapKnobs CapKnobsOf(Nature nature) { return Of(nature).caps; }
std::string_view CourseReason(Nature nature) { return Of(nature).reason; }

std::optional<Severity> LeastSeverity(Nature nature, Rung rung) {
  const Course& course = Of(nature);
  switch (rung) {
    case Rung::kObserve: return Severity::kCalm;
    case Rung::kPropose: return Severity::kAlarm;
    case Rung::kBorrow: return course.borrow;
    case Rung::kRaiseWeight: return course.raise_weight;
    case Rung::kCap: return course.cap;
    case Rung::kIsolate: return course.isolate;
    case Rung::kQuarantine: return course.quarantine;
    case Rung::kMigrate: return course.migrate;
    case Rung::kPause: return course.pause;
  }
  return std::nullopt;
}

bool Sensible(Nature nature, Rung rung, Severity severity, bool guest_only, bool victim) {
  const auto least = LeastSeverity(nature, rung);
  if (!least || severity < *least) return false;
  if (rung > Rung::kPropose && guest_only) return false;
  return !(Harms(rung) && victim);
}

Rung HighestOf(Nature nature) {
  for (std::size_t i = kRungCount; i-- > 0;) {
    if (LeastSeverity(nature, static_cast<Rung>(i))) return static_cast<Rung>(i);
  }
  return Rung::kObserve;
}

}  // namespace whorl::remedy
