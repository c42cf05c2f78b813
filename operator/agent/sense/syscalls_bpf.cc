// The only file of the agent that includes libbpf and the generated skeletons.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <malloc.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "operator/agent/sense/syscall_cost.h"
#include "operator/agent/sense/syscalls.h"
#include "operator/agent/sense/text_file.h"
#include "operator/bpf/classes.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wshadow"
#include "kvm_exits.skel.h"
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

Error Refused(int error, std::string_view what) {
  auto why = ErrorFromErrno(error, what);
  if (!last_warning.empty()) why.message += " (" + last_warning + ")";
  if (error == ENOENT || error == EOPNOTSUPP) why.code = Code::kUnsupported;
  return why;
}

struct Destroy {
  void operator()(syscalls_bpf* skeleton) const { syscalls_bpf__destroy(skeleton); }
  void operator()(kvm_exits_bpf* skeleton) const { kvm_exits_bpf__destroy(skeleton); }
  void operator()(btf* types) const { btf__free(types); }
};
using Syscalls = std::unique_ptr<syscalls_bpf, Destroy>;
using Exits = std::unique_ptr<kvm_exits_bpf, Destroy>;

struct SyscallOptions {
  bool cgroup_v2 = false;
  bool count_everybody = false;
};
Result<Syscalls> LoadSyscalls(const SyscallOptions& options) {
  libbpf_set_print(KeepWarning);
  last_warning.clear();
  constexpr std::string_view kWhat = "system-call counter (eBPF)";
  Syscalls skeleton(syscalls_bpf__open());
  if (!skeleton) return Fail(Refused(errno, kWhat));
  skeleton->rodata->use_cgroup_v2 = options.cgroup_v2 ? 1 : 0;
  skeleton->rodata->count_everybody = options.count_everybody ? 1 : 0;
  const auto classes = SyscallClasses();
  std::memcpy(skeleton->rodata->class_of, classes.data(), classes.size());
  if (const int error = syscalls_bpf__load(skeleton.get()); error != 0) return Fail(Refused(-error, kWhat));
  return skeleton;
}

// The arguments of kvm_exit, by the prototype in the types of one module.
std::optional<int> ArgumentsOfKvmExit(const btf* types) {
  const int id = btf__find_by_name_kind(types, "btf_trace_kvm_exit", BTF_KIND_TYPEDEF);
  if (id < 0) return std::nullopt;
  const btf_type* type = btf__type_by_id(types, btf__type_by_id(types, static_cast<unsigned>(id))->type);
  if (type == nullptr || !btf_is_ptr(type)) return std::nullopt;
  const btf_type* prototype = btf__type_by_id(types, type->type);
  if (prototype == nullptr || !btf_is_func_proto(prototype)) return std::nullopt;
  return btf_vlen(prototype) - 1;  // the first is the program's own context
}

// Empty when the kernel has the tracepoint in the form we know.
std::string LookForKvmExit() {
  const std::unique_ptr<btf, Destroy> kernel(btf__load_vmlinux_btf());
  if (!kernel) return "the kernel has no type information (/sys/kernel/btf/vmlinux)";
  // KVM is a module on most machines, built in on some.
  auto arguments = ArgumentsOfKvmExit(kernel.get());
  if (!arguments) {
    const std::unique_ptr<btf, Destroy> module(btf__load_module_btf("kvm", kernel.get()));
    if (module) arguments = ArgumentsOfKvmExit(module.get());
  }
  if (!arguments) return "the kernel has no kvm_exit tracepoint: the module kvm is not loaded";
  if (*arguments != 2) return "kvm_exit has other arguments than those of Linux 5.17 and later";
  return {};
}

// `slots` is shared: who is watched is said once.
Result<Exits> LoadExits(bool cgroup_v2, int slots) {
  if (auto why = WhyNoExits(); !why.empty()) return Fail(Code::kUnsupported, std::move(why));
  last_warning.clear();
  constexpr std::string_view kWhat = "KVM exit counter (eBPF)";
  Exits skeleton(kvm_exits_bpf__open());
  if (!skeleton) return Fail(Refused(errno, kWhat));
  skeleton->rodata->use_cgroup_v2 = cgroup_v2 ? 1 : 0;
  if (const int error = bpf_map__reuse_fd(skeleton->maps.slots, slots); error != 0) return Fail(Refused(-error, kWhat));
  if (const int error = kvm_exits_bpf__load(skeleton.get()); error != 0) return Fail(Refused(-error, kWhat));
  return skeleton;
}

class BpfSource : public SyscallSource {
 public:
  BpfSource(Syscalls syscalls, bool cgroup_v2, int cpus)
      : syscalls_(std::move(syscalls)),
        cgroup_v2_(cgroup_v2),
        calls_(static_cast<std::size_t>(cpus)),
        exit_counts_(static_cast<std::size_t>(cpus)),
        slots_(bpf_map__max_entries(syscalls_->maps.counts)) {}
  ~BpfSource() override { BpfSource::Detach(); }

  Status Attach(bool exits) override {
    syscalls_->bss->window = syscalls_->bss->window + 1;
    if (link_ == nullptr) link_ = bpf_program__attach(syscalls_->progs.count_sys_enter);
    if (link_ == nullptr) return Fail(ErrorFromErrno(errno, "attaching the system-call counter"));
    if (!exits) {
      DetachExits();
    } else if (exit_link_ == nullptr && !exits_refused_) {
      AttachExits();
    }
    return {};
  }

  void Detach() override {
    if (link_ != nullptr) bpf_link__destroy(std::exchange(link_, nullptr));
    DetachExits();
  }

  Status Watch(std::uint64_t cgroup, std::uint32_t slot) override {
    if (bpf_map__update_elem(syscalls_->maps.slots, &cgroup, sizeof(cgroup), &slot, sizeof(slot), BPF_ANY) != 0) {
      return Fail(ErrorFromErrno(errno, "watching a cgroup's system calls"));
    }
    return {};
  }

  void Unwatch(std::uint64_t cgroup) override {
    bpf_map__delete_elem(syscalls_->maps.slots, &cgroup, sizeof(cgroup), 0);
  }

  Result<SyscallCounts> Read(std::uint32_t slot) override {
    if (auto read = Fetch(syscalls_->maps.counts, slot, calls_); !read) return Fail(read.error());
    SyscallCounts sum;
    for (const auto& cpu : calls_) {
      for (std::size_t i = 0; i < sum.calls.size(); ++i) sum.calls[i] += cpu.by_class[i];
      for (std::size_t i = 0; i < sum.sketch.size(); ++i) sum.sketch[i] += cpu.sketch[i];
    }
    if (exit_link_ == nullptr) return sum;
    if (auto read = Fetch(exits_->maps.exits, slot, exit_counts_); !read) return Fail(read.error());
    auto& exits = sum.exits.emplace();
    for (const auto& cpu : exit_counts_) {
      for (std::size_t i = 0; i < exits.size(); ++i) exits[i] += cpu.by_class[i];
    }
    return sum;
  }

  std::uint32_t slots() const override { return slots_; }

 private:
  template <typename T>
  static Status Fetch(const bpf_map* map, std::uint32_t slot, std::vector<T>& per_cpu) {
    if (bpf_map__lookup_elem(map, &slot, sizeof(slot), per_cpu.data(), per_cpu.size() * sizeof(T), 0) == 0) return {};
    return Fail(ErrorFromErrno(errno, "reading system-call counts"));
  }

  void AttachExits() {
    if (!exits_) {
      auto loaded = LoadExits(cgroup_v2_, bpf_map__fd(syscalls_->maps.slots));
      if (!loaded) {
        exits_refused_ = true;  // it will not get better: masked from now on, and `probe` says why
        return;
      }
      exits_ = std::move(*loaded);
      ::malloc_trim(0);  // of the kernel's types, which loading has read
    }
    exit_link_ = bpf_program__attach(exits_->progs.count_kvm_exit);
    exits_refused_ = exit_link_ == nullptr;
  }
  void DetachExits() {
    if (exit_link_ != nullptr) bpf_link__destroy(std::exchange(exit_link_, nullptr));
  }

  const Syscalls syscalls_;
  const bool cgroup_v2_;
  Exits exits_;
  bool exits_refused_ = false;
  std::vector<whorl_syscall_counts> calls_;
  std::vector<whorl_exit_counts> exit_counts_;
  const std::uint32_t slots_;
  bpf_link* link_ = nullptr;
  bpf_link* exit_link_ = nullptr;
};

// Attached for as long as it lives, watching one cgroup into slot 0.
class BpfTrial : public SyscallTrial {
 public:
  BpfTrial(Syscalls syscalls, bpf_link* link, int cpus)
      : syscalls_(std::move(syscalls)), link_(link), cpus_(static_cast<std::size_t>(cpus)) {}
  ~BpfTrial() override { bpf_link__destroy(link_); }

  std::uint64_t Watched() override {
    std::vector<whorl_syscall_counts> counts(cpus_);
    std::uint64_t sum = 0;
    const std::uint32_t slot = 0;
    bpf_map__lookup_elem(syscalls_->maps.counts, &slot, sizeof(slot), counts.data(), cpus_ * sizeof(counts[0]), 0);
    for (const auto& cpu : counts) {
      for (const auto calls : cpu.by_class) sum += calls;
    }
    return sum;
  }
  std::uint64_t Everybody() override {
    std::vector<std::uint64_t> counts(cpus_);
    std::uint64_t sum = 0;
    const std::uint32_t slot = 0;
    bpf_map__lookup_elem(syscalls_->maps.everybody, &slot, sizeof(slot), counts.data(), cpus_ * sizeof(counts[0]), 0);
    for (const auto calls : counts) sum += calls;
    return sum;
  }

 private:
  const Syscalls syscalls_;
  bpf_link* const link_;
  const std::size_t cpus_;
};

}  // namespace

std::string WhyNoExits() {
  // Reading the kernel's types takes megabytes for a moment: once is enough.
  static const std::string why = LookForKvmExit();
  return why;
}

Result<std::unique_ptr<SyscallSource>> LoadSyscallSource(bool cgroup_v2) {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return Fail(Refused(-cpus, "system-call counter (eBPF)"));
  auto syscalls = LoadSyscalls({.cgroup_v2 = cgroup_v2});
  if (!syscalls) return Fail(syscalls.error());
  return std::make_unique<BpfSource>(std::move(*syscalls), cgroup_v2, cpus);
}

Result<std::unique_ptr<SyscallTrial>> StartSyscallTrial(const TrialOptions& options) {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return Fail(Refused(-cpus, "system-call counter (eBPF)"));
  auto syscalls = LoadSyscalls({.cgroup_v2 = options.cgroup_v2, .count_everybody = options.count_everybody});
  if (!syscalls) return Fail(syscalls.error());
  (*syscalls)->bss->window = 1;
  if (options.watched != 0) {
    const std::uint32_t slot = 0;
    bpf_map__update_elem((*syscalls)->maps.slots, &options.watched, sizeof(options.watched), &slot, sizeof(slot),
                         BPF_ANY);
  }
  bpf_link* link = bpf_program__attach((*syscalls)->progs.count_sys_enter);
  if (link == nullptr) return Fail(ErrorFromErrno(errno, "attaching the system-call counter"));
  return std::make_unique<BpfTrial>(std::move(*syscalls), link, cpus);
}

}  // namespace whorl::agent
