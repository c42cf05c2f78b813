#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "operator/agent/act/knob_tree.h"
#include "operator/agent/act/net_limit.h"
#include "operator/agent/act/traffic_control.h"
#include "operator/agent/sense/text_file.h"

namespace whorl::agent {

// The bandwidth of the taps of pods: the knobs net.out@<tap> and net.in@<tap>,
// with the texts of net_limit.h. Thread-safe.
//
//   net.in   a root qdisc of ours on the tap: tbf 5748:, or pfifo 5744: without
//            room for `drop`
//   net.out  an ingress qdisc on the tap that sends everything through an IFB of
//            ours, whorl<index of the tap>, whose root qdisc is one of the two
//
// What the kernel attaches by itself has handle 0 and counts as none; any other
// qdisc is somebody else's: Read gives "foreign: <kind>" and Write refuses
// (kConflict). "none" takes away everything of ours, and the kernel puts its
// default back. What is ours by name but no longer works (its IFB was deleted)
// reads as "none", for nothing is held; the next Write replaces it.
//
// `dir` leads to a process of the pod (cgroup.procs of it and below, in any
// version), that to the network namespace. The node's own is refused. A netlink
// socket per pod stays open and is used only while the cgroup is the same one
// and the process through which it was opened lives in the same namespace.
//
// Errors: kGone when pod or namespace are gone, kNotFound when the tap is not
// there, kInvalid for names and texts, kUnsupported for what the kernel lacks.
class TapShaper : public KnobTree {
 public:
  explicit TapShaper(std::string proc_root = "/proc") : proc_root_(std::move(proc_root)) {}

  Result<std::string> Read(const std::string& dir, std::string_view knob) const override;
  Status Write(const std::string& dir, std::string_view knob, std::string_view text) override;
  Result<std::uint64_t> Inode(const std::string& dir) const override;

  // The taps of the pod whose names can be part of a knob; may be empty.
  Result<std::vector<std::string>> Taps(const std::string& dir) const;

 private:
  // The way into a pod's network.
  struct Door {
    std::uint64_t cgroup = 0;  // inode of the pod's cgroup
    std::uint64_t net = 0;     // inode of the namespace
    Fd process;                // its /proc/<pid>, which fails once it is gone
    TrafficControl traffic;
    std::map<std::string, int> taps;  // those seen to be taps, by name, with their index
  };
  using Doors = std::map<std::string, Door>;

  Result<Door> Open(const std::string& dir, std::uint64_t cgroup) const;
  Result<Door*> Enter(const std::string& dir) const;
  static Result<NetLink> FindTap(Door& door, const std::string& name);
  void ForgetOneGone() const;

  const std::string proc_root_;
  mutable std::mutex mu_;
  mutable Doors doors_;            // under mu_
  mutable std::string looked_at_;  // the door that was checked last; under mu_
};

// Whether this kernel and these privileges can limit a direction, tried in a
// network namespace made for it and thrown away. The error is the reason:
// "no IFB (CONFIG_IFB) in this kernel: Unknown device type".
Status CanShape(NetDirection direction);

}  // namespace whorl::agent
