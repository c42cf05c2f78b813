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
#include "operator/agent/sense/reading.h"

namespace whorl::agent {

// System calls of one QEMU since its slot was first used, by class.
struct SyscallCounts {
  std::uint64_t vcpu = 0;
  std::uint64_t wait = 0;
  std::uint64_t io = 0;
  std::uint64_t other = 0;
};

// The kernel side of counting: a BPF program and its maps. Belongs to the
// sampling thread.
class SyscallSource {
 public:
  virtual ~SyscallSource() = default;
  virtual Status Attach() = 0;
  virtual void Detach() = 0;
  virtual Status Watch(std::uint64_t cgroup, std::uint32_t slot) = 0;
  virtual void Unwatch(std::uint64_t cgroup) = 0;
  virtual Result<SyscallCounts> Read(std::uint32_t slot) = 0;
  virtual std::uint32_t slots() const = 0;
};

// Loads operator/agent/bpf/syscalls.bpf.c. kUnsupported or kUnauthorized say
// what the kernel lacks. With `cgroup_v2` VMs are keyed by their v2 cgroup,
// else by their memory cgroup.
Result<std::unique_ptr<SyscallSource>> LoadSyscallSource(bool cgroup_v2);

// Class (whorl_syscall_class) of every x86-64 system call number.
std::array<std::uint8_t, 512> SyscallClasses();

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

  void Tick(Millis now);
  // Puts the four features when a window ended with this tick.
  void Put(std::uint32_t slot, Reading& reading) const;
  const std::string& trouble() const { return trouble_; }

 private:
  struct Slot {
    std::uint32_t number = 0;
    std::vector<std::uint64_t> cgroups;
    SyscallCounts base;
    std::optional<Millis> since;      // of the counting of this window
    std::optional<Millis> published;  // end of the last window
    std::array<double, 4> counter{};
    bool fresh = false;
  };
  void Open(Millis now);
  void Close(Millis now);
  bool always() const { return duty_.on >= duty_.period; }

  SyscallSource& source_;
  const DutyCycle duty_;
  std::map<std::uint32_t, Slot> slots_;
  std::optional<Millis> opened_;
  Millis next_{0};
  std::string trouble_;
};

}  // namespace whorl::agent
