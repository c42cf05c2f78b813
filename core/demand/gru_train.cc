#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/split_mix.h"
#include "core/demand/gru.h"
#include "core/fingerprint/lanes.h"

namespace whorl {
namespace {

constexpr std::size_t kSpan = 48, kHour = 12, kBatch = 32;
constexpr std::size_t kLeastAfter = kSpan + kHour + 1;

float Uniform(std::uint64_t& random) { return static_cast<float>(SplitMix(random) >> 40) * 0x1p-24f; }

float Sigmoid(float x) { return 1 / (1 + Exp(-x)); }
float Tanh(float x) { return 2 * Sigmoid(2 * x) - 1; }

float* Flat(GruWeights& w) { return w.gate.data(); }
static_assert(sizeof(GruWeights) == kGruSize * sizeof(float));

struct Step {
  GruState before, keep, reset, fresh, own, after;
  GruSteps raw;
};

void Forward(const GruWeights& w, const GruInput& x, const GruState& h, Step& s) {
  std::array<float, kGruGates> g = w.gate_bias;
  for (std::size_t i = 0; i < kGruInputs; ++i)
    for (std::size_t k = 0; k < kGruGates; ++k) g[k] += x[i] * w.gate[i * kGruGates + k];
  s.own.fill(0);
  for (std::size_t j = 0; j < kGruHidden; ++j) {
    const float* row = &w.gate[(kGruInputs + j) * kGruGates];
    for (std::size_t k = 0; k < 2 * kGruHidden; ++k) g[k] += h[j] * row[k];
    for (std::size_t k = 0; k < kGruHidden; ++k) s.own[k] += h[j] * row[2 * kGruHidden + k];
  }
  s.before = h;
  for (std::size_t k = 0; k < kGruHidden; ++k) {
    s.keep[k] = Sigmoid(g[k]);
    s.reset[k] = Sigmoid(g[kGruHidden + k]);
    s.fresh[k] = Tanh(g[2 * kGruHidden + k] + s.reset[k] * s.own[k]);
    s.after[k] = s.fresh[k] + s.keep[k] * (h[k] - s.fresh[k]);
  }
  s.raw = w.head_bias;
  for (std::size_t j = 0; j < kGruHidden; ++j)
    for (std::size_t o = 0; o < kGruOutputs; ++o) s.raw[o] += s.after[j] * w.head[j * kGruOutputs + o];
  for (std::size_t i = 0; i < kGruInputs; ++i)
    for (std::size_t o = 0; o < kGruOutputs; ++o) s.raw[o] += x[i] * w.head[(kGruHidden + i) * kGruOutputs + o];
}

// Loss of one bucket's outputs, and its gradient by the raw outputs.
float Loss(const GruSequence& q, std::size_t t, const GruSteps& raw, GruSteps& grad) {
  grad.fill(0);
  float loss = 0;
  for (std::size_t h = 0; h < 2; ++h) {
    std::array<float, 4> level{}, by{};
    level[0] = raw[4 * h];
    for (std::size_t i = 1; i < 4; ++i)
      level[i] = level[i - 1] + Log(1 + Exp(std::clamp(raw[4 * h + i], -30.0f, 30.0f)));
    const std::size_t ahead = h == 0 ? 1 : kHour;
    const float part = 1 / static_cast<float>(ahead);
    for (std::size_t k = 1; k <= ahead; ++k) {
      const float y = std::clamp((q.log_value[t + k] - q.log_value[t]) / q.scale[t], -20.0f, 20.0f);
      for (std::size_t i = 0; i < 4; ++i) {
        const bool above = y > level[i];
        loss += part * (above ? kGruShares[i] : kGruShares[i] - 1) * (y - level[i]);
        by[i] += part * (above ? -kGruShares[i] : 1 - kGruShares[i]);
      }
    }
    float after = 0;  // each increment moves all the quantiles above it
    for (std::size_t i = 4; i-- > 0;) {
      after += by[i];
      grad[4 * h + i] = i == 0 ? after : after * Sigmoid(raw[4 * h + i]);
    }
  }
  return loss;
}

float Backward(const GruWeights& w, const GruSequence& q, std::size_t from, std::size_t warm, GruWeights& grad) {
  std::array<Step, kSpan> steps;
  std::array<GruSteps, kSpan> by;
  GruState h{};
  float loss = 0;
  for (std::size_t t = 0; t < kSpan; ++t) {
    Forward(w, q.input[from + t], h, steps[t]);
    h = steps[t].after;
    by[t].fill(0);
    if (t >= warm) loss += Loss(q, from + t, steps[t].raw, by[t]);
  }
  GruState dh{};
  for (std::size_t t = kSpan; t-- > 0;) {
    const Step& s = steps[t];
    const GruInput& x = q.input[from + t];
    for (std::size_t o = 0; o < kGruOutputs; ++o) grad.head_bias[o] += by[t][o];
    for (std::size_t j = 0; j < kGruHidden; ++j)
      for (std::size_t o = 0; o < kGruOutputs; ++o) {
        grad.head[j * kGruOutputs + o] += s.after[j] * by[t][o];
        dh[j] += w.head[j * kGruOutputs + o] * by[t][o];
      }
    for (std::size_t i = 0; i < kGruInputs; ++i)
      for (std::size_t o = 0; o < kGruOutputs; ++o) grad.head[(kGruHidden + i) * kGruOutputs + o] += x[i] * by[t][o];
    std::array<float, kGruGates> d;
    GruState own, down;
    for (std::size_t k = 0; k < kGruHidden; ++k) {
      const float fresh = dh[k] * (1 - s.keep[k]) * (1 - s.fresh[k] * s.fresh[k]);
      d[k] = dh[k] * (s.before[k] - s.fresh[k]) * s.keep[k] * (1 - s.keep[k]);
      d[kGruHidden + k] = fresh * s.own[k] * s.reset[k] * (1 - s.reset[k]);
      d[2 * kGruHidden + k] = fresh;
      own[k] = fresh * s.reset[k];
      down[k] = dh[k] * s.keep[k];
    }
    for (std::size_t k = 0; k < kGruGates; ++k) grad.gate_bias[k] += d[k];
    for (std::size_t i = 0; i < kGruInputs; ++i)
      for (std::size_t k = 0; k < kGruGates; ++k) grad.gate[i * kGruGates + k] += x[i] * d[k];
    for (std::size_t j = 0; j < kGruHidden; ++j) {
      float* g = &grad.gate[(kGruInputs + j) * kGruGates];
      const float* row = &w.gate[(kGruInputs + j) * kGruGates];
      float sum = 0;
      for (std::size_t k = 0; k < 2 * kGruHidden; ++k) {
        g[k] += s.before[j] * d[k];
        sum += row[k] * d[k];
      }
      for (std::size_t k = 0; k < kGruHidden; ++k) {
        g[2 * kGruHidden + k] += s.before[j] * own[k];
        sum += row[2 * kGruHidden + k] * own[k];
      }
      down[j] += sum;
    }
    dh = down;
  }
  return loss;
}

// Weights of an input that no sequence shows would stay as they were drawn, and
// act when it is shown one day.
void ForgetUnseen(std::span<const GruSequence* const> sequences, GruWeights& w) {
  for (std::size_t i = 0; i < kGruInputs; ++i) {
    const bool seen = std::any_of(sequences.begin(), sequences.end(), [&](const GruSequence* q) {
      return std::any_of(q->input.begin(), q->input.end(), [&](const GruInput& x) { return x[i] != 0; });
    });
    if (seen) continue;
    for (std::size_t k = 0; k < kGruGates; ++k) w.gate[i * kGruGates + k] = 0;
    for (std::size_t o = 0; o < kGruOutputs; ++o) w.head[(kGruHidden + i) * kGruOutputs + o] = 0;
  }
}

}  // namespace

Result<GruWeights> TrainGru(const GruWeights* start, std::span<const GruSequence> sequences,
                            const GruTraining& training) {
  std::vector<const GruSequence*> usable;
  for (const GruSequence& q : sequences)
    if (q.input.size() > kLeastAfter) usable.push_back(&q);
  if (usable.empty()) return Fail(Code::kInvalid, "no history of more than five hours to learn from");
  std::uint64_t random = training.seed;
  GruWeights w;
  if (start != nullptr) {
    w = *start;
  } else {
    for (float& v : w.gate) v = (Uniform(random) - 0.5f) * 0.5f;
    for (float& v : w.head) v = (Uniform(random) - 0.5f) * 0.1f;
    ForgetUnseen(usable, w);
  }
  std::vector<float> m(kGruSize, 0.0f), v(kGruSize, 0.0f);
  float decay1 = 1, decay2 = 1;
  double shown = 0;
  for (std::size_t step = 1; step <= training.steps; ++step) {
    GruWeights grad;
    float loss = 0;
    constexpr std::size_t kWarm = kSpan / 4;
    for (std::size_t b = 0; b < kBatch; ++b) {
      const GruSequence& q = *usable[SplitMix(random) % usable.size()];
      loss += Backward(w, q, SplitMix(random) % (q.input.size() - kLeastAfter), kWarm, grad);
    }
    constexpr float kPer = 1.0f / static_cast<float>(kBatch * (kSpan - kWarm));
    shown += 0.01 * (static_cast<double>(loss * kPer) - shown) / (1 - std::min(0.99, shown == 0 ? 0.99 : 0.0));
    float squares = 0;
    for (std::size_t i = 0; i < kGruSize; ++i) squares += Flat(grad)[i] * kPer * Flat(grad)[i] * kPer;
    const float clip = kPer / std::max(1.0f, std::sqrt(squares));
    const float rate = 0.004f * (1.02f - static_cast<float>(step) / static_cast<float>(training.steps)) *
                       (start != nullptr ? 0.2f : 1.0f);
    decay1 *= 0.9f;
    decay2 *= 0.999f;
    for (std::size_t i = 0; i < kGruSize; ++i) {
      const float g = Flat(grad)[i] * clip;
      m[i] += 0.1f * (g - m[i]);
      v[i] += 0.001f * (g * g - v[i]);
      Flat(w)[i] -= rate * (m[i] / (1 - decay1)) / (std::sqrt(v[i] / (1 - decay2)) + 1e-8f);
    }
    if (training.progress && step % 500 == 0) training.progress(step, shown);
  }
  return w;
}

double GruLoss(const GruWeights& weights, std::span<const GruSequence> sequences, double share) {
  double loss = 0;
  std::size_t count = 0;
  for (const GruSequence& q : sequences) {
    if (q.input.size() <= kHour) continue;
    GruState h{};
    const auto from = static_cast<std::size_t>(static_cast<double>(q.input.size()) * (1 - share));
    for (std::size_t t = 0; t + kHour < q.input.size(); ++t) {
      Step s;
      GruSteps grad;
      Forward(weights, q.input[t], h, s);
      h = s.after;
      if (t < from) continue;
      loss += static_cast<double>(Loss(q, t, s.raw, grad));
      ++count;
    }
  }
  return count == 0 ? 0 : loss / static_cast<double>(count);
}

Result<GruWeights> FineTune(const GruWeights& current, std::span<const GruSequence> windows, std::uint64_t seed) {
  std::vector<GruSequence> earlier(windows.begin(), windows.end());
  for (GruSequence& q : earlier) {
    const std::size_t rows = q.input.size() * 4 / 5;
    q.input.resize(rows);
    q.log_value.resize(rows);
    q.scale.resize(rows);
  }
  GruTraining training;
  training.seed = seed;
  training.steps = 200;
  auto tuned = TrainGru(&current, earlier, training);
  if (!tuned) return tuned;
  if (GruLoss(*tuned, windows, 0.2) < GruLoss(current, windows, 0.2)) return tuned;
  return Fail(Code::kRefused, "the tuned weights foretell the newest fifth no better; the current ones stay");
}

}  // namespace whorl
