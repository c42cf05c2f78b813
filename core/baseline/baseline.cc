#include "core/baseline/baseline.h"

#include <algorithm>
#include <cmath>

namespace whorl {
namespace {

// The first whitening needs some samples; what follows it is judged out of sample.
constexpr std::uint32_t kFirstRefresh = 20;
// Samples a second apart resemble each other, so a covariance that rests on many
// learns from every fourth one at four times the weight: the same memory of the
// past for a quarter of the memory traffic.
constexpr std::uint32_t kSettled = 256;

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

}  // namespace

Baseline::Outcome Baseline::Observe(Time at, const Features& y, FeatureMask valid, const LearningGoal& goal,
                                    bool flagged, Pace pace) {
  Outcome outcome;
  const Features z = scaling.Deviations(y, valid);
  if (whitening.ready()) {
    outcome.evidence = scorer.Judge(whitening.Apply(z));
    outcome.judged = scorer.ready();
  }
  const bool suspicious = flagged || (outcome.judged && outcome.evidence.tick >= kSuspicious);
  const float gate = suspicious ? kSuspiciousGate : 1.0f;
  if (whitening.ready()) scorer.Learn(outcome.evidence, flagged ? 0.0f : gate);

  const Features gains = scaling.Learn(y, valid, gate);
  if (samples < kSettled) {
    covariance.Learn(z, Roots(gains, 1));
  } else if (pace.covariance) {
    covariance.Learn(z, Roots(gains, kCovarianceStride));
  }
  ++samples;
  if (samples >= std::max(next_refresh, kFirstRefresh)) {
    // A covariance that cannot be decomposed leaves the last good axes standing.
    static_cast<void>(whitening.Refresh(covariance, static_cast<float>(samples)));
    next_refresh = NextRefresh(samples, pace.spread);
  }

  const std::int64_t now = ToUnixMillis(at);
  if (last_ms != 0 && now > last_ms) {
    const auto gap = static_cast<float>(now - last_ms);
    const float usual = interval_ms > 0 ? interval_ms : gap;
    // A pause of the source is not time spent learning.
    const float counted = std::min(gap, 3 * usual);
    learnt_ms += static_cast<std::int64_t>(counted);
    interval_ms = usual + 0.05f * (counted - usual);
  }
  last_ms = now;
  if (!learnt && Progress(*this, goal) >= 100 && outcome.judged) {
    learnt = true;
    outcome.finished = true;
  }
  return outcome;
}

void Baseline::Stagger(Pace pace) { next_refresh = NextRefresh(samples, pace.spread); }

std::uint8_t Progress(const Baseline& baseline, const LearningGoal& goal) {
  if (baseline.learnt) return 100;
  const auto part = [](double have, double need) { return need <= 0 ? 1.0 : std::min(have / need, 1.0); };
  const double by_samples = part(baseline.samples, goal.samples);
  const double by_time = part(static_cast<double>(baseline.learnt_ms), static_cast<double>(goal.time.count()) * 1000.0);
  return static_cast<std::uint8_t>(100.0 * std::min(by_samples, by_time));
}

}  // namespace whorl
