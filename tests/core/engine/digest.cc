// whorl-engine-digest [SECONDS]: what the engine says about a made-up node, as one
// number a minute. Builds by different compilers must print the same lines, byte
// for byte; the first line that differs is the minute to look at. `./dev test`
// compares the release build (g++) with the sanitized one (clang).

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "core/replay/recording.h"
#include "tests/core/engine/node_world.h"

int main(int argc, char** argv) {
  using namespace whorl;
  using namespace whorl::test;
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
    AddTo(digest, world.Second());
    for (const auto& vm : world.vms) AddTo(digest, world.Of(vm));
    if (second % 60 == 0 || second == seconds) {
      for (const auto& vm : world.vms) digest.Add(world.engine.SaveBaseline(vm.handle()).value_or("none"));
      std::printf("%5d s  %016llx\n", second, static_cast<unsigned long long>(digest.state));
    }
  }
  return 0;
}
