#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "core/base/units.h"
#include "core/baseline/bootstrap.h"
#include "core/engine/assessment.h"
#include "operator/controller/enrol/resolve.h"
#include "operator/controller/ingest/report.h"

namespace whorl::controller {

// What users read, in one place. All pure. An Event's note says what was seen,
// against which threshold, what was done from -> to, until when, and how to
// stop it.

// "cpu usage 950 millicores (usually 40 millicores, 14 sigmas above)", largest first.
std::string FeaturesText(const Assessment& assessment);
// "1 h 5 min", "42 s".
std::string DurationText(Seconds duration);

// The one sentence of the summary annotation; at most 138 characters, which is
// what `kubectl describe` shows of one.
std::string SummaryText(const VmReport& vm);

std::string BaselineReadyNote(const Assessment& assessment);
std::string BootstrappedNote(const HistoryPrior& prior, const std::vector<std::string>& warnings);
std::string DeviatingNote(const VmReport& vm);
// An open alarm looks like something else than what was last told.
std::string NatureChangedNote(const Assessment& assessment, Nature before);
std::string NormalNote(const Assessment& assessment);
std::string UsualLevelMovedNote(const UsualMoved& moved);
std::string RegimeChangedNote(const Assessment& assessment);
std::string BlindNote(const VmReport& vm);
std::string BaselineResetNote(std::string_view request);
std::string BaselineAcceptedNote(std::string_view request);
std::string BaselineDiscardedNote(std::string_view vm_uid, std::string_view why, std::string_view node);
std::string LedgerSetAsideNote(std::string_view node, std::string_view why);

// A VM that has less than its floor, because the floors of its node do not fit.
struct LoweredFloor {
  std::int32_t priority_class = 0;
  std::string vm;  // namespace/name
  MilliCores cut{0};
  auto operator<=>(const LoweredFloor&) const = default;
};
// `lowered` is not empty and in the order in which they gave way.
std::string FloorsText(const std::vector<LoweredFloor>& lowered, MilliCores capacity);

// Limits. `from` and `to` as crd::LimitText gives them, or weights.
struct LimitMove {
  std::string knob;  // "CPU limit" or "CPU weight"
  std::string from;
  std::string to;
  std::optional<Time> until;
};
std::string RaisedNote(const VmReport& vm, const LimitMove& move);
std::string LoweredNote(const VmReport& vm, const LimitMove& move);
// `why`: "calm again", "the lease ended without being renewed" ...
std::string RestoredNote(const LimitMove& move, std::string_view why);
std::string HowToStop(const Subject& subject);

}  // namespace whorl::controller
