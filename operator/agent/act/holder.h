#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "operator/agent/act/cpu_files.h"
#include "operator/agent/act/directive_knobs.h"
#include "operator/agent/act/domain_hands.h"
#include "operator/agent/act/epoch_file.h"
#include "operator/agent/act/limit_writer.h"
#include "operator/agent/sense/finder.h"
#include "operator/api/node.pb.h"

namespace whorl::agent {

namespace api = whorl::node::v1;

// What metrics count about acting.
struct HolderCounters {
  std::atomic<std::uint64_t> recalls{0};
  std::atomic<std::uint64_t> restores{0};
  std::atomic<std::uint64_t> write_errors{0};
  std::atomic<std::uint64_t> plans{0};
  std::atomic<std::uint64_t> refused_plans{0};
};

// Holds what plans allow and gives it back: enrolment, epochs, plans as leases,
// recalls, expiry. At every instant, also between two writes, the allocations
// it holds sum to no more than the plan's capacity. Thread-safe; calls write
// files of cgroups but never wait for anybody else.
class Holder {
 public:
  struct Options {
    std::string cgroup_root;
    CgroupVersion version = CgroupVersion::kV1;
    std::int64_t node_millicores = 0;
    std::uint32_t most_pods = 64;
    // Whether a pod's libvirt can be asked: its disks are then limited there, else
    // by the node's io controller.
    std::function<bool(const VmPlace&)> has_domain = [](const VmPlace&) { return false; };
    // Told what an administrator wants to read in the log, one sentence each.
    std::function<void(const std::string&)> say = [](const std::string&) {};
  };
  Holder(Options options, KnobTree& tree, const PodParts& parts, const Journal& journal, const VmDirectory& directory,
         EpochFile& epochs, const Clock& clock, DomainHands* domains = nullptr);

  // Puts back what an earlier agent left. Returns one sentence per thing done.
  std::vector<std::string> RevertJournal();

  // kRefused: below the highest epoch. kConflict: another controller of that epoch.
  Result<api::EnrolReply> Enrol(const api::EnrolRequest& request, std::string_view controller);
  api::Receipt Apply(const api::Plan& plan, std::string_view controller);

  // Takes a loan back: the borrower is lowered, then the lender raised.
  // `met` is when the reading that met the rule was taken (CLOCK_BOOTTIME).
  void Recall(std::uint64_t loan, Millis met, const std::string& why);
  // Restores what has expired. Call at 4 Hz or faster.
  void Expire();
  // Looks for knobs that somebody else changed. Call about once a second.
  void CheckKnobs();
  // Everything back as found; for shutdown.
  std::vector<std::string> RestoreAll();

  // The loans in force, for the recall watch; the number rises when they change.
  std::uint64_t loans_version() const { return loans_version_; }
  std::vector<api::Loan> loans() const;
  std::optional<VmPlace> Place(const std::string& pod_uid) const;

  std::vector<std::string> enrolled() const;
  std::uint64_t highest_epoch() const;
  std::uint64_t last_sequence() const;
  std::vector<api::Holding> holdings() const;
  std::optional<api::ForeignWriter> Foreign(const std::string& pod_uid) const;

  // Adds the notes not yet delivered to `frame`, and forgets them once the
  // frame with that sequence is Delivered.
  void AddNotes(api::Frame& frame);
  void Delivered(std::uint64_t sequence);

  const HolderCounters& counters() const { return counters_; }

 private:
  struct Pod {
    api::EnrolledPod spec;
    std::optional<VmPlace> place;
    std::uint64_t inode = 0;
    CpuValues found;                      // before anything of ours
    std::optional<JournalEntry> entry;    // while held
    std::int64_t allocation = 0;          // held now, 0 when not
    std::optional<std::uint32_t> shares;  // held now
    std::optional<std::int64_t> quota_millicores;
    std::vector<WantedKnob> more;  // held now, beyond those two
    std::optional<ForeignChange> foreign;
  };
  struct Target {
    Pod* pod = nullptr;
    std::int64_t allocation = 0;
    std::optional<std::uint32_t> shares;
    std::optional<std::int64_t> quota_millicores;
    std::vector<WantedKnob> more;
    DomainWish domain;
    api::Outcome* outcome = nullptr;
  };
  struct Note {
    std::optional<api::RecallNote> recall;
    std::optional<api::ExpiryNote> expiry;
    std::uint64_t first_sequence = 0;  // of the frame that carried it first; 0 = none yet
  };

  // All below: mu_ held.
  std::optional<std::pair<std::string, std::string>> RefusePlan(const api::Plan& plan,
                                                                std::string_view controller) const;
  bool RefuseDirective(const api::Directive& directive, Pod*& pod, api::Outcome& outcome);
  bool Locate(Pod& pod, std::string& why);
  Status Hold(Pod& pod, JournalEntry& entry, const std::vector<WantedKnob>& cpu, const Target& target,
              std::optional<ForeignChange>& foreign, api::Outcome& outcome);
  Status Bring(const Target& target, Millis expires, std::int64_t capacity);
  static void WishOf(const api::Directive& directive, bool has_domain, Target& target, api::Outcome& outcome);
  void Ask(const Target& target, Millis expires, api::Outcome& outcome);
  void GiveBack(Pod& pod, std::string_view why);
  void ForgetHeld(Pod& pod);
  std::int64_t HeldSum() const;
  bool RecalledMeanwhile(const api::Loan& loan, std::uint64_t answered) const;
  static void Refuse(api::Outcome& outcome, std::string_view reason, const std::string& message);

  const Options options_;
  KnobTree& tree_;
  const PodParts& parts_;
  const Journal& journal_;
  const VmDirectory& directory_;
  EpochFile& epochs_;
  const Clock& clock_;
  DomainHands* const domains_;  // null: balloons and disks of domains are not to be had
  const CpuFiles files_;

  mutable std::mutex mu_;
  LimitWriter writer_;
  std::map<std::string, Pod> pods_;
  std::uint64_t enrolled_epoch_ = 0;
  std::string controller_;
  std::int64_t capacity_ = 0;  // of the plan in force
  std::map<std::uint64_t, api::Loan> loans_;
  std::atomic<std::uint64_t> loans_version_{0};
  std::map<std::uint64_t, std::optional<std::uint64_t>> recalled_;  // loan -> first frame that told
  std::vector<Note> notes_;
  std::string told_refusal_;  // of the last plan, so that each is said once
  HolderCounters counters_;
};

// CpuValues as the wire has them.
api::CpuKnobs ToKnobs(const CpuValues& values);

}  // namespace whorl::agent
