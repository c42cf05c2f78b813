#include "core/score/episode.h"

#include <algorithm>

namespace whorl {

EpisodeTracker::Change EpisodeTracker::Observe(Time at, std::uint8_t score, std::uint8_t threshold) {
  if (!open) {
    above = score >= threshold ? static_cast<std::uint8_t>(above + 1) : std::uint8_t{0};
    peak = above <= 1 ? score : std::max(peak, score);
    if (above < kOpenAfter) return Change::kNone;
    open = true;
    ++number;
    opened = at;
    calm = 0;
    return Change::kOpened;
  }
  peak = std::max(peak, score);
  const bool quiet = static_cast<double>(score) < kCalmPart * static_cast<double>(threshold);
  calm = quiet ? static_cast<std::uint8_t>(calm + 1) : std::uint8_t{0};
  return calm < kCloseAfter ? Change::kNone : Abandon(at);
}

EpisodeTracker::Change EpisodeTracker::Abandon(Time at) {
  above = 0;
  calm = 0;
  if (!open) return Change::kNone;
  open = false;
  closed = at;
  return Change::kClosed;
}

float News::Observe(float evidence) {
  constexpr float kFading = 0.995f;
  constexpr float kMore = 1.35f;
  told *= kFading;
  if (evidence <= told * kMore) return 0;
  told = evidence;
  return evidence;
}

}  // namespace whorl
