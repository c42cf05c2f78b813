#include "core/score/nature.h"

#include <algorithm>
#include <cmath>

namespace whorl {
namespace {

// From here on one feature's deviation counts by itself. Rules only describe
// what the detectors have already called unusual, so it need not be rare.
constexpr float kClear = 3.0f;

// Less than these is not worth a name, however unusual for a VM that usually
// does nothing at all: a guest that wakes to write its log.
constexpr float kSomeCpu = 50;                    // millicores
constexpr float kSomePackets = 50;                // a second, both ways
constexpr float kSomeTraffic = 64 * 1024;         // bytes/s, one way
constexpr float kSomeDrops = 5;                   // a second, errors too
constexpr float kSomeOperations = 10;             // a second, flushes too
constexpr float kSomeDiskBytes = 256 * 1024;      // bytes/s, one way
constexpr float kSomeWaiting = 50;                // ms/s: a twentieth of the time
constexpr float kSomeFaults = 20;                 // a second, that had to read a disk
constexpr float kSomeMemory = 8 * 1024 * 1024;    // bytes
constexpr float kSomeDirtying = 4 * 1024 * 1024;  // bytes/s

// Runnable for this part of its vCPUs' time, or this near to what it may use:
// it has no pause left.
constexpr float kLittleCpu = 0.1f;  // of what it can use
constexpr float kSaturated = 0.85f;
// A stalled VM does less than this part of what it usually does.
constexpr float kStalled = 0.3f;
// "Usually does" anything: below these nobody can tell a stall from a quiet hour.
constexpr float kUsualCpu = 30;        // millicores
constexpr float kUsualPackets = 4;     // a second
constexpr float kUsualOperations = 4;  // a second

// Exfiltration: this many times as lopsided as usual. A server that is merely
// popular sends more and is asked more.
constexpr float kLopsided = 4;
// Below this the proportion of sent to received says nothing.
constexpr float kLeastTraffic = 1024;  // bytes/s

// Miner: pools are asked for work seldom and told of shares seldom: packets a
// second over half a minute. A guest that says nothing still exchanges a few for
// address resolution every minute.
constexpr float kThinFrom = 0.15f;
constexpr float kThinTo = 5;
// One burst of computing is no miner.
constexpr Seconds kMinerAfter{20};

// A leak grows by this part of what the VM usually holds every minute, and has
// done so for a while: filling a cache once does not last.
constexpr float kLeakPerMinute = 0.02f;
constexpr Seconds kLeakAfter{40};

// The order of system calls this unlikely (p = 1e-3) stands for itself.
constexpr float kSketchClear = 3;

float Get(const std::array<float, kFeatureCount>& values, FeatureMask has, Feature f) {
  return has.Has(f) ? values[static_cast<std::size_t>(f)] : 0.0f;
}
float Sigmas(const NatureSigns& s, Feature f) { return Get(s.sigmas, s.known, f); }
float Now(const NatureSigns& s, Feature f) { return Get(s.now, s.known, f); }
float Usual(const NatureSigns& s, Feature f) { return Get(s.usual, s.known, f); }
float Level(const NatureSigns& s, Feature f) { return Get(s.level, s.followed, f); }
float Trend(const NatureSigns& s, Feature f) { return Get(s.trend, s.followed, f); }

// Clearly above usual, and by an amount that matters.
bool Up(const NatureSigns& s, Feature f, float some) {
  return Sigmas(s, f) >= kClear && Now(s, f) - Usual(s, f) >= some;
}
bool Down(const NatureSigns& s, Feature f, float some) {
  return Sigmas(s, f) <= -kClear && Usual(s, f) - Now(s, f) >= some;
}

bool DiskUp(const NatureSigns& s) {
  return Up(s, Feature::kDiskReadBytes, kSomeDiskBytes) || Up(s, Feature::kDiskWriteBytes, kSomeDiskBytes) ||
         Up(s, Feature::kDiskOperations, kSomeOperations) || Up(s, Feature::kDiskFlushes, kSomeOperations) ||
         Up(s, Feature::kDiskBusy, kSomeWaiting) || Up(s, Feature::kIoPressure, kSomeWaiting);
}

bool NetworkUp(const NatureSigns& s) {
  return Up(s, Feature::kNetPackets, kSomePackets) || Up(s, Feature::kNetTransmitBytes, kSomeTraffic) ||
         Up(s, Feature::kNetReceiveBytes, kSomeTraffic) || Up(s, Feature::kNetDrops, kSomeDrops) ||
         Up(s, Feature::kNetErrors, kSomeDrops);
}

bool CpuUp(const NatureSigns& s) { return Up(s, Feature::kCpuUsage, kSomeCpu) || Up(s, Feature::kVcpuRun, kSomeCpu); }

bool HoldsMore(const NatureSigns& s) {
  return Up(s, Feature::kMemoryResident, kSomeMemory) || Down(s, Feature::kGuestMemoryUsable, kSomeMemory);
}

// Running or waiting for a CPU all the time. A vCPU is in one of the two whenever
// the guest has something for it to do, so their sum shows a wish that a limit or
// a neighbour keeps from coming true.
bool Saturated(const NatureSigns& s) {
  const float runnable = Now(s, Feature::kVcpuRun) + Now(s, Feature::kVcpuDelay);
  return Now(s, Feature::kCpuUsage) >= kSaturated * s.most_cpu || runnable >= kSaturated * 1000 * s.vcpus;
}

// ---- The rules -----------------------------------------------------------

bool OnlyTheGuestSaysSo(const NatureSigns& s) { return s.guest_only; }

// Of what it usually does, next to nothing goes on.
bool DoesNothing(const NatureSigns& s) {
  constexpr struct {
    Feature feature;
    float usual;
  } kActivities[] = {{Feature::kCpuUsage, kUsualCpu},
                     {Feature::kNetPackets, kUsualPackets},
                     {Feature::kDiskOperations, kUsualOperations}};
  bool fell = false;
  for (const auto& [feature, least] : kActivities) {
    if (Sigmas(s, feature) >= kClear) return false;
    if (!s.known.Has(feature) || Usual(s, feature) < least) continue;
    if (Now(s, feature) > kStalled * Usual(s, feature)) return false;
    fell = true;
  }
  return fell;
}

// Sends much, gets little back, and that is new.
bool SendsAway(const NatureSigns& s) {
  if (!Up(s, Feature::kNetTransmitBytes, kSomeTraffic)) return false;
  const auto lopsided = [](float sent, float received) {
    return std::max(sent, kLeastTraffic) / std::max(received, kLeastTraffic);
  };
  const float now = lopsided(Now(s, Feature::kNetTransmitBytes), Now(s, Feature::kNetReceiveBytes));
  const float usual = lopsided(Usual(s, Feature::kNetTransmitBytes), Usual(s, Feature::kNetReceiveBytes));
  return now >= kLopsided * usual;
}

// Waits for memory, or fetches back what had to leave it. Before the disk: that
// is where it fetches from.
bool WaitsForMemory(const NatureSigns& s) {
  return Up(s, Feature::kMemoryPressure, kSomeWaiting) || Up(s, Feature::kMemoryMajorFaults, kSomeFaults) ||
         Up(s, Feature::kMemoryRefaults, kSomeFaults) || Up(s, Feature::kGuestMajorFaults, kSomeFaults) ||
         Up(s, Feature::kGuestSwapping, kSomeTraffic);
}

// Holds more than usual, and ever more.
bool KeepsTakingMemory(const NatureSigns& s) {
  if (s.lasting < kLeakAfter || !HoldsMore(s)) return false;
  const auto least = [&](Feature f) { return kLeakPerMinute * std::max(Usual(s, f), kSomeMemory); };
  return Trend(s, Feature::kMemoryResident) >= least(Feature::kMemoryResident) ||
         -Trend(s, Feature::kGuestMemoryUsable) >= least(Feature::kGuestMemoryUsable);
}

// Computes all the time, touches neither disk nor more memory, and says a word
// over the network now and then.
bool ComputesAndReports(const NatureSigns& s) {
  const float packets = Level(s, Feature::kNetPackets);
  return s.lasting >= kMinerAfter && CpuUp(s) && Saturated(s) && !HoldsMore(s) && packets >= kThinFrom &&
         packets <= kThinTo;
}

bool UsesMoreMemory(const NatureSigns& s) { return HoldsMore(s) || Up(s, Feature::kDirtyRate, kSomeDirtying); }

bool ComputesWithoutPause(const NatureSigns& s) { return CpuUp(s) && Saturated(s); }

bool CallsInAnotherOrder(const NatureSigns& s) { return s.sketch_evidence >= kSketchClear; }

bool WantsMoreCpu(const NatureSigns& s) {
  return CpuUp(s) || Up(s, Feature::kVcpuDelay, kSomeWaiting) || Up(s, Feature::kCpuThrottled, kSomeWaiting) ||
         Up(s, Feature::kCpuPressure, kSomeWaiting);
}

// The VMM's calls and exits, when nothing that costs anything explains them.
bool CallsDifferently(const NatureSigns& s) {
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    const auto feature = static_cast<Feature>(f);
    if (Info(feature).family == Family::kSyscalls && std::abs(Sigmas(s, feature)) >= kClear) return true;
  }
  return false;
}

// The same, while the CPU it takes is little of what it could: the calls are then
// what there is to look into.
bool CallsDifferentlyAtLittleCost(const NatureSigns& s) {
  return s.known.Has(Feature::kCpuUsage) && Now(s, Feature::kCpuUsage) < kLittleCpu * s.most_cpu && CallsDifferently(s);
}

using Rule = bool (*)(const NatureSigns&);

// The order is the meaning: the first rule that fits gives the name.
constexpr struct {
  Nature nature;
  Rule fits;
} kRules[] = {
    {Nature::kSyscallShift, OnlyTheGuestSaysSo},
    {Nature::kStall, DoesNothing},
    {Nature::kExfiltrationLike, SendsAway},
    {Nature::kMemoryPressure, WaitsForMemory},
    {Nature::kDiskPressure, DiskUp},
    {Nature::kNetworkPressure, NetworkUp},
    {Nature::kLeak, KeepsTakingMemory},
    {Nature::kMinerLike, ComputesAndReports},
    {Nature::kMemoryPressure, UsesMoreMemory},
    {Nature::kRunaway, ComputesWithoutPause},
    {Nature::kSyscallShift, CallsInAnotherOrder},
    {Nature::kSyscallShift, CallsDifferentlyAtLittleCost},
    {Nature::kCpuPressure, WantsMoreCpu},
    {Nature::kSyscallShift, CallsDifferently},
};

constexpr struct {
  std::string_view name;
  std::string_view sentence;
} kWords[kNatureCount] = {
    {"", ""},
    {"CpuPressure", "wants more CPU than usual"},
    {"MemoryPressure", "wants more memory than usual"},
    {"NetworkPressure", "has more network traffic than usual"},
    {"DiskPressure", "keeps its disks busier than usual"},
    {"SyscallShift", "makes other system calls than usual"},
    {"Stall", "does next to nothing of what it usually does"},
    {"Runaway", "computes without a pause, and nothing else grows with it"},
    {"MinerLike", "computes without a pause and reports over the network now and then, as miners do"},
    {"ExfiltrationLike", "sends far more than it receives, and usually does not"},
    {"Leak", "takes ever more memory and gives none back"},
};

}  // namespace

std::string_view NatureName(Nature nature) { return kWords[static_cast<std::size_t>(nature)].name; }
std::string_view NatureSentence(Nature nature) { return kWords[static_cast<std::size_t>(nature)].sentence; }

Nature NatureOf(const NatureSigns& signs) {
  for (const auto& rule : kRules) {
    if (rule.fits(signs)) return rule.nature;
  }
  return Nature::kNone;
}

Nature NatureKeeper::Observe(Nature seen) {
  if (told == Nature::kNone) told = seen;
  if (seen == told || seen == Nature::kNone) {
    ticks = 0;
    return told;
  }
  ticks = seen == other ? static_cast<std::uint8_t>(ticks + 1) : std::uint8_t{1};
  other = seen;
  if (ticks >= kChangeAfter) {
    told = seen;
    ticks = 0;
  }
  return told;
}

}  // namespace whorl
