#include "operator/controller/ingest/baseline_bank.h"

#include <algorithm>
#include <utility>

namespace whorl::controller {

void BaselineBank::Put(const std::string& vm_uid, std::string blob) {
  std::scoped_lock lock(mu_);
  entries_[vm_uid] = Entry{std::move(blob), ++stamp_};
  if (entries_.size() <= capacity_) return;
  entries_.erase(std::min_element(entries_.begin(), entries_.end(),
                                  [](const auto& a, const auto& b) { return a.second.stamp < b.second.stamp; }));
}

std::optional<std::string> BaselineBank::Get(const std::string& vm_uid) const {
  std::scoped_lock lock(mu_);
  const auto it = entries_.find(vm_uid);
  if (it == entries_.end()) return std::nullopt;
  return it->second.blob;
}

}  // namespace whorl::controller
