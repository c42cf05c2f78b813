#include "operator/controller/ingest/baseline_bank.h"

#include <algorithm>
#include <utility>

namespace whorl::controller {

void BaselineBank::Put(const std::string& vm_uid, SavedBaseline saved) {
  std::scoped_lock lock(mu_);
  const auto it = entries_.find(vm_uid);
  if (it != entries_.end() && it->second.saved.rank() > saved.rank()) return;
  entries_[vm_uid] = Entry{std::move(saved), ++stamp_};
  if (entries_.size() <= capacity_) return;
  entries_.erase(std::min_element(entries_.begin(), entries_.end(),
                                  [](const auto& a, const auto& b) { return a.second.stamp < b.second.stamp; }));
}

std::optional<SavedBaseline> BaselineBank::Get(const std::string& vm_uid) const {
  std::scoped_lock lock(mu_);
  const auto it = entries_.find(vm_uid);
  if (it == entries_.end()) return std::nullopt;
  return it->second.saved;
}

std::optional<SavedBaseline::Rank> BaselineBank::RankOf(const std::string& vm_uid) const {
  std::scoped_lock lock(mu_);
  const auto it = entries_.find(vm_uid);
  if (it == entries_.end()) return std::nullopt;
  return it->second.saved.rank();
}

void BaselineBank::Drop(const std::string& vm_uid) {
  std::scoped_lock lock(mu_);
  entries_.erase(vm_uid);
}

void BaselineBank::Want(const std::string& vm_uid, const std::string& node) {
  std::scoped_lock lock(mu_);
  wants_[vm_uid] = Wish{node, {}};
}

std::vector<std::string> BaselineBank::Wanted(const std::set<std::string>& stored, const std::string& node) const {
  std::scoped_lock lock(mu_);
  std::vector<std::string> out;
  for (const auto& [vm_uid, wish] : wants_) {
    if (wish.node != node && !wish.supplied.contains(node) && stored.contains(vm_uid)) out.push_back(vm_uid);
  }
  return out;
}

void BaselineBank::Supplied(const std::string& vm_uid, const std::string& node) {
  std::scoped_lock lock(mu_);
  const auto it = wants_.find(vm_uid);
  if (it != wants_.end()) it->second.supplied.insert(node);
}

void BaselineBank::StoredAt(const std::string& vm_uid, const std::string& node) {
  std::scoped_lock lock(mu_);
  stored_[vm_uid] = node;
}

void BaselineBank::EndWant(const std::string& vm_uid) {
  std::scoped_lock lock(mu_);
  wants_.erase(vm_uid);
}

void BaselineBank::SetWatched(std::set<std::string> vm_uids, Millis now) {
  std::scoped_lock lock(mu_);
  if (!watched_) watched_.emplace();
  for (const auto& vm_uid : *watched_) {
    if (!vm_uids.contains(vm_uid)) unwatched_since_.emplace(vm_uid, now);
  }
  for (const auto& vm_uid : vm_uids) unwatched_since_.erase(vm_uid);
  std::erase_if(unwatched_since_, [&](const auto& entry) { return now - entry.second >= 2 * kGrace; });
  watched_ = std::move(vm_uids);
}

std::vector<std::string> BaselineBank::Forgettable(const std::set<std::string>& stored, const std::string& node,
                                                   Millis now) {
  std::scoped_lock lock(mu_);
  std::vector<std::string> out;
  if (!watched_) return out;
  for (const auto& vm_uid : stored) {
    if (watched_->contains(vm_uid)) {
      const auto at = stored_.find(vm_uid);
      const auto wish = wants_.find(vm_uid);
      const bool still_wanted =
          wish != wants_.end() && wish->second.node != node && !wish->second.supplied.contains(node);
      if (at != stored_.end() && at->second != node && !still_wanted) out.push_back(vm_uid);
      continue;
    }
    // A VM we have never heard of counts from now on.
    const auto since = unwatched_since_.emplace(vm_uid, now).first->second;
    if (now - since < kGrace) continue;
    out.push_back(vm_uid);
    entries_.erase(vm_uid);
    stored_.erase(vm_uid);
    wants_.erase(vm_uid);
  }
  return out;
}

void BaselineBank::PutCohorts(std::shared_ptr<const Cohorts> cohorts) {
  std::scoped_lock lock(mu_);
  cohorts_ = std::move(cohorts);
}

std::shared_ptr<const Cohorts> BaselineBank::cohorts() const {
  std::scoped_lock lock(mu_);
  return cohorts_;
}

}  // namespace whorl::controller
