#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/demand/forecast.h"

namespace whorl {

// What is foretold for each VM, in the unit of the features it is made of.
enum class Resource : std::uint8_t {
  kCpu,      // millicores, waiting included
  kMemory,   // bytes resident
  kNetwork,  // bytes/s, both directions
  kDisk,     // bytes/s, read and written
};
inline constexpr std::size_t kResources = 4;
std::string_view ResourceName(Resource resource);  // cpu, memory, network, disk
std::string_view ResourceUnit(Resource resource);

// One sample's word on all resources; unset where it was not measured.
struct Wants {
  std::array<std::optional<float>, kResources> of;
  bool held_back = false;  // its CPU by its limit
};

// The bucket of five minutes that a VM is in. Plain data, read every second.
struct BucketUnderWay {
  std::int64_t number = 0;    // of the epoch's buckets, shifted by the VM's phase; 0 = none yet
  std::int64_t began_ms = 0;  // first sample in it
  std::array<float, kResources> sum{};
  std::array<std::uint16_t, kResources> count{};
  std::uint16_t samples = 0;
  std::uint16_t held_back = 0;
};

// How a VM's need of one resource is expected to go on.
struct Prospect {
  Quantiles five_minutes;  // mean of the next bucket
  Quantiles hour;          // mean of any one of the next twelve
  Forecaster::Error error_five_minutes;
  Forecaster::Error error_hour;
  std::uint32_t buckets = 0;  // learnt from
};

// The slow clock of one VM's demand: each resource's mean over five minutes goes
// to a Forecaster. Touched once in five minutes. Plain data; belongs to the
// engine's loop.
class Outlook {
 public:
  Outlook();

  // Adds one sample to the bucket under way; true when one was closed, and what
  // is foretold is new. `phase_ms` (0 .. 299,999) spreads the VMs of a node over
  // the five minutes. Where samples come no oftener than the buckets, each is one.
  bool Observe(Time at, Millis interval, std::int64_t phase_ms, const Wants& wants, const BehaviourNow& behaviour,
               BucketUnderWay& bucket);
  // nullopt before the first bucket.
  std::optional<Prospect> Of(Resource resource) const;
  // Millicores: the middle of what is foretold for the next five minutes where that is
  // more than the last ones took; 0 where nothing rises or little is known yet. A
  // rise is prepared for when it is foreseen, a fall is believed when it is seen.
  float RiseOfCpu() const;

  // A versioned, checksummed section; and back again. kCorrupt, kUnsupported: unchanged.
  std::string Save() const;
  Status Load(std::string_view section);

 private:
  void Close(Time at, const std::array<std::optional<float>, kResources>& means, bool censored,
             const BehaviourNow& behaviour);

  std::array<Forecaster, kResources> forecaster_;
};

}  // namespace whorl
