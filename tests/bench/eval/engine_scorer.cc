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

class EngineScorer : public SeriesScorer {
 public:
  explicit EngineScorer(const EngineScorerOptions& options) {
    policy_.false_episodes_per_week = options.false_episodes_per_week;
    policy_.adaptive_control = options.adaptive_control;
  }

  std::string Configuration() const override {
    std::ostringstream text;
    text << "default policy: " << policy_.learning_samples << " samples and " << policy_.learning.count()
         << " s of learning, " << policy_.false_episodes_per_week << " false episodes a week, adaptive control "
         << (policy_.adaptive_control ? "on" : "off") << "; the first " << kFeatureCount
         << " columns as gauges of unknown unit";
    return text.str();
  }

  Result<Scored> Score(const Series& series) override {
    const double began = ProcessorSeconds();
    const std::size_t columns = std::min(series.columns.size(), kFeatureCount);
    Engine engine(TraceSchema());
    VmSpec spec;
    spec.id = series.name;
    spec.policy = policy_;
    const auto vm = engine.Enrol(spec);
    if (!vm) return Fail(vm.error().In(series.name));

    Scored scored;
    scored.columns_used = columns;
    scored.state_bytes = sizeof(VmState) + sizeof(VmMemory);
    scored.rows.reserve(series.rows());
    Frame frame;
    frame.samples.resize(1);
    VmSample& sample = frame.samples[0];
    sample.vm = *vm;
    for (std::size_t r = 0; r < series.rows(); ++r) {
      const std::int64_t at = kEpoch + series.at[r] - series.at[0];
      if (r > 0 && at <= ToUnixMillis(sample.sampled_at)) {
        ++scored.refused_rows;
        RowScore repeated = scored.rows.back();
        repeated.opened = repeated.closed = false;
        scored.rows.push_back(repeated);
        continue;
      }
      sample.sampled_at = FromUnixMillis(at);
      sample.valid = FeatureMask{};
      for (std::size_t c = 0; c < columns; ++c) {
        const auto value = static_cast<double>(series.Value(r, c));
        if (std::isnan(value)) continue;
        sample.raw[c] = value;
        sample.valid.Set(static_cast<Feature>(c));
      }
      ++frame.sequence;
      engine.Tick(sample.sampled_at, frame);
      // What the controller does in the background is done at once.
      while (const auto training = engine.NextTraining()) {
        if (const auto machine = TrainOneClass(training->points()))
          static_cast<void>(engine.Adopt(training->vm, *machine));
      }
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
    row.news = a.news;
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

bool CanSetAdaptiveControl(bool) { return true; }

}  // namespace whorl::eval
