#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operator/agent/act/knob_tree.h"
#include "operator/agent/journal/journal.h"
#include "operator/agent/journal/restore.h"

namespace whorl::agent {

// A knob and the text it shall hold.
struct WantedKnob {
  std::string file;
  std::string text;
};

// Somebody else changed a knob we held.
struct ForeignChange {
  std::string file;
  std::string expected;
  std::string seen;
};

// Writes knobs of one pod so that each can be undone: journal, write, read
// back. Not thread-safe; every call happens under Journal::Lock().
class LimitWriter {
 public:
  LimitWriter(KnobTree& tree, const Journal& journal, std::string cgroup_root);

  // Brings the pod to `wanted` until `entry.expires` and updates `entry`. Knobs
  // already held stay held. All or nothing: when one write fails, those made by
  // this call are taken back. kConflict: `foreign` names the knob that somebody
  // else set; it has been let go. kGone: the pod's cgroup has vanished.
  Status Hold(JournalEntry& entry, const std::vector<WantedKnob>& wanted, std::optional<ForeignChange>& foreign);

  // Compares every held knob with the disk. A knob that fell back to the value
  // found is written again, at most kReasserts times per pod and knob; after
  // that, and for any other value, it counts as foreign and is let go.
  std::optional<ForeignChange> Check(JournalEntry& entry);

  // Puts single knobs back as found and forgets them.
  Status Release(JournalEntry& entry, const std::vector<std::string>& files);

  // Puts everything back.
  std::vector<KnobOutcome> Restore(const JournalEntry& entry);

  static constexpr int kReasserts = 3;

 private:
  std::string DirOf(const JournalEntry& entry) const { return cgroup_root_ + "/" + entry.dir; }
  std::optional<ForeignChange> CheckKnob(JournalEntry& entry, JournalKnob& knob);

  KnobTree& tree_;
  const Journal& journal_;
  const std::string cgroup_root_;
  std::map<std::pair<std::string, std::string>, int> reasserted_;  // by pod and file
};

}  // namespace whorl::agent
