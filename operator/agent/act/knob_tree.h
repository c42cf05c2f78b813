#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace whorl::agent {

// The knobs of pods. A knob is one line of text that can be read and written;
// `dir` is the pod's cgroup, as an absolute path of this node, whatever the
// knob itself belongs to. What Read gives is what Write takes, and what stands
// there is read, never remembered: so the journal can undo any knob without
// knowing what it does. Names:
//   cpu.weight, memory.low ...   a file of the pod's cgroup; one line
//   io.max@8:0                   one device's line of a file with many
//   net.out@tap0, net.in@tap0    a tap in the pod's network namespace
//   balloon, disk@vda            a libvirt domain of the pod
// Implementations are thread-safe.
class KnobTree {
 public:
  virtual ~KnobTree() = default;
  // Without a final newline. kNotFound, kGone.
  virtual Result<std::string> Read(const std::string& dir, std::string_view knob) const = 0;
  virtual Status Write(const std::string& dir, std::string_view knob, std::string_view text) = 0;
  // Names one life of a directory. kNotFound when there is none.
  virtual Result<std::uint64_t> Inode(const std::string& dir) const = 0;
};

// Whether a knob is followed in its own time: a guest goes after its balloon page by
// page, all others hold at once what they are given. What such a knob reads as says
// nothing of what was written to it last: whoever undoes a write writes in any case.
bool Travels(std::string_view knob);
// True where a travelling knob reads as something within the span of `ours`, the texts
// that were found there and written: then it is no foreign value.
bool OnItsWay(std::string_view knob, std::string_view seen, std::initializer_list<std::string_view> ours);

// The kernel's. A path is resolved beneath `root` and through no symbolic link
// (openat2): one that leaves it, or has a link in it, is kInvalid and nothing is
// written. Files with a line per device hold one knob each, without the device:
//   io.max@8:0                     "rbps=max wbps=max riops=max wiops=max" when unlimited
//   io.weight, io.weight@8:0       "default 100"; a device's own, "default" without one
//   blkio.throttle.<what>@8:0      v1; "0" when unlimited
// On v1 `dir` is in the cpu hierarchy, <root>/cpu or <root>/cpu,cpuacct; files of
// memory, cpuset and blkio are looked for in theirs, <root>/<controller>.
class CgroupFiles : public KnobTree {
 public:
  explicit CgroupFiles(std::string root = "/") : root_(std::move(root)) {}
  Result<std::string> Read(const std::string& dir, std::string_view knob) const override;
  // kInvalid: empty, of several lines, or longer than a page.
  Status Write(const std::string& dir, std::string_view knob, std::string_view text) override;
  Result<std::uint64_t> Inode(const std::string& dir) const override;
  // A whole file of the pod, a page of it at most, without a final newline: for
  // files that are no knobs, such as io.stat.
  Result<std::string> Text(const std::string& dir, std::string_view file) const;

 private:
  std::string DirOf(const std::string& dir, std::string_view file) const;

  const std::string root_;
};

}  // namespace whorl::agent
