#include "operator/agent/journal/restore.h"

#include <algorithm>

namespace whorl::agent {
namespace {

bool Vanished(const Error& error) { return error.code == Code::kNotFound || error.code == Code::kGone; }

KnobOutcome RestoreOne(KnobTree& tree, const std::string& dir, const JournalKnob& knob) {
  KnobOutcome outcome{knob.file, KnobFate::kFailed, {}};
  const auto seen = tree.Read(dir, knob.file);
  if (!seen) {
    outcome.fate = Vanished(seen.error()) ? KnobFate::kGone : KnobFate::kFailed;
    outcome.message = seen.error().message;
    return outcome;
  }
  if (*seen != knob.found || Travels(knob.file)) {
    // Ours is what was read back last, or what was about to be written.
    const bool ours = *seen == knob.found || *seen == knob.wrote || *seen == knob.intent ||
                      OnItsWay(knob.file, *seen, {knob.found, knob.wrote, knob.intent});
    if (!ours) {
      outcome.fate = KnobFate::kForeign;
      outcome.message = knob.file + " is " + *seen + ", neither ours (" + knob.wrote + ") nor found (" + knob.found +
                        "): somebody else set it, left as it is";
      return outcome;
    }
    if (auto written = tree.Write(dir, knob.file, knob.found); !written) {
      outcome.fate = Vanished(written.error()) ? KnobFate::kGone : KnobFate::kFailed;
      outcome.message = written.error().message;
      return outcome;
    }
    const auto again = tree.Read(dir, knob.file);
    // What remains is the guest's to do, and QEMU holds it to that.
    if (again && *again != knob.found && OnItsWay(knob.file, *again, {*seen, knob.found})) {
      outcome.fate = KnobFate::kRestored;
      outcome.message = knob.file + " is on its way back to " + knob.found + " (" + *again + " now)";
      return outcome;
    }
    if (!again || *again != knob.found) {
      outcome.message =
          knob.file + " reads " + (again ? *again : again.error().message) + " after writing " + knob.found;
      return outcome;
    }
  }
  outcome.fate = KnobFate::kRestored;
  outcome.message = knob.file + " is " + knob.found + " again";
  return outcome;
}

}  // namespace

std::vector<KnobOutcome> RestoreKnobs(KnobTree& tree, const std::string& cgroup_root, const JournalEntry& entry) {
  const std::string dir = cgroup_root + "/" + entry.dir;
  const auto inode = tree.Inode(dir);
  std::vector<KnobOutcome> outcomes;
  for (const auto& knob : entry.knobs) {
    if (!inode && !Vanished(inode.error())) {
      outcomes.push_back({knob.file, KnobFate::kFailed, inode.error().message});
    } else if (!inode || *inode != entry.inode) {
      outcomes.push_back({knob.file, KnobFate::kGone, "the pod's cgroup is gone"});
    } else {
      outcomes.push_back(RestoreOne(tree, dir, knob));
    }
  }
  return outcomes;
}

std::vector<KnobOutcome> Restore(KnobTree& tree, const Journal& journal, const std::string& cgroup_root,
                                 const JournalEntry& entry) {
  auto outcomes = RestoreKnobs(tree, cgroup_root, entry);
  JournalEntry rest = entry;
  std::erase_if(rest.knobs, [&](const JournalKnob& knob) {
    return std::any_of(outcomes.begin(), outcomes.end(),
                       [&](const KnobOutcome& o) { return o.file == knob.file && o.fate != KnobFate::kFailed; });
  });
  const auto kept = rest.knobs.empty() ? journal.Drop(entry.pod_uid) : journal.Put(rest);
  if (!kept) {
    for (auto& outcome : outcomes) outcome.message += "; journal: " + kept.error().message;
  }
  return outcomes;
}

Looked RestoreDue(KnobTree& tree, const Journal& journal, const std::string& cgroup_root, Millis now,
                  const std::function<bool()>& agent_gone) {
  Looked looked;
  const auto guard = journal.Lock();
  // Read under the lock too: an agent that renewed meanwhile is obeyed.
  auto contents = guard ? journal.Load() : Fail(guard.error());
  if (!contents) {
    looked.said.push_back("journal: " + contents.error().message);
    return looked;
  }
  looked.said = std::move(contents->damage);
  looked.left = contents->entries.size();
  const bool all = !contents->entries.empty() && agent_gone();
  for (const auto& entry : contents->entries) {
    if (!all && now < entry.expires) continue;
    const auto outcomes = Restore(tree, journal, cgroup_root, entry);
    for (const auto& outcome : outcomes) looked.said.push_back("pod " + entry.pod_uid + ": " + outcome.message);
    if (AllSettled(outcomes)) --looked.left;
  }
  return looked;
}

bool AllSettled(const std::vector<KnobOutcome>& outcomes) {
  return std::none_of(outcomes.begin(), outcomes.end(),
                      [](const KnobOutcome& o) { return o.fate == KnobFate::kFailed; });
}

}  // namespace whorl::agent
