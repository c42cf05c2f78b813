#include "tests/bench/eval/nab_score.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

namespace whorl::eval {
namespace {

constexpr double kMissedWindow = 1.0;
constexpr double kFalsePositive = 0.11;

// 1 at -infinity, 0 at 0, -1 from 3 on; positions are in widths of the window.
double ScaledSigmoid(double position) {
  if (position >= 3.0) return -1.0;
  return 2.0 / (1.0 + std::exp(5.0 * position)) - 1.0;
}

// One row that counts: what it adds when it is a detection.
struct Point {
  double evidence = 0;
  double gain = 0;
  std::size_t window = 0;  // over all files; kOutside: a false positive
};
constexpr std::size_t kOutside = std::numeric_limits<std::size_t>::max();

struct Scorable {
  std::vector<Point> points;  // by falling evidence
  std::size_t windows = 0;
};

Scorable Prepare(std::span<const NabFile> files) {
  Scorable all;
  for (const NabFile& file : files) {
    std::size_t next = 0;  // window
    bool passed = false;   // at least one
    double last_index = 0, width = 0;
    for (std::size_t i = 0; i < file.evidence.size(); ++i) {
      while (next < file.windows.size() && i >= file.windows[next].end) {
        last_index = static_cast<double>(file.windows[next].end - 1);
        width = static_cast<double>(file.windows[next].end - file.windows[next].begin);
        passed = true;
        ++next;
      }
      Point point;
      if (next < file.windows.size() && i >= file.windows[next].begin) {
        const auto end = static_cast<double>(file.windows[next].end);
        const double wide = end - static_cast<double>(file.windows[next].begin);
        point.gain = ScaledSigmoid(-(end - static_cast<double>(i)) / wide) / ScaledSigmoid(-1.0);
        point.window = all.windows + next;
      } else {
        const double position = passed ? (static_cast<double>(i) - last_index) / (width - 1) : 3.0;
        point.gain = kFalsePositive * ScaledSigmoid(position);
        point.window = kOutside;
      }
      if (i < file.probation || std::isnan(file.evidence[i])) continue;
      point.evidence = static_cast<double>(file.evidence[i]);
      all.points.push_back(point);
    }
    all.windows += file.windows.size();
  }
  // Equal evidence in one order, so that sums round alike everywhere.
  std::sort(all.points.begin(), all.points.end(), [](const Point& a, const Point& b) {
    return std::tuple(-a.evidence, a.window, a.gain) < std::tuple(-b.evidence, b.window, b.gain);
  });
  return all;
}

// Lowers the threshold level by level; calls level(threshold, raw score).
template <typename Level>
void Sweep(const Scorable& all, Level level) {
  std::vector<double> of_window(all.windows, -kMissedWindow);
  double raw = 0 - kMissedWindow * static_cast<double>(all.windows);  // not -0
  level(std::numeric_limits<double>::infinity(), raw);
  for (std::size_t i = 0; i < all.points.size();) {
    const double threshold = all.points[i].evidence;
    for (; i < all.points.size() && all.points[i].evidence == threshold; ++i) {
      const Point& point = all.points[i];
      if (point.window == kOutside) {
        raw += point.gain;
      } else if (point.gain > of_window[point.window]) {
        raw += point.gain - of_window[point.window];
        of_window[point.window] = point.gain;
      }
    }
    level(threshold, raw);
  }
}

NabScore Normalised(double raw, double threshold, std::size_t windows) {
  const auto w = static_cast<double>(windows);
  const double standard = windows == 0 ? std::numeric_limits<double>::quiet_NaN() : 100 * (raw + w) / (2 * w);
  return {standard, raw, threshold, windows};
}

}  // namespace

NabScore BestNabScore(std::span<const NabFile> files) {
  const Scorable all = Prepare(files);
  double best = -std::numeric_limits<double>::infinity(), at = 0;
  Sweep(all, [&](double threshold, double raw) {
    if (raw > best) {
      best = raw;
      at = threshold;
    }
  });
  return Normalised(best, at, all.windows);
}

NabScore NabScoreAt(std::span<const NabFile> files, double threshold) {
  const Scorable all = Prepare(files);
  double score = 0;
  Sweep(all, [&](double level, double raw) {
    if (level >= threshold) score = raw;
  });
  return Normalised(score, threshold, all.windows);
}

Result<NabPublished> NabPublished::Parse(Table table) {
  const auto file = table.Require("file");
  const auto detector = table.Require("detector");
  const auto raw_score = table.Require("raw_score_standard");
  for (const auto* column : {&file, &detector, &raw_score}) {
    if (!*column) return Fail(column->error());
  }
  NabPublished published;
  while (table.Next()) {
    const auto score = Number(table.Cell(*raw_score));
    if (!score) return Fail(Code::kInvalid, "line " + std::to_string(table.line()) + ": the score is not a number");
    std::string name(table.Cell(*file));
    if (const auto slash = name.find('/'); slash != std::string::npos) name.replace(slash, 1, "__");
    if (name.ends_with(".csv")) name.resize(name.size() - 4);
    published.raw[std::string(table.Cell(*detector))][name] = *score;
  }
  if (published.raw.empty()) return Fail(Code::kInvalid, "no rows");
  return published;
}

std::vector<NabPublished::Entry> NabPublished::Over(std::span<const std::string> files, std::size_t windows) const {
  std::vector<Entry> entries;
  if (windows == 0) return entries;
  for (const auto& [detector, scores] : raw) {
    double sum = 0;
    const bool complete = std::all_of(files.begin(), files.end(), [&](const std::string& file) {
      const auto found = scores.find(file);
      if (found == scores.end()) return false;
      sum += found->second;
      return true;
    });
    const auto w = static_cast<double>(windows);
    if (complete) entries.push_back({detector, 100 * (sum + w) / (2 * w)});
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.standard > b.standard; });
  return entries;
}

}  // namespace whorl::eval
