#include "core/telemetry/schema.h"

namespace whorl {
namespace {

constexpr float kKiB = 1024.0f;
constexpr float kMiB = 1024.0f * 1024.0f;

constexpr std::array<float, kFeatureCount> kOrigin{
    10,        10,        20,        10,       20,        20,         // CPU: millicores and ms/s
    16 * kMiB, 5,         200,       20,       16 * kMiB, 16 * kMiB,  // memory
    4 * kKiB,  4 * kKiB,  10,        5,                               // network
    64 * kKiB, 64 * kKiB, 5,         20,                              // disk
    50,        50,        50,        50,                              // VMM system calls
    20,        5,         64 * kKiB, 1 * kMiB,  // memory refaults, the guest's own faults and swapping, dirty rate
    20,        5,         5,                    // disk busy time and flushes, network errors
    100,       100,       100,       100,      100,       100,  // KVM exits
    50,        50,        50,                                   // VMM system calls: memory, process, file
};

constexpr Schema Live() {
  Schema schema;
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    const FeatureInfo& info = kFeatures[f];
    schema.origin[f] = kOrigin[f];
    // Sizes hold still where rates jitter. Waiting is mostly done to a VM, by
    // its neighbours and by our own quota: it must be long to speak of the VM.
    const bool waiting = info.unit == "ms/s";
    // The dirty rate is an estimate from few pages: one more or less of them is nothing.
    const bool coarse = waiting || info.feature == Feature::kDirtyRate;
    schema.floor[f] = coarse ? 0.6f : info.kind == Kind::kGauge ? 0.06f : 0.15f;
    schema.logarithmic |= Bit(info.feature);
    if (info.kind == Kind::kCounter) schema.counters |= Bit(info.feature);
  }
  schema.stocks = Bit(Feature::kMemoryResident) | Bit(Feature::kBalloonCurrent) | Bit(Feature::kGuestMemoryUsable);
  return schema;
}

constexpr Schema Trace() {
  Schema schema;
  schema.floor.fill(1e-3f);
  schema.relative_floor.fill(0.05f);
  return schema;
}

constexpr Schema kLive = Live();
constexpr Schema kTrace = Trace();

}  // namespace

const Schema& LiveSchema() { return kLive; }
const Schema& TraceSchema() { return kTrace; }

}  // namespace whorl
