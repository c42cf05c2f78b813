#include "core/engine/outlook.h"

#include <cstring>
#include <type_traits>

#include "core/base/digest.h"

namespace whorl {
namespace {

constexpr std::int64_t kBucketMillis = 300'000;
// Samples this far apart are buckets themselves.
constexpr Millis kCoarse{240'000};
// A bucket that was entered late says less than none.
constexpr std::int64_t kLeastOfBucket = kBucketMillis / 2;
// A mean over five minutes of which this part was held back is a lower bound.
constexpr int kHeldBackPart = 10;
constexpr std::uint32_t kKnown = Forecaster::kHourBuckets;
// A rise smaller than this is the forecast's own noise.
constexpr float kRise = 1.1f;

// As the features' own origins (core/telemetry/schema.cc).
constexpr std::array<float, kResources> kGrain{10, 16 * 1024 * 1024, 4 * 1024, 64 * 1024};

constexpr std::uint32_t kMagic = 0x57484f4c;  // WHOL
constexpr std::uint32_t kVersion = 1;
struct Header {
  std::uint32_t magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint64_t bytes = 0;  // of the body
  std::uint64_t digest = 0;
};

std::uint64_t DigestOf(std::string_view bytes) {
  Digest digest;
  digest.Add(bytes);
  return digest.state;
}

}  // namespace

std::string_view ResourceName(Resource resource) {
  constexpr std::array<std::string_view, kResources> kNames{"cpu", "memory", "network", "disk"};
  return kNames[static_cast<std::size_t>(resource)];
}

std::string_view ResourceUnit(Resource resource) {
  constexpr std::array<std::string_view, kResources> kUnits{"millicores", "bytes", "bytes/s", "bytes/s"};
  return kUnits[static_cast<std::size_t>(resource)];
}

Outlook::Outlook()
    : forecaster_{Forecaster(kGrain[0]), Forecaster(kGrain[1]), Forecaster(kGrain[2]), Forecaster(kGrain[3])} {}

bool Outlook::Observe(Time at, Millis interval, std::int64_t phase_ms, const Wants& wants,
                      const BehaviourNow& behaviour, BucketUnderWay& bucket) {
  if (interval >= kCoarse) {
    Close(at, wants.of, wants.held_back, behaviour);
    return true;
  }
  const std::int64_t at_ms = ToUnixMillis(at);
  const std::int64_t number = (at_ms + phase_ms) / kBucketMillis;
  bool closed = false;
  if (number != bucket.number) {
    // A clock that was set back begins a bucket anew; the forecaster takes nothing from the past.
    if (bucket.number != 0 && number > bucket.number) {
      const std::int64_t end = (bucket.number + 1) * kBucketMillis - phase_ms;
      if (end - bucket.began_ms >= kLeastOfBucket) {
        std::array<std::optional<float>, kResources> means;
        for (std::size_t r = 0; r < kResources; ++r) {
          if (bucket.count[r] > 0) means[r] = bucket.sum[r] / static_cast<float>(bucket.count[r]);
        }
        Close(FromUnixMillis(end), means, bucket.held_back * kHeldBackPart > bucket.samples, behaviour);
        closed = true;
      }
    }
    bucket = {};
    bucket.number = number;
    bucket.began_ms = at_ms;
  }
  for (std::size_t r = 0; r < kResources; ++r) {
    if (!wants.of[r]) continue;
    bucket.sum[r] += *wants.of[r];
    ++bucket.count[r];
  }
  ++bucket.samples;
  bucket.held_back = static_cast<std::uint16_t>(bucket.held_back + (wants.held_back ? 1 : 0));
  return closed;
}

void Outlook::Close(Time at, const std::array<std::optional<float>, kResources>& means, bool censored,
                    const BehaviourNow& behaviour) {
  for (std::size_t r = 0; r < kResources; ++r) {
    if (!means[r]) continue;
    DemandObservation o;
    o.at = at;
    o.value = *means[r];
    o.censored = censored && r == static_cast<std::size_t>(Resource::kCpu);
    o.behaviour = &behaviour;
    // What a forecaster refuses (a clock that went back) teaches it nothing; it goes on with the next.
    static_cast<void>(forecaster_[r].Observe(o));
  }
}

std::optional<Prospect> Outlook::Of(Resource resource) const {
  const Forecaster& f = forecaster_[static_cast<std::size_t>(resource)];
  if (f.buckets() == 0) return std::nullopt;
  return Prospect{f.Predict(Horizon::kFiveMinutes), f.Predict(Horizon::kHour), f.error(Horizon::kFiveMinutes),
                  f.error(Horizon::kHour), f.buckets()};
}

float Outlook::RiseOfCpu() const {
  const Forecaster& f = forecaster_[static_cast<std::size_t>(Resource::kCpu)];
  if (f.buckets() < kKnown) return 0;
  const float next = f.Predict(Horizon::kFiveMinutes).p50;
  return next > kRise * f.newest() ? next : 0;
}

std::string Outlook::Save() const {
  std::string bytes(sizeof(Header), '\0');
  // Field by field: what lies between two fields is nobody's, and differs from build to build.
  const auto write = [&](const auto& field) { bytes.append(reinterpret_cast<const char*>(&field), sizeof field); };
  for (const Forecaster& f : forecaster_) Forecaster::VisitFields(f, write);
  Header header;
  header.bytes = bytes.size() - sizeof(Header);
  header.digest = DigestOf(std::string_view(bytes).substr(sizeof(Header)));
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

Status Outlook::Load(std::string_view section) {
  Header header;
  if (section.size() < sizeof header) return Fail(Code::kCorrupt, "forecasts: cut off; they are learnt anew");
  std::memcpy(&header, section.data(), sizeof header);
  if (header.magic != kMagic) return Fail(Code::kCorrupt, "forecasts: not a section of Whorl's; they are learnt anew");
  std::string_view body = section.substr(sizeof header);
  std::size_t expected = 0;
  Forecaster::VisitFields(forecaster_[0], [&](const auto& field) { expected += sizeof field; });
  if (header.version != kVersion || header.bytes != expected * kResources || body.size() != header.bytes) {
    return Fail(Code::kUnsupported, "forecasts: saved by another version; they are learnt anew");
  }
  if (header.digest != DigestOf(body)) {
    return Fail(Code::kCorrupt, "forecasts: checksum does not match; they are learnt anew");
  }
  std::array<Forecaster, kResources> loaded = forecaster_;
  const auto read = [&](auto& field) {
    static_assert(std::is_trivially_copyable_v<std::remove_reference_t<decltype(field)>>);
    if constexpr (std::is_same_v<std::remove_reference_t<decltype(field)>, bool>) {
      field = body.front() != '\0';
    } else {
      std::memcpy(static_cast<void*>(&field), body.data(), sizeof field);
    }
    body.remove_prefix(sizeof field);
  };
  for (Forecaster& f : loaded) {
    Forecaster::VisitFields(f, read);
    if (!f.Plausible()) return Fail(Code::kCorrupt, "forecasts: hold impossible values; they are learnt anew");
  }
  forecaster_ = loaded;
  return {};
}

}  // namespace whorl
