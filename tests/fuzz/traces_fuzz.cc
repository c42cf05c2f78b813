// A trace is a file somebody found: whatever its bytes, reading it may fail but
// not crash, and what was read must hold together well enough to be scored.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/bench/eval/baselines.h"
#include "tests/bench/eval/traces.h"

namespace {

using namespace whorl;
using namespace whorl::eval;

void Require(bool holds) {
  if (!holds) std::abort();
}

void Check(const Series& series) {
  const std::size_t rows = series.rows();
  Require(rows >= 2 && !series.columns.empty() && series.values.size() == rows * series.columns.size());
  Require(series.train_rows <= rows && (series.label.empty() || series.label.size() == rows));
  Require(series.interval >= Millis{1000} && series.interval <= Millis{86'400'000});
  for (const float v : series.values) Require(!std::isinf(v));
  for (const auto* segments : {&series.events, &series.blamed}) {
    for (const Segment& s : *segments) {
      Require(s.begin < s.end && s.end <= rows);
      for (const auto column : s.columns) Require(column < series.columns.size());
    }
  }
  if (rows * series.columns.size() > 5000) return;  // the rest is for speed
  for (const auto& baseline : SimpleBaselines(series, 1)) Require(baseline.evidence.size() == rows);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const unsigned kind = data[0] % 5;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  // A line of "---" parts the trace from the table beside it.
  constexpr std::string_view kPart = "\n---\n";
  const std::size_t cut = text.find(kPart);
  const std::string beside(cut == std::string_view::npos ? "" : text.substr(cut + kPart.size()));
  text = text.substr(0, cut);
  auto table = Table::Parse(std::string(text));
  if (!table) return 0;
  if (kind >= 2) {
    const auto vms = kind == 2   ? ReadAzureTrace(std::move(*table))
                     : kind == 3 ? ReadBitbrainsTrace(std::move(*table))
                                 : trace::ReadVmTrace(std::move(*table), trace::Brief::kLeaveOut);
    if (vms) {
      for (const Series& series : *vms) Check(series);
    }
    return 0;
  }
  auto series = kind == 0 ? ReadServerTrace(std::move(*table), "a", "smd", Millis{60'000})
                          : ReadNabTrace(std::move(*table), "a__b");
  if (!series) return 0;
  if (auto more = Table::Parse(beside)) {
    const auto added = kind == 0 ? AddBlamed(std::move(*more), *series) : AddNabWindows(std::move(*more), *series);
    if (!added) return 0;
  }
  Check(*series);
  return 0;
}
