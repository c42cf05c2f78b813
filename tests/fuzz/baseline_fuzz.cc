// A checkpoint comes from another machine: whatever its bytes, loading it may
// fail but neither crash nor leave an engine that says something impossible.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "core/engine/engine.h"

namespace {

using namespace whorl;

std::uint32_t Crc(std::string_view bytes) {
  std::uint32_t c = 0xffffffffu;
  for (const char b : bytes) {
    c ^= static_cast<unsigned char>(b);
    for (int bit = 0; bit < 8; ++bit) c = (c & 1u) != 0 ? 0xedb88320u ^ (c >> 1) : c >> 1;
  }
  return ~c;
}

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Engine engine;
  VmSpec spec;
  spec.id = "fuzzed";
  spec.policy.learning_samples = 1;
  spec.policy.learning = Seconds{0};
  const VmHandle vm = engine.Enrol(spec).value();
  std::string blob(reinterpret_cast<const char*>(data), size);
  // Start from a real one and give it a right checksum, or the fuzzer never
  // gets past the first gate.
  std::string real = engine.SaveBaseline(vm).value();
  for (std::size_t i = 0; i < blob.size(); ++i) real[(12 + i * 5) % (real.size() - 4)] ^= blob[i];
  const std::uint32_t crc = Crc(std::string_view(real).substr(0, real.size() - 4));
  std::memcpy(real.data() + real.size() - 4, &crc, 4);

  for (const std::string& candidate : {blob, real}) {
    const std::string before = engine.SaveBaseline(vm).value();
    if (!engine.LoadBaseline(vm, candidate)) Require(engine.SaveBaseline(vm).value() == before);
  }
  Frame frame;
  frame.samples.resize(1);
  VmSample& sample = frame.samples[0];
  sample.vm = vm;
  sample.valid = FeatureMask::All();
  Time now = FromUnixMillis(1'700'000'000'000);
  for (int tick = 0; tick < 5; ++tick) {
    now += Seconds{1};
    sample.sampled_at = now;
    for (double& raw : sample.raw) raw += 1000;
    engine.Tick(now, frame);
    const Assessment& a = *engine.Find(vm);
    Require(!a.score || *a.score <= 100);
    Require(!a.p_value || (*a.p_value > 0 && *a.p_value <= 1));
    Require(a.learning.percent <= 100);
  }
  return 0;
}
