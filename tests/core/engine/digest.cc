// whorl-engine-digest [SECONDS]: what the engine says about a made-up node, as one
// number a minute. Builds by different compilers must print the same lines, byte
// for byte; the first line that differs is the minute to look at. `./dev test`
// compares the release build (g++) with the sanitized one (clang).

#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/core/engine/node_world.h"

namespace {

using namespace whorl;
using namespace whorl::test;

// FNV-1a. Of fields one by one, for padding between them is nobody's business.
struct Digest {
  std::uint64_t state = 0xcbf29ce484222325u;
  void Add(std::string_view bytes) {
    for (const char c : bytes) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  void Add(std::uint64_t value) {
    for (int i = 0; i < 8; ++i) state = (state ^ ((value >> (8 * i)) & 0xff)) * 0x100000001b3u;
  }
  void Add(float value) { Add(std::uint64_t{std::bit_cast<std::uint32_t>(value)}); }
  void Add(double value) { Add(std::bit_cast<std::uint64_t>(value)); }
};

void Add(Digest& digest, const Assessment& a) {
  digest.Add(std::uint64_t{static_cast<std::uint8_t>(a.state)});
  digest.Add(std::uint64_t{a.score.value_or(255)});
  digest.Add(a.p_value.value_or(-1));
  digest.Add(std::uint64_t{a.threshold});
  for (std::size_t i = 0; i < a.top_count; ++i) {
    digest.Add(std::uint64_t{static_cast<std::uint8_t>(a.top[i].feature)});
    digest.Add(a.top[i].sigmas);
    digest.Add(a.top[i].share);
    digest.Add(a.top[i].value);
    digest.Add(a.top[i].usual);
  }
  digest.Add(static_cast<std::uint64_t>(Count(a.cpu_predicted.value_or(MilliCores{-1}))));
  digest.Add(static_cast<std::uint64_t>(Count(a.cpu_allocation)));
}

void Add(Digest& digest, const Plan& plan) {
  for (const auto& d : plan.directives) {
    digest.Add(static_cast<std::uint64_t>(Count(d.allocation)));
    digest.Add(std::uint64_t{d.shares});
  }
  for (const auto& loan : plan.loans) {
    digest.Add(loan.id);
    digest.Add(static_cast<std::uint64_t>(Count(loan.amount)));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int seconds = argc > 1 ? std::atoi(argv[1]) : 900;
  NodeWorld world(900);
  for (std::uint64_t i = 0; i < 5; ++i) {
    world.Add(SpecOf("vm-" + std::to_string(i), i == 4 ? Mode::kObserve : Mode::kEnforce), i + 1);
  }
  Digest digest;
  for (int second = 1; second <= seconds; ++second) {
    // One calm, one that turns busy, one whose network swells, one that falls silent, one in waves.
    world.vms[1].demand = second % 300 > 240 ? 900 : 40;
    world.vms[2].packets = second % 400 > 350 ? 800 : 20;
    world.vms[3].demand = second % 500 > 450 ? 1 : 150;
    world.vms[4].demand = 100 + 80 * ((second / 60) % 3);
    Add(digest, world.Second());
    for (const auto& vm : world.vms) Add(digest, world.Of(vm));
    if (second % 60 == 0 || second == seconds) {
      for (const auto& vm : world.vms) digest.Add(world.engine.SaveBaseline(vm.handle()).value_or("none"));
      std::printf("%5d s  %016llx\n", second, static_cast<unsigned long long>(digest.state));
    }
  }
  return 0;
}
