#include "e2e/guest/behaviour.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <random>
#include <vector>

namespace whorl::guest {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr Usual kUsual[] = {
    {"idle", 100, 0}, {"web", 50, 240}, {"batch", 60, 240}, {"busy", 100, 0},  {"cache-walk", 80, 0}, {"writer", 60, 0},
    {"leak", 50, 0},  {"exfil", 60, 0}, {"miner", 97, 0},   {"stall", 100, 0}, {"prowl", 40, 0},
};

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;

// One unit of arithmetic: a few thousand dependent steps that no compiler folds.
std::uint64_t Grind(std::uint64_t x, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    x *= 0x9E3779B97F4A7C15U;
  }
  return x;
}
constexpr int kRounds = 2000;

// Works units for about `slice` of wall time, then rests so that the share of
// working time is `load`.
template <typename Unit>
Slice WorkAndRest(double load, microseconds slice, Unit unit) {
  const auto begin = Clock::now();
  Slice done;
  auto spent = microseconds{0};
  do {
    unit();
    ++done.iterations;
    spent = std::chrono::duration_cast<microseconds>(Clock::now() - begin);
  } while (spent < slice);
  done.rest = microseconds{std::llround(static_cast<double>(spent.count()) * (1 - load) / load)};
  return done;
}

std::vector<std::byte> Noise(std::mt19937_64& random, std::size_t size) {
  std::vector<std::byte> bytes(size);
  std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<std::byte>(random()); });
  return bytes;
}

class Idle final : public Behaviour {
 public:
  Slice Step(double) override { return {1, milliseconds{1000}}; }
};

// Stops in the middle of everything: no work, no answer, no heartbeat.
class Stall final : public Behaviour {
 public:
  Slice Step(double) override { return {0, milliseconds{5000}}; }
};

class Busy final : public Behaviour {
 public:
  explicit Busy(std::uint64_t seed) : state_(seed | 1) {}
  Slice Step(double load) override {
    return WorkAndRest(load, milliseconds{10}, [this] { state_ = Grind(state_, kRounds); });
  }

 private:
  std::uint64_t state_;
};

// Requests come one by one at random (up to 40 a second): some arithmetic, some
// memory, and an exchange over the network.
class Web final : public Behaviour {
 public:
  Web(std::uint64_t seed, Outside& outside) : random_(seed), outside_(outside), session_(256 * kKiB) {}
  Slice Step(double load) override {
    state_ = Grind(state_, kRounds * static_cast<int>(300 + random_() % 600));  // some milliseconds
    for (std::size_t i = 0; i < session_.size(); i += 64) session_[i] ^= static_cast<std::byte>(state_);
    outside_.Ping(100 + random_() % 1200);
    const double gap = std::exponential_distribution<double>(40 * load)(random_);
    return {1, microseconds{std::llround(std::min(gap, 2.0) * 1e6)}};
  }

 private:
  std::mt19937_64 random_;
  Outside& outside_;
  std::vector<std::byte> session_;
  std::uint64_t state_ = 88172645463325252U;
};

// Jobs of some seconds with pauses between them; a job writes its result.
class Batch final : public Behaviour {
 public:
  Batch(std::uint64_t seed, Outside& outside) : random_(seed), outside_(outside), result_(Noise(random_, 64 * kKiB)) {}
  Slice Step(double load) override {
    if (left_ == 0) {
      left_ = 80 + static_cast<int>(random_() % 80);  // of 50 ms each
      outside_.WriteDisk(random_() % (48 * kMiB) / kKiB * kKiB, result_);
      outside_.FlushDisk();
      return {1, milliseconds{2000 + static_cast<int>(random_() % 4000)}};
    }
    --left_;
    const double jitter = std::uniform_real_distribution<double>(0.8, 1.0)(random_);
    return WorkAndRest(std::clamp(load * jitter, 0.02, 1.0), milliseconds{20},
                       [this] { state_ = Grind(state_, kRounds); });
  }

 private:
  std::mt19937_64 random_;
  Outside& outside_;
  std::vector<std::byte> result_;
  std::uint64_t state_ = 42;
  int left_ = 0;
};

// Follows a random cycle through the pages of more memory than any cache holds,
// and writes as it goes.
class CacheWalk final : public Behaviour {
 public:
  explicit CacheWalk(std::uint64_t seed) : memory_(kPages * kPageWords, 1), next_(kPages) {
    std::mt19937_64 random(seed);
    for (std::size_t i = 0; i < kPages; ++i) next_[i] = static_cast<std::uint32_t>(i);
    for (std::size_t i = kPages - 1; i > 0; --i) std::swap(next_[i], next_[random() % i]);  // Sattolo: one cycle
  }
  Slice Step(double load) override {
    return WorkAndRest(load, milliseconds{10}, [this] {
      for (int i = 0; i < 1000; ++i) {
        at_ = next_[at_];
        memory_[at_ * kPageWords + at_ % kPageWords] += at_;
      }
    });
  }

 private:
  static constexpr std::size_t kPageWords = 4 * kKiB / sizeof(std::uint64_t);
  static constexpr std::size_t kPages = 40 * kMiB / (4 * kKiB);
  std::vector<std::uint64_t> memory_;
  std::vector<std::uint32_t> next_;
  std::uint32_t at_ = 0;
};

// Looks through the guest's own files: cheap, silent, and nothing like serving.
class Prowl final : public Behaviour {
 public:
  Prowl(std::uint64_t seed, Outside& outside) : random_(seed), outside_(outside) {}
  Slice Step(double load) override {
    for (int i = 0; i < 10; ++i) outside_.LookInto(random_());
    return {10, microseconds{std::llround(20e3 / load)}};
  }

 private:
  std::mt19937_64 random_;
  Outside& outside_;
};

class Writer final : public Behaviour {
 public:
  Writer(std::uint64_t seed, Outside& outside) : random_(seed), outside_(outside), block_(Noise(random_, 64 * kKiB)) {}
  Slice Step(double load) override {
    for (int i = 0; i < 8; ++i) outside_.WriteDisk(random_() % 700 * block_.size(), block_);
    outside_.FlushDisk();
    return {8, microseconds{std::llround(50e3 * (1 - load) / load)}};
  }

 private:
  std::mt19937_64 random_;
  Outside& outside_;
  std::vector<std::byte> block_;
};

// Takes memory and never gives it back, up to a bound that leaves the guest alive.
class Leak final : public Behaviour {
 public:
  explicit Leak(std::uint64_t seed) : random_(seed) {}
  Slice Step(double load) override {
    if (held_.size() * kPiece < kBound) held_.push_back(Noise(random_, kPiece));
    return {1, microseconds{std::llround(125e3 / load)}};
  }

 private:
  static constexpr std::size_t kPiece = 128 * kKiB;
  static constexpr std::size_t kBound = 40 * kMiB;
  std::mt19937_64 random_;
  std::vector<std::vector<std::byte>> held_;
};

// Reads the disk, scrambles what it finds and sends it away.
class Exfil final : public Behaviour {
 public:
  Exfil(std::uint64_t seed, Outside& outside) : random_(seed), outside_(outside) {}
  Slice Step(double load) override {
    outside_.ReadDisk(random_() % 700 * kBlock, block_);
    auto key = random_();
    for (auto& byte : block_) byte ^= static_cast<std::byte>(key = Grind(key, 1));
    for (std::size_t at = 0; at < block_.size(); at += kPacket) {
      outside_.SendAway(std::span(block_).subspan(at, std::min(kPacket, block_.size() - at)));
    }
    return {1, microseconds{std::llround(20e3 / load)}};
  }

 private:
  static constexpr std::size_t kBlock = 32 * kKiB;
  static constexpr std::size_t kPacket = 1400;
  std::mt19937_64 random_;
  Outside& outside_;
  std::array<std::byte, kBlock> block_{};
};

// Never rests for long, never touches memory, and shares a little now and then.
class Miner final : public Behaviour {
 public:
  Miner(std::uint64_t seed, Outside& outside) : state_(seed | 1), outside_(outside) {}
  Slice Step(double load) override {
    if (Clock::now() >= next_share_) {
      outside_.SendAway(std::as_bytes(std::span(&state_, 1)));
      next_share_ = Clock::now() + milliseconds{5000};
    }
    return WorkAndRest(load, milliseconds{50}, [this] { state_ = Grind(state_, kRounds); });
  }

 private:
  std::uint64_t state_;
  Outside& outside_;
  Clock::time_point next_share_{};
};

}  // namespace

const Usual* FindBehaviour(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kUsual), std::end(kUsual), [&](const Usual& usual) { return usual.name == name; });
  return found == std::end(kUsual) ? nullptr : found;
}

std::string BehaviourNames() {
  std::string names;
  for (const auto& usual : kUsual) names += (names.empty() ? "" : ", ") + std::string(usual.name);
  return names;
}

std::unique_ptr<Behaviour> MakeBehaviour(std::string_view name, std::uint64_t seed, Outside& outside) {
  if (name == "idle") return std::make_unique<Idle>();
  if (name == "web") return std::make_unique<Web>(seed, outside);
  if (name == "batch") return std::make_unique<Batch>(seed, outside);
  if (name == "busy") return std::make_unique<Busy>(seed);
  if (name == "cache-walk") return std::make_unique<CacheWalk>(seed);
  if (name == "writer") return std::make_unique<Writer>(seed, outside);
  if (name == "leak") return std::make_unique<Leak>(seed);
  if (name == "exfil") return std::make_unique<Exfil>(seed, outside);
  if (name == "miner") return std::make_unique<Miner>(seed, outside);
  if (name == "prowl") return std::make_unique<Prowl>(seed, outside);
  if (name == "stall") return std::make_unique<Stall>();
  return nullptr;
}

double LoadAt(const Settings& settings, std::chrono::milliseconds since) {
  const double level = settings.level / 100.0;
  if (settings.day == 0) return level;
  const double phase = static_cast<double>(since.count()) / (1000.0 * settings.day);
  return level * (0.6 + 0.4 * std::sin(2 * std::numbers::pi * phase));
}

}  // namespace whorl::guest
