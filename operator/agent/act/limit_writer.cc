#include "operator/agent/act/limit_writer.h"

#include <algorithm>

namespace whorl::agent {
namespace {

JournalKnob* FindKnob(JournalEntry& entry, const std::string& file) {
  const auto it =
      std::find_if(entry.knobs.begin(), entry.knobs.end(), [&](const JournalKnob& k) { return k.file == file; });
  return it == entry.knobs.end() ? nullptr : &*it;
}

}  // namespace

LimitWriter::LimitWriter(KnobTree& tree, const Journal& journal, std::string cgroup_root)
    : tree_(tree), journal_(journal), cgroup_root_(std::move(cgroup_root)) {}

Status LimitWriter::Hold(JournalEntry& entry, const std::vector<WantedKnob>& wanted,
                         std::optional<ForeignChange>& foreign) {
  const auto dir = DirOf(entry);
  const auto inode = tree_.Inode(dir);
  if (!inode || *inode != entry.inode) return Fail(Code::kGone, "the pod's cgroup " + entry.dir + " is gone");

  // What we hold must still be ours before it is changed again.
  foreign = Check(entry);
  if (foreign) return Fail(Code::kConflict, foreign->file + " was set to " + foreign->seen + " by somebody else");

  const bool changes = std::any_of(wanted.begin(), wanted.end(), [&](const WantedKnob& want) {
    const auto* knob = FindKnob(entry, want.file);
    return knob == nullptr || knob->wrote != want.text;
  });
  if (!changes) return journal_.Put(entry);  // the lease is renewed

  const JournalEntry before = entry;
  std::vector<std::pair<std::string, std::string>> undo;  // file, text before this call
  for (const auto& want : wanted) {
    auto* knob = FindKnob(entry, want.file);
    if (knob == nullptr) {
      const auto found = tree_.Read(dir, want.file);
      if (!found) {
        entry = before;
        return Fail(found.error());
      }
      entry.knobs.push_back({want.file, *found, *found, want.text});
      knob = &entry.knobs.back();
    }
    knob->intent = want.text;
    undo.emplace_back(want.file, knob->wrote);
  }
  // The inverse stands in the journal before the first byte is written.
  if (auto put = journal_.Put(entry); !put) {
    entry = before;
    return Fail(put.error().In("journal"));
  }

  Status failed;
  std::size_t written = 0;
  for (const auto& want : wanted) {
    auto* knob = FindKnob(entry, want.file);
    if (knob->wrote == want.text) {
      ++written;
      continue;
    }
    failed = tree_.Write(dir, want.file, want.text);
    ++written;
    if (!failed) break;
    const auto seen = tree_.Read(dir, want.file);
    if (!seen) {
      failed = Fail(seen.error());
      break;
    }
    const bool arriving = OnItsWay(want.file, *seen, {knob->found, knob->wrote, want.text});
    if (*seen != want.text && !arriving) {
      failed = Fail(Code::kRefused, want.file + " reads " + *seen + " after writing " + want.text);
      break;
    }
    knob->wrote = want.text;
  }
  if (failed) return journal_.Put(entry);

  // Take back what this call wrote, newest first; the journal keeps both values
  // until that is done, so that a crash here leaves nothing behind either.
  while (written-- > 0) {
    const auto& [file, text] = undo[written];
    const auto now = tree_.Read(dir, file);
    if (now && (*now != text || Travels(file))) static_cast<void>(tree_.Write(dir, file, text));
  }
  JournalEntry after = before;
  after.expires = entry.expires;
  for (const auto& [file, text] : undo) {
    const auto now = tree_.Read(dir, file);
    // Could not be taken back, or not be looked at (a write that was given up may yet
    // take effect): stays journalled, to be restored by the lease.
    const bool vanished = !now && (now.error().code == Code::kNotFound || now.error().code == Code::kGone);
    if ((now && *now == text) || vanished) continue;
    if (auto* kept = FindKnob(after, file)) {
      kept->intent = FindKnob(entry, file)->intent;
    } else {
      after.knobs.push_back(*FindKnob(entry, file));
    }
  }
  const auto kept = after.knobs.empty() ? journal_.Drop(entry.pod_uid) : journal_.Put(after);
  entry = std::move(after);
  if (!kept) return Fail(kept.error().In("journal"));
  return failed;
}

std::optional<ForeignChange> LimitWriter::Check(JournalEntry& entry) {
  for (auto& knob : entry.knobs) {
    auto foreign = CheckKnob(entry, knob);
    if (!foreign) continue;
    // One writer per field: the others are ours no longer either, but they are
    // put back as found, and only the foreign one is left.
    JournalEntry rest = entry;
    std::erase_if(rest.knobs, [&](const JournalKnob& k) { return k.file == foreign->file; });
    const auto outcomes = RestoreKnobs(tree_, cgroup_root_, rest);
    std::erase_if(rest.knobs, [&](const JournalKnob& k) {
      return std::any_of(outcomes.begin(), outcomes.end(),
                         [&](const KnobOutcome& o) { return o.file == k.file && o.fate != KnobFate::kFailed; });
    });
    static_cast<void>(rest.knobs.empty() ? journal_.Drop(entry.pod_uid) : journal_.Put(rest));
    entry.knobs = std::move(rest.knobs);
    return foreign;
  }
  return std::nullopt;
}

std::optional<ForeignChange> LimitWriter::CheckKnob(JournalEntry& entry, JournalKnob& knob) {
  const auto dir = DirOf(entry);
  const auto seen = tree_.Read(dir, knob.file);
  if (!seen || *seen == knob.wrote) return std::nullopt;  // unreadable: the next write will say so
  if (OnItsWay(knob.file, *seen, {knob.found, knob.wrote, knob.intent})) return std::nullopt;
  if (*seen == knob.found) {
    int& times = reasserted_[{entry.pod_uid, knob.file}];
    if (times < kReasserts) {
      ++times;
      if (tree_.Write(dir, knob.file, knob.wrote)) {
        const auto again = tree_.Read(dir, knob.file);
        if (again && *again == knob.wrote) return std::nullopt;
      }
    }
  }
  return ForeignChange{knob.file, knob.wrote, *seen};
}

Status LimitWriter::Release(JournalEntry& entry, const std::vector<std::string>& files) {
  JournalEntry part = entry;
  const auto named = [&](const JournalKnob& k) { return std::find(files.begin(), files.end(), k.file) != files.end(); };
  std::erase_if(part.knobs, [&](const JournalKnob& k) { return !named(k); });
  if (part.knobs.empty()) return {};
  for (const auto& outcome : RestoreKnobs(tree_, cgroup_root_, part)) {
    if (outcome.fate == KnobFate::kFailed) return Fail(Code::kUnavailable, outcome.message);
    std::erase_if(entry.knobs, [&](const JournalKnob& k) { return k.file == outcome.file; });
  }
  return entry.knobs.empty() ? journal_.Drop(entry.pod_uid) : journal_.Put(entry);
}

std::vector<KnobOutcome> LimitWriter::Restore(const JournalEntry& entry) {
  std::erase_if(reasserted_, [&](const auto& item) { return item.first.first == entry.pod_uid; });
  return agent::Restore(tree_, journal_, cgroup_root_, entry);
}

}  // namespace whorl::agent
