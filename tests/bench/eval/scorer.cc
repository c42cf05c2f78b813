#include "tests/bench/eval/scorer.h"

namespace whorl::eval {

std::vector<Alarm> EpisodesOf(const Scored& scored) {
  std::vector<Alarm> alarms;
  bool open = false;
  for (std::size_t i = 0; i < scored.rows.size(); ++i) {
    if (scored.rows[i].opened) {
      alarms.push_back({i, scored.rows.size()});
      open = true;
    }
    if (open && scored.rows[i].closed) {
      alarms.back().end = i + 1;
      open = false;
    }
  }
  return alarms;
}

std::vector<float> EvidenceOf(const Scored& scored, std::size_t from) {
  std::vector<float> evidence;
  for (std::size_t i = from; i < scored.rows.size(); ++i) evidence.push_back(scored.rows[i].evidence);
  return evidence;
}

}  // namespace whorl::eval
