#include "operator/controller/lead/leadership.h"

#include <algorithm>

namespace whorl::controller {

Lead Leadership::Current() {
  const LeaseView lease = lease_();
  std::scoped_lock lock(mu_);
  const bool full = lease.held && !lease.renew_deadline_passed;
  if (leading_ && (lease.other_holder || (!full && highest_seen_ > epoch_))) leading_ = false;
  if (full && !lease.other_holder) {
    const auto transitions = static_cast<std::uint64_t>(std::max<std::int64_t>(0, lease.transitions.value_or(0)));
    // Also while leading: an agent that was away may come back with an epoch of a leader before us.
    if (!leading_ || highest_seen_ > epoch_) epoch_ = std::max({transitions, highest_seen_, epoch_}) + 1;
    leading_ = true;
  }
  return Lead{leading_, full ? Authority::kFull : Authority::kRenewOnly, leading_ ? epoch_ : 0};
}

void Leadership::SawEpoch(std::uint64_t epoch) {
  std::scoped_lock lock(mu_);
  highest_seen_ = std::max(highest_seen_, epoch);
}

void Leadership::Refused(std::uint64_t our, std::uint64_t theirs) {
  std::scoped_lock lock(mu_);
  if (our != epoch_) return;  // we have moved on since
  // The same number from somebody else is as good as a higher one.
  highest_seen_ = std::max({highest_seen_, theirs, our + 1});
}

}  // namespace whorl::controller
