#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/telemetry/sketch.h"
#include "operator/agent/sense/reading.h"
#include "operator/bpf/syscalls.h"

namespace whorl::agent {

// System calls of one QEMU since its slot was first used, by class, in which
// order its threads made them, and why its vCPUs left guest mode.
struct SyscallCounts {
  std::array<std::uint64_t, WHORL_SYSCALL_CLASSES> calls{};
  SketchCounts sketch{};  // sums modulo 2^32 here; a window's are differences
  // Absent while nobody asked for exits or the kernel cannot tell them.
  std::optional<std::array<std::uint64_t, WHORL_EXIT_CLASSES>> exits;
};

// The kernel side of counting: BPF programs and their maps. Belongs to the
// sampling thread.
class SyscallSource {
 public:
  virtual ~SyscallSource() = default;
  // Begins a window: attaches what is not attached, and forgets which call of a
  // thread came last. `exits`: some watched VM runs under KVM. A kernel that
  // cannot tell why vCPUs exit still counts system calls.
  virtual Status Attach(bool exits) = 0;
  virtual void Detach() = 0;
  virtual Status Watch(std::uint64_t cgroup, std::uint32_t slot) = 0;
  virtual void Unwatch(std::uint64_t cgroup) = 0;
  virtual Result<SyscallCounts> Read(std::uint32_t slot) = 0;
  virtual std::uint32_t slots() const = 0;
};

// Loads operator/agent/bpf/syscalls.bpf.c, and kvm_exits.bpf.c once exits are
// asked for. kUnsupported or kUnauthorized say what the kernel lacks. With
// `cgroup_v2` VMs are keyed by their v2 cgroup, else by their memory cgroup.
Result<std::unique_ptr<SyscallSource>> LoadSyscallSource(bool cgroup_v2);

// Why KVM exits by reason cannot be counted on this machine; empty when they
// can. Looked for once: a module kvm that is loaded later needs a new agent.
std::string WhyNoExits();

// When the program is attached: `on` of every `period`; on == period is always.
// Attached, it costs every system call of the host 0.1 to 0.2 µs.
struct DutyCycle {
  Millis on{1000};
  Millis period{5000};
};

// Turns windows of counting into counters whose differences are unbiased: at
// the end of a window the counter grows by what was counted, scaled from the
// window to the time since the previous one ended. Between windows there is no
// reading. Not thread-safe: belongs to the sampling thread.
class SyscallSampler {
 public:
  SyscallSampler(SyscallSource& source, DutyCycle duty);
  ~SyscallSampler();

  // Starts counting for a VM; the cgroups are those its QEMU may sit in.
  Result<std::uint32_t> Watch(std::span<const std::uint64_t> cgroups, Millis now);
  void Unwatch(std::uint32_t slot);

  // `exits`: some watched VM runs under KVM, so that its exits are worth counting.
  void Tick(Millis now, bool exits = false);
  // Puts the features when a window ended with this tick; those of exits only
  // for a VM under KVM.
  void Put(std::uint32_t slot, bool kvm, Reading& reading) const;
  // The sketch of the window that ended with this tick; null when none did.
  const SketchCounts* Sketch(std::uint32_t slot) const;
  // A window is open that ends, or opens before long: nobody should cause calls now.
  bool Quiet(Millis now) const;
  // No window opens before; what is open stays so. Who counts always, goes on.
  void PutOff(Millis until);
  const std::string& trouble() const { return trouble_; }

 private:
  struct Slot {
    std::uint32_t number = 0;
    std::vector<std::uint64_t> cgroups;
    SyscallCounts base;
    std::optional<Millis> since;      // of the counting of this window
    std::optional<Millis> published;  // end of the last window
    std::array<double, WHORL_SYSCALL_CLASSES> calls{};
    std::array<double, WHORL_EXIT_CLASSES> exits{};
    SketchCounts sketch{};
    bool fresh = false;
    bool exits_fresh = false;
  };
  bool Begin(Millis now);
  void Close(Millis now);
  bool always() const { return duty_.on >= duty_.period; }

  SyscallSource& source_;
  const DutyCycle duty_;
  std::map<std::uint32_t, Slot> slots_;
  bool exits_ = false;
  std::optional<Millis> opened_;
  Millis next_{0};
  std::string trouble_;
};

}  // namespace whorl::agent
