#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/base/time.h"
#include "core/demand/gru.h"
#include "core/fingerprint/lanes.h"

namespace whorl {

enum class Horizon : std::uint8_t {
  kQuantum,      // the next sample, whatever the sampling interval
  kFiveMinutes,  // the mean of the next bucket of five minutes
  kHour,         // the mean of any one of the next twelve buckets
};

// Of what a VM will want, in the unit that was observed; never decreasing in this order.
struct Quantiles {
  float p50 = 0, p90 = 0, p95 = 0, p99 = 0;
  float highest = 0;  // seen, forgotten over weeks; no quantile
};
// Between the four (in the logarithm of the odds), for 0 < share < 1; beyond P99 towards the highest seen and
// some headroom, never flatter than the slope that leads there.
float QuantileAt(const Quantiles& quantiles, double share);

// What else is known about the VM at that moment. Zero is "nothing known".
struct BehaviourNow {
  float score = 0;               // 0..100
  std::uint8_t nature = 0;       // core/score/nature.h; 0 = none
  std::array<float, 3> point{};  // the condensed vector's first axes
};

struct DemandObservation {
  Time at{};
  float value = 0;             // NaN = not measured
  std::optional<float> limit;  // in force, same unit; unset = none
  bool censored = false;       // held back by its limit: it may have wanted more than `value`
  const BehaviourNow* behaviour = nullptr;
};

// How one VM's need of one resource goes on: quantiles at three horizons, from
// experts that learn online. Each sample: last value and moving mean. In buckets
// of five minutes: last value, two moving means, Holt-Winters, a day profile,
// recursive least squares, and one GRU shared by all (null: without). Their
// weights follow fixed-share Hedge (Herbster & Warmuth 1998) on the gradient of
// the loss, and an online tracker (Gibbs & Candes 2021) holds each quantile at
// its share. All values are worked on as ln(1 + value / grain).
//
// Plain data, allocates nothing, no clock but the observations'. Belongs to the
// loop that observes; `gru` must outlive it.
class Forecaster {
 public:
  static constexpr std::size_t kDaySlots = 288;
  static constexpr std::size_t kHourBuckets = 12;

  // grain > 0: a difference as small as this is noise, in the unit observed
  // (10 for millicores, some MiB for memory).
  explicit Forecaster(float grain, const GruWeights* gru = ShippedGru());

  enum class Taken : std::uint8_t {
    kYes,
    kMissing,  // NaN: time went on, nothing was learnt
    kRefused,  // negative, infinite, absurd (above 1e15), or not later than the one before; nothing changed
  };
  Taken Observe(const DemandObservation& observation);

  // Zeros until the first value.
  Quantiles Predict(Horizon horizon) const;
  bool any() const { return seen_; }
  bool censored() const { return pressed_ > 0; }
  // Mean of the newest bucket.
  float newest() const { return FromLog(z_[0]); }
  // All it has learnt, field by field and in one order: what is saved, and read back.
  template <typename Self, typename Visitor>
  static void VisitFields(Self& self, Visitor&& visit);
  // Of one that was read back: nothing in it would make arithmetic go astray.
  bool Plausible() const;

  // Its own recent errors, over about a day of buckets.
  struct Error {
    float relative = 0;  // mean absolute error of P50 over the mean value
    float pinball = 0;   // mean pinball loss of P95 over the mean value
    float covered = 0;   // share of values at or below P95
  };
  Error error(Horizon horizon) const;
  // What the network is shown, for training: of the newest bucket.
  const GruInput& gru_input() const { return input_; }
  float log_value() const { return z_[0]; }
  float scale() const { return scale_; }
  std::uint32_t buckets() const { return buckets_; }
  // The GRU's share of the mixture's weight, 0..1.
  float gru_share(Horizon horizon) const;

  static constexpr std::size_t kExperts = 8;     // of a bucket's value
  static constexpr std::size_t kCandidates = 8;  // for each of its quantiles
  static constexpr std::size_t kQuantiles = 4;

 private:
  static constexpr std::size_t kSlow = 2;  // horizons told in buckets
  using Row = std::array<float, kQuantiles>;
  struct Track {
    Row offset{};    // what the tracker adds, in scales
    Row residual{};  // slow quantiles of how far values exceeded the middle, in scales
    Row told{};      // in logarithms, ascending
    float mid = 0;
    float value = 0, miss = 0, pinball = 0, covered = 0;  // moving means
  };
  struct Pending {  // what was told at the end of one bucket
    Float8 experts{};
    Float8 candidates[kQuantiles]{};
    Row told{};
    float mid = 0, scale = 1;
    std::array<Float8, 2> x{};
  };

  float ToLog(float value) const;
  float FromLog(float log) const;
  void Fast(float z, bool censored);
  void CloseBucket(float z, bool censored, bool learn, const BehaviourNow* behaviour);
  void Judge(std::size_t h, const Pending& then, float z, float part, bool censored);
  void Foresee(const BehaviourNow* behaviour);
  void Score(Track& track, const Row& told, float z, float part, bool censored);
  float Profile(std::size_t ahead) const;

  const GruWeights* gru_ = nullptr;
  float grain_ = 1;
  bool seen_ = false;
  bool bucket_censored_ = false;
  float pressed_ = 0;
  std::int64_t at_ = 0;      // ms, of the newest observation
  std::int64_t bucket_ = 0;  // ms, where the open bucket began
  double sum_ = 0;           // of the open bucket
  std::uint32_t count_ = 0;
  std::uint32_t buckets_ = 0;
  std::uint32_t slot_ = 0;  // of the day

  float fast_mean_ = 0, fast_last_ = 0, fast_scale_ = 0, fast_prefer_ = 0;

  std::array<float, 24> z_{};  // logarithms of the last buckets, newest first
  float mean3_ = 0, mean12_ = 0, day_mean_ = 0, scale_ = 0, level_ = 0;
  float peak_ = 0;  // the highest seen, forgotten over weeks
  Row absolute_{};  // slow quantiles of the value itself
  std::array<float, 48> season_{};
  std::array<std::uint16_t, kDaySlots> profile_{};  // half floats
  std::array<Float8, 32> covariance_{};             // 16 x 16
  std::array<Float8, 2> x_{};
  std::array<Float8, 2> rls_[kSlow]{};
  GruState hidden_{};
  GruInput input_{};
  Float8 mid_weight_[kSlow]{};
  Float8 weight_[kSlow][kQuantiles]{};
  std::array<Pending, kHourBuckets> hour_{};
  Pending next_{};
  std::array<Track, 3> track_{};
};

template <typename Self, typename Visitor>
void Forecaster::VisitFields(Self& self, Visitor&& visit) {
  const auto all = [&](auto&... field) { (visit(field), ...); };
  all(self.grain_, self.seen_, self.bucket_censored_, self.pressed_, self.at_, self.bucket_, self.sum_, self.count_);
  all(self.buckets_, self.slot_, self.fast_mean_, self.fast_last_, self.fast_scale_, self.fast_prefer_);
  all(self.z_, self.mean3_, self.mean12_, self.day_mean_, self.scale_, self.level_, self.peak_, self.absolute_);
  all(self.season_, self.profile_, self.covariance_, self.x_, self.rls_, self.hidden_, self.input_);
  all(self.mid_weight_, self.weight_);
  const auto pending = [&](auto& p) { all(p.experts, p.candidates, p.told, p.mid, p.scale, p.x); };
  for (auto& p : self.hour_) pending(p);
  pending(self.next_);
  for (auto& t : self.track_) {
    all(t.offset, t.residual, t.told, t.mid, t.value, t.miss, t.pinball, t.covered);
  }
}

}  // namespace whorl
