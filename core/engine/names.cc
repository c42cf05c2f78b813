#include "core/engine/assessment.h"

namespace whorl {

std::string_view StateName(State state) {
  switch (state) {
    case State::kLearning: return "Learning";
    case State::kNormal: return "Normal";
    case State::kDeviating: return "Deviating";
    case State::kBlind: return "Blind";
    case State::kPaused: return "Paused";
  }
  return "Unknown";
}

}  // namespace whorl
