// Everything whorl-eval knows of the engine's interface is in this file.
#include "tests/bench/eval/engine_scorer.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <sstream>

#include "core/engine/engine.h"
#include "core/engine/vm_state.h"
#include "core/fingerprint/scaling.h"

namespace whorl::eval {
namespace {

// Series start at 0 or in years past; the engine's clock is any clock.
constexpr std::int64_t kEpoch = 1'600'000'000'000;

double ProcessorSeconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// What a column's values are divided by, from the training part alone, so that
// they lie where the features' logarithm is in force.
std::vector<double> Sizes(const Series& series, std::size_t columns) {
  std::vector<double> sizes;
  for (std::size_t c = 0; c < columns; ++c) {
    std::vector<double> seen;
    for (std::size_t r = 0; r < series.train_rows; ++r) {
      const auto v = static_cast<double>(series.Value(r, c));
      if (!std::isnan(v)) seen.push_back(std::abs(v));
    }
    const double high = Quantile(std::move(seen), 0.99);
    sizes.push_back(high > 0 ? high : 1.0);
  }
  return sizes;
}

class EngineScorer : public SeriesScorer {
 public:
  explicit EngineScorer(const EngineScorerOptions& options) {
    policy_.false_episodes_per_week = options.false_episodes_per_week;
  }

  std::string Configuration() const override {
    std::ostringstream text;
    text << "default policy: " << policy_.learning_samples << " samples and " << policy_.learning.count()
         << " s of learning, " << policy_.false_episodes_per_week << " false episodes a week; the first "
         << kFeatureCount << " columns as features";
    return text.str();
  }

  Result<Scored> Score(const Series& series) override {
    const double began = ProcessorSeconds();
    const std::size_t columns = std::min(series.columns.size(), kFeatureCount);
    const std::vector<double> sizes = Sizes(series, columns);
    Engine engine;
    VmSpec spec;
    spec.id = series.name;
    spec.policy = policy_;
    const auto vm = engine.Enrol(spec);
    if (!vm) return Fail(vm.error().In(series.name));

    Scored scored;
    scored.columns_used = columns;
    scored.state_bytes = sizeof(VmState);
    scored.rows.reserve(series.rows());
    Frame frame;
    frame.samples.resize(1);
    VmSample& sample = frame.samples[0];
    sample.vm = *vm;
    std::vector<double> total(columns, 0.0);  // counters as they would stand
    for (std::size_t r = 0; r < series.rows(); ++r) {
      const std::int64_t at = kEpoch + series.at[r] - series.at[0];
      if (r > 0 && at <= ToUnixMillis(sample.sampled_at)) {
        ++scored.refused_rows;
        RowScore repeated = scored.rows.back();
        repeated.opened = repeated.closed = false;
        scored.rows.push_back(repeated);
        continue;
      }
      const double seconds = r == 0 ? 1.0 : static_cast<double>(at - ToUnixMillis(sample.sampled_at)) / 1000;
      sample.sampled_at = FromUnixMillis(at);
      sample.valid = FeatureMask{};
      for (std::size_t c = 0; c < columns; ++c) {
        const auto value = static_cast<double>(series.Value(r, c));
        if (std::isnan(value)) continue;
        const FeatureInfo& info = kFeatures[c];
        const double level = value / sizes[c] * 20 * static_cast<double>(ScaleOrigin(info.feature));
        const bool time = info.unit == "millicores" || info.unit == "ms/s";
        total[c] += std::max(0.0, level) * seconds * (time ? 1000 : 1);
        sample.raw[c] = info.kind == Kind::kGauge ? level : total[c];
        sample.valid.Set(info.feature);
      }
      ++frame.sequence;
      engine.Tick(sample.sampled_at, frame);
      scored.rows.push_back(Read(*engine.Find(*vm)));
    }
    scored.masked_cells = engine.sample_counts().not_a_number;
    scored.seconds = ProcessorSeconds() - began;
    return scored;
  }

 private:
  static RowScore Read(const Assessment& a) {
    RowScore row;
    if (a.p_value) row.evidence = static_cast<float>(-std::log10(std::max(*a.p_value, 1e-300)));
    if (a.score) row.score = *a.score;
    row.opened = a.episode_opened;
    row.closed = a.episode_closed;
    for (std::size_t k = 0; k < std::min<std::size_t>(a.top_count, kNamedColumns); ++k) {
      row.top[k] = static_cast<std::int16_t>(a.top[k].feature);
    }
    return row;
  }

  Policy policy_;
};

}  // namespace

std::unique_ptr<SeriesScorer> MakeEngineScorer(const EngineScorerOptions& options) {
  return std::make_unique<EngineScorer>(options);
}

// The engine has no adaptive control yet.
bool CanSetAdaptiveControl(bool on) { return !on; }

}  // namespace whorl::eval
