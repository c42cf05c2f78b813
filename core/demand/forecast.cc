#include "core/demand/forecast.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <span>

namespace whorl {
namespace {

constexpr std::int64_t kBucket = 300'000, kDay = 86'400'000;  // ms
constexpr auto& kShare = kGruShares;
constexpr float kMost = 1e15f;
constexpr float kLeastScale = 0.02f;
constexpr float kDayGain = 1.0f / 288, kForget = 0.9985f;
constexpr float kEta = 0.15f, kShared = 0.002f;  // Hedge
constexpr std::size_t kGruExpert = 6;
constexpr float kGrowth = 1.5f;
constexpr std::size_t kTurns = 6;
// What comes once in 200 times is told as the highest ever seen with this headroom: no offset
// tracked online knows so rare a quantile, and a level that grows leaves its own past behind.
constexpr double kRare = 5.2933, kHeadroom = 1.15;  // log odds of .995

// Weights after a loss each, at least kShared of them spread evenly.
Float8 Reweigh(Float8 weight, Float8 loss, float part) {
  weight = weight * Exp(-kEta * part * Clamp(loss, Broadcast(-2), Broadcast(2)));
  return weight * ((1 - kShared * part) / Sum(weight)) + Broadcast(kShared * part / kLanes);
}
float Pinball(float error, float share) { return error > 0 ? share * error : (share - 1) * error; }

}  // namespace

float QuantileAt(const Quantiles& q, double share) {
  constexpr std::array<double, 4> kLogit{0, 2.1972246, 2.9444390, 4.5951199};
  const double at = std::log(share / (1 - share));
  const std::array<float, 4> v{q.p50, q.p90, q.p95, q.p99};
  std::size_t i = at < kLogit[1] ? 0 : at < kLogit[2] ? 1 : 2;
  const double slope = static_cast<double>(v[i + 1] - v[i]) / (kLogit[i + 1] - kLogit[i]);
  if (at > kLogit[3]) {
    const double beyond = (at - kLogit[3]) / (kRare - kLogit[3]);
    const double reach = kHeadroom * static_cast<double>(q.highest) - static_cast<double>(q.p99);
    return static_cast<float>(static_cast<double>(q.p99) + std::max(slope * (at - kLogit[3]), reach * beyond));
  }
  return static_cast<float>(std::max(0.0, static_cast<double>(v[i]) + slope * (at - kLogit[i])));
}

Forecaster::Forecaster(float grain, const GruWeights* gru) : gru_(gru), grain_(grain > 0 ? grain : 1) {
  for (std::size_t i = 0; i < 16; ++i) covariance_[2 * i + i / kLanes][i % kLanes] = 10;
  rls_[0][0][1] = rls_[1][0][1] = 0.7f;  // starts as mostly the last value
  rls_[0][1][7] = rls_[1][1][7] = 0.3f;  // and the moving mean
  Float8 even = Broadcast(1.0f / (gru_ != nullptr ? 8 : 7));
  if (gru_ == nullptr) even[kGruExpert] = 0;
  for (std::size_t h = 0; h < kSlow; ++h) {
    mid_weight_[h] = even;
    for (Float8& w : weight_[h]) w = Broadcast(1.0f / kLanes);
  }
  for (Track& track : track_) track.residual = {0, 1.5f, 2, 4};
}

float Forecaster::ToLog(float value) const { return Log(1 + value / grain_); }
float Forecaster::FromLog(float log) const { return std::max(0.0f, (Exp(log) - 1) * grain_); }

Forecaster::Taken Forecaster::Observe(const DemandObservation& o) {
  const std::int64_t now = ToUnixMillis(o.at);
  if ((seen_ && now <= at_) || std::isinf(o.value) || o.value < 0 || o.value > kMost) return Taken::kRefused;
  if (std::isnan(o.value)) return Taken::kMissing;  // the gap is seen when the next value comes
  const float z = ToLog(o.value);
  const bool censored = o.censored && (!o.limit || o.value >= 0.85f * *o.limit);
  if (!seen_) {
    fast_last_ = fast_mean_ = z;
    fast_scale_ = kLeastScale;
    bucket_ = now;
    if (now > kBucket) bucket_ -= kBucket / 2;  // the first sample's own interval is not known
  }
  Fast(z, censored);
  pressed_ = censored ? std::min(kMost, std::max(pressed_, o.value) * kGrowth + grain_) : 0;
  const std::int64_t step = seen_ ? now - at_ : kBucket;
  seen_ = true;
  at_ = now;
  const bool coarse = step >= kBucket * 4 / 5;
  const std::int64_t since = now - bucket_;
  if (coarse || since >= kBucket) {
    const auto missed =
        static_cast<std::size_t>(std::clamp<std::int64_t>((coarse ? step + kBucket / 2 : since) / kBucket - 1, 0, 24));
    slot_ = static_cast<std::uint32_t>(((now % kDay) + kDay) % kDay / kBucket);
    if (missed == 0) {
      sum_ += static_cast<double>(o.value);
      CloseBucket(ToLog(static_cast<float>(sum_ / (count_ + 1))), bucket_censored_ || censored, true, o.behaviour);
    } else {
      if (count_ > 0)  // the open bucket is older than the gap
        CloseBucket(ToLog(static_cast<float>(sum_ / count_)), bucket_censored_, true, o.behaviour);
      for (std::size_t i = 0; i < missed; ++i) CloseBucket(z_[0], false, false, nullptr);
      CloseBucket(z, censored, buckets_ == 0, o.behaviour);
    }
    bucket_ = now;
    sum_ = 0;
    count_ = 0;
    bucket_censored_ = false;
  } else {
    sum_ += static_cast<double>(o.value);
    ++count_;
    bucket_censored_ |= censored;
  }
  return Taken::kYes;
}

// What came, against what was told: the tracker's step and the published errors.
void Forecaster::Score(Track& track, const Row& told, float z, float part, bool censored) {
  const float value = FromLog(z), middle = FromLog(told[0]), high = FromLog(told[2]);
  // A censored value is a lower bound: only that it was exceeded is known.
  if (censored && z <= told[3]) return;
  const float gain = kDayGain * part;
  track.value += gain * (value - track.value);
  track.miss += gain * (std::abs(value - middle) - track.miss);
  track.pinball += gain * (Pinball(value - high, kShare[2]) - track.pinball);
  track.covered += gain * ((z <= told[2] ? 1.0f : 0.0f) - track.covered);
  for (std::size_t q = 0; q < kQuantiles; ++q) {
    const float miss = z > told[q] ? kShare[q] : kShare[q] - 1;
    track.offset[q] = std::clamp(track.offset[q] + 0.1f * part * miss, -20.0f, 20.0f);
    track.residual[q] +=
        0.05f * part *
        ((z - track.mid) / std::max(scale_, kLeastScale) > track.residual[q] ? kShare[q] : kShare[q] - 1);
  }
}

void Forecaster::Fast(float z, bool censored) {
  Track& track = track_[0];
  if (seen_) {
    Score(track, track.told, z, 1, censored);
    const float last = std::abs(z - fast_last_), mean = std::abs(z - fast_mean_);
    fast_prefer_ = std::clamp(0.98f * fast_prefer_ + 0.1f * (last < mean   ? 1.0f
                                                             : last > mean ? -1.0f
                                                                           : 0.0f),
                              -4.0f, 4.0f);
    fast_scale_ += 0.02f * (std::max(kLeastScale, std::min(std::abs(z - track.mid), 20 * fast_scale_)) - fast_scale_);
    if (!censored || z > fast_mean_) fast_mean_ += 0.3f * (z - fast_mean_);
  }
  fast_last_ = censored ? std::max(z, fast_last_) : z;
  const float share = 1 / (1 + Exp(-fast_prefer_));
  track.mid = fast_mean_ + share * (fast_last_ - fast_mean_);
  for (std::size_t q = 0; q < kQuantiles; ++q) {
    const float told = track.mid + (q == 0 ? 0 : track.residual[q] + track.offset[q]) * fast_scale_ +
                       (q == 0 ? track.offset[0] * fast_scale_ * 0.1f : 0);
    track.told[q] = q == 0 ? std::max(0.0f, told) : std::max(told, track.told[q - 1]);
  }
}

float Forecaster::Profile(std::size_t ahead) const {
  const Float8 eight = FromHalf(&profile_[(slot_ + ahead) % kDaySlots / kLanes * kLanes]);
  return buckets_ < kDaySlots ? day_mean_ : eight[(slot_ + ahead) % kDaySlots % kLanes];
}

// Hedge on the gradient of the loss, in the unit observed: an expert is judged
// by the way it would have moved the mixture.
void Forecaster::Judge(std::size_t h, const Pending& then, float z, float part, bool censored) {
  if (then.told[3] <= 0 && buckets_ < 2) return;
  Track& track = track_[1 + h];
  if (censored && z <= then.told[3]) return;
  const float down = z > then.mid ? -0.5f : 0.5f;
  const Float8 inverse = Broadcast(1 / then.scale);
  mid_weight_[h] = Reweigh(mid_weight_[h], down * (then.experts - then.mid) * inverse, part);
  if (gru_ == nullptr) mid_weight_[h][kGruExpert] = 0;
  for (std::size_t q = 0; q < kQuantiles; ++q) {
    const float slope = z > then.told[q] ? -kShare[q] : 1 - kShare[q];
    weight_[h][q] = Reweigh(weight_[h][q], slope * (then.candidates[q] - then.told[q]) * inverse, part);
  }
  const float mid = track.mid;
  track.mid = then.mid;
  Score(track, then.told, z, part, censored);
  track.mid = mid;
}

void Forecaster::CloseBucket(float z, bool censored, bool learn, const BehaviourNow* behaviour) {
  if (buckets_ == 0) {
    z_.fill(z);
    mean3_ = mean12_ = day_mean_ = level_ = z;
    scale_ = 0.1f;
    absolute_ = {z, z, z, z};
    peak_ = z;
  }
  if (censored) z = std::max(z, track_[1].mid);  // it wanted at least what was expected
  const std::size_t newest = buckets_ % kHourBuckets;
  if (learn && buckets_ > 0) {
    Judge(0, next_, z, 1, censored);
    // Every sixth of the hour's forecasts in turn: in six buckets all are judged, at a sixth of the price.
    for (std::size_t k = buckets_ % kTurns; k < std::min<std::size_t>(buckets_, kHourBuckets); k += kTurns)
      Judge(1, hour_[(newest + kHourBuckets - 1 - k) % kHourBuckets], z, kTurns / static_cast<float>(kHourBuckets),
            censored);
  }
  std::copy_backward(z_.begin(), z_.end() - 1, z_.end());
  z_[0] = z;
  if (learn && !censored) {
    // Recursive least squares with forgetting; the hour's target is complete
    // twelve buckets late and uses today's covariance.
    Float8 gain[2]{};
    for (std::size_t i = 0; i < 16; ++i) {
      const float x = next_.x[i / kLanes][i % kLanes];
      gain[0] += x * covariance_[2 * i];
      gain[1] += x * covariance_[2 * i + 1];
    }
    const float bend = Sum(gain[0] * next_.x[0] + gain[1] * next_.x[1]);
    const float over = 1 / (kForget + bend);
    const float error = std::clamp(z - Sum(rls_[0][0] * next_.x[0] + rls_[0][1] * next_.x[1]), -4 * scale_, 4 * scale_);
    if (buckets_ > 0 && bend >= 0) {
      for (std::size_t b = 0; b < 2; ++b) rls_[0][b] += (error * over) * gain[b];
      const float grow = covariance_[0][0] < 100 ? 1 / kForget : 1;
      for (std::size_t i = 0; i < 16; ++i) {
        const float g = gain[i / kLanes][i % kLanes] * over;
        for (std::size_t b = 0; b < 2; ++b) covariance_[2 * i + b] = (covariance_[2 * i + b] - g * gain[b]) * grow;
      }
      for (std::size_t i = 0; i < 16; ++i) covariance_[2 * i + i / kLanes][i % kLanes] += 1e-6f;
    }
    if (buckets_ >= kHourBuckets) {
      const Pending& then = hour_[newest];
      float target = 0;
      for (std::size_t k = 0; k < kHourBuckets; ++k) target += z_[k] * (1.0f / kHourBuckets);
      Float8 late[2]{};
      for (std::size_t i = 0; i < 16; ++i) {
        const float x = then.x[i / kLanes][i % kLanes];
        late[0] += x * covariance_[2 * i];
        late[1] += x * covariance_[2 * i + 1];
      }
      const float miss =
          std::clamp(target - Sum(rls_[1][0] * then.x[0] + rls_[1][1] * then.x[1]), -4 * scale_, 4 * scale_);
      const float damp = 0.5f * miss / (1 + Sum(late[0] * then.x[0] + late[1] * then.x[1]));
      for (std::size_t b = 0; b < 2; ++b) rls_[1][b] += damp * late[b];
    }
    const std::size_t half_hour = slot_ / 6 % 48;
    const float season = season_[half_hour];
    level_ += 0.2f * (z - season - level_);
    season_[half_hour] += 0.03f * (z - level_ - season);
    const std::size_t s = slot_ % kDaySlots;
    const float before = FromHalf(&profile_[s / kLanes * kLanes])[s % kLanes];
    profile_[s] = HalfOf(buckets_ < kDaySlots ? z : before + 0.35f * (z - before));
    for (std::size_t q = 0; q < kQuantiles; ++q)
      absolute_[q] += 0.05f * scale_ * (z > absolute_[q] ? kShare[q] : kShare[q] - 1) *
                      (1 + 20 * std::min(1.0f, 50.0f / static_cast<float>(buckets_ + 1)));
    const float gain_scale = std::max(0.02f, 1 / static_cast<float>(buckets_ + 4));
    scale_ += gain_scale * (std::max(kLeastScale, std::min(std::abs(z - z_[1]), 10 * scale_)) - scale_);
  }
  peak_ = std::max(z, peak_ - 0.0005f * (peak_ - day_mean_));
  mean3_ += 0.4f * (z - mean3_);
  mean12_ += 0.12f * (z - mean12_);
  day_mean_ += std::max(kDayGain, 1 / static_cast<float>(buckets_ + 1)) * (z - day_mean_);
  if (buckets_ < ~0u) ++buckets_;
  Foresee(behaviour);
}

void Forecaster::Foresee(const BehaviourNow* behaviour) {
  const float next = Profile(1);
  const float hour = 0.25f * (Profile(2) + Profile(5) + Profile(8) + Profile(11));
  float top = z_[0], top2 = z_[0], away = 0;
  for (std::size_t k = 0; k < kHourBuckets; ++k) {
    if (z_[k] > top) {
      top2 = top;
      top = z_[k];
    } else if (k > 0) {
      top2 = std::max(top2, z_[k]);
    }
    away += std::abs(z_[k] - z_[k + 1]) * (1.0f / kHourBuckets);
  }
  const float unit = 1 / scale_;
  const auto bound = [](float x) { return std::clamp(x, -5.0f, 5.0f); };
  const float phase = static_cast<float>(slot_) * (1.0f / kDaySlots);
  const float wave = 4 * std::abs(phase - 0.5f) - 1,
              wave2 = 4 * std::abs(phase < 0.25f ? phase + 0.25f : std::abs(phase - 0.75f)) - 1;
  input_ = {bound((z_[0] - day_mean_) * unit * 0.5f),
            bound((z_[0] - z_[1]) * unit),
            bound((z_[0] - mean12_) * unit),
            bound((next - z_[0]) * unit * 0.5f),
            bound((hour - z_[0]) * unit * 0.5f),
            wave,
            bound(wave2),
            Log(scale_) * 0.3f,
            bound((top - z_[0]) * unit * 0.5f),
            z_[0] * 0.2f,
            bound(away * unit),
            0,
            0,
            0,
            0,
            0};
  if (behaviour != nullptr) {
    input_[11] = std::clamp(behaviour->score * 0.01f, 0.0f, 1.0f);
    input_[12] = behaviour->nature != 0 ? 1 : 0;
    for (std::size_t i = 0; i < 3; ++i) input_[13 + i] = bound(behaviour->point[i]);
  }
  x_[0] = Float8{1, z_[0], z_[1], z_[2], z_[3], z_[4], z_[5], z_[6]};
  x_[1] = Float8{z_[7], z_[8], z_[9], z_[11], next, hour, input_[11], mean12_};
  GruSteps steps{};
  if (gru_ != nullptr) steps = StepGru(*gru_, input_, hidden_);
  for (std::size_t h = 0; h < kSlow; ++h) {
    Track& track = track_[1 + h];
    Pending told;
    const float season = season_[(slot_ + (h == 0 ? 1 : 6)) / 6 % 48];
    const float rls = Sum(rls_[h][0] * x_[0] + rls_[h][1] * x_[1]);
    const float day = h == 0 ? next : hour;
    const float gru = z_[0] + steps[4 * h] * scale_;
    // Nothing is foretold far above what was ever seen.
    const float most = peak_ + 0.05f;
    told.experts =
        Clamp(Float8{z_[0], mean3_, mean12_, level_ + season, day, rls, gru, day_mean_}, Broadcast(0), Broadcast(most));
    told.mid = Sum(told.experts * mid_weight_[h]);
    told.scale = scale_;
    for (std::size_t q = 0; q < kQuantiles; ++q) {
      const float residual = track.residual[q] * scale_;
      const float with = gru_ != nullptr ? z_[0] + steps[4 * h + q] * scale_ : told.mid + residual;
      told.candidates[q] =
          Clamp(Float8{q == 0 ? told.mid : told.mid + residual, absolute_[q], with, q == 0 ? told.mid : top,
                       q == 0 ? told.mid : top2, day + residual, z_[0] + residual, q == 0 ? told.mid : peak_},
                Broadcast(0), Broadcast(most));
      const float mixed = q == 0 ? told.mid : Sum(told.candidates[q] * weight_[h][q]);
      const float at = std::min(most, mixed + (q == 0 ? 0 : track.offset[q] * scale_));
      told.told[q] = q == 0 ? std::max(0.0f, at) : std::max(at, told.told[q - 1]);
    }
    told.x = x_;
    track.told = told.told;
    track.mid = told.mid;
    if (h == 0)
      next_ = told;
    else
      hour_[(buckets_ - 1) % kHourBuckets] = told;
  }
}

bool Forecaster::Plausible() const {
  constexpr float kFar = 100;  // of logarithms and scales; real ones stay below 40
  const auto near = [](float x) { return x >= -kFar && x <= kFar; };  // false for NaN
  const auto all_near = [&](std::span<const float> values) { return std::all_of(values.begin(), values.end(), near); };
  const auto row_near = [&](const Float8& v) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      if (!near(v[i])) return false;
    }
    return true;
  };
  bool good = grain_ > 0 && std::isfinite(grain_) && std::isfinite(sum_) && pressed_ >= 0 && pressed_ <= kMost &&
              scale_ >= 0 && near(scale_) && slot_ < kDaySlots && all_near(z_) && all_near(absolute_) &&
              all_near(season_) && all_near(hidden_) && all_near(input_);
  for (const float v : {fast_mean_, fast_last_, fast_scale_, fast_prefer_, mean3_, mean12_, day_mean_, level_, peak_}) {
    good = good && near(v);
  }
  for (const Track& track : track_) {
    good = good && all_near(track.offset) && all_near(track.residual) && all_near(track.told) && near(track.mid) &&
           std::isfinite(track.value) && std::isfinite(track.miss) && std::isfinite(track.pinball) &&
           near(track.covered);
  }
  for (std::size_t h = 0; h < kSlow; ++h) {
    good = good && row_near(mid_weight_[h]) && row_near(rls_[h][0]) && row_near(rls_[h][1]);
    for (const Float8& w : weight_[h]) good = good && row_near(w);
  }
  for (std::size_t s = 0; s < kDaySlots; s += kLanes) good = good && row_near(FromHalf(&profile_[s]));
  for (const Float8& v : covariance_) {
    for (std::size_t i = 0; i < kLanes; ++i) good = good && std::isfinite(v[i]);
  }
  return good;
}

Quantiles Forecaster::Predict(Horizon horizon) const {
  if (!seen_) return {};
  const std::size_t h = buckets_ == 0 ? 0 : static_cast<std::size_t>(horizon);
  const Row& told = track_[h].told;
  Quantiles q{FromLog(told[0]), FromLog(told[1]), FromLog(told[2]), FromLog(told[3]), FromLog(peak_)};
  for (float* v : {&q.p50, &q.p90, &q.p95, &q.p99}) *v = std::max(*v, pressed_);
  return q;
}

Forecaster::Error Forecaster::error(Horizon horizon) const {
  const Track& track = track_[static_cast<std::size_t>(horizon)];
  if (track.value <= 0) return {};
  return {track.miss / track.value, track.pinball / track.value, track.covered};
}

float Forecaster::gru_share(Horizon horizon) const {
  return horizon == Horizon::kQuantum ? 0 : mid_weight_[static_cast<std::size_t>(horizon) - 1][kGruExpert];
}

}  // namespace whorl
