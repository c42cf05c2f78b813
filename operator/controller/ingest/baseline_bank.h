#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "core/fingerprint/cohort.h"
#include "operator/controller/ingest/checkpoint_seal.h"

namespace whorl::controller {

// Where the links of different nodes meet over baselines: what was learnt about
// a VM while no engine holds it (between two nodes of a migration, while it is
// stopped), which VMs somebody looks for, and which are nobody's any more.
// Bounded: of the baselines the oldest goes first. Thread-safe.
class BaselineBank {
 public:
  explicit BaselineBank(std::size_t capacity = 4096) : capacity_(capacity) {}

  // Of two the one of higher rank stays.
  void Put(const std::string& vm_uid, SavedBaseline saved);
  std::optional<SavedBaseline> Get(const std::string& vm_uid) const;
  // Of the one here, without a copy of it.
  std::optional<SavedBaseline::Rank> RankOf(const std::string& vm_uid) const;
  void Drop(const std::string& vm_uid);

  // `node` runs the VM and would be glad of its checkpoint from any other node.
  void Want(const std::string& vm_uid, const std::string& node);
  // It has waited long enough, or wants no other any more.
  void EndWant(const std::string& vm_uid);
  // Of `stored` on `node`, those another node wants and `node` has not supplied.
  std::vector<std::string> Wanted(const std::set<std::string>& stored, const std::string& node) const;
  void Supplied(const std::string& vm_uid, const std::string& node);
  // `node` has the VM's checkpoint on its disk now.
  void StoredAt(const std::string& vm_uid, const std::string& node);

  // Every VM that is opted in. Says nothing about the others before kGrace is
  // over, so that a slip of the pen in an annotation costs no baseline.
  void SetWatched(std::set<std::string> vm_uids, Millis now);
  // Of `stored` on `node`, those to forget there: another node has its own by
  // now and wants nothing more from this one, or their VM has been deleted or
  // opted out for kGrace.
  std::vector<std::string> Forgettable(const std::set<std::string>& stored, const std::string& node, Millis now);

  // Whom VMs resemble, as the behaviour map last found; nullptr: not drawn yet.
  void PutCohorts(std::shared_ptr<const Cohorts> cohorts);
  std::shared_ptr<const Cohorts> cohorts() const;

  static constexpr Millis kGrace{3'600'000};

 private:
  struct Entry {
    SavedBaseline saved;
    std::uint64_t stamp = 0;
  };
  struct Wish {
    std::string node;                // that runs the VM
    std::set<std::string> supplied;  // nodes that gave what they had
  };
  const std::size_t capacity_;
  mutable std::mutex mu_;
  std::map<std::string, Entry> entries_;           // under mu_
  std::uint64_t stamp_ = 0;                        // under mu_
  std::shared_ptr<const Cohorts> cohorts_;         // under mu_
  std::map<std::string, Wish> wants_;              // under mu_
  std::map<std::string, std::string> stored_;      // under mu_; uid -> node whose disk has the newest
  std::optional<std::set<std::string>> watched_;   // under mu_; nullopt: not known yet
  std::map<std::string, Millis> unwatched_since_;  // under mu_
};

}  // namespace whorl::controller
