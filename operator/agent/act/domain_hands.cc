#include "operator/agent/act/domain_hands.h"

#include <pthread.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace whorl::agent {

namespace api = whorl::node::v1;

namespace {

bool Same(const DiskLimits& a, const DiskLimits& b) {
  return a.read_bytes == b.read_bytes && a.write_bytes == b.write_bytes && a.read_iops == b.read_iops &&
         a.write_iops == b.write_iops;
}

}  // namespace

DomainHands::DomainHands(Options options, Domains domains, Journal journal, const Clock& clock)
    : options_(std::move(options)),
      domains_(std::move(domains)),
      journal_(std::move(journal)),
      clock_(clock),
      writer_(domains_.knobs, journal_, options_.cgroup_root),
      mover_(options_.balloon,
             {domains_.look,
              [this](const std::string& uid, const std::string& text) { return Hold(uid, {{"balloon", text}}); }},
             clock) {}

std::vector<std::string> DomainHands::RevertJournal() {
  const auto guard = journal_.Lock();
  auto contents = guard ? journal_.Load() : Fail(guard.error());
  if (!contents) return {"journal of domains: " + contents.error().message};
  auto said = std::move(contents->damage);
  for (const auto& entry : contents->entries) {
    for (const auto& outcome : writer_.Restore(entry)) {
      said.push_back("pod " + entry.pod_uid + ", left by an earlier agent: " + outcome.message);
    }
  }
  return said;
}

// --- Wishes --------------------------------------------------------------------

void DomainHands::Want(const std::string& uid, const std::string& dir, std::uint64_t inode, const DomainWish& wish,
                       Millis expires) {
  const std::lock_guard lock(mu_);
  auto& pod = pods_[uid];
  pod.dir = dir;
  pod.inode = inode;
  pod.wish = wish;
  pod.expires = expires;
  pod.dropped = false;
}

void DomainHands::Drop(const std::string& uid) {
  const std::lock_guard lock(mu_);
  const auto pod = pods_.find(uid);
  if (pod != pods_.end()) pod->second.dropped = true;
}

DomainHands::Wanted DomainHands::Of(const std::string& uid) const {
  const std::lock_guard lock(mu_);
  const auto pod = pods_.find(uid);
  if (pod == pods_.end()) return {{}, 0, {}, Millis{0}, true};
  const auto& p = pod->second;
  return {p.dir, p.inode, p.wish, p.expires, p.dropped || p.expires <= clock_.Monotonic()};
}

DomainHands::Pod& DomainHands::PodOf(const std::string& uid) {
  const std::lock_guard lock(mu_);
  return pods_.at(uid);
}

void DomainHands::Tell(const std::string& uid, api::Outcome& outcome) const {
  const std::lock_guard lock(mu_);
  const auto pod = pods_.find(uid);
  if (pod == pods_.end()) return;
  if (const auto disks = outcomes_.find(uid); disks != outcomes_.end()) {
    for (const auto& [knob, told] : disks->second) *outcome.add_knobs() = told;
  }
  if (!pod->second.wish.guest_kib) return;
  const auto status = mover_.status(uid);
  if (!status) return;
  auto& balloon = *outcome.add_knobs();
  balloon.set_knob("balloon");
  if (status->found_kib) balloon.set_found(std::to_string(*status->found_kib));
  balloon.set_read_back(std::to_string(status->size_kib));
  balloon.set_refusal_reason(status->reason);
  balloon.set_refusal_message(status->message);
}

// --- The thread's -----------------------------------------------------------------

JournalEntry DomainHands::EntryOf(const std::string& uid, const Pod& pod, const Wanted& wanted) const {
  auto entry = pod.entry.value_or(
      JournalEntry{uid, wanted.dir.substr(options_.cgroup_root.size() + 1), wanted.inode, wanted.expires, {}});
  entry.expires = wanted.expires;
  return entry;
}

Status DomainHands::Hold(const std::string& uid, const std::vector<WantedKnob>& knobs) {
  const auto wanted = Of(uid);
  if (wanted.over) return Fail(Code::kRefused, "pod " + uid + " is given back");
  auto& pod = PodOf(uid);
  auto entry = EntryOf(uid, pod, wanted);
  const auto guard = journal_.Lock();
  if (!guard) return Fail(guard.error().In("journal of domains"));
  std::optional<ForeignChange> foreign;
  const auto held = writer_.Hold(entry, knobs, foreign);
  if (entry.knobs.empty()) {
    pod.entry.reset();
  } else {
    pod.entry = std::move(entry);
  }
  if (foreign) {
    options_.say("pod " + uid + ": " + foreign->file + " was set to " + foreign->seen +
                 " by somebody else, left as it is");
    return Fail(Code::kConflict, foreign->file + " was set to " + foreign->seen + " by somebody else");
  }
  return held;
}

void DomainHands::Release(Pod& pod, std::string_view prefix) {
  std::vector<std::string> ours;
  for (const auto& knob : pod.entry->knobs) {
    if (knob.file.starts_with(prefix)) ours.push_back(knob.file);
  }
  if (ours.empty()) return;
  const auto guard = journal_.Lock();
  if (!guard) return;
  // What cannot be put back now stays journalled, and the next round tries again.
  static_cast<void>(writer_.Release(*pod.entry, ours));
  if (pod.entry->knobs.empty()) pod.entry.reset();
}

void DomainHands::Note(const std::string& uid, const std::string& knob, const Status& held, const std::string& text) {
  api::KnobOutcome told;
  told.set_knob(knob);
  const auto& entry = PodOf(uid).entry;
  if (entry) {
    const auto it =
        std::find_if(entry->knobs.begin(), entry->knobs.end(), [&](const auto& k) { return k.file == knob; });
    if (it != entry->knobs.end()) told.set_found(it->found);
  }
  if (held) {
    told.set_read_back(text);
  } else {
    const auto code = held.error().code;
    told.set_refusal_reason(code == Code::kNotFound || code == Code::kUnsupported ? "Unavailable"
                            : code == Code::kInvalid || code == Code::kRefused    ? "InvalidValue"
                            : code == Code::kConflict                             ? "ForeignWriter"
                                                                                  : "WriteFailed");
    told.set_refusal_message(held.error().message);
  }
  const std::lock_guard lock(mu_);
  outcomes_[uid][knob] = std::move(told);
}

void DomainHands::LimitDisks(const std::string& uid, Pod& pod, const Wanted& wanted) {
  const auto now = clock_.Monotonic();
  if ((pod.disks_held && Same(*pod.disks_held, *wanted.wish.disks)) || now < pod.disks_again) return;
  pod.disks_again = now + kRetry;
  const auto disks = domains_.disks(wanted.dir);
  if (!disks) return Note(uid, "disk", Fail(disks.error()), {});
  bool all = true;
  for (const auto& disk : *disks) {
    const auto knob = "disk@" + disk;
    auto found = domains_.knobs.Read(wanted.dir, knob);
    if (pod.entry) {
      const auto& held = pod.entry->knobs;
      const auto it = std::find_if(held.begin(), held.end(), [&](const auto& k) { return k.file == knob; });
      if (it != held.end()) found = it->found;
    }
    const auto text = found ? LimitDisk(*found, *wanted.wish.disks) : Fail(found.error());
    const auto held = text ? Hold(uid, {{knob, *text}}) : Status(Fail(text.error()));
    all = all && held.has_value();
    Note(uid, knob, held, text ? *text : std::string());
  }
  if (!all) return;
  pod.disks_held = wanted.wish.disks;
  pod.disks_again = Millis{0};
}

bool DomainHands::Restore(const std::string& uid, Pod& pod, std::vector<std::string>& said) {
  mover_.Forget(uid);
  pod.disks_held.reset();
  if (!pod.entry) return true;
  const auto guard = journal_.Lock();
  if (!guard) {
    said.push_back("journal of domains: " + guard.error().message);
    return false;
  }
  const auto outcomes = writer_.Restore(*pod.entry);
  std::transform(outcomes.begin(), outcomes.end(), std::back_inserter(said),
                 [&](const KnobOutcome& outcome) { return "pod " + uid + " given back: " + outcome.message; });
  if (AllSettled(outcomes)) pod.entry.reset();
  return AllSettled(outcomes);
}

void DomainHands::Serve(const std::string& uid, Pod& pod) {
  const auto wanted = Of(uid);
  if (wanted.wish.disks) {
    LimitDisks(uid, pod, wanted);
  } else {
    pod.disks_held.reset();
    if (pod.entry) Release(pod, "disk@");
  }
  if (wanted.wish.guest_kib) {
    mover_.Aim(uid, wanted.dir, *wanted.wish.guest_kib);
  } else if (mover_.status(uid)) {
    mover_.Forget(uid);
    if (pod.entry) Release(pod, "balloon");
  }
  if (!pod.entry || pod.entry->expires == wanted.expires) return;
  const auto guard = journal_.Lock();
  if (!guard) return;
  pod.entry->expires = wanted.expires;
  static_cast<void>(journal_.Put(*pod.entry));  // else the older lease stands, and ends earlier
}

void DomainHands::Beat() {
  std::vector<std::string> uids;
  {
    const std::lock_guard lock(mu_);
    for (const auto& [uid, pod] : pods_) uids.push_back(uid);
  }
  for (const auto& uid : uids) {
    auto& pod = PodOf(uid);
    if (!Of(uid).over) {
      Serve(uid, pod);
      continue;
    }
    std::vector<std::string> said;
    const bool settled = Restore(uid, pod, said);
    for (const auto& line : said) options_.say(line);
    if (!settled) continue;
    const std::lock_guard lock(mu_);
    // Wanted again meanwhile: it begins anew.
    if (!pod.dropped && pod.expires > clock_.Monotonic()) continue;
    outcomes_.erase(uid);
    pods_.erase(uid);
  }
  mover_.Beat();
}

std::vector<std::string> DomainHands::RestoreAll() {
  std::vector<std::string> said;
  for (auto& [uid, pod] : pods_) Restore(uid, pod, said);
  return said;
}

DomainThread::DomainThread(DomainHands& hands, Millis beat)
    : thread_([this, &hands, beat](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
          hands.Beat();
          std::unique_lock lock(mu_);
          asleep_.wait_for(lock, stop, beat, [] { return false; });
        }
      }) {
  ::pthread_setname_np(thread_.native_handle(), "domains");
}

void DomainThread::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

}  // namespace whorl::agent
