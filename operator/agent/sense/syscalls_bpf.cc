// The only file that includes libbpf and the generated skeleton.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "operator/agent/bpf/syscalls.h"
#include "operator/agent/sense/syscalls.h"
#include "operator/agent/sense/text_file.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wshadow"
#include "syscalls.skel.h"
#pragma GCC diagnostic pop

namespace whorl::agent {
namespace {

// libbpf explains a refusal in its log: the last warning goes into our error.
thread_local std::string last_warning;

__attribute__((format(printf, 2, 0))) int KeepWarning(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  char line[256];
  const int size = std::vsnprintf(line, sizeof(line), format, arguments);
  if (size > 0) {
    last_warning = line;
    while (!last_warning.empty() && last_warning.back() == '\n') last_warning.pop_back();
  }
  return 0;
}

struct DestroySkeleton {
  void operator()(syscalls_bpf* skeleton) const { syscalls_bpf__destroy(skeleton); }
};

class BpfSource : public SyscallSource {
 public:
  BpfSource(syscalls_bpf* skeleton, int cpus)
      : skeleton_(skeleton),
        per_cpu_(static_cast<std::size_t>(cpus)),
        slots_(bpf_map__max_entries(skeleton->maps.counts)) {}
  ~BpfSource() override { BpfSource::Detach(); }

  Status Attach() override {
    if (link_ != nullptr) return {};
    link_ = bpf_program__attach(skeleton_->progs.count_sys_enter);
    if (link_ == nullptr) return Fail(ErrorFromErrno(errno, "attaching the system-call counter"));
    return {};
  }

  void Detach() override {
    if (link_ != nullptr) bpf_link__destroy(std::exchange(link_, nullptr));
  }

  Status Watch(std::uint64_t cgroup, std::uint32_t slot) override {
    if (bpf_map__update_elem(skeleton_->maps.slots, &cgroup, sizeof(cgroup), &slot, sizeof(slot), BPF_ANY) != 0) {
      return Fail(ErrorFromErrno(errno, "watching a cgroup's system calls"));
    }
    return {};
  }

  void Unwatch(std::uint64_t cgroup) override {
    bpf_map__delete_elem(skeleton_->maps.slots, &cgroup, sizeof(cgroup), 0);
  }

  Result<SyscallCounts> Read(std::uint32_t slot) override {
    const std::size_t size = per_cpu_.size() * sizeof(whorl_syscall_counts);
    if (bpf_map__lookup_elem(skeleton_->maps.counts, &slot, sizeof(slot), per_cpu_.data(), size, 0) != 0) {
      return Fail(ErrorFromErrno(errno, "reading system-call counts"));
    }
    SyscallCounts sum;
    for (const auto& cpu : per_cpu_) {
      sum.vcpu += cpu.by_class[kWhorlSyscallVcpu];
      sum.wait += cpu.by_class[kWhorlSyscallWait];
      sum.io += cpu.by_class[kWhorlSyscallIo];
      sum.other += cpu.by_class[kWhorlSyscallOther];
    }
    return sum;
  }

  std::uint32_t slots() const override { return slots_; }

 private:
  const std::unique_ptr<syscalls_bpf, DestroySkeleton> skeleton_;
  std::vector<whorl_syscall_counts> per_cpu_;
  const std::uint32_t slots_;
  bpf_link* link_ = nullptr;
};

}  // namespace

std::array<std::uint8_t, 512> SyscallClasses() {
  std::array<std::uint8_t, 512> classes{};  // kWhorlSyscallOther
  const auto set = [&](std::initializer_list<long> numbers, whorl_syscall_class to) {
    for (const long number : numbers) classes[static_cast<std::size_t>(number)] = to;
  };
  set({SYS_ioctl}, kWhorlSyscallVcpu);
  set({SYS_poll, SYS_ppoll, SYS_select, SYS_pselect6, SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_futex,
       SYS_futex_waitv, SYS_nanosleep, SYS_clock_nanosleep, SYS_restart_syscall, SYS_pause, SYS_rt_sigtimedwait},
      kWhorlSyscallWait);
  set({SYS_read,      SYS_write,           SYS_readv,           SYS_writev,
       SYS_pread64,   SYS_pwrite64,        SYS_preadv,          SYS_pwritev,
       SYS_preadv2,   SYS_pwritev2,        SYS_sendto,          SYS_sendmsg,
       SYS_sendmmsg,  SYS_recvfrom,        SYS_recvmsg,         SYS_recvmmsg,
       SYS_sendfile,  SYS_splice,          SYS_copy_file_range, SYS_io_uring_enter,
       SYS_io_submit, SYS_io_getevents,    SYS_io_pgetevents,   SYS_fsync,
       SYS_fdatasync, SYS_sync_file_range, SYS_syncfs,          SYS_fallocate},
      kWhorlSyscallIo);
  return classes;
}

Result<std::unique_ptr<SyscallSource>> LoadSyscallSource(bool cgroup_v2) {
  libbpf_set_print(KeepWarning);
  last_warning.clear();
  const auto refused = [](int error) {
    auto why = ErrorFromErrno(error, "system-call counter (eBPF)");
    if (!last_warning.empty()) why.message += " (" + last_warning + ")";
    if (error == ENOENT || error == EOPNOTSUPP) why.code = Code::kUnsupported;
    return why;
  };
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return Fail(refused(-cpus));
  std::unique_ptr<syscalls_bpf, DestroySkeleton> skeleton(syscalls_bpf__open());
  if (!skeleton) return Fail(refused(errno));
  skeleton->rodata->use_cgroup_v2 = cgroup_v2 ? 1 : 0;
  const auto classes = SyscallClasses();
  std::memcpy(skeleton->rodata->class_of, classes.data(), classes.size());
  if (const int error = syscalls_bpf__load(skeleton.get()); error != 0) return Fail(refused(-error));
  return std::make_unique<BpfSource>(skeleton.release(), cpus);
}

}  // namespace whorl::agent
