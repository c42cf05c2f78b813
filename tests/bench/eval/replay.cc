#include "tests/bench/eval/replay.h"

#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <ostream>
#include <sstream>

#include "core/replay/recording.h"

namespace whorl::eval {
namespace {

// What one VM went through.
struct Life {
  std::uint64_t ticks = 0;
  std::uint64_t episodes = 0;
  int peak = 0;
  std::int64_t lent = 0;  // millicore seconds, about
  std::int64_t borrowed = 0;
};

}  // namespace

Status RunReplay(const ReplayOptions& options, std::ostream& out, std::ostream& progress) {
  std::ifstream in(options.recording, std::ios::binary);
  if (!in) return Fail(Code::kNotFound, options.recording + ": " + std::strerror(errno));
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  std::map<VmHandle, Life> lives;
  std::uint64_t ticks = 0;
  const auto start = std::chrono::steady_clock::now();
  const auto replayed = Replay(bytes, [&](Time, const Engine& engine, const Plan&) {
    for (const Assessment& a : engine.assessments()) {
      Life& life = lives[a.vm];
      ++life.ticks;
      life.episodes += a.episode_opened;
      life.peak = std::max<int>(life.peak, a.score.value_or(0));
      life.lent += Count(a.cpu_lent);
      life.borrowed += Count(a.cpu_borrowed);
    }
    if (++ticks % 3600 == 0) progress << "whorl-eval: " << ticks / 3600 << " h of ticks replayed\n";
  });
  if (!replayed) return Fail(replayed.error().code, options.recording + ": " + replayed.error().message);
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double covered = static_cast<double>(replayed->covered.count()) / 1000;
  const double faster = took > 0 ? covered / took : 0;

  std::ostringstream text;
  if (options.json) {
    for (const auto& [vm, life] : lives) {
      text << "{\"vm\":" << static_cast<std::uint32_t>(vm) << ",\"ticks\":" << life.ticks
           << ",\"episodes\":" << life.episodes << ",\"peak_score\":" << life.peak
           << ",\"lent_core_s\":" << static_cast<double>(life.lent) / 1000
           << ",\"borrowed_core_s\":" << static_cast<double>(life.borrowed) / 1000 << "}\n";
    }
    text << "{\"vm\":\"*\",\"ticks\":" << replayed->ticks << ",\"samples\":" << replayed->samples
         << ",\"seconds\":" << covered << ",\"different\":" << replayed->different
         << ",\"first_different\":" << replayed->first << ",\"torn\":" << (replayed->torn ? "true" : "false")
         << ",\"times_real_time\":" << faster << "}\n";
  } else {
    text << "VM  ticks     episodes  peak  lent core-s  borrowed core-s\n";
    for (const auto& [vm, life] : lives) {
      text << static_cast<std::uint32_t>(vm) << "   " << life.ticks << "  " << life.episodes << "  " << life.peak
           << "  " << static_cast<double>(life.lent) / 1000 << "  " << static_cast<double>(life.borrowed) / 1000
           << "\n";
    }
    text << replayed->ticks << " ticks over " << covered << " s, " << replayed->samples << " samples, replayed "
         << faster << " times faster than they happened"
         << (replayed->torn ? "; the last record is cut off, as it is when the controller was stopped while it wrote"
                            : "")
         << "\n"
         << (replayed->different == 0 ? "Every tick was answered as it was when it was recorded.\n" : "");
  }
  out << text.str();
  if (replayed->different > 0) {
    return Fail(Code::kConflict, options.recording + ": " + std::to_string(replayed->different) +
                                     " ticks were answered otherwise than when they were recorded, the first is tick " +
                                     std::to_string(replayed->first) + "; was it recorded by this version?");
  }
  return {};
}

}  // namespace whorl::eval
