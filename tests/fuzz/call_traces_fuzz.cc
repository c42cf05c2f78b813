// A trace file comes from anywhere: whatever its bytes, reading it gives traces
// that can be learnt and judged, or an error.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/fingerprint/sequence.h"
#include "tests/bench/eval/syscalls_traces.h"

namespace {

using namespace whorl;

void Judge(std::string text) {
  auto table = eval::Table::Parse(std::move(text));
  if (!table) return;
  const auto all = eval::ReadCallTraces(std::move(*table));
  if (!all) return;
  std::vector<SequenceModel::Calls> learnt;
  for (const eval::CallTrace& trace : all->traces)
    learnt.insert(learnt.end(), trace.threads.begin(), trace.threads.end());
  const SequenceModel model = SequenceModel::Fit(learnt, {.traces = 8, .windows = 16});
  SequenceModel::Scratch scratch(model);
  for (const SequenceModel::Calls calls : learnt) {
    const float fused = model.Judge(calls, scratch).fused;
    if (!(fused >= 0 && fused <= SequenceModel::kMostEvidence)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  Judge(text);
  // With the right header, or the fuzzer spends its time on guessing one.
  Judge("trace,set,family,attack,len,calls\n" + text);
  Judge("recording,split,dir,syscall,tid\n" + text);
  return 0;
}
