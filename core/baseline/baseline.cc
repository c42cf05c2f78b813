#include "core/baseline/baseline.h"

#include <algorithm>
#include <cmath>

namespace whorl {
namespace {

// The first whitening needs some samples; what follows it is judged out of sample.
constexpr std::uint32_t kFirstRefresh = 20;
// Samples a second apart resemble each other, so what rests on many learns from
// every eighth one at eight times the weight: the same memory of the past for an
// eighth of the memory traffic.
constexpr std::uint32_t kSettled = 256;

// What is suspicious teaches a third; what is inside an episode a tenth where a
// sample is minutes, and nothing where it is a second, unless it is below the
// alarm again: what an episode has left behind becomes usual, or it would never end.
constexpr float kSuspiciousGate = 0.3f;
constexpr float kFlaggedGate = 0.1f;
// Scores of what is suspicious enter the detectors' histories with less.
constexpr float kSuspiciousScores = 0.1f;
// How long is remembered: half a day, but never fewer samples than it takes to
// know 40 features' correlations.
constexpr float kMemoryMillis = 12 * 3600 * 1000.0f;
constexpr float kMostSettledGain = 1.0f / 2000;
// A deviation that is not measured in this sample is held for so many, because
// libvirt's come every fifth second and system calls in windows.
constexpr std::uint8_t kHoldFor = 30;
// The slow mean: about half a minute of seconds, or of a trace's samples.
constexpr float kSlowGain = 0.03f;
constexpr float kOverGain = 0.4f;
// Deviations are cut there before they enter what an hour is used to.
constexpr float kSeasonReach = 5.0f;

// A second this many times as far away as usual ones teaches a tenth whatever
// its evidence: a young history has none to give, and would soon be as wide as
// what it should tell apart.
constexpr float kFarOff = 2.5f;

constexpr std::size_t kLogs = 4;
constexpr std::size_t kLogOfDistance = 1;
constexpr float kLogGain = 0.005f;
constexpr float kLeastLogSpread = 0.1f;

constexpr std::uint32_t kFirstTrees = 4;    // a sample, until the forest stands
constexpr std::uint32_t kTreeEvery = 16;    // accepted samples between two trees after that
constexpr std::uint32_t kRareAfter = 1024;  // accepted samples, from which on not each one can become a point
constexpr std::uint32_t kRarest = 16;

// A change that lasts this long is a regime, not an alarm: long enough for
// somebody to look, and enough samples to know the new ways.
constexpr std::int64_t kRegimeAfterMillis = std::int64_t{6} * 3600 * 1000;
constexpr std::uint32_t kRegimeSamples = 60;
// Mean squared deviation, per feature, from ways that fit: 1 would be perfect.
constexpr float kFits = 1.5f;
constexpr float kFitGain = 0.05f;
constexpr std::uint32_t kFitSamples = 60;
// A stock that moves by less than this, in units of y, stands still.
constexpr float kStandsStill = 0.01f;
constexpr std::int64_t kStoodMillis = 30'000;
// Ville: the martingale passes c by accident with probability 1/c. ln 1e6.
constexpr float kChanged = 13.8f;

// How far a usual level may move from the anchor without being told: a fifth.
constexpr float kDriftLog = 0.18f;
constexpr float kDriftPart = 0.2f;
constexpr std::int64_t kDayMillis = std::int64_t{24} * 3600 * 1000;

// VMs enrolled together must not refresh together: that tick would be late.
std::uint32_t NextRefresh(std::uint32_t samples, std::uint32_t spread) {
  if (samples < kRefreshEvery) {
    const std::uint32_t step = std::max(samples / 4, 8u);
    return samples + step + step * spread / kRefreshEvery;
  }
  return samples + kRefreshEvery - (samples + spread) % kRefreshEvery;
}

Features Roots(const Features& gains, float times) {
  Features roots;
  for (std::size_t g = 0; g < kGroups; ++g) roots.group[g] = Sqrt(Min(gains.group[g] * Broadcast(times), Broadcast(1)));
  return roots;
}

std::uint32_t Scattered(std::uint32_t x) {
  x = (x ^ (x >> 16)) * 0x45d9f3bu;
  x = (x ^ (x >> 16)) * 0x45d9f3bu;
  return x ^ (x >> 16);
}

float MeanSquare(const Features& z, int features) {
  Float8 sum{};
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Float8 cut = Clamp(z.group[g], Broadcast(-kLearnClip), Broadcast(kLearnClip));
    sum += cut * cut;
  }
  return Sum(sum) / static_cast<float>(std::max(features, 1));
}

float Length(const Features& u) {
  Float8 sum{};
  for (std::size_t g = 0; g < kGroups; ++g) sum += u.group[g] * u.group[g];
  return std::sqrt(Sum(sum));
}

// How far below their usual the features are; what is above does not make up for it.
float Below(const Features& z) {
  Features low;
  for (std::size_t g = 0; g < kGroups; ++g) low.group[g] = Min(z.group[g], Broadcast(0));
  return Length(low);
}

// A point for the trees and the one-class machine, chosen so that older ones
// fade: while there are few each accepted sample, later one in kRarest.
void Offer(const CondensedPoint& point, LongMemory& memory, Forest& forest) {
  const std::uint32_t n = memory.offered++;
  if (memory.kept < LongMemory::kPoints) {
    memory.point[memory.kept++] = point;
  } else if (n % std::clamp(n / kRareAfter, 1u, kRarest) == 0) {
    memory.point[Scattered(n) % LongMemory::kPoints] = point;
  }
  const std::span<const CondensedPoint> points(memory.point.data(), memory.kept);
  if (!forest.ready()) {
    for (std::uint32_t t = 0; t < kFirstTrees; ++t) forest.Grow(points, (std::uint64_t{n} << 8) + t);
  } else if (n - memory.grown_at >= kTreeEvery) {
    memory.grown_at = n;
    forest.Grow(points, std::uint64_t{n} << 8);
  }
}

}  // namespace

float Baseline::SettledGain() const {
  return interval_ms > 0 ? std::min(interval_ms / kMemoryMillis, kMostSettledGain) : kMostSettledGain;
}

// What is not measured in this sample is as it was, for a while. What is looked
// at only now and then must be seen twice: one odd look would count in each of
// the many ticks until the next one.
Features Baseline::Hold(const Features& z, FeatureMask valid, bool twice) {
  using Bytes = std::uint8_t __attribute__((vector_size(kLanes)));
  const Int8 asked_twice = BroadcastInt(twice ? -1 : 0);
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Int8 measured = LaneMask(valid.bits(), g);
    Bytes ages;
    __builtin_memcpy(&ages, age.data() + g * kLanes, sizeof ages);
    const Int8 old = __builtin_convertvector(ages, Int8);
    const Int8 rare = measured & asked_twice & (old > BroadcastInt(0));
    const Int8 now = ~measured & (old < BroadcastInt(255) ? old + BroadcastInt(1) : old);
    ages = __builtin_convertvector(now, Bytes);
    __builtin_memcpy(age.data() + g * kLanes, &ages, sizeof ages);

    const Float8 before = look.group[g];
    // The lesser of the two where both are on one side of the centre.
    const Float8 both = Max(Min(z.group[g], before), Broadcast(0)) + Min(Max(z.group[g], before), Broadcast(0));
    const Float8 seen = Select(rare, both, z.group[g]);
    const Float8 kept = Select(now > BroadcastInt(kHoldFor), Broadcast(0), held.group[g]);
    look.group[g] = Select(measured, z.group[g], before);
    held.group[g] = Select(measured, seen, kept);
  }
  return held;
}

CondensedPoint Baseline::Condense(const Condensed& c, float innovation_now, float level, bool learn) {
  CondensedPoint point;
  for (std::size_t j = 0; j < kMaxLeading; ++j) point.Set(j, c.whitened[j]);
  const Float8 logs = Log(Max(Float8{c.residual, c.mahalanobis, innovation_now, level, 1, 1, 1, 1}, Broadcast(1e-3f)));
  const float gain = learn ? std::max(kLogGain, 1.0f / static_cast<float>(samples + 1)) : 0.0f;
  for (std::size_t i = 0; i < kLogs; ++i) {
    const float away = logs[i] - log_mean[i];
    const float spread = std::max(std::sqrt(log_square[i]), kLeastLogSpread);
    point.Set(kMaxLeading + i, away / spread);
    log_mean[i] += gain * away;
    log_square[i] += gain * (away * away - log_square[i]);
  }
  return point;
}

Baseline::Outcome Baseline::Observe(const Sample& sample, const Circumstances& now, LongMemory& memory) {
  Outcome outcome;
  const Schema& schema = *now.schema;
  const bool slow_samples = interval() >= kShortTick;
  const bool heavy = now.pace.heavy || slow_samples || samples < kSettled;

  const Features z = scaling.Deviations(sample.y, sample.valid, season, schema);
  const float step = innovation.Distance(z, sample.valid);
  const Features all = Hold(z, sample.valid, !slow_samples);

  Signs signs;
  CondensedPoint point;
  Loda::Place place{};
  bool far = false;
  if (whitening.ready()) {
    const Condensed c = whitening.Apply(all);
    far = !slow_samples && samples > kFirstRefresh && c.mahalanobis > kFarOff * Exp(log_mean[kLogOfDistance]);
    signs.Put(Detector::kMahalanobis, c.mahalanobis);
    signs.Put(Detector::kSudden, c.mahalanobis);
    signs.Put(Detector::kResidual, c.residual);
    signs.Put(Detector::kInnovation, step);
    float level = 0;
    if (heavy) {
      const float usual_gain = slow_samples || samples < kSettled ? kSlowGain : kSlowGain * kHeavyStride;
      // What is over in seconds is not told for a minute.
      const auto says = [&](Detector d) { return scorer.evidence[static_cast<std::size_t>(d)]; };
      const bool over = !slow_samples && says(Detector::kSudden) < 0.5f * says(Detector::kLevel);
      const float gain = over ? kOverGain : usual_gain;
      for (std::size_t g = 0; g < kGroups; ++g) slow.group[g] += Broadcast(gain) * (all.group[g] - slow.group[g]);
      level = Length(whitening.Whiten(slow));
      signs.Put(Detector::kLevel, level);
      signs.Put(Detector::kQuiet, Below(all));
      place = Loda::Find(all);
      if (samples > kSettled / 2) signs.Put(Detector::kLoda, loda.Surprise(place));
    }
    point = Condense(c, step, heavy ? level : scorer.smooth[static_cast<std::size_t>(Detector::kLevel)], heavy && !far);
    if (forest.ready() && (slow_samples || now.pace.turn % kForestStride == 0)) {
      const float walk = forest.Walk(point, slow_samples ? samples : now.pace.turn / kForestStride);
      path = path > 0 ? path + 0.25f * (walk - path) : walk;
      signs.Put(Detector::kForest, Forest::Anomaly(path));
    }
    if (heavy && one_class.ready()) signs.Put(Detector::kOneClass, one_class.Outside(point));
    if (sample.sketch != nullptr) {
      if (const auto distance = memory.sketch.Judge(*sample.sketch)) signs.Put(Detector::kSketch, *distance);
    }
    if (sample.guest != nullptr) {
      if (const auto distance = memory.guest.Judge(sample.guest->sketch)) signs.Put(Detector::kGuest, *distance);
    }
    if (sample.cohort_distance) signs.Put(Detector::kCohort, *sample.cohort_distance);
    outcome.evidence = scorer.Judge(signs, interval());
    outcome.judged = scorer.ready();
  }

  const bool suspicious = far || (outcome.judged && outcome.evidence.fused >= kSuspicious);
  const bool calm = !slow_samples && (!suspicious || outcome.evidence.calibrated < now.alarm);
  float gate = now.flagged && !calm ? (slow_samples ? kFlaggedGate : 0.0f)
               : now.flagged        ? kSuspiciousGate
               : far                ? kFlaggedGate
               : suspicious         ? kSuspiciousGate
                                    : 1.0f;
  if (generous > 0) {
    --generous;
    gate = 1.0f;
  }
  if (whitening.ready() && heavy) {
    // Seconds of an episode are not taken for usual. Where a sample is minutes, an
    // episode is a part of how the VM is, and left out it would be told too often.
    const bool apart = now.flagged && !slow_samples && !calm && generous == 0;
    const float scores = slow_samples                ? gate
                         : now.flagged && suspicious ? kSuspiciousGate
                         : suspicious                ? kSuspiciousScores
                                                     : 1.0f;
    scorer.Learn(signs, scores, apart, now.adaptive && learnt, interval());
    if (gate >= 1.0f) {
      loda.Learn(place);
      Offer(point, memory, forest);
    }
  }
  const float window_gate = now.flagged && gate < 1.0f ? 0.0f : gate;
  if (sample.sketch != nullptr) memory.sketch.Learn(*sample.sketch, window_gate);
  if (sample.guest != nullptr) memory.guest.Learn(sample.guest->sketch, window_gate);

  const float settled = SettledGain();
  const Features gains = scaling.Learn(sample.y, sample.valid, season, gate, settled, schema);
  if (samples < kSettled) {
    covariance.Learn(all, Roots(gains, 1));
  } else if (heavy) {
    covariance.Learn(all, Roots(gains, slow_samples ? 1 : kHeavyStride));
  }
  innovation.Learn(z, sample.valid, gains);
  if (heavy) {
    Features away;
    for (std::size_t g = 0; g < kGroups; ++g) {
      const Float8 spread = Sqrt(scaling.spread_squared.group[g]);
      const Float8 beyond = sample.y.group[g] - scaling.center.group[g] - season.group[g];
      away.group[g] =
          season.group[g] + Clamp(beyond, Broadcast(-kSeasonReach) * spread, Broadcast(kSeasonReach) * spread);
    }
    if (memory.hours.Learn(sample.at, away, sample.valid, gate)) {
      season = memory.hours.Expected(sample.at);
      FollowAnchor(sample.at, schema, memory, outcome);
    }
  }
  // Asked here, so that a quiet tick leaves the long memory alone.
  if (now.flagged || in_episode) FollowRegimes(sample, now, memory, outcome);
  if (now.flagged && !slow_samples) SettleStocks(sample, z, schema, memory);
  in_episode = now.flagged;

  ++samples;
  if (samples >= std::max(next_refresh, kFirstRefresh)) {
    // A covariance that cannot be decomposed leaves the last good axes standing.
    static_cast<void>(whitening.Refresh(covariance, static_cast<float>(samples)));
    next_refresh = NextRefresh(samples, now.pace.spread);
    // A quarter of an hour of seconds; an eigendecomposition costs as much as seventy ticks.
    if (!slow_samples && samples >= kRefreshEvery) next_refresh += kRefreshEvery;
  }

  const std::int64_t at = ToUnixMillis(sample.at);
  if (last_ms != 0 && at > last_ms) {
    const auto gap = static_cast<float>(at - last_ms);
    const float usual = interval_ms > 0 ? interval_ms : gap;
    // A pause of the source is not time spent learning.
    const float counted = std::min(gap, 3 * usual);
    learnt_ms += static_cast<std::int64_t>(counted);
    interval_ms = usual + 0.05f * (counted - usual);
  }
  last_ms = at;
  if (!learnt && Progress(*this, now.goal) >= 100 && outcome.judged) {
    learnt = true;
    outcome.finished = true;
  }
  return outcome;
}

// While an episode lasts, its ways are learnt beside the usual ones. When it
// outlasts an alarm and has become steady, it is the second regime; when the VM
// returns to where it was before, that is known at once.
void Baseline::FollowRegimes(const Sample& sample, const Circumstances& now, LongMemory& memory, Outcome& outcome) {
  if (!now.flagged) {
    memory.candidate_samples = 0;
    memory.change = 0;
    return;
  }
  const Schema& schema = *now.schema;
  const std::int64_t at = ToUnixMillis(sample.at);
  if (memory.candidate_samples == 0) {
    memory.candidate = Scaling{};
    memory.candidate_since_ms = at;
    memory.candidate_fit = memory.other_fit = 4 * kFits;
    memory.change = 0;
  }
  const int measured = sample.valid.count();
  const Features from_candidate = memory.candidate.Deviations(sample.y, sample.valid, season, schema);
  memory.candidate_fit += kFitGain * (MeanSquare(from_candidate, measured) - memory.candidate_fit);
  memory.candidate.Learn(sample.y, sample.valid, season, 1, SettledGain(), schema);
  ++memory.candidate_samples;
  // Power martingale (Vovk, Nouretdinov & Gammerman 2003) with exponent 1/2.
  memory.change = std::max(memory.change + 2.302585093f * 0.5f * outcome.evidence.calibrated - 0.6931471806f, 0.0f);

  if (memory.has_other) {
    const Features from_other = memory.other.Deviations(sample.y, sample.valid, season, schema);
    memory.other_fit += kFitGain * (MeanSquare(from_other, measured) - memory.other_fit);
    if (memory.candidate_samples >= kFitSamples && memory.other_fit < kFits) {
      std::swap(scaling, memory.other);
      memory.regime = memory.regime == 1 ? 2 : 1;
      outcome.regime_changed = true;
    }
  }
  if (!outcome.regime_changed && at - memory.candidate_since_ms >= kRegimeAfterMillis &&
      memory.candidate_samples >= kRegimeSamples && memory.candidate_fit < kFits && memory.change >= kChanged) {
    memory.other = scaling;
    scaling = memory.candidate;
    memory.has_other = true;
    memory.regime = memory.regime == 1 ? 2 : 1;
    outcome.regime_changed = true;
  }
  if (!outcome.regime_changed) return;
  memory.candidate_samples = 0;
  memory.change = 0;
  slow = Features{};
  scorer.smooth.fill(0);
  scorer.evidence.fill(0);
}

// What a guest once touched stays resident long after it has stopped. A stock
// that has come to stand while all else is usual is what an episode has left
// behind, not the episode: where it stands is usual from now on. The anchor
// still holds whole days against the first one.
void Baseline::SettleStocks(const Sample& sample, const Features& z, const Schema& schema, LongMemory& memory) {
  const std::int64_t at = ToUnixMillis(sample.at);
  bool moved = !in_episode || memory.stood_since_ms == 0;
  float flows = 0;
  int counted = 0;
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    if (!sample.valid.Has(static_cast<Feature>(f))) continue;
    if ((schema.stocks >> f & 1u) != 0) {
      moved |= std::abs(sample.y[f] - memory.stood[f]) > kStandsStill;
    } else {
      flows += std::min(z[f] * z[f], kLearnClip * kLearnClip);
      ++counted;
    }
  }
  flows /= static_cast<float>(std::max(counted, 1));
  memory.flows_fit = moved ? flows : memory.flows_fit + kFitGain * (flows - memory.flows_fit);
  if (moved) {
    memory.stood_since_ms = at;
    for (std::size_t f = 0; f < kFeatureCount; ++f) {
      if ((schema.stocks >> f & 1u) != 0 && sample.valid.Has(static_cast<Feature>(f))) memory.stood.Set(f, sample.y[f]);
    }
  }
  if (at - memory.stood_since_ms < kStoodMillis || memory.flows_fit >= kFits) return;
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    if ((schema.stocks >> f & 1u) == 0 || !sample.valid.Has(static_cast<Feature>(f))) continue;
    scaling.center.Set(f, sample.y[f] - season[f]);
    for (Features* v : {&held, &look, &slow}) v->Set(f, 0);
  }
  memory.stood_since_ms = at;
}

// Slow enough, any change passes every detector: usual levels of whole days are
// held against those of the first one.
void Baseline::FollowAnchor(Time at, const Schema& schema, LongMemory& memory, Outcome& outcome) {
  if (!learnt) return;
  const auto today = static_cast<std::int32_t>(ToUnixMillis(at) / kDayMillis);
  if (memory.day >= 0 && today != memory.day && memory.day_count > 0) {
    Features mean;
    for (std::size_t g = 0; g < kGroups; ++g) mean.group[g] = memory.day_sum.group[g] / Broadcast(memory.day_count);
    if (memory.anchor_day < 0) {
      memory.anchor = mean;
      memory.anchor_day = memory.day;
    } else {
      float farthest = 1;
      for (std::size_t f = 0; f < kFeatureCount; ++f) {
        if (!(scaling.count[f] > 0)) continue;
        const bool logarithmic = (schema.logarithmic >> f & 1u) != 0;
        const float allowed =
            std::max(scaling.Spread(f, schema), logarithmic ? kDriftLog : kDriftPart * std::abs(memory.anchor[f]));
        const float moved = std::abs(mean[f] - memory.anchor[f]) / allowed;
        if (moved <= farthest) continue;
        farthest = moved;
        memory.drift = {static_cast<Feature>(f), memory.anchor[f], mean[f],
                        std::int64_t{memory.anchor_day} * kDayMillis};
      }
      outcome.drifted = farthest > 1 && !memory.drift_told;
      memory.drift_told = farthest > 1;
    }
    memory.day_sum = Features{};
    memory.day_count = 0;
  }
  memory.day = today;
  for (std::size_t g = 0; g < kGroups; ++g) memory.day_sum.group[g] += scaling.center.group[g];
  memory.day_count += 1;
}

void Baseline::Accept(LongMemory& memory) {
  constexpr std::uint32_t kEnough = 10;
  constexpr std::uint16_t kGenerous = 300;
  if (memory.candidate_samples >= kEnough) {
    memory.other = scaling;
    scaling = memory.candidate;
    memory.has_other = true;
    memory.regime = memory.regime == 1 ? 2 : 1;
  }
  memory.candidate_samples = 0;
  memory.change = 0;
  memory.anchor_day = -1;
  memory.drift_told = false;
  generous = kGenerous;
  slow = Features{};
  scorer.smooth.fill(0);
  scorer.evidence.fill(0);
}

void Baseline::Expect(const Features& center, const Features& spread_squared, FeatureMask known, float weight) {
  for (std::size_t g = 0; g < kGroups; ++g) {
    const Int8 lanes = LaneMask(known.bits(), g);
    // Shrunk towards what is known already: n / (n + weight) is one's own.
    const Float8 own = scaling.count.group[g] / (scaling.count.group[g] + Broadcast(weight));
    const Float8 c = own * scaling.center.group[g] + (Broadcast(1) - own) * center.group[g];
    const Float8 s = own * scaling.spread_squared.group[g] + (Broadcast(1) - own) * spread_squared.group[g];
    scaling.center.group[g] = Select(lanes, c, scaling.center.group[g]);
    scaling.spread_squared.group[g] = Select(lanes, s, scaling.spread_squared.group[g]);
    scaling.count.group[g] = Select(lanes, Max(scaling.count.group[g], Broadcast(weight)), scaling.count.group[g]);
  }
}

void Baseline::Stagger(Pace pace) {
  next_refresh = NextRefresh(samples, pace.spread);
  if (interval() < kShortTick && samples >= kRefreshEvery && pace.spread % 2 == 1) next_refresh += kRefreshEvery;
}

std::uint8_t Progress(const Baseline& baseline, const LearningGoal& goal) {
  if (baseline.learnt) return 100;
  const auto part = [](double have, double need) { return need <= 0 ? 1.0 : std::min(have / need, 1.0); };
  const double by_samples = part(baseline.samples, goal.samples);
  const double by_time = part(static_cast<double>(baseline.learnt_ms), static_cast<double>(goal.time.count()) * 1000.0);
  return static_cast<std::uint8_t>(100.0 * std::min(by_samples, by_time));
}

}  // namespace whorl
