// whorl-bench-engine [VMS] [TICKS]: what one core does in Engine::Tick.
//
//   score      VMS distinct VMs in observe mode, settled models, cold caches
//   partition  100 and 1,000 VMs in enforce mode, with loans
//
// Beside each figure stands, from the same run, something to hold it against:
// the time this machine needs to merely read and write the same memory, and the
// textbook way (double precision, a factorisation and a sorted window per tick).

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "core/base/split_mix.h"
#include "core/engine/engine.h"
#include "core/engine/vm_state.h"
#include "tests/bench/allocations.h"
#include "tests/bench/meter.h"

namespace {

using namespace whorl;

// The same frames in every run.
struct Random {
  std::uint64_t state;
  double Next() { return static_cast<double>(SplitMix(state) >> 11) * 0x1p-53; }
};

// VMs that share a baseline behave alike.
constexpr std::uint32_t kKinds = 64;

void Advance(Frame& frame, Time now, Random& random) {
  for (VmSample& sample : frame.samples) {
    sample.sampled_at = now;
    sample.valid = FeatureMask::All();
    const double load = 0.5 + random.Next();
    for (std::size_t f = 0; f < kFeatureCount; ++f) {
      double& raw = sample.raw[f];
      const double jitter = 0.9 + 0.2 * random.Next();
      if (kFeatures[f].kind == Kind::kGauge) {
        raw = 4e8 * jitter;
      } else {
        raw += 1e4 * load * jitter * static_cast<double>(1 + static_cast<std::uint32_t>(sample.vm) % kKinds % 7);
      }
    }
  }
}

// Bytes of a settled VM that a tick reads or writes, added up from what it works
// on: most ticks, one in kHeavyStride, and the mean.
struct Touched {
  std::size_t most, heavy;
  double Mean() const {
    return static_cast<double>(most) + static_cast<double>(heavy - most) / static_cast<double>(kHeavyStride);
  }
};
constexpr Touched kTouched = [] {
  constexpr std::size_t kEachTick =
      6;  // of the calibrations: distance, sudden, residual, innovation, forest, all together
  constexpr std::size_t kBefore = sizeof(Scaling) + sizeof(Innovation) + 3 * sizeof(Features) + kFeatureCount;
  constexpr std::size_t kScores =
      kEachTick * sizeof(Calibration) + sizeof(Scorer) - (kDetectorCount + 1) * sizeof(Calibration);
  constexpr std::size_t kForest = sizeof(Forest::trees) / Forest::kQuarters / kForestStride;
  constexpr std::size_t kWindows = sizeof(Windows) / 3 / 2 + sizeof(Windows) / 3 / 8 + sizeof(Windows) / 3 / 32;
  constexpr std::size_t kRest = 2 * 64 + sizeof(VmState) - offsetof(VmState, demand);
  const std::size_t most = kBefore + sizeof(Whitening) + kScores + kForest + sizeof(Rates) + sizeof(Recent) + kWindows +
                           kRest + sizeof(Assessment);
  const std::size_t heavy = most + (kDetectorCount + 1 - kEachTick) * sizeof(Calibration) + sizeof(Features) +
                            sizeof(Loda) + sizeof(OneClass) + sizeof(Covariance) + 2 * sizeof(Features) +
                            sizeof(CondensedPoint);
  return Touched{most, heavy};
}();

struct Timing {
  double median = 0;  // seconds a tick
  double worst = 0;
};
Timing Summary(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return {seconds[seconds.size() / 2], seconds.back()};
}

VmSpec Spec(std::size_t i, Mode mode) {
  VmSpec spec;
  spec.id = "vm-" + std::to_string(1'000'000 + i);
  spec.mode = mode;
  spec.policy.max_mode = mode;
  spec.policy.learning = Seconds{60};
  spec.policy.learning_samples = 60;
  spec.vcpus = 2;
  spec.cpu_request = MilliCores{100};
  spec.cpu_shares_found = 102;
  return spec;
}

// Reading and writing as many bytes as the states hold, and nothing else.
double MemoryFloor(std::size_t vms) {
  std::vector<std::uint64_t> memory(vms * sizeof(VmState) / 8, 1);
  std::vector<double> seconds;
  for (int round = 0; round < 5; ++round) {
    const auto start = CoreSeconds();
    for (std::uint64_t& word : memory) word += 1;
    seconds.push_back(SecondsSince(start));
  }
  return Summary(seconds).median;
}

// One VM the textbook way.
struct Textbook {
  Eigen::VectorXd mean = Eigen::VectorXd::Zero(kFeatureCount);
  Eigen::MatrixXd covariance = Eigen::MatrixXd::Identity(kFeatureCount, kFeatureCount);
  std::vector<double> history;  // sorted
  std::deque<double> order;
  double p = 1;

  void Tick(const std::array<double, kFeatureCount>& x) {
    Eigen::VectorXd y(kFeatureCount);
    for (std::size_t f = 0; f < kFeatureCount; ++f) y[static_cast<Eigen::Index>(f)] = std::log1p(std::abs(x[f]));
    const Eigen::VectorXd d = y - mean;
    const double distance = d.dot(covariance.ldlt().solve(d));
    const auto at = std::lower_bound(history.begin(), history.end(), distance);
    p = static_cast<double>(1 + (history.end() - at)) / static_cast<double>(history.size() + 1);
    history.insert(at, distance);
    order.push_back(distance);
    if (order.size() > 500) {
      history.erase(std::lower_bound(history.begin(), history.end(), order.front()));
      order.pop_front();
    }
    mean += 0.002 * d;
    covariance += 0.002 * (d * d.transpose() - covariance);
  }
};

double TextbookPerVm() {
  constexpr std::size_t kVms = 2000;
  std::vector<Textbook> vms(kVms);
  Random random{7};
  std::array<double, kFeatureCount> x{};
  double seconds = 0;
  constexpr int kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    for (double& v : x) v = 100 * random.Next();
    const auto start = CoreSeconds();
    for (Textbook& vm : vms) vm.Tick(x);
    seconds += SecondsSince(start);
  }
  return seconds / kRounds / kVms;
}

// Baselines of guests that have run for an hour: learning takes long and is not
// what is measured. Every VM gets its own copy in memory.
const std::vector<std::string>& Settled() {
  static const std::vector<std::string> blobs = [] {
    Engine engine;
    Frame frame;
    frame.samples.resize(kKinds);
    for (std::size_t i = 0; i < frame.samples.size(); ++i)
      frame.samples[i].vm = engine.Enrol(Spec(i, Mode::kObserve)).value();
    Random random{1};
    Time now = FromUnixMillis(1'600'000'000'000);
    for (int tick = 0; tick < 3600; ++tick) {
      now += Seconds{1};
      Advance(frame, now, random);
      engine.Tick(now, frame);
    }
    std::vector<std::string> saved;
    for (const VmSample& sample : frame.samples) saved.push_back(engine.SaveBaseline(sample.vm).value());
    return saved;
  }();
  return blobs;
}

void Score(std::size_t vms, int ticks) {
  Engine engine;
  Frame frame;
  frame.samples.resize(vms);
  for (std::size_t i = 0; i < vms; ++i) frame.samples[i].vm = engine.Enrol(Spec(i, Mode::kObserve)).value();
  Random random{42};
  Time now = FromUnixMillis(1'700'000'000'000);
  for (std::size_t i = 0; i < vms; ++i) {
    if (!engine.LoadBaseline(frame.samples[i].vm, Settled()[i % Settled().size()])) std::abort();
  }
  constexpr int kWarm = 20;
  std::vector<double> seconds;
  seconds.reserve(static_cast<std::size_t>(ticks));
  std::uint64_t allocated = 0;
  for (int tick = 0; tick < kWarm + ticks; ++tick) {
    now += Seconds{1};
    ++frame.sequence;
    Advance(frame, now, random);
    const std::uint64_t before = allocations.load();
    const auto start = CoreSeconds();
    engine.Tick(now, frame);
    if (tick >= kWarm) {
      seconds.push_back(SecondsSince(start));
      allocated += allocations.load() - before;
    }
  }
  std::size_t scored = 0, explained = 0, deviating = 0;
  for (const Assessment& a : engine.assessments()) {
    scored += a.score.has_value();
    explained += a.top_count > 0;
    deviating += a.state == State::kDeviating;
  }
  const Timing t = Summary(seconds);
  const auto n = static_cast<double>(vms);
  std::printf("score: %zu distinct VMs (%zu scored), %zu features, %zu B state + %zu B assessment each, %d ticks\n",
              vms, scored, kFeatureCount, sizeof(VmState), sizeof(Assessment), ticks);
  std::printf("  tick          %8.3f us/VM   %6.2f M VM-ticks/s   (worst tick %.3f us/VM)\n", t.median / n * 1e6,
              n / t.median / 1e6, t.worst / n * 1e6);
  std::printf("  of these      %.1f %% explained in the last tick, %.2f %% deviating\n",
              100.0 * static_cast<double>(explained) / n, 100.0 * static_cast<double>(deviating) / n);
  std::printf("  touched       %8.0f B per tick and VM (%zu in most, %zu in one of %u)\n", kTouched.Mean(),
              kTouched.most, kTouched.heavy, kHeavyStride);
  std::printf("  allocations   %llu in %d ticks\n", static_cast<unsigned long long>(allocated), ticks);
  std::printf("  memory floor  %8.3f us/VM   (reading and writing the same bytes)\n", MemoryFloor(vms) / n * 1e6);
  std::printf("  textbook way  %8.3f us/VM\n", TextbookPerVm() * 1e6);
}

void Partition(std::size_t vms) {
  Engine engine;
  engine.SetCpuCapacity(MilliCores{static_cast<std::int64_t>(vms) * 300});
  Frame frame;
  frame.samples.resize(vms);
  for (std::size_t i = 0; i < vms; ++i) frame.samples[i].vm = engine.Enrol(Spec(i, Mode::kEnforce)).value();
  Random random{42};
  Time now = FromUnixMillis(1'700'000'000'000);
  constexpr int kWarm = 120, kTicks = 200;
  std::vector<double> seconds;
  seconds.reserve(kTicks);
  std::uint64_t allocated = 0, loans = 0;
  for (int tick = 0; tick < kWarm + kTicks; ++tick) {
    now += Seconds{1};
    ++frame.sequence;
    Advance(frame, now, random);
    // A tenth of the VMs wants a lot; who does changes every half minute.
    for (std::size_t i = 0; i < vms; ++i) {
      const bool busy = (i + static_cast<std::size_t>(tick / 30)) % 10 == 0;
      frame.samples[i].raw[0] += busy ? 1.2e6 : 0;
    }
    const std::uint64_t before = allocations.load();
    const auto start = CoreSeconds();
    const Plan& plan = engine.Tick(now, frame);
    if (tick < kWarm) continue;
    seconds.push_back(SecondsSince(start));
    allocated += allocations.load() - before;
    loans += plan.loans.size();
  }
  const Timing t = Summary(seconds);
  std::printf(
      "partition: %zu VMs enforced, %.0f loans open on average: tick %.1f us (worst %.1f us), %llu allocations in %d "
      "ticks\n",
      vms, static_cast<double>(loans) / kTicks, t.median * 1e6, t.worst * 1e6,
      static_cast<unsigned long long>(allocated), kTicks);
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, long otherwise) {
    return argc > i ? std::max(1L, std::strtol(argv[i], nullptr, 10)) : otherwise;
  };
  const long vms = number(1, 100'000), ticks = number(2, 60);
  Score(static_cast<std::size_t>(vms), static_cast<int>(ticks));
  Partition(100);
  Partition(1000);
  return 0;
}
