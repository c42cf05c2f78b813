#pragma once

#include <functional>
#include <string>
#include <vector>

#include "operator/agent/act/knob_tree.h"
#include "operator/agent/journal/journal.h"

namespace whorl::agent {

// What became of one knob.
enum class KnobFate {
  kRestored,  // holds what was found, byte for byte
  kForeign,   // somebody else changed it: left as it is
  kGone,      // the pod, or that life of it, is no more: nothing owed
  kFailed,    // not restored; to be tried again
};

struct KnobOutcome {
  std::string file;
  KnobFate fate = KnobFate::kFailed;
  std::string message;  // one sentence for the log
};

// Puts back what an entry says was found. Call under Journal::Lock().
std::vector<KnobOutcome> RestoreKnobs(KnobTree& tree, const std::string& cgroup_root, const JournalEntry& entry);

// The same, and the entry leaves the journal unless a knob failed; then the
// knobs that failed stay in it.
std::vector<KnobOutcome> Restore(KnobTree& tree, const Journal& journal, const std::string& cgroup_root,
                                 const JournalEntry& entry);

// One look at the whole journal, under its lock: restores every entry whose
// lease ended before `now`, and all of them when `agent_gone` says so. That is
// asked after the lock is held: an agent that has just started writes nothing
// before it gets the lock, so what stands in the journal then is not its own.
struct Looked {
  std::size_t left = 0;           // entries still in the journal
  std::vector<std::string> said;  // one sentence per thing done or wrong
};
Looked RestoreDue(KnobTree& tree, const Journal& journal, const std::string& cgroup_root, Millis now,
                  const std::function<bool()>& agent_gone);

bool AllSettled(const std::vector<KnobOutcome>& outcomes);

}  // namespace whorl::agent
