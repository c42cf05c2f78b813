#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "crd/behavior_fingerprint.h"
#include "operator/controller/ingest/report.h"

namespace whorl::controller {

// What users see of one VM, made from its report. All pure.

// A VM nobody watches: opted in, but not running, or on a node without report.
VmReport Unwatched(const Resolution& resolution, std::string why);

// The coarse facts that are worth a write when they change. Scores count in
// tens, learning in tens of a percent, CPU in doublings.
struct Bucket {
  State state = State::kBlind;
  int score = -1;
  int learned = -1;
  int demand = -1;
  std::string limit;
  bool lends = false;
  bool borrows = false;
  Mode mode = Mode::kOff;
  std::string node;
  std::string blind_reason;
  std::string refusal;
  std::string cap;
  std::string guard;
  Nature nature = Nature::kNone;
  std::uint64_t episode = 0;
  bool held = false;
  bool operator==(const Bucket&) const = default;

  // State, mode, loans: people wait for these, so they are written at once.
  bool SameForPeople(const Bucket& other) const;
};
// `before`: what was written last, so that a value on the edge of two buckets
// does not flap: the score must leave its bucket by 2, the CPU by a quarter.
Bucket BucketOf(const VmReport& vm, const std::optional<Bucket>& before);

struct Annotations {
  std::optional<std::string> score;  // absent while Learning or Blind
  std::string state;
  std::string summary;
  bool operator==(const Annotations&) const = default;
};
Annotations ToAnnotations(const VmReport& vm);

// `conditions` are those written before; their transition times are kept.
crd::BehaviorFingerprintStatus ToFingerprint(const VmReport& vm, const std::optional<crd::LastAction>& last_action,
                                             std::vector<crd::Condition> conditions, Time now);

// Whether the annotation `request` is the one that `last` tells of. With a mark
// (reset@...) that is certain; the bare word counts as the same within a minute.
bool AlreadyDone(const crd::BaselineRequest& request, const crd::LastBaselineRequest& last, Time now);

}  // namespace whorl::controller
