#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "operator/agent/act/domain_text.h"
#include "operator/agent/act/guest_memory.h"
#include "operator/agent/act/knob_tree.h"

namespace whorl::agent {

// The knobs of a pod's libvirt domain, set through the launcher's own libvirt:
//   balloon      KiB the guest is left with, canonical decimal ("1048576")
//   disk@vda     one line with every limit QEMU throttles that disk by (FormatDisk)
// and what must be known to set them.
//
// `balloon` is written as a target and read as QEMU's answer to where the guest is:
// neither QEMU nor libvirt tells a target. So a read right after a write may lie
// between what stood there and what was written (OnItsWay, knob_tree.h). Lowering is
// refused where it would free nothing: huge pages, locked memory, VFIO. What is below
// the guest's working set is BalloonMover's to know.
//
// The domain is that of the newest QEMU in the pod's cgroup. Each VM has a thread of
// its own and at most one call in flight. A call that has not come back after
// `patience` is given up: kUnavailable, and so is, at once, every further call to that
// VM until it is back; nobody else's wait for it. What a call that was given up was
// to write may yet take effect: the journal must keep its intent.
//
// Codes: kNotFound: no QEMU in the pod, no such disk; kUnsupported: no balloon, memory
// pinned; kInvalid: a text that is wrong, with nothing written; kUnavailable:
// libvirt cannot be reached, hangs, or has no domain yet. Messages name VM, socket
// and remedy. Thread-safe.
class DomainKnobs : public KnobTree {
 public:
  struct Options {
    std::string proc_root = "/proc";
    Millis patience{2000};  // with one call, a connection's opening included
    // A call that hangs for longer is cut loose from its connection, by the next
    // call; libvirt itself gives up waiting for a domain after 30 s.
    Millis cut_after{35000};
  };
  // Before other threads where that can be: it readies libvirt's library.
  explicit DomainKnobs(Options options);
  ~DomainKnobs() override;  // cuts what hangs
  DomainKnobs(const DomainKnobs&) = delete;
  DomainKnobs& operator=(const DomainKnobs&) = delete;

  Result<std::string> Read(const std::string& dir, std::string_view knob) const override;
  Status Write(const std::string& dir, std::string_view knob, std::string_view text) override;
  Result<std::uint64_t> Inode(const std::string& dir) const override;

  // Targets of the disks that can be throttled: "vda".
  Result<std::vector<std::string>> Disks(const std::string& dir) const;
  Result<DomainFacts> Facts(const std::string& dir) const;
  Result<GuestMemory> MemoryStats(const std::string& dir) const;

  // Whether a knob is ours: `balloon` or begins with `disk@`.
  static bool Has(std::string_view knob);

 private:
  class Vm;
  std::shared_ptr<Vm> Find(const std::string& dir) const;

  const Options options_;
  const CgroupFiles files_;
  mutable std::mutex mu_;
  mutable std::map<std::string, std::shared_ptr<Vm>> vms_;  // by dir; guarded by mu_
};

}  // namespace whorl::agent
